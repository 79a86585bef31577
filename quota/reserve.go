package quota

import (
	"sync"
	"time"

	"casemate"
)

// claim is one subject that a demand counts against, locked.
type claim struct {
	of     int    // kind
	name   string // "POST /orders"
	plan   string // that says so, of a caller
	theirs bool   // the rate is the route's own, whatever the plan says about runs
	bucket *bucket
	lock   *sync.Mutex
	cell   cell // with every 0 there is no rate
	most   int  // runs at once; 0: not counted here
}

func (c *claim) kind(rate bool) string {
	switch {
	case c.plan != "" && !(rate && c.theirs):
		return "plan"
	case c.of == kindCaller:
		return "caller"
	}
	return [kinds]string{"source", "network", "caller", "route", "route", "account", "function"}[c.of]
}

func (c *claim) what(rate bool) string {
	switch {
	case rate && c.theirs:
	case c.plan != "" && c.of == kindShare:
		return "plan " + c.plan + " on route " + c.name
	case c.plan != "":
		return "plan " + c.plan
	case c.of == kindRoute:
		return "route " + c.name + " over all callers"
	}
	return c.kind(rate) + " " + c.name
}

// grant is what one ticket holds.
type grant struct {
	who      key
	function hold    // its places
	most     int     // of them
	arn      string  // of the function
	aside    bool    // of the places that are set aside for it
	inside   bool    // has a place of the function
	outside  bool    // has one of the node
	wait     *wait   // for the one or the other
	counted  [4]hold // runs of caller, share, route, account
	n        int     // of counted
}

// hold is a bucket with runs: it stays where it is until they are given back.
type hold struct {
	bucket *bucket
	lock   *sync.Mutex
}

// Turn is a wait for a place. Who gets one waits until C gives a value and then calls Resume; or settles the reservation,
// when it has no patience any more.
type Turn struct {
	C        <-chan struct{}
	Patience time.Duration
	Rule     string // what is waited for
}

// Expired is the refusal of who waited in vain.
func (t *Turn) Expired() error {
	return refusal(t.Rule, 1, "try again when a run has ended: callers with fewer runs are served before")
}

// Reserve takes everything that d asks for, or nothing at all; each subject counts when it is named. A demand with a
// Function also takes a place among the runs of the function and of the node. All of it is given back by Settle, but tokens
// and quotas, which are spent whatever came of the run. A Turn says that the place itself is not there yet.
//
// The refusal is an *casemate.Error of code Exhausted with the Rule, a Hint and in Retry the whole seconds, at least 1, until
// it is worth trying again; or ErrShare.
func (l *Ledger) Reserve(now time.Time, d casemate.Demand) (casemate.Reservation, *Turn, error) {
	t := l.clock(now)
	if d.Known.Source != "" {
		l.kinds[kindSource].back(l.kinds[kindSource].key(d.Known.Source, ""), l.source, t)
		if d.Known.Block.IsValid() {
			l.kinds[kindBlock].back(l.kinds[kindBlock].prefix(d.Known.Block), l.block, t)
		}
	}
	var room [kinds]claim
	claims := l.claims(room[:0], t, &d)
	unlock := func() {
		for i := range claims {
			claims[i].lock.Unlock()
		}
	}
	err := exhausted(claims, t, d.Alone)
	if err != nil {
		unlock()
		return casemate.Reservation{}, nil, err
	}
	var r casemate.Reservation
	var g *grant
	var turn *Turn
	r.Left, err = l.count(now, &d, func() (err error) {
		if d.Function != "" {
			g, turn, err = l.place(claims, t, &d)
		}
		return err
	})
	if err != nil {
		unlock()
		return casemate.Reservation{}, nil, err
	}
	for i := range claims {
		c := &claims[i]
		if c.cell.every > 0 {
			c.bucket.full = c.cell.take(c.bucket.full, t)
		}
		if g != nil && c.most > 0 {
			c.bucket.running++
			g.counted[g.n] = hold{c.bucket, c.lock}
			g.n++
		}
		if d.Plan != nil && c.of == kindCaller && c.cell.every > 0 {
			r.Left[0] = c.cell.allowance(d.Plan.Name, c.bucket.full, t)
		}
	}
	unlock()
	if g == nil {
		return r, nil, nil
	}
	r.Function, r.Ticket = d.Function, l.tickets.Add(1)
	s := &l.grants[r.Ticket%shards]
	s.Lock()
	s.of[r.Ticket] = g
	s.Unlock()
	return r, turn, nil
}

// claims locks the buckets of d, in the one order that all demands share; the function's is last.
func (l *Ledger) claims(cs []claim, t int64, d *casemate.Demand) []claim {
	standard := casemate.DefaultLimits().Rate
	runs := d.Function != ""
	add := func(c claim, k key, most int) {
		c.bucket, c.lock = l.kinds[c.of].hold(k, t)
		if runs {
			c.most = most
		}
		cs = append(cs, c)
	}
	if d.Source != "" {
		add(claim{of: kindSource, name: d.Source, cell: newCell(d.SourceRate, l.config.SourceRate)}, l.kinds[kindSource].key(d.Source, ""), 0)
	}
	if d.Block.IsValid() {
		add(claim{of: kindBlock, cell: newCell(l.config.BlockRate, l.config.SourceRate)}, l.kinds[kindBlock].prefix(d.Block), 0)
		cs[len(cs)-1].name = "of its address" // a network's name is made when it is refused, which nobody is told of
	}
	var own casemate.Limit
	share, plan, theirs := newCell(d.RouteRate, standard), "", true
	if p := d.Plan; p != nil && d.Principal != "" {
		if valid(p.Rate) || p.Concurrency > 0 {
			c := claim{of: kindCaller, name: d.Principal, plan: p.Name}
			if valid(p.Rate) {
				c.cell = newCell(p.Rate, standard)
			}
			add(c, l.kinds[kindCaller].key(d.Principal, ""), p.Concurrency)
		}
		if own = p.Routes[d.RouteID]; valid(own.Rate) {
			share, theirs = newCell(own.Rate, standard), false
		}
		plan = p.Name
	}
	if d.Route != "" {
		add(claim{of: kindShare, name: d.Route, plan: plan, theirs: theirs, cell: share}, l.kinds[kindShare].key(d.Principal, d.Route), own.Concurrency)
		if valid(d.Total.Rate) || d.Total.Concurrency > 0 {
			c := claim{of: kindRoute, name: d.Route}
			if valid(d.Total.Rate) {
				c.cell = newCell(d.Total.Rate, standard)
			}
			add(c, l.kinds[kindRoute].key(d.Route, ""), d.Total.Concurrency)
		}
	}
	if a := &l.config.Account; d.Account != "" && (valid(a.Rate) || a.Concurrency > 0) {
		most := 0
		if a.Concurrency > 0 && d.Reserved == nil { // what is set aside comes out of the account's as well
			most = max(a.Concurrency-int(l.aside.Load()), 1)
		}
		c := claim{of: kindAccount, name: d.Account}
		if valid(a.Rate) {
			c.cell = newCell(a.Rate, standard)
		}
		add(c, l.kinds[kindAccount].key(d.Account, ""), most)
	}
	if runs {
		add(claim{of: kindFunction, name: name(d.Function), cell: newCell(d.FunctionRate, standard)}, l.kinds[kindFunction].key(d.Function, ""), 0)
	}
	return cs
}

// place takes a place of the function and of the node, or the beginning of it and a wait, or nothing. The
// function's bucket is locked.
func (l *Ledger) place(claims []claim, t int64, d *casemate.Demand) (*grant, *Turn, error) {
	g, err := l.inside(claims, t, d)
	if err != nil {
		return nil, nil, err
	}
	turn, err := l.outside(t, g)
	if err != nil {
		g.function.bucket.places.give(t, g.who, g.most)
		return nil, nil, err
	}
	return g, turn, nil
}

// inside takes a place of the function, or a wait for one. The function's bucket, the last of claims, is locked.
func (l *Ledger) inside(claims []claim, t int64, d *casemate.Demand) (*grant, error) {
	c := &claims[len(claims)-1]
	g := &grant{function: hold{c.bucket, c.lock}, arn: d.Function, most: d.Concurrency}
	if d.Principal != "" {
		g.who = l.kinds[kindCaller].key(d.Principal, "")
	}
	if g.most <= 0 {
		g.most = casemate.DefaultLimits().Concurrency
	}
	if d.Reserved != nil {
		g.most, g.aside = *d.Reserved, true
	}
	if g.most <= 0 {
		return nil, refusal("reserved concurrency of function "+name(d.Function), 60, "it is 0, which stops the function: deploy it with another")
	}
	if g.inside, g.wait = c.bucket.places.take(t, g.who, g.most, false); !g.inside && g.wait == nil {
		return nil, refusal("concurrency of function "+name(d.Function), 1, "try again when a run has ended, or raise the concurrency of the function")
	}
	return g, nil
}

// outside takes a place of the node for who has one of the function.
func (l *Ledger) outside(t int64, g *grant) (*Turn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.wait == nil && !g.outside {
		if g.aside {
			if _, still := l.reserved[g.arn]; still {
				l.running.Add(1)
				return nil, nil
			}
			g.aside = false // nothing is: it runs in everybody's places
		}
		g.outside, g.wait = l.rest.take(t, g.who, l.left(), true)
		if !g.outside && g.wait == nil {
			return nil, refusal("concurrency of the node", 1, "try again when a run has ended, or raise the concurrency of the node")
		}
	}
	if g.wait == nil {
		l.running.Add(1)
		return nil, nil
	}
	turn := &Turn{C: g.wait.turn, Patience: g.wait.patience, Rule: "concurrency of the node"}
	if !g.inside {
		turn.Rule = "concurrency of function " + name(g.arn)
	}
	return turn, nil
}

// Resume goes on for a reservation whose Turn came. It may have to wait once more, for the node.
func (l *Ledger) Resume(now time.Time, r casemate.Reservation) (*Turn, error) {
	t := l.clock(now)
	s := &l.grants[r.Ticket%shards]
	s.Lock()
	g := s.of[r.Ticket]
	s.Unlock()
	if g == nil {
		return nil, casemate.Errorf(casemate.Fault, "", "a reservation was settled while it waited")
	}
	g.wait = nil
	if g.inside {
		g.outside = true
	}
	g.inside = true
	turn, err := l.outside(t, g)
	if err != nil {
		l.Settle(now, r)
	}
	return turn, err
}

// Settle gives back the run that r holds, or ends its wait. The zero Reservation, one settled before and one of another
// ledger hold nothing, and change nothing.
func (l *Ledger) Settle(now time.Time, r casemate.Reservation) {
	if r.Ticket == 0 {
		return
	}
	s := &l.grants[r.Ticket%shards]
	s.Lock()
	g := s.of[r.Ticket]
	if g == nil || g.arn != r.Function {
		s.Unlock()
		return
	}
	delete(s.of, r.Ticket)
	s.Unlock()
	l.release(l.clock(now), g)
}

// release gives back what g holds and waits for: in the reverse order of taking it.
func (l *Ledger) release(t int64, g *grant) {
	l.mu.Lock()
	if g.inside && g.wait != nil && !l.rest.leave(g.wait) {
		g.outside = true // it came at the last moment
	} else if g.inside && g.wait == nil && (g.outside || g.aside) {
		l.running.Add(-1)
	}
	if g.outside {
		l.rest.give(t, g.who, l.left())
	}
	l.mu.Unlock()
	h := g.function
	h.lock.Lock()
	if !g.inside && g.wait != nil && !h.bucket.places.leave(g.wait) {
		g.inside = true
	}
	if g.inside {
		h.bucket.places.give(t, g.who, g.most)
	}
	h.lock.Unlock()
	for _, h := range g.counted[:g.n] {
		h.lock.Lock()
		h.bucket.running--
		h.lock.Unlock()
	}
}

// count takes d from every quota that it counts against once place has given it one; all or nothing.
func (l *Ledger) count(now time.Time, d *casemate.Demand, place func() error) (left [3]casemate.Allowance, err error) {
	var subjects [5]struct {
		Subject
		limit casemate.Limit
		what  string
	}
	n := 0
	add := func(limit casemate.Limit, kind, name, caller, what string) {
		if limit.Day > 0 || limit.Month > 0 {
			subjects[n].Subject, subjects[n].limit, subjects[n].what = Subject{kind, name, caller}, limit, what
			n++
		}
	}
	if p := d.Plan; p != nil && d.Principal != "" && d.Source == "" {
		add(p.Limit, ofCaller, d.Principal, "", "plan ")
		if own, ok := p.Routes[d.RouteID]; ok {
			add(own, ofRoute, d.Route, d.Principal, "plan on route ")
		}
	}
	if d.Route != "" {
		add(d.Total, ofRoute, d.Route, "", "route ")
	}
	if d.Function != "" {
		add(d.Quota, ofFunction, d.Function, "", "function ")
	}
	if d.Account != "" {
		add(l.config.Account, ofAccount, d.Account, "", "account ")
	}
	if n == 0 {
		return left, place()
	}
	c := &l.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	var room [len(subjects)]claimed
	all := room[:0]
	for i := range subjects[:n] {
		s := &subjects[i]
		got := c.find(s.Subject, now)
		if got == nil {
			return left, refusal("number of callers with a quota", 60, "the node counts no more of them; ask the operator")
		}
		what := s.what + name(s.Name)
		if s.Kind == ofCaller {
			what = "plan " + d.Plan.Name
		}
		if s.Kind == ofCaller || s.Caller != "" {
			got.Plan = d.Plan.Name
		}
		all = append(all, claimed{what, got, s.limit, d.Alone && s.Kind == ofCaller})
	}
	if err := c.check(all, now); err != nil {
		return left, err
	}
	if err := place(); err != nil {
		return left, err
	}
	c.take(all)
	if subjects[0].Kind == ofCaller {
		left[1], left[2] = allowances(now, d.Plan, all[0].count)
	}
	return left, nil
}

// allowances tell a caller what its plan still gives it; the zero Allowance: the plan has no such quota.
func allowances(now time.Time, p *casemate.Plan, used *Count) (day, month casemate.Allowance) {
	if p.Day > 0 {
		day = casemate.Allowance{Name: p.Name + "-day", Quota: p.Day, Left: p.Day - used.Day.Used, Window: 86400, Next: int(NextDay(now).Sub(now) / time.Second)}
	}
	if p.Month > 0 {
		month = casemate.Allowance{Name: p.Name + "-month", Quota: p.Month, Left: p.Month - used.Month.Used, Window: 30 * 86400, Next: int(NextMonth(now).Sub(now) / time.Second)}
	}
	return day, month
}
