package queue

import (
	"testing"

	"casemate"
)

// TestMovedMessagesKeepTheirChain: to a dead-letter queue and back, by a receive too many, by hand or by a task.
func TestMovedMessagesKeepTheirChain(t *testing.T) {
	d := newDesk(t)
	dead := d.make("dead", nil)
	q := d.make("jobs", func(s *Spec) { s.Redrive = &Redrive{Target: dead.ARN, Max: 3} })
	if _, errs := q.Send(t.Context(), []Outgoing{{Body: "b", Lineage: &casemate.Lineage{Chain: "c", Parent: "p", Depth: 16, Spent: 5}}}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	list, err := q.Receive(t.Context(), Ask{Most: 1})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := q.Bury(t.Context(), list[0].Handle, "refused"); err != nil {
		t.Fatal(err)
	}
	there, err := dead.Peek(t.Context(), 1)
	if err != nil || len(there) != 1 || there[0].Lineage == nil || there[0].Lineage.Depth != 16 || there[0].Lineage.Chain != "c" {
		t.Fatalf("%+v, %v", there, err)
	}
	if n, err := d.Room.Redrive(t.Context(), "dead", "jobs", 1); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if back, err := q.Peek(t.Context(), 1); err != nil || len(back) != 1 || back[0].Lineage == nil || back[0].Lineage.Depth != 16 {
		t.Fatalf("%+v, %v", back, err)
	}
}
