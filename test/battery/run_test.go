package battery

import (
	"cmp"
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

// ordinary is a user without any right.
const ordinary = 65534

// TestBattery carries out every attack on both builds: none works behind the walls, each works without them, and each
// attempt is in the record. A node of an ordinary user has its walls as well, but for those of control groups.
func TestBattery(t *testing.T) {
	walled, rootless, open := map[string]tried{}, map[string]tried{}, map[string]tried{}
	t.Cleanup(func() { report(os.Stderr, walled, rootless, open) })
	t.Run("walls", func(t *testing.T) {
		each(t, furnished(t, withWalls, 0), walled, mustFail)
	})
	t.Run("rootless", func(t *testing.T) {
		each(t, furnished(t, withWalls, ordinary), rootless, mustFail)
	})
	t.Run("nowalls", func(t *testing.T) {
		each(t, furnished(t, withoutWalls, 0), open, mustWork)
	})
}

func mustFail(t *testing.T, a *attack, got tried) {
	switch {
	case got.worked && a.known != "":
		t.Logf("*** KNOWN: %q may work: %s; %s ***", a.name, a.known, got.detail)
	case got.worked:
		t.Errorf("it worked: %s", got.detail)
	}
}

func mustWork(t *testing.T, a *attack, got tried) {
	switch {
	case got.absent:
		t.Logf("*** NOT HERE: this kernel has nothing to attack with %q: %s ***", a.name, got.detail)
	case !got.worked:
		t.Errorf("without walls it does not work, so it proves nothing: %s", got.detail)
	}
}

// each tries the attacks on a node.
func each(t *testing.T, n *node, results map[string]tried, judge func(*testing.T, *attack, tried)) {
	for _, a := range table() {
		if !a.quick && !shared.full {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			results[a.name] = try(t, n, &a)
			judge(t, &a, results[a.name])
		})
	}
}

// try carries out one attack and reads its record.
func try(t *testing.T, n *node, a *attack) tried {
	order := map[string]string{"attack": a.name}
	maps.Copy(order, a.order)
	function := cmp.Or(a.function, "unruly")
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
	r, err := n.send(t.Context(), function, order)
	if err != nil {
		t.Fatal(err)
	}
	got := tried{worked: r.Worked, absent: r.Absent, detail: r.Detail}
	if check != nil {
		got.worked, got.detail = check(r)
	}
	rec := n.record(t, r.ID)
	got.as = recorded(&rec)
	if rec.Function != function || rec.Opened.IsZero() || rec.Closed.IsZero() {
		t.Errorf("the record is not that of the run: %+v", rec)
	}
	switch {
	case n.walled() && len(rec.Walls) == 0 || !n.walled() && (len(rec.Walls) > 0 || len(rec.Weak) == 0):
		t.Errorf("the record says %v held, %v not", rec.Walls, rec.Weak)
	case n.walled() && !strings.Contains(got.as, a.seen) && !(a.groups && n.uid != 0):
		t.Errorf("the record holds %q, not %q", got.as, a.seen)
	}
	return got
}

// walled says whether the node has walls; a rootless one has all but those of control groups.
func (n *node) walled() bool { return strings.HasSuffix(n.Cmd.Path, "/"+withWalls) }

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
func report(to io.Writer, walled, rootless, open map[string]tried) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTACK\tSTOPPED BY\tWITH WALLS\tROOTLESS\tWITHOUT\tRECORDED AS\tWHAT IT SAW")
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
		case r.absent && m[name] == open[name]:
			return "not here"
		}
		return "failed"
	}
	for _, a := range table() {
		if _, ok := walled[a.name]; !ok {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.name, a.walls, outcome(walled, a.name), outcome(rootless, a.name), outcome(open, a.name),
			short(walled[a.name].as, 50), short(walled[a.name].detail, 60))
	}
	w.Flush() // to standard error: nobody to tell
}
