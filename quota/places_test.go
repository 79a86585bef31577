package quota_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/quota"
)

// run is a demand of one caller for one run.
func run(caller, function string, most int) casemate.Demand {
	return casemate.Demand{Principal: caller, Function: function, FunctionRate: rate(1e6, 1e6), Concurrency: most}
}

// fill takes places until none is given at once, and says how many were.
func fill(t testing.TB, l *quota.Ledger, d casemate.Demand) (held []casemate.Reservation) {
	t.Helper()
	for range 10_000 {
		r, turn, err := l.Reserve(t0, d)
		if err != nil {
			return held
		}
		if turn != nil {
			l.Settle(t0, r)
			return held
		}
		held = append(held, r)
	}
	t.Fatal("places without end")
	return nil
}

// TestFloodersLeaveRoom: a flooder or two, however long their runs are, leave one more caller a place of the node at once;
// beside many it is the next to get one.
func TestFloodersLeaveRoom(t *testing.T) {
	for _, flooders := range []int{1, 2, 8, 64} {
		l := quota.New(quota.Config{NodeConcurrency: 256})
		most := 0
		for f := range flooders {
			n := len(fill(t, l, run(fmt.Sprint("flooder ", f), fmt.Sprint("function ", f), 1000)))
			if f == 0 {
				most = n
			}
		}
		if most != 224 {
			t.Errorf("one flooder got %d places of 256", most)
		}
		r, turn, err := l.Reserve(t0, run("victim", "own", 50))
		if err != nil || (turn != nil) != (flooders > 2) {
			t.Errorf("beside %d flooders the victim got %+v, %v, and %d run", flooders, turn, err, l.Running())
		}
		l.Settle(t0, r)
	}
}

// TestAloneAFunctionIsOnes: a function that one caller uses gives it all of its places; once another came, some are left free.
func TestAloneAFunctionIsOnes(t *testing.T) {
	l := quota.New(quota.Config{})
	held := fill(t, l, run("only", "f", 50))
	if len(held) != 50 {
		t.Fatalf("%d of 50 places", len(held))
	}
	r, turn, err := l.Reserve(t0, run("other", "f", 50))
	if err != nil || turn == nil || turn.Patience != 500*time.Millisecond {
		t.Fatalf("who has no run yet does not wait: %+v, %v", turn, err)
	}
	if _, e := refused(t, l, t0, run("only", "f", 50)); e == nil || e.Rule != "concurrency of function f" {
		t.Fatalf("who has all of them waits for more: %+v", e)
	}
	l.Settle(t0, held[0])
	select {
	case <-turn.C:
	default:
		t.Fatal("the place that came back was not given to who waits")
	}
	if again, err := l.Resume(t0, r); again != nil || err != nil {
		t.Fatal(again, err)
	}
	for _, h := range held[1:] {
		l.Settle(t0, h)
	}
	if n := len(fill(t, l, run("only", "f", 50))); n != 42 {
		t.Errorf("beside another the first gets %d of 50", n)
	}
	l.Settle(t0, r)
}

// TestWaitsEnd: a wait that is given up holds nothing, before its turn and after.
func TestWaitsEnd(t *testing.T) {
	l := quota.New(quota.Config{})
	held := fill(t, l, run("a", "f", 2))
	first, _, _ := l.Reserve(t0, run("b", "f", 2))
	l.Settle(t0, first)
	second, turn, _ := l.Reserve(t0, run("b", "f", 2))
	l.Settle(t0, held[0])
	<-turn.C
	l.Settle(t0, second) // its place came, and it did not take it
	l.Settle(t0, second)
	l.Settle(t0, held[1])
	if n := len(fill(t, l, run("c", "f", 2))); n != 1 || l.Running() != 1 { // a and b came lately: c leaves one
		t.Errorf("%d places after all were given back, %d run", n, l.Running())
	}
}

// TestEvenShares: with more demand than places, each of k callers holds its even share, whoever came first and however hard
// one of them tries.
func TestEvenShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 24
		l := quota.New(quota.Config{NodeConcurrency: 1000})
		k := rapid.IntRange(2, 6).Draw(t, "callers")
		type one struct {
			r    casemate.Reservation
			turn *quota.Turn
			c    int
		}
		var held []one
		now := t0
		running := make([]int, k)
		wake := func() {
			for i := range held {
				if h := &held[i]; h.turn != nil {
					select {
					case <-h.turn.C:
						if again, err := l.Resume(now, h.r); again != nil || err != nil {
							t.Fatal(again, err)
						}
						h.turn = nil
						running[h.c]++
					default:
					}
				}
			}
		}
		for range 600 {
			now = now.Add(time.Millisecond)
			c := rapid.IntRange(0, k+5).Draw(t, "who") // the first asks six times as often
			if c >= k {
				c = 0
			}
			if r, turn, err := l.Reserve(now, run(fmt.Sprint(c), "f", most)); err == nil {
				held = append(held, one{r, turn, c})
				if turn == nil {
					running[c]++
				}
			}
			if n := len(held); n > 0 && rapid.Bool().Draw(t, "end") {
				i := rapid.IntRange(0, n-1).Draw(t, "which")
				if held[i].turn == nil {
					running[held[i].c]--
				}
				l.Settle(now, held[i].r)
				held = append(held[:i], held[i+1:]...)
			}
			wake()
			sum := 0
			for _, n := range running {
				sum += n
			}
			if sum > most || sum != l.Running() {
				t.Fatalf("%d run of %d, the ledger has %d", sum, most, l.Running())
			}
		}
		for i := range k { // everybody asks until nobody gets any more: nobody is below the share less what is left free
			for range most {
				if r, turn, err := l.Reserve(now, run(fmt.Sprint(i), "f", most)); err == nil {
					held = append(held, one{r, turn, i})
				}
			}
		}
		for _, h := range held {
			l.Settle(now, h.r)
		}
		for _, h := range held { // those whose turn came while others were settled
			l.Settle(now, h.r)
		}
		if l.Running() != 0 {
			t.Fatalf("%d run after all were settled", l.Running())
		}
	})
}

// TestLeastServedFirst: of those who wait, who has the fewest runs is served first.
func TestLeastServedFirst(t *testing.T) {
	l := quota.New(quota.Config{})
	a1, _, _ := l.Reserve(t0, run("a", "f", 3))
	a2, _, _ := l.Reserve(t0, run("b", "f", 3))
	a3, _, _ := l.Reserve(t0, run("c", "f", 3))
	_, mine, err := l.Reserve(t0, run("new", "f", 3))
	if err != nil || mine == nil {
		t.Fatal(mine, err)
	}
	if _, e := refused(t, l, t0, run("a", "f", 3)); e == nil {
		t.Fatal("who holds its even share waits for more")
	}
	l.Settle(t0, a2)
	select {
	case <-mine.C:
	default:
		t.Error("who had no run was not served")
	}
	l.Settle(t0, a1)
	l.Settle(t0, a3)
}

// TestLongQueueHurries: where somebody waited for all of the last while, waits are short.
func TestLongQueueHurries(t *testing.T) {
	l := quota.New(quota.Config{})
	fill(t, l, run("a", "f", 8))
	if _, turn, _ := l.Reserve(t0, run("b", "f", 8)); turn == nil || turn.Patience != 500*time.Millisecond {
		t.Fatalf("%+v", turn)
	}
	if _, turn, _ := l.Reserve(t0.Add(time.Second), run("c", "f", 8)); turn == nil || turn.Patience != 50*time.Millisecond {
		t.Fatalf("%+v", turn)
	}
}

// TestReserved: what is set aside nobody else gets, its owner gets no more, and 0 stops a function.
func TestReserved(t *testing.T) {
	l := quota.New(quota.Config{NodeConcurrency: 20, Account: casemate.Limit{Concurrency: 16}})
	ten, none := 10, 0
	l.Carve(map[string]int{"kept": ten, "stopped": none})
	kept := run("", "kept", 50)
	kept.Reserved, kept.Account = &ten, "1"
	other := run("", "other", 50)
	other.Account = "1"
	if n := len(fill(t, l, other)); n != 6 { // of the account's 16, 10 are set aside
		t.Errorf("others got %d", n)
	}
	other.Account = ""
	if n := len(fill(t, l, other)); n != 4 { // of the node's 20
		t.Errorf("others got %d more", n)
	}
	if n := len(fill(t, l, kept)); n != 10 {
		t.Errorf("the owner got %d", n)
	}
	stopped := run("", "stopped", 50)
	stopped.Reserved = &none
	if _, e := refused(t, l, t0, stopped); e == nil || e.Rule != "reserved concurrency of function stopped" {
		t.Errorf("%+v", e)
	}
	l.Carve(nil) // and a function whose reservation is gone runs among the others
	if _, e := refused(t, l, t0, kept); e == nil {
		t.Error("a reservation that is gone still gives places")
	}
}

// TestPlanConcurrency: a plan holds each of its holders to so many runs over all functions, a route all callers together.
func TestPlanConcurrency(t *testing.T) {
	l := quota.New(quota.Config{})
	p := &casemate.Plan{Name: "basic", App: "a", Limit: casemate.Limit{Concurrency: 3}, Routes: map[string]casemate.Limit{"GET /": {Concurrency: 2}}}
	d := run("ann", "f", 50)
	d.Plan, d.Route, d.RouteID, d.Total = p, "a GET /", "GET /", casemate.Limit{Concurrency: 3}
	held := fill(t, l, d)
	if _, e := refused(t, l, t0, d); len(held) != 2 || e.Rule != "concurrency of plan basic on route a GET /" {
		t.Fatalf("%d, %+v", len(held), e)
	}
	bob := d
	bob.Principal = "bob"
	if _, e := refused(t, l, t0, bob); e != nil {
		t.Fatal(e)
	}
	if _, e := refused(t, l, t0, bob); e == nil || e.Rule != "concurrency of route a GET / over all callers" {
		t.Fatalf("%+v", e)
	}
	elsewhere := run("ann", "g", 50)
	elsewhere.Plan = p
	if n := len(fill(t, l, elsewhere)); n != 1 {
		t.Fatalf("%d more elsewhere", n)
	}
	for _, r := range held {
		l.Settle(t0, r)
		l.Settle(t0, r)
	}
	if n := len(fill(t, l, elsewhere)); n != 2 {
		t.Fatalf("%d after two ended", n)
	}
}
