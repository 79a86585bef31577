package policy

import (
	"testing"

	"casemate"
)

func TestAnAttachedPolicyDecidesWithTheOthers(t *testing.T) {
	const arn, other = "arn:aws:sqs:us-east-1:000000000000:jobs", "arn:aws:sqs:us-east-1:000000000000:more"
	s, err := Compile(casemate.Policies{
		Identity: map[string][]casemate.Statement{"sender": {{Effect: casemate.Allow, Action: []string{"sqs:*"}, Resource: []string{"*"}}}},
		Resource: map[string][]casemate.Statement{arn: {{Effect: casemate.Deny, Principal: map[string][]string{"AWS": {"*"}}, Action: []string{"sqs:PurgeQueue"}, Resource: []string{arn}}}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := Attach(arn, []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/ann"},"Action":"SQS:SendMessage","Resource":"`+arn+`"},
		{"Effect":"Deny","Principal":"*","Action":"sqs:DeleteQueue","Resource":"`+arn+`"}]}`), "test")
	if err != nil {
		t.Fatal(err)
	}
	ann := &casemate.Principal{Kind: casemate.KindAccess, ID: "user/ann", ARN: "arn:aws:iam::000000000000:user/ann", Account: "000000000000"}
	sender := &casemate.Principal{Kind: casemate.KindAccess, ID: "user/bob", ARN: "arn:aws:iam::000000000000:user/bob", Account: "000000000000", Role: "sender"}
	ask := func(d casemate.Decider, p *casemate.Principal, action, resource string) bool {
		return d.Decide(&casemate.AccessRequest{Principal: p, Action: action, Resource: resource, Account: "000000000000"}).Verdict == casemate.Allowed
	}
	with := s.With(a)
	for _, c := range []struct {
		who              *casemate.Principal
		action, resource string
		without, with    bool
	}{
		{ann, "sqs:SendMessage", arn, false, true}, {ann, "sqs:SendMessage", other, false, false}, {ann, "sqs:ReceiveMessage", arn, false, false},
		{sender, "sqs:SendMessage", arn, true, true}, {sender, "sqs:DeleteQueue", arn, true, false}, {sender, "sqs:DeleteQueue", other, true, true},
		{sender, "sqs:PurgeQueue", arn, false, false}, // what the catalog denies stays denied
	} {
		if got := ask(s, c.who, c.action, c.resource); got != c.without {
			t.Errorf("without: %s %s %s: %v", c.who.ID, c.action, c.resource, got)
		}
		if got := ask(with, c.who, c.action, c.resource); got != c.with {
			t.Errorf("with: %s %s %s: %v", c.who.ID, c.action, c.resource, got)
		}
	}
	if _, err := Attach(arn, []byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`), "test"); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("without a principal: %v", err)
	}
}
