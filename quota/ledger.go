package quota

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

// Config bounds a node. A zero or negative field means its default, never "unlimited".
type Config struct {
	NodeConcurrency int           // runs at once on the node; 256
	SourceRate      casemate.Rate // of each source address; the default rate of casemate.DefaultLimits
	MaxKeys         int           // buckets kept of each kind, rounded to 16s; 65,536, about 150 bytes each
}

const (
	defaultNodeConcurrency = 256
	defaultMaxKeys         = 1 << 16
)

// Ledger is the state of one node. It is safe for concurrent use.
type Ledger struct {
	config                      Config
	sources, callers, functions table
	start                       sync.Once
	epoch                       time.Time
	latest                      atomic.Int64 // the furthest time seen, in nanoseconds after epoch
	running                     atomic.Int64
	tickets                     atomic.Uint64
}

// New makes a ledger with every bucket full.
func New(c Config) *Ledger {
	if c.NodeConcurrency <= 0 {
		c.NodeConcurrency = defaultNodeConcurrency
	}
	if c.MaxKeys <= 0 {
		c.MaxKeys = defaultMaxKeys
	}
	if !valid(c.SourceRate) {
		c.SourceRate = casemate.DefaultLimits().Rate
	}
	l := &Ledger{config: c}
	for _, t := range [...]*table{&l.sources, &l.callers, &l.functions} {
		t.init(c.MaxKeys)
	}
	return l
}

// maxTime keeps the arithmetic of buckets from overflowing, should the first time seen be the zero one: 73 years.
const maxTime = int64(1) << 61

// clock turns now into ledger time, which never goes backwards: while a clock that was set back catches up, no bucket
// fills. Times with a monotonic reading are compared by it.
func (l *Ledger) clock(now time.Time) int64 {
	l.start.Do(func() { l.epoch = now })
	t := min(int64(now.Sub(l.epoch)), maxTime)
	for {
		last := l.latest.Load()
		if t <= last {
			return last
		}
		if l.latest.CompareAndSwap(last, t) {
			return t
		}
	}
}

// claim is one bucket that a demand wants a token of, locked.
type claim struct {
	what, name string // "route", "POST /orders"
	bucket     *bucket
	lock       *sync.Mutex
	cell       cell
}

// Reserve takes everything that d asks for, or nothing at all. Counted are the source, the principal on the route
// (callers without a name share one bucket of the route) and the function, each when it is named; a demand with a
// Function also takes a place among the runs of the function and of the node, to be given back by Settle. The refusal is
// an *casemate.Error of code Exhausted with the Rule, a Hint and in Retry the whole seconds, at least 1, until it is worth
// trying again.
func (l *Ledger) Reserve(now time.Time, d casemate.Demand) (casemate.Reservation, error) {
	t := l.clock(now)
	var room [3]claim
	claims := l.claims(room[:0], t, d)
	defer func() {
		for i := range claims {
			claims[i].lock.Unlock()
		}
	}()
	if err := exhausted(claims, t); err != nil {
		return casemate.Reservation{}, err
	}
	var r casemate.Reservation
	if d.Function != "" {
		var err error
		if r, err = l.place(claims[len(claims)-1].bucket, d); err != nil {
			return casemate.Reservation{}, err
		}
	}
	for i := range claims {
		c := &claims[i]
		c.bucket.full = c.cell.take(c.bucket.full, t)
	}
	return r, nil
}

// claims locks the buckets of d, in the one order that all demands share; the function's is last.
func (l *Ledger) claims(cs []claim, t int64, d casemate.Demand) []claim {
	standard := casemate.DefaultLimits().Rate
	if d.Source != "" {
		b, lock := l.sources.hold(l.sources.key(d.Source, ""), t)
		cs = append(cs, claim{"source", d.Source, b, lock, newCell(d.SourceRate, l.config.SourceRate)})
	}
	if d.Route != "" {
		b, lock := l.callers.hold(l.callers.key(d.Principal, d.Route), t)
		cs = append(cs, claim{"route", d.Route, b, lock, newCell(d.RouteRate, standard)})
	}
	if d.Function != "" {
		b, lock := l.functions.hold(l.functions.key(d.Function, ""), t)
		cs = append(cs, claim{"function", name(d.Function), b, lock, newCell(d.FunctionRate, standard)})
	}
	return cs
}

// exhausted is the refusal of the bucket that takes longest to give a token, or nil.
func exhausted(claims []claim, t int64) error {
	var worst *claim
	var wait int64
	for i := range claims {
		if w := claims[i].cell.wait(claims[i].bucket.full, t); w > wait {
			worst, wait = &claims[i], w
		}
	}
	if worst == nil {
		return nil
	}
	seconds := int((wait + int64(time.Second) - 1) / int64(time.Second))
	return refusal("rate of "+worst.what+" "+worst.name, seconds,
		fmt.Sprintf("slow down, or ask the operator for a higher rate of the %s", worst.what))
}

// place takes a run of the function and of the node, or neither. The function's bucket is locked.
func (l *Ledger) place(b *bucket, d casemate.Demand) (casemate.Reservation, error) {
	most := d.Concurrency
	if most <= 0 {
		most = casemate.DefaultLimits().Concurrency
	}
	if len(b.tickets) >= most {
		return casemate.Reservation{}, refusal("concurrency of function "+name(d.Function), 1,
			"try again when a run has ended, or raise the concurrency of the function")
	}
	for {
		n := l.running.Load()
		if n >= int64(l.config.NodeConcurrency) {
			return casemate.Reservation{}, refusal("concurrency of the node", 1,
				"try again when a run has ended, or raise the concurrency of the node")
		}
		if l.running.CompareAndSwap(n, n+1) {
			break
		}
	}
	if b.tickets == nil {
		b.tickets = map[uint64]struct{}{}
	}
	r := casemate.Reservation{Function: d.Function, Ticket: l.tickets.Add(1)}
	b.tickets[r.Ticket] = struct{}{}
	return r, nil
}

// Settle gives back the run that r holds. The zero Reservation, one settled before and one of another ledger hold
// nothing, and change nothing. Tokens are spent whatever came of the run.
func (l *Ledger) Settle(_ time.Time, r casemate.Reservation) {
	if r.Ticket == 0 || !l.functions.drop(l.functions.key(r.Function, ""), r.Ticket) {
		return
	}
	l.running.Add(-1)
}

// Running counts the runs in flight on the node.
func (l *Ledger) Running() int { return int(l.running.Load()) }

// name is what follows function: in an ARN, or the whole of what is none.
func name(function string) string {
	if _, short, ok := strings.Cut(function, ":function:"); ok {
		return short
	}
	return function
}

func refusal(rule string, seconds int, hint string) error {
	e := casemate.Errorf(casemate.Exhausted, hint, "too many requests: the %s is used up", rule)
	e.Rule, e.Retry = rule, seconds
	return e
}
