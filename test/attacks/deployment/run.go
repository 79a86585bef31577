package deployment

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Outcome is what came of one attack.
type Outcome struct {
	Lacks    []string    // what the target does not have: it was not run
	Harm     []string    // what happened; empty: it was stopped
	Statuses map[int]int // answers by status; 0: none
	Broken   []string    // honest flows that did not work afterwards
}

// Runner runs the attacks of a set against one target, one at a time: effects are told apart by when they happen.
type Runner struct {
	target *Target
	set    *Set
	calls  *clients
}

// NewRunner gives a runner; Close it.
func NewRunner(t *Target, s *Set) *Runner { return &Runner{target: t, set: s, calls: newClients(t)} }

// Close ends kept connections.
func (r *Runner) Close() { r.calls.close() }

// Run runs one attack and then, if honest, the flows beside it. An error means that it could not be run or judged.
func (r *Runner) Run(ctx context.Context, a *Attack, honest bool) (*Outcome, error) {
	out := &Outcome{Lacks: r.target.lacks(a.Needs), Statuses: map[int]int{}}
	if len(out.Lacks) > 0 {
		return out, nil
	}
	before, err := r.effects(ctx, a.Harm)
	if err != nil {
		return nil, err
	}
	leaks := map[string]string{}
	for _, h := range a.Harm {
		if h.Leak != "" {
			text, err := r.target.fill(h.Leak, nil)
			if err != nil {
				return nil, err
			}
			leaks[h.Leak] = text
		}
	}
	leaked, run := map[string]bool{}, random()
	for i := range a.Steps {
		answers, err := r.step(ctx, &a.Steps[i], run)
		if err != nil {
			return nil, fmt.Errorf("attack %s, step %d: %w", a.ID, i+1, err)
		}
		for _, got := range answers {
			out.Statuses[got.Status]++
			for name, text := range leaks {
				leaked[name] = leaked[name] || strings.Contains(got.Text, text)
			}
		}
	}
	if a.Queue && r.target.Quiet != nil {
		if err := r.target.Quiet(ctx); err != nil {
			return nil, err
		}
	}
	after, err := r.effects(ctx, a.Harm)
	if err != nil {
		return nil, err
	}
	for _, h := range a.Harm {
		switch rise := after[h.Effect] - before[h.Effect]; {
		case h.Effect != "" && rise > h.Most:
			out.Harm = append(out.Harm, fmt.Sprintf("%s rose by %d; at most %d", h.Effect, rise, h.Most))
		case h.Leak != "" && leaked[h.Leak]:
			out.Harm = append(out.Harm, "an answer holds "+h.Leak)
		case h.Status != 0 && out.Statuses[h.Status] > 0:
			out.Harm = append(out.Harm, fmt.Sprintf("an answer has status %d", h.Status))
		}
	}
	for _, id := range a.Honest {
		if !honest {
			break
		}
		if why, err := r.flow(ctx, r.set.Flows[id]); err != nil {
			return nil, err
		} else if why != "" {
			out.Broken = append(out.Broken, id+": "+why)
		}
	}
	return out, nil
}

func (r *Runner) effects(ctx context.Context, harm []Harm) (map[string]int64, error) {
	out := map[string]int64{}
	for _, h := range harm {
		if h.Effect == "" {
			continue
		}
		n, err := r.target.Effects(ctx, h.Effect)
		if err != nil {
			return nil, fmt.Errorf("effect %s: %w", h.Effect, err)
		}
		out[h.Effect] = n
	}
	return out, nil
}

// flow says why an honest flow does not work; "": it works.
func (r *Runner) flow(ctx context.Context, f *Flow) (string, error) {
	if lacks := r.target.lacks(f.Needs); len(lacks) > 0 {
		return "the target has no " + strings.Join(lacks, ", "), nil
	}
	before := map[string]int64{}
	for _, w := range f.Want {
		if w.Effect != "" {
			n, err := r.target.Effects(ctx, w.Effect)
			if err != nil {
				return "", err
			}
			before[w.Effect] = n
		}
	}
	var last answer
	run := random()
	for i := range f.Steps {
		answers, err := r.step(ctx, &f.Steps[i], run)
		if err != nil {
			return "", fmt.Errorf("flow %s: %w", f.ID, err)
		}
		last = answers[len(answers)-1]
	}
	for _, w := range f.Want {
		text, err := r.target.fill(w.Text, nil)
		if err != nil {
			return "", err
		}
		switch {
		case w.Status != 0 && last.Status != w.Status:
			return fmt.Sprintf("status %d; want %d: %.300s", last.Status, w.Status, last.Text), nil
		case !strings.Contains(last.Text, text):
			return fmt.Sprintf("no %q in its answer: %.300s", w.Text, last.Text), nil
		}
		if w.Effect != "" {
			n, err := r.target.Effects(ctx, w.Effect)
			if err != nil {
				return "", err
			}
			if n-before[w.Effect] < w.Least {
				return fmt.Sprintf("%s rose by %d; want %d", w.Effect, n-before[w.Effect], w.Least), nil
			}
		}
	}
	return "", nil
}

// step sends what a step says, and gives all answers.
func (r *Runner) step(ctx context.Context, st *Step, run string) ([]answer, error) {
	times, parallel := max(st.Times, 1), max(st.Parallel, 1)
	requests := make([]*sent, times)
	for i := range requests {
		if i > 0 && !st.Fresh {
			requests[i] = requests[0]
			continue
		}
		s, err := st.prepare(ctx, r.target, run, i)
		if err != nil {
			return nil, err
		}
		requests[i] = s
	}
	answers, next := make([]answer, times), make(chan int, times)
	for i := range times {
		next <- i
	}
	close(next)
	var senders sync.WaitGroup
	for range min(parallel, times) {
		senders.Go(func() {
			for i := range next {
				answers[i] = r.calls.send(ctx, r.target, requests[i])
			}
		})
	}
	senders.Wait()
	return answers, nil
}

// Classes counts attacks by class.
func (s *Set) Classes() map[string]int {
	out := map[string]int{}
	for i := range s.Attacks {
		out[s.Attacks[i].Class]++
	}
	return out
}
