// Package decide measures how a decision's time grows with the number of policies, and what a scan of them would take.
package decide

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/bench/load"
	"casemate/policy"
	"casemate/policy/condition"
)

// Result is the growth from few policies to many. Times are of one decision.
type Result struct {
	Few, Many time.Duration // 99th percentiles, medians over the repetitions
	Growth    load.Ratio    // Many over Few; Control is Few over itself
	Control   float64
	Scan      time.Duration // one statement after the other, with the same terms, 99th percentile
	Faster    load.Ratio    // Scan over Many
}

const (
	few, many = 100, 10_000
	decisions = 20_000 // of one repetition and side
	scans     = 300
)

// Measure repeats all sides in turn.
func Measure(ctx context.Context, reps int) (Result, error) {
	small, err := newSubject(few)
	if err != nil {
		return Result{}, err
	}
	large, err := newSubject(many)
	if err != nil {
		return Result{}, err
	}
	var res Result
	var growth, control, faster, fewTimes, manyTimes, scanTimes []float64
	for range reps {
		a, err1 := small.p99(decisions, small.decide)
		b, err2 := large.p99(decisions, large.decide)
		c, err3 := small.p99(decisions, small.decide)
		s, err4 := large.p99(scans, large.scan)
		if err := errors.Join(err1, err2, err3, err4, ctx.Err()); err != nil {
			return Result{}, err
		}
		base := float64(min(a, c))
		growth, control = append(growth, float64(b)/base), append(control, float64(a)/float64(c))
		faster, fewTimes = append(faster, float64(s)/float64(b)), append(fewTimes, base)
		manyTimes, scanTimes = append(manyTimes, float64(b)), append(scanTimes, float64(s))
	}
	res.Growth, res.Faster, res.Control = load.Median(growth), load.Median(faster), load.Median(control).Median
	res.Few, res.Many, res.Scan = time.Duration(load.Median(fewTimes).Median), time.Duration(load.Median(manyTimes).Median), time.Duration(load.Median(scanTimes).Median)
	return res, nil
}

// subject is n policies, each a role's, with requests spread over all of them.
type subject struct {
	set      *policy.Set
	requests []*casemate.AccessRequest
	linear   []term
	random   *rand.Rand
}

// term is one policy as a scan sees it.
type term struct {
	role       string
	actions    []condition.ActionPattern
	resource   condition.ARNPattern
	conditions []condition.Condition
}

func newSubject(n int) (*subject, error) {
	s := &subject{random: rand.New(rand.NewPCG(1, uint64(n)))}
	p := casemate.Policies{Identity: map[string][]casemate.Statement{}, Guardrails: []casemate.Statement{
		{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}},
		{Effect: casemate.Deny, Action: []string{"casemate:PutGuardrails"}, Resource: []string{"*"}}}}
	for i := range n {
		role := fmt.Sprintf("role%d", i)
		arn := fmt.Sprintf("arn:aws:execute-api:us-east-1:000000000000:app%d/$default/POST/orders/*", i)
		st := casemate.Statement{Effect: casemate.Allow, Action: []string{"execute-api:Invoke"}, Resource: []string{arn},
			Condition: map[string]map[string][]string{"StringEquals": {"aws:PrincipalTag/team": {"blue"}}}}
		p.Identity[role] = []casemate.Statement{st}
		if err := s.add(role, &st); err != nil {
			return nil, err
		}
	}
	var err error
	s.set, err = policy.Compile(p)
	return s, err
}

func (s *subject) add(role string, st *casemate.Statement) error {
	action, err1 := condition.ParseAction(st.Action[0])
	resource, err2 := condition.ParseARN(st.Resource[0])
	conditions, fault := condition.New(st.Condition)
	if err := errors.Join(err1, err2); err != nil || fault != nil {
		return fmt.Errorf("a policy of the bench does not compile: %w, %v", err, fault)
	}
	s.linear = append(s.linear, term{role, []condition.ActionPattern{action}, resource, conditions})
	p := &casemate.Principal{Kind: casemate.KindKey, ID: "key/" + role, Role: role, Account: "000000000000", Tags: map[string]string{"team": "blue"}}
	s.requests = append(s.requests, &casemate.AccessRequest{Principal: p, Action: "execute-api:Invoke", Resource: st.Resource[0][:len(st.Resource[0])-1] + "7",
		Account: "000000000000", Now: time.Now()})
	return nil
}

// p99 is the 99th percentile over n decisions on requests in random order.
func (s *subject) p99(n int, decide func(*casemate.AccessRequest) bool) (time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		r := fresh(s.requests[s.random.IntN(len(s.requests))])
		start := time.Now()
		ok := decide(r)
		took[i] = time.Since(start)
		if !ok {
			return 0, errors.New("a decision of the bench is wrong")
		}
	}
	slices.Sort(took)
	return took[n*99/100], nil
}

// fresh is r as a front has just made it: what a request brings along is warm, the policies may not be.
func fresh(r *casemate.AccessRequest) *casemate.AccessRequest {
	c, p := *r, *r.Principal
	p.ID, p.Role, p.Tags = strings.Clone(p.ID), strings.Clone(p.Role), maps.Clone(p.Tags)
	c.Principal, c.Resource = &p, strings.Clone(c.Resource)
	return &c
}

func (s *subject) decide(r *casemate.AccessRequest) bool {
	return s.set.Decide(r).Verdict == casemate.Allowed
}

// scan looks at every policy, as an evaluator without an index has to: a Deny could stand anywhere.
func (s *subject) scan(r *casemate.AccessRequest) bool {
	e := &condition.Env{Request: r, Principal: r.Principal}
	allowed := false
	for i := range s.linear {
		t := &s.linear[i]
		hit, _ := t.actions[0].Match(e, "execute-api:invoke")
		if !hit {
			continue
		}
		if hit, _ = t.resource.Match(e, r.Resource); !hit {
			continue
		}
		allowed = allowed || t.role == r.Principal.Role && t.conditions[0].Holds(e) == condition.Yes
	}
	return allowed
}
