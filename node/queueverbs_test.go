package node

import (
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/policy"
	"casemate/queue"
	"casemate/shield"
	"casemate/store"
)

// TestRedriveSends: whoever may redrive one queue does not put its messages into another that it may not send to.
func TestRedriveSends(t *testing.T) {
	n, _ := queueNode(t)
	c, err := catalog.Open(t.Context(), catalog.Config{Store: store.Memory(time.Now), Place: casemate.DefaultPlace, Contract: shield.Compile,
		Compile: func(p casemate.Policies) (casemate.Decider, error) { return policy.Compile(p) }})
	if err != nil {
		t.Fatal(err)
	}
	n.catalog = c
	may := func(action, name string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Action: []string{action}, Resource: []string{casemate.DefaultPlace.PlatformARN("queue", name)}}
	}
	v := &casemate.Version{App: "shop", Function: "f", Number: 1, ID: strings.Repeat("a", 64), Code: strings.Repeat("b", 64), ARN: casemate.DefaultPlace.FunctionARN("f"),
		Account: casemate.DefaultPlace.Account, Runtime: "wasm", Role: catalog.ExecutionRole("f"), Limits: casemate.DefaultLimits()}
	a := &catalog.App{Name: "shop", Functions: map[string]*catalog.Function{"f": {Live: 1, Versions: []*casemate.Version{v}}}, Roles: map[string]catalog.Role{catalog.ExecutionRole("f"): {}, "mover": {Statements: []casemate.Statement{
		may("casemate:RedriveQueue", "jobs"), may("casemate:SendToQueue", "mine")}}}}
	if err := c.Swap(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "theirs"} {
		if _, err := n.queues.Create(t.Context(), name, queue.Defaults(), nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	who := &casemate.Principal{Kind: casemate.KindKey, ID: "key/m", Role: "mover", Account: casemate.DefaultPlace.Account}
	for to, code := range map[string]casemate.Code{"theirs": casemate.Forbidden, "mine": 0, "": 0} {
		_, err := n.queueBuiltins()["queue.redrive"].run(t.Context(), &casemate.Launch{Principal: who, Event: &casemate.Event{Resource: "jobs"}, Payload: []byte(`{"name":"jobs","to":"` + to + `"}`)})
		if err == nil != (code == 0) || err != nil && casemate.CodeOf(err) != code {
			t.Errorf("%q: %v", to, err)
		}
	}
}
