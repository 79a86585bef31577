package catalog

import (
	"strings"
	"time"

	"casemate"
)

// EventInvoke is how long queued events of a function, or of one of its versions or aliases, are tried
// (https://docs.aws.amazon.com/lambda/latest/api/API_FunctionEventInvokeConfig.html). A nil field is the version's own.
type EventInvoke struct {
	Retries  *int           `json:"retries,omitempty"` // 0..2
	MaxAge   *time.Duration `json:"max_age,omitempty"` // 1 min .. 6 h
	Modified time.Time      `json:"modified"`
}

// URL is when a function URL was made through Lambda's API. All else about it its route says.
type URL struct {
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

// Standing is what Lambda's API keeps beside versions by qualifier: "" and $LATEST are the same.
type Standing struct {
	Invoke      map[string]*EventInvoke `json:"invoke,omitempty"`
	URLs        map[string]*URL         `json:"urls,omitempty"`
	Provisioned map[int]time.Time       `json:"provisioned,omitempty"` // when a version was given sandboxes of its own
}

// clone copies s, so that its maps may be changed.
func (s *Standing) clone() *Standing {
	if s == nil {
		return nil
	}
	return &Standing{Invoke: copied(s.Invoke), URLs: copied(s.URLs), Provisioned: copied(s.Provisioned)}
}

func copied[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// Keeps is what Lambda's API keeps beside the function of a cloned app, to be changed.
func (m *Managed) Keeps() *Standing {
	if m.Standing == nil {
		m.Standing = (&Standing{}).clone()
	}
	return m.Standing
}

// async is how long queued events are tried that come by a qualifier; nil: as the version says.
func (f *Function) async(qualifier string, v *casemate.Version) *casemate.AsyncPolicy {
	s := f.Manages().Standing
	if s == nil {
		return nil
	}
	x := s.Invoke[plain(qualifier)]
	if x == nil {
		return nil
	}
	p := v.Async
	if x.Retries != nil {
		p.Retries = *x.Retries
	}
	if x.MaxAge != nil {
		p.MaxAge = *x.MaxAge
	}
	return &p
}

// plain is a qualifier without the name that says nothing.
func plain(qualifier string) string {
	if qualifier == Latest {
		return ""
	}
	return qualifier
}

// Qualify is the ARN of a function under a qualifier.
func Qualify(arn, qualifier string) string {
	if qualifier = plain(qualifier); qualifier != "" {
		return arn + ":" + qualifier
	}
	return arn
}

// owner is the name of the function that an ARN is about, with a qualifier or without.
func owner(place casemate.Place, arn string) (string, bool) {
	rest, ok := strings.CutPrefix(arn, place.FunctionARN(""))
	name, _, _ := strings.Cut(rest, ":")
	return name, ok
}
