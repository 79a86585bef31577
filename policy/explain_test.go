package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"casemate"
	"casemate/policy"
	"casemate/policy/analysis"
)

// What an explanation shows is what decides: the verdict and the layer follow from its steps alone, and exactly one step is
// named as the one that decided wherever the decision names one.
func TestExplainAgreesWithTheDecider(t *testing.T) {
	g := &generator{rand.New(rand.NewPCG(3, 4))}
	for range 1500 {
		p := g.policies()
		set := mustCompile(t, p)
		for range 4 {
			r := g.request()
			x, d := set.Explain(r), set.Decide(r)
			layer, v := analysis.Verdict(&x, r, func(s *policy.Step) bool { return s.Applies })
			if x.Decision != d || v != d.Verdict || layer != d.Layer {
				t.Fatalf("decided %+v, explained %v by %s\n%s\n%s", d, v, layer, dump(r), dump(p))
			}
			deciding := 0
			for _, s := range x.Steps {
				if s.Decides {
					deciding++
				}
				if s.Applies == (s.Why != "") {
					t.Fatalf("step %+v", s)
				}
				if s.Applies && s.Decides && s.Effect == casemate.Allow && d.Verdict != casemate.Allowed {
					t.Fatalf("step %+v decides %+v", s, d)
				}
			}
			if named := d.Verdict == casemate.Allowed || d.Statement != "" && d.Reason != "" && d.Layer != policy.LayerDefault && v == casemate.Denied && hasDeny(x); named && deciding == 0 {
				t.Fatalf("nothing decides %+v\n%s", d, dump(x))
			}
		}
	}
}

func hasDeny(x policy.Explanation) bool {
	for _, s := range x.Steps {
		if s.Effect == casemate.Deny && s.Applies {
			return true
		}
	}
	return false
}

// A record holds what a decision depended on: read back from its JSON, the question gets the same answer.
func TestRecordedQuestionsGetTheSameAnswer(t *testing.T) {
	g := &generator{rand.New(rand.NewPCG(5, 6))}
	unknown, all := 0, 0
	for range 1500 {
		p := g.policies()
		set := mustCompile(t, p)
		for range 4 {
			r := g.request()
			d := set.Decide(r)
			if d.Layer == policy.LayerRequest || r.Account != home || r.Principal.Known() != (r.Principal != nil) {
				continue
			}
			rec := casemate.Record{Principal: r.Principal.Name(), Action: r.Action, Resource: r.Resource, Opened: noon, Decision: d, Facts: set.Facts(r)}
			if r.Principal != nil {
				rec.Role = r.Principal.Role
			}
			text, err := json.Marshal(rec)
			if err != nil {
				t.Fatal(err)
			}
			var back casemate.Record
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			qs := analysis.Questions(&back, home)
			if len(qs) != 1 {
				t.Fatalf("%d questions of %s", len(qs), text)
			}
			all++
			a := qs[0].Ask(set)
			if !a.Known {
				unknown++
				continue
			}
			if a.Decision.Verdict != d.Verdict {
				t.Fatalf("was %+v, is %+v\n%s\n%s\n%s", d, a.Decision, text, dump(r), dump(p))
			}
		}
	}
	if unknown*3 > all || all < 1000 {
		t.Errorf("%d of %d questions could not be answered", unknown, all)
	}
}
