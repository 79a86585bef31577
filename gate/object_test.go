package gate

import (
	"slices"
	"strings"
	"testing"

	"casemate"
)

// deciding is a policy that answers by the resource, and tells what it looked at.
type deciding struct {
	asked  []string
	verify func(r *casemate.AccessRequest) casemate.Decision
}

func (d *deciding) Decide(r *casemate.AccessRequest) casemate.Decision {
	d.asked = append(d.asked, r.Action+" "+r.Resource)
	return d.verify(r)
}

func (d *deciding) Facts(r *casemate.AccessRequest) []casemate.Fact {
	return []casemate.Fact{{Key: "jwt:sub", Values: []string{"ada"}}, {Key: "of", Values: []string{r.Resource}}}
}

// API1 of OWASP's ten: who may call the route may not therefore have every object behind it, and an exception that opens a
// route opens none of them.
func TestObjectIsDecidedOnAsWell(t *testing.T) {
	for _, c := range []struct {
		owner, object string
		anonymous     bool
		ok            bool
		decided       string
	}{
		{"ada", "arn:o/ada", false, true, "route"}, {"ada", "arn:o/bob", false, false, "object"}, {"ada", "", false, true, "route"},
		{"", "arn:o/ada", true, false, "object"}, {"", "", true, true, "auth: none"},
	} {
		r := newRig()
		d := &deciding{verify: func(q *casemate.AccessRequest) casemate.Decision {
			switch {
			case q.Params["id"] != "7":
				t.Errorf("the parameters are gone: %+v", q)
			case q.Resource == "arn:r" && q.Principal.Known():
				return casemate.Decision{Verdict: casemate.Allowed, Statement: "route"}
			case c.owner != "" && strings.HasSuffix(q.Resource, "/"+c.owner):
				return casemate.Decision{Verdict: casemate.Allowed, Statement: "object"}
			}
			return casemate.Decision{Layer: "default", Statement: map[bool]string{true: "object"}[q.Action == "read"]}
		}}
		find := r.find
		r.find = func(e *casemate.Event) (*casemate.Match, error) {
			m, err := find(e)
			m.Policy, m.Params, m.Object = d, map[string]string{"id": "7"}, c.object
			if c.object != "" {
				m.ObjectAction = "read"
			}
			if c.anonymous {
				m.Route.Auth.Open = &casemate.Exception{Reason: "test", Expires: noon.AddDate(0, 0, 1)}
			}
			return m, err
		}
		if c.anonymous {
			r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
		}
		_, err := r.gate(t, nil).Handle(t.Context(), event())
		rec := r.closed[0]
		if (err == nil) != c.ok || !c.ok && (casemate.CodeOf(err) != casemate.Forbidden || slices.Contains(r.asked, "run")) || rec.Decision.Statement != c.decided || rec.Object != c.object {
			t.Errorf("%+v: %v, decided %+v, asked %v", c, err, rec.Decision, d.asked)
		}
		if len(rec.Facts) != 2 || rec.Facts[0].Values[0] != "ada" {
			t.Errorf("%+v: facts %+v", c, rec.Facts)
		}
	}
}
