package deployment

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"casemate/test/attacks"
)

func readSet(t *testing.T) *Set {
	t.Helper()
	set, err := Read(attacks.Deployments(), "data/deployment")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// weakTries is how often an attack is run against the weakened deployment until it does harm.
const weakTries = 6

// row is one class of the table.
type row struct{ attacks, stopped, works, pure, flows, passed int }

// Every attack does harm to the weakened deployment and none to ours, and the honest flows beside it go on.
func TestDeployment(t *testing.T) {
	set, s := readSet(t), newStage(t)
	var strict, weak *world
	strict = s.up(t, set, true)
	weak = s.up(t, set, false)
	results := [2]map[string]*Outcome{}
	var both sync.WaitGroup
	for i, w := range []*world{strict, weak} {
		both.Go(func() { results[i] = w.attack(set) })
	}
	both.Wait()
	rows, order := map[string]*row{}, []string{}
	for i := range set.Attacks {
		a := &set.Attacks[i]
		ours, theirs := results[0][a.ID], results[1][a.ID]
		if ours == nil || theirs == nil {
			continue
		}
		r := rows[a.Class]
		if r == nil {
			r = &row{}
			rows[a.Class], order = r, append(order, a.Class)
		}
		r.attacks++
		if len(ours.Harm) == 0 {
			r.stopped++
		} else {
			t.Errorf("%s (%s): %s; answers %v", a.ID, a.Name, strings.Join(ours.Harm, "; "), ours.Statuses)
		}
		switch {
		case a.Pure != "":
			r.pure++
		case len(theirs.Harm) > 0:
			r.works++
		default:
			t.Errorf("%s (%s) does no harm to the weakened deployment, so it proves nothing: answers %v", a.ID, a.Name, theirs.Statuses)
		}
		r.flows += len(a.Honest)
		r.passed += len(a.Honest) - len(ours.Broken)
		for _, advisory := range a.Past {
			t.Run(advisory+"_"+a.ID, func(t *testing.T) {
				if len(ours.Harm) > 0 || len(theirs.Harm) == 0 {
					t.Errorf("ours: %v; weakened: %v", ours.Harm, theirs.Harm)
				}
			})
		}
		for _, why := range ours.Broken {
			t.Errorf("after %s an honest flow does not work: %s", a.ID, why)
		}
	}
	t.Logf("%-24s %8s %8s %16s %20s %14s", "class", "attacks", "stopped", "weakened: works", "cannot be weakened", "honest passed")
	slices.Sort(order)
	for _, class := range order {
		r := rows[class]
		t.Logf("%-24s %8d %8d %16d %20d %8d of %d", class, r.attacks, r.stopped, r.works, r.pure, r.passed, r.flows)
	}
}

// attack runs the set against one node.
func (w *world) attack(set *Set) map[string]*Outcome {
	out, runner := map[string]*Outcome{}, NewRunner(&w.target, set)
	defer runner.Close()
	for i := range set.Attacks {
		a := &set.Attacks[i]
		if a.Slow && os.Getenv("CASEMATE_FULL") == "" {
			continue
		}
		if only := os.Getenv("CASEMATE_ATTACK"); only != "" && !strings.HasPrefix(a.ID, only) {
			continue
		}
		if slices.Contains(a.Needs, "key:expired") {
			<-w.expired
		}
		o, err := runner.Run(w.t.Context(), a, w.strict)
		// On a busy machine an attack may not get far before its function's time is over. It has to work once to prove that it
		// can; ours has to stop it every time, and gets no second try.
		for try := 1; try < weakTries && err == nil && !w.strict && len(o.Lacks) == 0 && len(o.Harm) == 0 && a.Pure == ""; try++ {
			o, err = runner.Run(w.t.Context(), a, false)
		}
		if err != nil {
			w.t.Error(err)
			continue
		}
		if len(o.Lacks) > 0 {
			w.t.Errorf("attack %s: the target has no %v", a.ID, o.Lacks)
			continue
		}
		if testing.Verbose() && os.Getenv("CASEMATE_ATTACK") != "" {
			w.t.Logf("strict %v: %s: answers %v, harm %q", w.strict, a.ID, o.Statuses, o.Harm)
		}
		out[a.ID] = o
	}
	return out
}

func TestDataIsWhatItSays(t *testing.T) {
	set := readSet(t)
	if len(set.Attacks) < 100 {
		t.Errorf("%d attacks", len(set.Attacks))
	}
	t.Log(len(set.Attacks), "attacks", set.Classes())
}
