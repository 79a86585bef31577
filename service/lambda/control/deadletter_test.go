package control

import (
	"testing"

	"casemate"
	"casemate/catalog"
)

// TestDeadLetterQueues: the function's role is asked, the one that it was given as well; what it was told holds for its events, and
// goes when it is cleared.
func TestDeadLetterQueues(t *testing.T) {
	o := hired(t)
	a, revision := o.catalog.Snapshot().App("shop")
	next := a.Clone()
	next.Roles["worker"] = catalog.Role{Statements: []casemate.Statement{{Sid: "w", Effect: casemate.Allow, Action: []string{"sqs:SendMessage"}, Resource: []string{"arn:aws:sqs:us-east-1:000000000000:dead"}}}}
	if err := o.catalog.Swap(t.Context(), next, revision); err != nil {
		t.Fatal(err)
	}
	const dead = "arn:aws:sqs:us-east-1:000000000000:dead"
	told := func(want string) {
		t.Helper()
		m, err := o.catalog.Resolve(&casemate.Event{Source: casemate.SourceRun, Target: casemate.Target{Function: "made"}})
		if err != nil {
			t.Fatal(err)
		}
		got := m.Version.Told()
		if m.Told != nil {
			got = *m.Told
		}
		if got.DeadLetter != want {
			t.Errorf("dead letters go to %q, want %q", got.DeadLetter, want)
		}
	}
	made := o.answer("CreateFunction", create(t, `,"DeadLetterConfig":{"TargetArn":"`+dead+`"}`))
	if c, _ := made["DeadLetterConfig"].(map[string]any); c["TargetArn"] != dead {
		t.Errorf("made with %v", made["DeadLetterConfig"])
	}
	told(dead)
	if now := o.answer("UpdateFunctionConfiguration", `{"FunctionName":"made","Timeout":9}`); now["DeadLetterConfig"] == nil {
		t.Error("another change took it away")
	}
	o.answer("PutFunctionEventInvokeConfig", `{"FunctionName":"made","DestinationConfig":{"OnFailure":{"Destination":"`+dead+`"}}}`)
	told(dead)
	if now := o.answer("UpdateFunctionConfiguration", `{"FunctionName":"made","DeadLetterConfig":{"TargetArn":""}}`); now["DeadLetterConfig"] != nil {
		t.Errorf("still %v", now["DeadLetterConfig"])
	}
	told("")
	o.steps([][3]string{{"UpdateFunctionConfiguration", `{"FunctionName":"made","DeadLetterConfig":{"TargetArn":"` + dead + `er"}}`, "*may not sqs:SendMessage on " + dead + "er*"}})
}
