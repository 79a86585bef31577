package sts

import (
	"encoding/json"
	"testing"

	"casemate"
)

func TestWhoAmI(t *testing.T) {
	ops := Operations()
	if len(ops) != 1 || ops[0].ID() != "sts.GetCallerIdentity" || !ops[0].Open { // above all no AssumeRole
		t.Fatalf("%+v", ops)
	}
	if arn, err := ops[0].Resource(casemate.DefaultPlace, []byte("{}")); arn != "*" || err != nil {
		t.Error(arn, err)
	}
	answer, err := ops[0].Run(t.Context(), &casemate.Launch{Principal: &casemate.Principal{ID: "function/f", ARN: "arn:x", Account: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(answer); string(text) != `{"UserId":"function/f","Account":"1","Arn":"arn:x"}` || err != nil {
		t.Errorf("%s %v", text, err)
	}
}
