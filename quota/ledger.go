package quota

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

// Config bounds a node. A zero or negative field means its default, never "unlimited".
type Config struct {
	NodeConcurrency int            // runs at once on the node; 256
	SourceRate      casemate.Rate  // of each source address; the default rate of casemate.DefaultLimits
	BlockRate       casemate.Rate  // of each network around them; eight times SourceRate
	Account         casemate.Limit // of each account; a zero field sets none
	MaxKeys         int            // buckets kept of each kind, rounded to 16s; 65,536, about 150 bytes each
	// Low is told that shares of quotas are wanted; it must not block. nil: quotas are counted in memory alone, and start
	// anew with the process.
	Low func()
}

const (
	defaultNodeConcurrency = 256
	defaultMaxKeys         = 1 << 16
	blockTimes             = 8
)

// Ledger is the state of one node. It is safe for concurrent use.
type Ledger struct {
	config  Config
	kinds   [kinds]table
	source  cell
	block   cell
	counts  counts
	start   sync.Once
	epoch   time.Time
	latest  atomic.Int64 // the furthest time seen, in nanoseconds after epoch
	running atomic.Int64
	tickets atomic.Uint64
	grants  [shards]grants

	mu       sync.Mutex // of what is below; taken after every other lock
	rest     places     // of all runs but those of functions with places of their own
	reserved map[string]int
	aside    atomic.Int64 // sum of reserved
}

// The kinds of keys, in the order of their locks. The function's is last: it holds places.
const (
	kindSource = iota
	kindBlock
	kindCaller // a principal over everything
	kindShare  // a principal on a route
	kindRoute  // a route over all principals
	kindAccount
	kindFunction
	kinds
)

// grants are the runs in flight by ticket.
type grants struct {
	sync.Mutex
	of map[uint64]*grant
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
	if !valid(c.BlockRate) {
		c.BlockRate = casemate.Rate{PerSecond: blockTimes * c.SourceRate.PerSecond, Burst: blockTimes * c.SourceRate.Burst}
	}
	l := &Ledger{config: c, counts: counts{of: map[Subject]*Count{}, wanted: map[Subject]bool{}, max: maxCounts, low: c.Low}}
	l.source, l.block = newCell(c.SourceRate, c.SourceRate), newCell(c.BlockRate, c.SourceRate)
	for i := range l.kinds {
		l.kinds[i].init(c.MaxKeys)
	}
	for i := range l.grants {
		l.grants[i].of = map[uint64]*grant{}
	}
	return l
}

// Carve sets places of the node aside for functions by ARN, as AWS Lambda's reserved concurrency does
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html): nobody else gets them, and these functions
// get no others. It takes the place of what was set aside before; runs in flight keep the place that they have.
func (l *Ledger) Carve(reserved map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = maps.Clone(reserved)
	sum := 0
	for _, n := range reserved {
		sum += n
	}
	l.aside.Store(int64(sum))
}

// left is how many places are everybody's. There is always one: what is set aside cannot shut everybody else out. The
// caller holds mu.
func (l *Ledger) left() int { return max(l.config.NodeConcurrency-int(l.aside.Load()), 1) }

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

// Running counts the runs in flight on the node.
func (l *Ledger) Running() int { return int(l.running.Load()) }

// Shut reports how long a source, or the network around it, has to wait for its next request, without counting one: 0 when
// it need not. It is what a front asks before it reads anything.
func (l *Ledger) Shut(now time.Time, source string, block netip.Prefix) time.Duration {
	s, b, t := &l.kinds[kindSource], &l.kinds[kindBlock], l.clock(now)
	wait := s.spent(s.key(source, ""), l.source, t)
	if block.IsValid() {
		wait = max(wait, b.spent(b.prefix(block), l.block, t))
	}
	return time.Duration(max(wait, 0))
}

// name is what follows function: in an ARN, or the whole of what is none.
func name(function string) string {
	if _, short, ok := strings.Cut(function, ":function:"); ok {
		return short
	}
	return function
}

func refusal(rule string, seconds int, hint string) *casemate.Error {
	e := casemate.Errorf(casemate.Exhausted, hint, "too many requests: the %s is used up", rule)
	e.Rule, e.Retry = rule, max(seconds, 1)
	return e
}

// exhausted is the refusal of the bucket that takes longest to give a token, or of the first whose runs are all taken, or
// nil. alone is Demand.Alone.
func exhausted(claims []claim, t int64, alone bool) error {
	var worst *claim
	var wait int64
	for i := range claims {
		c := &claims[i]
		if c.cell.every > 0 {
			if w := c.cell.wait(c.bucket.full, t); w > wait {
				worst, wait = c, w
			}
		}
	}
	if worst != nil {
		seconds := int((wait + int64(time.Second) - 1) / int64(time.Second))
		err := refusal("rate of "+worst.what(true), seconds, fmt.Sprintf("slow down, or ask the operator for a higher rate of the %s", worst.kind(true)))
		if worst.of == kindCaller && alone {
			err.Shut, err.Caller = time.Duration(wait), worst.name
		}
		return err
	}
	for i := range claims {
		if c := &claims[i]; c.most > 0 && c.bucket.running >= c.most {
			return refusal("concurrency of "+c.what(false), 1, fmt.Sprintf("try again when a run has ended, or ask the operator for a higher concurrency of the %s", c.kind(false)))
		}
	}
	return nil
}
