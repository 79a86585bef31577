package catalog

import (
	"encoding/json"
	"maps"
	"slices"
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

	OnSuccess *string `json:"on_success,omitempty"` // ARNs; "": nobody is told
	OnFailure *string `json:"on_failure,omitempty"`
}

// URL is what Lambda's API was told about a function URL. What holds is its route.
type URL struct {
	Created  time.Time       `json:"created"`
	Modified time.Time       `json:"modified"`
	Cors     json.RawMessage `json:"cors,omitempty"` // as it was asked for
}

// Provisioned is how many sandboxes are kept initialised for what a qualifier leads to.
type Provisioned struct {
	Count    int       `json:"count"`
	Modified time.Time `json:"modified"`
}

// Standing is what Lambda's API keeps beside versions by qualifier: "" and $LATEST are the same.
type Standing struct {
	Invoke      map[string]*EventInvoke `json:"invoke,omitempty"`
	URLs        map[string]*URL         `json:"urls,omitempty"`
	Provisioned map[string]*Provisioned `json:"provisioned,omitempty"` // by version or alias
}

// clone copies s, so that its maps may be changed.
func (s *Standing) clone() *Standing {
	if s == nil {
		return nil
	}
	return &Standing{Invoke: copied(s.Invoke), URLs: copied(s.URLs), Provisioned: copied(s.Provisioned)}
}

func copied[V any](m map[string]V) map[string]V {
	c := make(map[string]V, len(m))
	maps.Copy(c, m)
	return c
}

// Keeps is what Lambda's API keeps beside the function of a cloned app, to be changed.
func (m *Managed) Keeps() *Standing {
	if m.Standing == nil {
		m.Standing = (&Standing{}).clone()
	}
	return m.Standing
}

// Replace makes what change says of a copy of every version.
func (f *Function) Replace(change func(v *casemate.Version)) {
	for i, v := range f.Versions {
		next := *v
		change(&next)
		f.Versions[i] = &next
	}
}

// Provide gives each version of a cloned app the sandboxes that are provisioned for it: by its number, and by the aliases that
// lead to it now. A function that Lambda's API provisions nothing for keeps what its manifest says.
func (a *App) Provide() {
	for _, f := range a.Functions {
		s := f.Manages().Standing
		if s == nil || s.Provisioned == nil {
			continue
		}
		want := map[*casemate.Version]int{}
		for qualifier, p := range s.Provisioned {
			if v := f.Qualified(qualifier, ""); v != nil {
				want[v] += p.Count
			}
		}
		for i, v := range f.Versions {
			if v.Spare != want[v] {
				next := *v
				next.Spare = want[v]
				f.Versions[i] = &next
			}
		}
	}
}

// Ahead lists the versions whose sandboxes are made before an event comes: the one in force, and those that Lambda's API
// provisions some for.
func (f *Function) Ahead() []*casemate.Version {
	list := []*casemate.Version{f.Latest()}
	if s := f.Manages().Standing; s == nil || len(s.Provisioned) == 0 {
		return list
	}
	for _, v := range f.Versions {
		if v.Spare > 0 && v != list[0] {
			list = append(list, v)
		}
	}
	return list
}

// Forget takes away what stands beside a function under a qualifier, or under every one when the function itself goes.
func (a *App) Forget(place casemate.Place, function, qualifier string) {
	arn := place.FunctionARN(function)
	gone := func(q string) bool { return qualifier == "" || plain(q) == qualifier }
	a.Routes = slices.DeleteFunc(a.Routes, func(r casemate.Route) bool { return r.URL && r.Function == function && gone(r.Alias()) })
	for at := range a.Resources {
		if name, is := owner(place, at); is && name == function && gone(strings.TrimPrefix(strings.TrimPrefix(at, arn), ":")) {
			delete(a.Resources, at)
		}
	}
	f := a.Functions[function]
	if f == nil || f.Manages().Standing == nil {
		return
	}
	s := f.Managed.Keeps()
	maps.DeleteFunc(s.Invoke, func(q string, _ *EventInvoke) bool { return gone(q) })
	maps.DeleteFunc(s.URLs, func(q string, _ *URL) bool { return gone(q) })
	maps.DeleteFunc(s.Provisioned, func(q string, _ *Provisioned) bool { return gone(q) })
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

// told is who is told how queued events ended that came by a qualifier; nil: as the version says.
func (f *Function) told(qualifier string, v *casemate.Version) *casemate.Destinations {
	s := f.Manages().Standing
	if s == nil || s.Invoke[plain(qualifier)] == nil {
		return nil
	}
	x, d := s.Invoke[plain(qualifier)], v.Told()
	if x.OnSuccess != nil {
		d.OnSuccess = *x.OnSuccess
	}
	if x.OnFailure != nil {
		d.OnFailure = *x.OnFailure
	}
	return &d
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
