package faults

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"casemate"
	"casemate/budget"
)

// TestBudgetOverKills kills a node with signal 9 between the hold and the settling of many runs, again and again, under a
// flood, until a hard budget is spent: what ran never comes to more, and the budget knows what the log knows.
func TestBudgetOverKills(t *testing.T) {
	rounds := 3
	if shared.full {
		rounds = 30
	}
	dir := folder(t)
	n := mustStart(t, dir)
	caller, _ := furnish(t, n)
	limit, err := casemate.ParseMoney("0.08")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.call("budget.set", casemate.Budget{For: "app/faults", Per: "total", Amount: limit}, nil); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for round := range rounds {
		refused += floodUntilKilled(t, n, caller, 40+round)
		n = mustStart(t, dir)
		within(t, n, limit)
	}
	if refused == 0 {
		t.Error("nothing was refused: the budget was never tried")
	}
	if out, errs, code := n.run("bill", "--check"); code != 0 {
		t.Errorf("the bill is not what an export comes to: %s%s", out, errs)
	}
	n.stop()
	n = mustStart(t, dir)
	within(t, n, limit)
	n.stop()
}

// floodUntilKilled has 48 callers call what ends at once and what never ends, and kills the node when so many were answered
// and at least one run hangs. It gives how many were refused for want of money.
func floodUntilKilled(t *testing.T, n *node, key string, answers int) int {
	t.Helper()
	var callers sync.WaitGroup
	var refused atomic.Int64
	answered := make(chan struct{}, 1<<16)
	stop := make(chan struct{})
	for i := range 48 {
		path := "/echo"
		if i%3 == 0 {
			path = "/hang"
		}
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := n.send("POST", path, key, "{}", "", false)
				if err != nil {
					return // the node is gone
				}
				switch {
				case a.status == 429 && bytes.Contains(a.body, []byte("money")):
					refused.Add(1)
				case a.status != 200 && a.status != 429:
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
	}
	for range answers {
		<-answered
	}
	n.kill()
	close(stop)
	callers.Wait()
	return int(refused.Load())
}

// within holds the log against the budget, and the budget's own account against the log.
func within(t *testing.T, n *node, limit casemate.Money) {
	t.Helper()
	var spent casemate.Money
	cut := 0
	for _, r := range export(t, n) {
		if r.App == "faults" {
			spent += r.Cost
		}
		if r.Outcome.Status == "interrupted" && r.Held > 0 {
			cut++
		}
	}
	if spent > limit {
		t.Errorf("%s of %s is spent", spent, limit)
	}
	if cut == 0 {
		t.Error("no run was cut off between hold and settling")
	}
	var list []budget.Status
	if err := n.call("budget.list", nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.For == "app/faults" {
			if s.Spent != spent || s.Held != 0 {
				t.Errorf("the budget knows %s (held %s), the log %s", s.Spent, s.Held, spent)
			}
			t.Logf("%s of %s, %d cut off", spent, limit, cut)
			return
		}
	}
	t.Error("the budget is gone")
}
