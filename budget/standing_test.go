package budget

import (
	"testing"
	"time"

	"casemate"
	"casemate/meter/price"
)

// What stands ready counts in the budgets of its function, app, account and node, not in a caller's; a hard budget that it has
// used up lets nothing run, after a restart as well.
func TestWhatStandsReadyIsCharged(t *testing.T) {
	v := version("shop", "price", 1)
	standing := func(w *world, app, function, resource string, cost casemate.Money) {
		r := casemate.Record{ID: casemate.NewID(), App: app, Function: function, Resource: resource, Source: price.SourceNode, Action: price.StandingAction, Principal: "node", Opened: noon, Cost: cost,
			Outcome: casemate.Outcome{OK: true, Status: "answered"}}
		r.Chain = r.ID
		w.purse.Count(w.append(r), &r)
	}
	for scope, stopped := range map[string]bool{"function/price": true, "app/shop": true, "account/000000000000": true, "node": true, "function/other": false, "app/other": false, "caller/*": false, "caller/node": false, "key/*": false} {
		w := newWorld(t)
		w.set(scope, "day", 10*casemate.Unit)
		if err := w.run(v, "key/a", time.Millisecond); err != nil {
			t.Fatalf("%s: %v", scope, err)
		}
		standing(w, "shop", "price", casemate.DefaultPlace.FunctionARN("price"), 10*casemate.Unit)
		for range 2 {
			if err := w.run(v, "key/a", time.Millisecond); (casemate.CodeOf(err) == casemate.Exhausted && err != nil) != stopped {
				t.Errorf("%s: %v", scope, err)
			}
			w.kill()
			w.open()
		}
	}
	w := newWorld(t)
	w.set("account/000000000000", "day", 10*casemate.Unit)
	standing(w, "", "", casemate.DefaultPlace.PlatformARN("storage", "node"), 10*casemate.Unit)
	if err := w.run(v, "key/a", time.Millisecond); casemate.CodeOf(err) != casemate.Exhausted || err == nil {
		t.Errorf("storage: %v", err)
	}
}
