package node

import (
	"testing"

	"casemate"
)

// TestMayConnect: in doubt a function reaches the outside, and a budget holds the price of all its traffic.
func TestMayConnect(t *testing.T) {
	allow := func(actions ...string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Action: actions, Resource: []string{"*"}}
	}
	deny := allow("casemate:Connect")
	deny.Effect = casemate.Deny
	for _, c := range []struct {
		list []casemate.Statement
		want bool
	}{
		{nil, false}, {[]casemate.Statement{allow("lambda:InvokeFunction", "secretsmanager:GetSecretValue")}, false}, {[]casemate.Statement{deny}, false},
		{[]casemate.Statement{allow("casemate:Connect")}, true}, {[]casemate.Statement{allow("CASEMATE:connect")}, true}, {[]casemate.Statement{allow("lambda:InvokeFunction"), allow("casemate:Con*")}, true},
		{[]casemate.Statement{allow("*")}, true}, {[]casemate.Statement{allow("casemate:Connec?")}, true}, {[]casemate.Statement{{Effect: casemate.Allow, NotAction: []string{"s3:*"}}}, true},
	} {
		if got := mayConnect(c.list); got != c.want {
			t.Errorf("%+v: %v", c.list, got)
		}
	}
}

func TestMonths(t *testing.T) {
	if from, until, err := Month("2026-12"); err != nil || from.Format("2006-01-02") != "2026-12-01" || until.Format("2006-01-02") != "2027-01-01" {
		t.Errorf("%v to %v, %v", from, until, err)
	}
	for _, s := range []string{"2026", "2026-13", "may", "2026-5", "2026-05-01"} {
		if _, _, err := Month(s); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q is a month, %v", s, err)
		}
	}
}
