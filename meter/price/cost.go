package price

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"time"

	"casemate"
)

// SourceNode marks what the node writes about itself. Of those records StandingAction alone costs something: what waits
// initialised and what is stored, for a stretch of time.
const (
	SourceNode     casemate.Source = "node"
	StandingAction string          = "casemate:Standing"
)

// Quantity is what was used, in whole numbers: runs, megabytes x milliseconds, CPU milliseconds, bytes, megabytes x
// minutes. A part of a millisecond counts as a whole one.
type Quantity struct {
	Of        [Items]int64
	Operation string // a service's, called once; else empty
}

// Used says what of a record has a price. What was refused before anything ran, queued, answered from what was kept or done
// by an operator on the node itself costs nothing.
func Used(r *casemate.Record) (q Quantity) {
	u := &r.Usage
	switch {
	case r.Source == SourceNode:
		if r.Action == StandingAction {
			q.Of[Provisioned] = mul(int64(u.MemoryMB), millis(u.Wall))
			q.Of[Storage] = mul(ceil(u.In, 1<<20), ceil(int64(u.Wall), int64(time.Minute)))
		}
	case u.Wall <= 0 || r.Outcome.Status == "interrupted":
	case r.App == "casemate":
		if r.Source != casemate.SourceAdmin {
			q.Operation = r.Function
		}
	default:
		q.Of = [Items]int64{Requests: 1, Memory: mul(int64(u.MemoryMB), millis(u.Wall-min(max(u.Shared, 0), u.Wall))), CPU: millis(u.CPU), Egress: max(u.Sent, 0),
			Ingress: max(u.Received, 0), Answers: max(u.Out, 0)}
	}
	return q
}

func ceil(n, by int64) int64 {
	if n <= 0 {
		return 0
	}
	return (n-1)/by + 1
}

func millis(d time.Duration) int64 { return ceil(int64(d), int64(time.Millisecond)) }

// mul is a product of what is not negative; one that cannot be held is -1, which has no price.
func mul(a, b int64) int64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	if a > math.MaxInt64/b {
		return -1
	}
	return a * b
}

func (b *Book) operation(name string) *rate {
	r, ok := b.ops[name]
	if !ok {
		r = b.ops["default"]
	}
	if r.den == 0 {
		r.den = 1
	}
	return &r
}

// Price is what q costs. The error is of code Invalid: an amount that cannot be held.
func (b *Book) Price(q *Quantity) (casemate.Money, error) {
	sum := casemate.Money(0)
	if q.Operation != "" {
		sum, _ = b.operation(q.Operation).charge(1)
	}
	for i, n := range q.Of {
		m, ok := b.items[i].charge(n)
		if ok {
			sum, ok = sum.Plus(m)
		}
		if !ok {
			return 0, casemate.Errorf(casemate.Invalid, "look at the price book and the limits", "the price of %d %s is more than an amount can hold", n, Item(i))
		}
	}
	return sum, nil
}

// Cost is what a record costs. Nobody knows what a run did that the node's end cut off: it costs what was held for it. No
// record costs more than what was held, where something was.
func (b *Book) Cost(r *casemate.Record) (casemate.Money, error) {
	if r.Outcome.Status == "interrupted" {
		return max(r.Held, 0), nil
	}
	q := Used(r)
	m, err := b.Price(&q)
	if err != nil {
		return 0, err
	}
	if r.Held > 0 {
		m = min(m, r.Held)
	}
	return m, nil
}

// late is how far past its timeout a run may be measured.
const late = time.Second

// Worst is the most that one run under these limits can cost. cores are those of the machine, for a function without a bound
// of its own; outside says whether it may reach the outside at all.
func (b *Book) Worst(l casemate.Limits, cores int, outside bool) (casemate.Money, error) {
	d := casemate.DefaultLimits()
	fill(&l.Timeout, d.Timeout)
	fill(&l.MemoryMB, d.MemoryMB)
	fill(&l.Response, d.Response)
	fill(&l.Traffic, d.Traffic)
	wall := l.Timeout + late
	cpu := mul(millis(wall), int64(max(cores, 1)))
	if l.CPU > 0 {
		cpu = min(cpu, ceil(mul(millis(wall), int64(l.CPU)), 1000))
	}
	q := Quantity{Of: [Items]int64{Requests: 1, Memory: mul(int64(l.MemoryMB), millis(wall)), CPU: cpu, Answers: l.Response}}
	if !outside {
		return b.Price(&q)
	}
	q.Of[Egress] = l.Traffic
	out, err := b.Price(&q)
	if err != nil {
		return 0, err
	}
	q.Of[Egress], q.Of[Ingress] = 0, l.Traffic
	in, err := b.Price(&q)
	return max(in, out), err
}

// WorstOperation is what calling an operation of a service costs, with which outcome ever.
func (b *Book) WorstOperation(name string) casemate.Money {
	m, _ := b.operation(name).charge(1)
	return m
}

func fill[T int | int64 | time.Duration](to *T, otherwise T) {
	if *to <= 0 {
		*to = otherwise
	}
}

// Saved is what the free quantity and the tiers of an item take off the list price, for what a month used between two marks
// on its way up. It is rounded down.
func (b *Book) Saved(i Item, from, to int64) casemate.Money {
	if i < 0 || i >= Items || from < 0 || to <= from {
		return 0
	}
	r := &b.items[i]
	return casemate.Money(new(big.Int).Sub(r.saved(to), r.saved(from)).Int64())
}

func (r *rate) saved(q int64) *big.Int {
	list := new(big.Rat).SetFrac(new(big.Int).SetUint64(r.num), new(big.Int).SetUint64(r.den))
	sum, done := new(big.Rat), int64(0)
	for _, s := range r.steps {
		upto := q
		if s.upto > 0 {
			upto = min(q, s.upto)
		}
		if upto > done {
			sum.Add(sum, new(big.Rat).Mul(new(big.Rat).Sub(list, s.each), new(big.Rat).SetInt64(upto-done)))
			done = upto
		}
	}
	return new(big.Int).Quo(sum.Num(), sum.Denom())
}

// Lines are the prices as people read them, an item each.
func (b *Book) Lines() [][2]string {
	out := make([][2]string, 0, Items)
	for i := range Items {
		r := &b.items[i]
		text := each(r.num, r.den, i.Scale())
		if len(r.steps) > 0 {
			text += " at most"
			for _, s := range r.steps {
				text += fmt.Sprintf(", %s up to %s", each(s.each.Num().Uint64(), s.each.Denom().Uint64(), i.Scale()), bound(s.upto, i.Scale()))
			}
		}
		out = append(out, [2]string{i.String(), text})
	}
	for _, name := range b.operations() {
		r := b.ops[name]
		out = append(out, [2]string{"operations." + name, each(r.num, r.den, 1)})
	}
	return out
}

func each(num, den uint64, scale int64) string {
	r := new(big.Rat).SetFrac(new(big.Int).Mul(new(big.Int).SetUint64(num), big.NewInt(scale)), new(big.Int).Mul(new(big.Int).SetUint64(den), big.NewInt(int64(casemate.Unit))))
	text, exact := r.FloatPrec()
	if !exact {
		text = 18
	}
	return r.FloatString(text)
}

func bound(upto, scale int64) string {
	if upto == 0 {
		return "any"
	}
	return fmt.Sprint(upto / scale)
}

func (b *Book) operations() []string { return slices.Sorted(maps.Keys(b.ops)) }
