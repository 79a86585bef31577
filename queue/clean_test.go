package queue

import (
	"fmt"
	"strings"
	"testing"
)

// Messages that stay are appended again while the journal around them is cleaned. Their order in their group, and what was
// received of them, are the same after a restart, wherever their records stand by then.
// Lambda checklist: 60
func TestCleaningKeepsTheOrderOfEachGroup(t *testing.T) {
	d := newDesk(t)
	q := d.make("line.fifo", nil)
	want, bulk := "", strings.Repeat("x", 200_000)
	for i := range 120 { // 24 MB through a journal that wastes 4
		d.clock.Advance(dedupWindow / 20)
		if i%10 == 0 {
			body := fmt.Sprint(i)
			send(t, q, Outgoing{Body: body, Group: "stays", Dedup: body})
			want += body + " "
		}
		send(t, q, Outgoing{Body: bulk, Group: "goes", Dedup: fmt.Sprint("bulk", i)})
		for _, m := range receive(t, q, 100) {
			if m.Group == "goes" {
				remove(t, q, m)
			} else if err := q.Change(t.Context(), []Hide{{Handle: m.Handle}})[0]; err != nil {
				t.Fatal(err)
			}
		}
		if i%12 == 11 {
			d.reopen()
			q = d.queue("line.fifo")
			list := receive(t, q, 100)
			for _, m := range list {
				if err := q.Change(t.Context(), []Hide{{Handle: m.Handle}})[0]; err != nil {
					t.Fatal(err)
				}
			}
			if got := bodies(list); got != want {
				t.Fatalf("after %d: %s is handed out, %s was sent", i+1, got, want)
			}
		}
	}
}
