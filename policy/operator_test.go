package policy

import (
	"strings"
	"testing"

	"casemate"
)

// TestOperatorHint holds what a refused operator reads to something that can be done: the roles of signed-in people are
// not the manifest's, so no grant can be added to them.
func TestOperatorHint(t *testing.T) {
	may := func(actions ...string) []casemate.Statement {
		return []casemate.Statement{{Effect: casemate.Allow, Action: actions, Resource: []string{"*"}}}
	}
	s, err := Compile(casemate.Policies{Identity: map[string][]casemate.Statement{
		"operator/view": may("casemate:ReadState"), "operator/deploy": may("casemate:Deploy"), "operator/admin": may("casemate:Deploy", "casemate:CreateKey"),
		"operator/deploy+view": may("casemate:ReadState", "casemate:Deploy"), "operator/break-glass": may("casemate:*"), "clerk": may("casemate:*"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]string{
		"casemate:Deploy":    "it takes the operator role admin or deploy: casemate operator set ada --roles, by who may give it",
		"casemate:CreateKey": "it takes the operator role admin: casemate operator set ada --roles, by who may give it",
		"casemate:GetObject": "no operator role allows it: it takes a role of the manifest, with a key, or the node's own machine",
	} {
		d := s.Decide(&casemate.AccessRequest{Action: action, Resource: "arn:aws:casemate:us-east-1:000000000000:app/shop",
			Principal: &casemate.Principal{Kind: casemate.KindOperator, ID: "operator/ada", Role: "operator/view"}})
		if d.Verdict == casemate.Allowed || strings.ReplaceAll(d.Hint, `"`, "") != want {
			t.Errorf("%s: %v, %q, want %q", action, d.Verdict, d.Hint, want)
		}
	}
}
