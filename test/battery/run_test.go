package battery

import (
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"casemate"
)

// tried is what became of one attack on one build.
type tried struct {
	worked bool
	absent bool // this kernel has not what it is after
	detail string
	as     string // what is in the record
}

// TestBattery carries out every attack on both builds: none works behind the walls, each works without them, and each
// attempt is in the record.
func TestBattery(t *testing.T) {
	walled, open := map[string]tried{}, map[string]tried{}
	t.Cleanup(func() { report(os.Stderr, walled, open) })
	t.Run("walls", func(t *testing.T) { each(t, withWalls, walled) })
	t.Run("nowalls", func(t *testing.T) { each(t, withoutWalls, open) })
}

func each(t *testing.T, binary string, results map[string]tried) {
	n := furnished(t, binary)
	for _, a := range table() {
		if !a.quick && !shared.full {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			got := try(t, n, &a)
			results[a.name] = got
			switch {
			case binary == withWalls && got.worked:
				t.Errorf("it worked: %s", got.detail)
			case binary == withoutWalls && got.absent:
				t.Logf("*** NOT HERE: this kernel has nothing to attack with %q: %s ***", a.name, got.detail)
			case binary == withoutWalls && !got.worked:
				t.Errorf("without walls it does not work, so it proves nothing: %s", got.detail)
			}
		})
	}
}

// try carries out one attack and reads its record.
func try(t *testing.T, n *node, a *attack) tried {
	order := map[string]string{"attack": a.name}
	maps.Copy(order, a.order)
	var check func(reply) (bool, string)
	if a.prepare != nil {
		check = a.prepare(t, n, order)
	}
	if a.archive != nil {
		r, got := deliver(t, n, a, order)
		if r.ID != "" && check != nil {
			got.worked, got.detail = check(r)
		}
		return got
	}
	r, err := n.send(t.Context(), "unruly", order)
	if err != nil {
		t.Fatal(err)
	}
	got := tried{worked: r.Worked, absent: r.Absent, detail: r.Detail}
	if check != nil {
		got.worked, got.detail = check(r)
	}
	rec := n.record(t, r.ID)
	got.as = recorded(&rec)
	if rec.Function != "unruly" || rec.Opened.IsZero() || rec.Closed.IsZero() {
		t.Errorf("the record is not that of the run: %+v", rec)
	}
	switch {
	case n.walled() && len(rec.Walls) == 0 || !n.walled() && (len(rec.Walls) > 0 || len(rec.Weak) == 0):
		t.Errorf("the record says %v held, %v not", rec.Walls, rec.Weak)
	case n.walled() && !strings.Contains(got.as, a.seen):
		t.Errorf("the record holds %q, not %q", got.as, a.seen)
	}
	return got
}

func (n *node) walled() bool { return strings.HasSuffix(n.cmd.Path, "/"+withWalls) }

// recorded is what a record says that a run tried or how it ended, in a few words.
func recorded(r *casemate.Record) string {
	var words []string
	for _, e := range r.Effects {
		if e.Verdict == casemate.Denied {
			words = append(words, e.Kind+" "+e.Target)
		}
	}
	if !r.Outcome.OK {
		words = append(words, string(r.Outcome.Failure))
	}
	if len(words) == 0 {
		return "run" // and nothing more: no wall saw the attempt
	}
	return strings.Join(words, ", ")
}

// report prints the table.
func report(to io.Writer, walled, open map[string]tried) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTACK\tSTOPPED BY\tWITH WALLS\tWITHOUT\tRECORDED AS\tWHAT IT SAW")
	short := func(s string, n int) string {
		s = strings.Join(strings.Fields(s), " ")
		return s[:min(len(s), n)]
	}
	outcome := func(m map[string]tried, name string) string {
		r, ok := m[name]
		switch {
		case !ok:
			return "-"
		case r.worked:
			return "WORKED"
		}
		return "failed"
	}
	for _, a := range table() {
		if _, ok := walled[a.name]; !ok {
			continue
		}
		without := outcome(open, a.name)
		if open[a.name].absent {
			without = "not here"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.name, a.walls, outcome(walled, a.name), without, short(walled[a.name].as, 60), short(walled[a.name].detail, 60))
	}
	w.Flush() // to standard error: nobody to tell
}
