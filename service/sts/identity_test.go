package sts

import (
	"encoding/json"
	"testing"

	"casemate"
)

func TestWhoAmI(t *testing.T) {
	all := Operations(Config{})
	if len(all) != 4 || all[2].ID() != "sts.GetCallerIdentity" || !all[2].Open {
		t.Fatalf("%+v", all)
	}
	for _, o := range all[:2] { // above all: nobody assumes a role because nothing forbids it
		if o.Open || !o.Trusted {
			t.Errorf("%+v", o)
		}
	}
	ops := all[2:]
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
