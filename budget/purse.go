package budget

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/meter/price"
	"casemate/store"
)

// Config says what a purse is made of. Store, Read, Last and Book are needed.
type Config struct {
	Store store.Store
	// Read calls do with every record of the audit log from number from on, in order and without gaps, to its present end.
	Read func(ctx context.Context, from uint64, do func(seq uint64, r *casemate.Record) error) error
	Last func() uint64 // number of a record that is known to be in the log
	Book *price.Book
	// Outside says whether a version may reach the outside at all; nil: every one may.
	Outside func(v *casemate.Version) bool
	Cores   int           // of the machine
	Boot    string        // names this start of the machine, so that a power cut is known from a killed process
	Every   time.Duration // between writes of what was counted; default 5 s
	Clock   func() time.Time
	Log     *slog.Logger
}

// DefaultChain is the budget of a causal chain where none is set: runaway loops end, ordinary fan-out does not notice.
func DefaultChain() casemate.Budget {
	return casemate.Budget{For: "chain", Per: "chain", Amount: 10 * casemate.Unit}
}

// Purse is open. It is a gate.Purse; all methods may be called concurrently.
type Purse struct {
	cfg    Config
	kv     store.KV
	boot   string
	book   *price.Book
	cancel context.CancelFunc
	work   sync.WaitGroup
	more   chan *ask
	change sync.Mutex // one change of the budgets at a time

	mu       sync.Mutex
	own      []casemate.Budget            // the operator's
	apps     map[string][]casemate.Budget // the manifests', by app
	tags     map[string][]string          // by resource: "app/shop", sorted
	index    *index
	counters map[string]map[string]*counter // by rule id and name
	chains   map[string]*chain
	free     []*chain
	worst    map[string]casemate.Money // by version id
	merged   map[subjectKey][]string   // tags of what was met
	claims   map[string]*claim         // settled, their records not counted yet
	pool     []*claim
	tape     tape
}

type ask struct {
	c *counter
	w *window
}

type subjectKey struct{ app, function, caller, role string }

// claim is what one event holds.
type claim struct {
	event   string
	amount  casemate.Money
	refs    []ref
	chain   *chain
	queued  bool
	attempt bool
	settled bool
}

type ref struct {
	c *counter
	w *window
}

// Hold takes the most that s can cost from every budget that covers it, or from none. It waits for the disk only where a
// counter's share is used up. What costs nothing holds nothing.
func (p *Purse) Hold(ctx context.Context, now time.Time, s *casemate.Spend) (casemate.Hold, error) {
	h := casemate.Hold{Event: s.Event, Book: p.book.Digest}
	for range 64 {
		again, err := p.try(now, s, &h)
		if err != nil || again.c == nil {
			return h, err
		}
		if err := p.grant(ctx, again.c, again.w, h.Amount); err != nil {
			return h, &casemate.Error{Code: casemate.Unavailable, Message: "what this event may spend cannot be written down", Hint: "the operator should look at the store's disk", Retry: 5, Err: err}
		}
	}
	return h, &casemate.Error{Code: casemate.Unavailable, Message: "no share of the budget was to be had", Hint: "send it again", Retry: 1}
}

// try is one look at all budgets. It gives a counter whose share has to grow first.
func (p *Purse) try(now time.Time, s *casemate.Spend, h *casemate.Hold) (ref, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	amount, err := p.most(s)
	if err != nil {
		return ref{}, err
	}
	x := p.index
	if amount == 0 {
		if s.Depth > depth(x.chain) {
			_, err = p.chained(now, s, x.chain, 0)
		}
		if ch := p.chains[s.Chain]; ch != nil {
			h.Chain = add(ch.spent, ch.held)
		}
		if len(p.tags) > 0 {
			h.Tags = p.tagged(s)
		}
		return ref{}, err
	}
	sub := subject{app: s.App, function: s.Function, caller: s.Principal, key: s.Key, role: s.Role, account: s.Account, chain: s.Chain}
	if len(p.tags) > 0 {
		sub.tags = p.tagged(s)
	}
	h.Tags, h.Amount = sub.tags, amount
	var c *claim
	if len(x.kinds) > 0 {
		c = p.claim()
		again, err := p.covered(now, s, &sub, amount, c)
		if err != nil || again.c != nil {
			p.giveBack(c)
			return again, err
		}
	}
	ch, err := p.chained(now, s, x.chain, amount)
	if err != nil {
		if c != nil {
			p.giveBack(c)
		}
		return ref{}, err
	}
	p.take(s, h, c, ch)
	return ref{}, nil
}

// take is the moment the money is held. Nothing is taken for an event that only asks to be queued: its run asks again.
func (p *Purse) take(s *casemate.Spend, h *casemate.Hold, c *claim, ch *chain) {
	amount := h.Amount
	if s.Queue {
		h.Amount, amount = 0, 0
	}
	h.Chain = add(ch.spent, ch.held)
	ch.open++
	ch.held = add(ch.held, amount)
	attempt := s.Source == casemate.SourceAsync
	h.Keep = attempt || s.Depth > 0
	if (c == nil || len(c.refs) == 0) && !s.Queue && !attempt {
		if c != nil {
			p.giveBack(c)
		}
		h.Of = ch
		return
	}
	if c == nil {
		c = p.claim()
	}
	h.Keep = h.Keep || len(c.refs) > 0
	c.event, c.amount, c.chain, c.queued, c.attempt = s.Event, amount, ch, s.Queue, attempt
	for _, r := range c.refs {
		r.w.held = add(r.w.held, amount)
		if limit := r.c.rule.Amount; !r.c.rule.Soft && !r.c.more && r.w.Granted < limit && r.w.taken() > r.w.Granted-(limit/64) {
			select {
			case p.more <- &ask{r.c, r.w}:
				r.c.more = true
			default:
			}
		}
	}
	h.Of = c
}

// covered finds the counters of a spending, and refuses what a hard one has no money for.
func (p *Purse) covered(now time.Time, s *casemate.Spend, sub *subject, amount casemate.Money, c *claim) (again ref, err error) {
	p.index.cover(sub, func(r *rule, name string) {
		if err != nil {
			return
		}
		k := p.counter(r, name)
		w := k.at(r.start(s.Opened))
		c.refs = append(c.refs, ref{k, w})
		if r.Soft || r.quiet {
			return
		}
		switch total := add(w.taken(), amount); {
		case r.stop:
			err = p.refuse(r, name, now, "the budget "+r.id+" is in "+r.Currency+", prices are in "+p.book.Currency)
		case total > r.Amount, total == math.MaxInt64:
			err = p.refuse(r, name, now, "")
		case total > w.Granted && !s.Queue && again.c == nil:
			again = ref{k, w}
		}
	})
	if err != nil {
		again = ref{}
	}
	return again, err
}

// most is the most that s can cost.
func (p *Purse) most(s *casemate.Spend) (casemate.Money, error) {
	if s.Operation != "" {
		if s.Source == casemate.SourceAdmin {
			return 0, nil
		}
		return p.book.WorstOperation(s.Operation), nil
	}
	v := s.Version
	if v == nil {
		return 0, nil
	}
	key, limits := v.ID, v.Limits
	if s.Answer > limits.Response {
		key, limits.Response = key+" streamed", s.Answer
	}
	if m, ok := p.worst[key]; ok {
		return m, nil
	}
	m, err := p.book.Worst(limits, p.cfg.Cores, p.cfg.Outside == nil || p.cfg.Outside(v))
	if err != nil {
		return 0, err
	}
	if len(p.worst) >= 4096 {
		clear(p.worst)
	}
	p.worst[key] = m
	return m, nil
}

// maxNames bounds the counters of one "*": who comes past them shares one.
const (
	maxNames = 10_000
	others   = "(others)"
)

func (p *Purse) counter(r *rule, name string) *counter {
	of := p.counters[r.id]
	if of == nil {
		of = map[string]*counter{}
		p.counters[r.id] = of
	}
	c := of[name]
	if c == nil && len(of) >= maxNames {
		p.prune(r, of)
	}
	if c == nil && len(of) >= maxNames {
		name = others
		c = of[name]
	}
	if c == nil {
		c = &counter{rule: r, name: name}
		of[name] = c
	}
	return c
}

// prune forgets, once a minute at most, the counters of one "*" that nothing was spent of in the window that is open now.
func (p *Purse) prune(r *rule, of map[string]*counter) {
	now := p.cfg.Clock()
	if now.Unix()-r.pruned < 60 {
		return
	}
	r.pruned = now.Unix()
	for name, c := range of {
		if c.past(r.start(now)) {
			delete(of, name)
		}
	}
}

// past reports whether a counter knows of nothing at or after start, and holds nothing.
func (c *counter) past(start int64) bool {
	for _, w := range c.windows {
		if w.Start >= start || w.held > 0 {
			return false
		}
	}
	return true
}

func (p *Purse) claim() *claim {
	if n := len(p.pool); n > 0 {
		c := p.pool[n-1]
		p.pool = p.pool[:n-1]
		return c
	}
	return &claim{}
}

func (p *Purse) giveBack(c *claim) {
	clear(c.refs)
	*c = claim{refs: c.refs[:0]}
	if len(p.pool) < 4096 {
		p.pool = append(p.pool, c)
	}
}

// refuse is the answer where there is no money: which budget, and when there is some again.
func (p *Purse) refuse(r *rule, name string, now time.Time, why string) error {
	what := r.id
	if name != "" {
		what += ", " + name
	}
	e := &casemate.Error{Code: casemate.Exhausted, Message: "there is no money left in a budget for this", Rule: "budget " + what}
	switch end := r.end(r.start(now)); {
	case why != "":
		e.Message, e.Hint = why, "casemate budget list"
	case r.kind == "chain":
		e.Message, e.Hint = "this causal chain has spent what one may", "find out what calls what: casemate audit list --chain "+name
	case end.IsZero():
		e.Hint = "the operator may raise it: casemate budget set"
	default:
		e.Hint = "it starts anew at " + end.Format(time.RFC3339) + "; the operator may raise it: casemate budget set"
		e.Retry = int(min(max(end.Sub(now)/time.Second, 1), 86400))
	}
	return e
}

// Settle gives back what a hold was too much, and takes what the record costs.
func (p *Purse) Settle(_ context.Context, now time.Time, h casemate.Hold, r *casemate.Record, _ bool) (casemate.Money, string) {
	cost, err := p.book.Cost(r)
	if err != nil { // the bounds of book and limits keep this from happening
		p.cfg.Log.Error("a record cannot be priced", "record", r.ID, "err", err)
		cost = h.Amount
	}
	switch of := h.Of.(type) {
	case *chain:
		p.mu.Lock()
		p.parted(of, now, h.Amount, cost, false, false, h.Done)
		p.mu.Unlock()
	case *claim:
		p.mu.Lock()
		p.parted(of.chain, now, of.amount, cost, of.queued, of.attempt, h.Done)
		for _, x := range of.refs {
			x.w.held -= of.amount
			x.w.spent = add(x.w.spent, cost)
			x.c.dirty = true
			if x.c.rule.Soft && x.w.spent > x.c.rule.Amount {
				p.note(x, r)
			}
		}
		if len(of.refs) > 0 && len(p.claims) < maxClaims {
			of.settled = true
			p.claims[of.event] = of // until the record is counted
		} else {
			p.giveBack(of)
		}
		p.mu.Unlock()
	}
	return cost, p.book.Digest
}

// maxClaims bounds what waits for its record to be written.
const maxClaims = 1 << 16

func (p *Purse) parted(c *chain, now time.Time, amount, cost casemate.Money, queued, attempt, done bool) {
	c.leave(amount, cost, queued, attempt, done)
	c.last = now.Unix()
	if c.open == 0 && c.pending == 0 {
		p.drop(c)
	}
}

func (p *Purse) note(x ref, r *casemate.Record) {
	what := x.c.rule.id
	if x.c.name != "" {
		what += ", " + x.c.name
	}
	r.Notes = append(slices.Clip(r.Notes), fmt.Sprintf("budget %s is overspent: %s of %s", what, x.w.spent, x.c.rule.Amount))
	if !x.w.noted {
		x.w.noted = true
		p.cfg.Log.Warn("a soft budget is overspent", "budget", what, "spent", x.w.spent.String(), "of", x.c.rule.Amount.String())
	}
}

// tagged are the tags of a spending: those that the operator gave to its app, function, role and key, the later before the
// earlier. A caller or a manifest gives none, or it could choose whose money it spends.
func (p *Purse) tagged(s *casemate.Spend) []string {
	k := subjectKey{s.App, s.Function, s.Principal, s.Role}
	if t, ok := p.merged[k]; ok {
		return t
	}
	by := map[string]string{}
	for _, of := range [...]string{"app/" + s.App, "function/" + s.Function, "role/" + s.Role, s.Principal} {
		for _, t := range p.tags[of] {
			name, _, _ := strings.Cut(t, "=")
			by[name] = t
		}
	}
	var out []string
	for _, t := range by {
		out = append(out, t)
	}
	slices.Sort(out)
	if len(p.merged) >= maxNames {
		clear(p.merged)
	}
	p.merged[k] = out
	return out
}
