package deployment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Attack is one way to do harm, and how to tell whether it was done.
type Attack struct {
	ID     string   `yaml:"id"`
	Name   string   `yaml:"name"`   // what is tried, for people
	Class  string   `yaml:"class"`  // credential/<kind>, api<n>/<item>, money/<way>
	Needs  []string `yaml:"needs"`  // what a target must have: exactly what the steps and judges use
	Steps  []Step   `yaml:"steps"`  // one after the other
	Harm   []Harm   `yaml:"harm"`   // any of these is harm
	Honest []string `yaml:"honest"` // flows that must work afterwards
	Queue  bool     `yaml:"queue"`  // what it causes comes later: the target's queues are waited for
	Slow   bool     `yaml:"slow"`   // left out of quick runs
	Past   []string `yaml:"past"`   // advisories of other platforms that this was
	Pure   string   `yaml:"pure"`   // why no configuration weakens it; "": it must work against a weakened deployment
}

// Harm is what must not happen while an attack runs. Exactly one of Effect, Leak and Status is set.
type Harm struct {
	Effect string `yaml:"effect"` // a counter of the target that may rise by Most
	Most   int64  `yaml:"most"`
	Leak   string `yaml:"leak"`   // a text that may stand in no answer, headers included
	Status int    `yaml:"status"` // an answer's status, where it alone is the harm: a node that broke (5xx)
}

// Flow is honest traffic.
type Flow struct {
	ID    string   `yaml:"id"`
	Needs []string `yaml:"needs"`
	Steps []Step   `yaml:"steps"`
	Want  []Want   `yaml:"want"` // all of them
}

// Want is what an honest flow must come to.
type Want struct {
	Status int    `yaml:"status"` // of its last answer
	Text   string `yaml:"text"`   // that stands in its last answer
	Effect string `yaml:"effect"`
	Least  int64  `yaml:"least"` // rise of Effect
}

// Step is one request, sent Times times by Parallel senders.
type Step struct {
	Method      string            `yaml:"method"` // default GET
	Path        string            `yaml:"path"`   // with its query, sent to the letter
	Host        string            `yaml:"host"`   // default the target's own
	Headers     map[string]Values `yaml:"headers"`
	Body        string            `yaml:"body"`
	Encode      string            `yaml:"encode"`      // gzip: the body is sent compressed
	Raw         string            `yaml:"raw"`         // a whole request to the letter, over a connection of its own; LF is sent as CRLF
	TLS         bool              `yaml:"tls"`         // over the target's TLS address
	Certificate string            `yaml:"certificate"` // TLS client certificate of the target, by name; implies TLS
	JWT         *JWT              `yaml:"jwt"`
	SigV4       *SigV4            `yaml:"sigv4"`
	Webhook     *Webhook          `yaml:"webhook"`
	Alter       *Alter            `yaml:"alter"` // what is changed after signing
	Times       int               `yaml:"times"` // default 1
	Parallel    int               `yaml:"parallel"`
	Fresh       bool              `yaml:"fresh"`      // made and signed anew for each sending, not once
	Connection  string            `yaml:"connection"` // new: a connection for each; default: kept ones
}

// JWT signs a token. It goes where {{token}} stands in the step, otherwise into Authorization.
type JWT struct {
	Issuer string            `yaml:"issuer"` // of the target, whose key signs
	Header map[string]any    `yaml:"header"` // over the issuer's own; null takes away
	Claims map[string]any    `yaml:"claims"` // over the honest ones; for exp, nbf and iat a text like -1h is from now
	With   string            `yaml:"with"`   // own (default); none: no signature; zero: one of zeros; public: HMAC under the issuer's public key; stranger: another key
	Texts  map[string]string `yaml:"texts"`  // header or claims as raw JSON
	Outer  bool              `yaml:"outer"`  // signed once more around it (cty JWT)
}

// SigV4 signs as AWS's SDKs do.
type SigV4 struct {
	Key     string   `yaml:"key"`     // access key of the target
	Service string   `yaml:"service"` // default execute-api
	Region  string   `yaml:"region"`  // default the target's
	Ago     string   `yaml:"ago"`     // a duration: signed that long ago
	Presign int      `yaml:"presign"` // seconds: signed in the query
	Payload string   `yaml:"payload"` // x-amz-content-sha256 instead of the body's hash
	Leave   []string `yaml:"leave"`   // headers that are sent and not signed
}

// Webhook signs as a sender does.
type Webhook struct {
	Sender string `yaml:"sender"` // of the target: its scheme and secret
	Scheme string `yaml:"scheme"` // instead of the sender's own
	Secret string `yaml:"secret"` // instead of the sender's own
	Ago    string `yaml:"ago"`
	ID     string `yaml:"id"`
}

// Alter changes a request that was signed.
type Alter struct {
	Method  string            `yaml:"method"`
	Host    string            `yaml:"host"`
	Path    string            `yaml:"path"`
	Append  string            `yaml:"append"` // to the path and query as they were signed
	Body    string            `yaml:"body"`
	Headers map[string]Values `yaml:"headers"` // an empty list takes away
	Replace map[string]string `yaml:"replace"` // texts in every header and in the path
}

// Values is a header's value, or several.
type Values []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *Values) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*v = Values{n.Value}
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return err
	}
	*v = list
	return nil
}

// Set is what the files of a folder hold.
type Set struct {
	Attacks []Attack
	Flows   map[string]*Flow
}

type document struct {
	Flows   []Flow   `yaml:"flows"`
	Attacks []Attack `yaml:"attacks"`
}

// Read reads every .yaml file of a folder, strictly: an unknown key, an attack without a judge or an honest flow, a
// placeholder that is not declared and one that is declared and not used are errors.
func Read(files fs.FS, folder string) (*Set, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	set := &Set{Flows: map[string]*Flow{}}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		var doc document
		if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		set.Attacks = append(set.Attacks, doc.Attacks...)
		for i := range doc.Flows {
			set.Flows[doc.Flows[i].ID] = &doc.Flows[i]
		}
	}
	return set, set.check()
}

func (s *Set) check() error {
	var errs []error
	seen := map[string]bool{}
	for i := range s.Attacks {
		a := &s.Attacks[i]
		wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("attack "+a.ID+": "+format, args...)) }
		if a.ID == "" || a.Name == "" || !strings.Contains(a.Class, "/") || seen[a.ID] {
			wrong("an id of its own, a name and a class are needed")
		}
		seen[a.ID] = true
		if len(a.Steps) == 0 || len(a.Harm) == 0 || len(a.Honest) == 0 {
			wrong("steps, harm and an honest flow are needed")
		}
		for _, h := range a.Harm {
			if set := (h.Effect != "") != (h.Leak != ""); set == (h.Status != 0) {
				wrong("harm is an effect, a leak or a status")
			}
		}
		for _, id := range a.Honest {
			if s.Flows[id] == nil {
				wrong("there is no flow %s", id)
			}
		}
		if used := uses(a.Steps, a.Harm, nil); !slices.Equal(used, slices.Sorted(slices.Values(a.Needs))) {
			wrong("it needs %v, and declares %v", used, a.Needs)
		}
	}
	for _, f := range s.Flows {
		if used := uses(f.Steps, nil, f.Want); !slices.Equal(used, slices.Sorted(slices.Values(f.Needs))) {
			errs = append(errs, fmt.Errorf("flow %s: it needs %v, and declares %v", f.ID, used, f.Needs))
		}
	}
	return errors.Join(errs...)
}

var placeholder = regexp.MustCompile(`\{\{([a-z0-9]+)(?::([^{}]*))?\}\}`)

// own are placeholders that the runner itself fills.
var own = []string{"token", "repeat", "count", "random", "run"}

// uses lists what steps and judges ask of a target.
func uses(steps []Step, harm []Harm, want []Want) []string {
	need := map[string]bool{}
	for i := range steps {
		st := &steps[i]
		if st.JWT != nil {
			need["issuer:"+st.JWT.Issuer] = true
		}
		if st.SigV4 != nil {
			need["access:"+st.SigV4.Key] = true
		}
		if st.Webhook != nil {
			need["sender:"+st.Webhook.Sender] = true
		}
		if st.Certificate != "" {
			need["certificate:"+st.Certificate] = true
		}
	}
	for _, h := range harm {
		if h.Effect != "" {
			need["effect:"+h.Effect] = true
		}
	}
	for _, w := range want {
		if w.Effect != "" {
			need["effect:"+w.Effect] = true
		}
	}
	text, _ := yaml.Marshal([]any{steps, harm, want}) // what was read can be written
	for _, m := range placeholder.FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(own, m[1]) {
			need[strings.Trim(m[0], "{}")] = true
		}
	}
	return slices.Sorted(maps.Keys(need))
}
