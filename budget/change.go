package budget

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/meter/price"
	"casemate/store"
)

// Tagging is the cost allocation tags of one thing: "app/shop", "function/price", "role/clerk", "key/ck_1".
type Tagging struct {
	Of   string   `json:"of"`
	Tags []string `json:"tags"` // "team=web"
}

// Status is one counter of a budget, as it stands.
type Status struct {
	casemate.Budget
	ID     string         `json:"id"`
	Name   string         `json:"name,omitempty"` // of a budget for "*": whose counter it is
	Spent  casemate.Money `json:"spent"`
	Held   casemate.Money `json:"held"`
	Lost   casemate.Money `json:"lost,omitempty"` // counts as spent, because the records were lost with the machine
	Left   casemate.Money `json:"left"`
	Resets time.Time      `json:"resets,omitzero"`
	Stop   string         `json:"stop,omitempty"` // why it lets nothing through
}

// keep bounds what operators and manifests may set.
const (
	maxBudgets = 1000
	maxTags    = 20
)

// rebuild puts the budgets that are set into force. The counters of those that are gone go with them; the others go on.
func (p *Purse) rebuild() (fresh []*rule) {
	var rules []*rule
	var old map[string]*rule
	if p.index != nil {
		old = p.index.rules
	}
	all := slices.Clone(p.own)
	for _, app := range slices.Sorted(maps.Keys(p.apps)) {
		all = append(all, p.apps[app]...)
	}
	chain := newRule(DefaultChain(), p.book.Currency)
	chain.built = true
	for _, b := range all {
		r := newRule(b, p.book.Currency)
		if r.kind == "chain" {
			chain = r
			continue
		}
		if was := old[r.id]; was == nil {
			fresh = append(fresh, r)
		} else {
			r.quiet = was.quiet
		}
		rules = append(rules, r)
	}
	p.index = newIndex(rules, chain)
	for id, of := range p.counters {
		r := p.index.rules[id]
		if r == nil {
			delete(p.counters, id)
			continue
		}
		for _, c := range of {
			c.rule = r
		}
	}
	return fresh
}

// apply changes what is set, learns what the log says of budgets that are new, and only then has them refuse; keep makes the
// change durable at the end. A failure takes it back.
func (p *Purse) apply(ctx context.Context, change, back func(), keep func() error) error {
	p.mu.Lock()
	change()
	fresh := p.rebuild()
	for _, r := range fresh {
		r.quiet = true
		delete(p.counters, r.id)
	}
	upto := p.tape.next
	x := newIndex(fresh, p.index.chain)
	for _, e := range p.tape.early { // counted before the budget came, and not read below
		x.cover(&e.subject, func(r *rule, name string) {
			w := p.counter(r, name).at(r.start(e.at))
			w.spent = add(w.spent, e.cost)
		})
	}
	p.mu.Unlock()
	err := error(nil)
	if len(fresh) > 0 {
		err = p.learn(ctx, fresh, upto)
	}
	if err == nil {
		err = p.save(ctx, true)
	}
	if err == nil {
		err = keep()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range fresh {
		r.quiet = false
	}
	if err != nil {
		back()
		p.rebuild()
	}
	return err
}

func ruleKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return prefixRule + hex.EncodeToString(sum[:16])
}

// Set puts an operator's budget into force, or another amount in place of the one it had. What was spent since the window
// began counts, whether or not there was a budget then.
func (p *Purse) Set(ctx context.Context, b casemate.Budget) error {
	b.App = ""
	if err := p.Fits(b); err != nil {
		return err
	}
	if b.Currency == "" {
		b.Currency = p.book.Currency
	}
	p.change.Lock()
	defer p.change.Unlock()
	before := p.own
	after := slices.DeleteFunc(slices.Clone(before), func(o casemate.Budget) bool { return o.ID() == b.ID() })
	if len(after) >= maxBudgets {
		return casemate.Errorf(casemate.Exhausted, "casemate budget remove", "there are %d budgets already", maxBudgets)
	}
	after = append(after, b)
	return p.apply(ctx, func() { p.own = after }, func() { p.own = before }, func() error { return p.put(ctx, ruleKey(b.ID()), b) })
}

// Fits checks a budget, and its currency against that of the prices.
func (p *Purse) Fits(b casemate.Budget) error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.Currency != "" && b.Currency != p.book.Currency {
		e := casemate.Errorf(casemate.Invalid, "amounts are in "+p.book.Currency+", as in the price book", "a budget in %s cannot be held against prices in %s", b.Currency, p.book.Currency)
		e.Field = "amount"
		return e
	}
	return nil
}

// Remove takes an operator's budget away. A manifest's goes with its manifest alone.
func (p *Purse) Remove(ctx context.Context, id string) error {
	p.change.Lock()
	defer p.change.Unlock()
	before := p.own
	after := slices.DeleteFunc(slices.Clone(before), func(o casemate.Budget) bool { return o.ID() == id })
	if len(after) == len(before) {
		return casemate.Errorf(casemate.NotFound, "casemate budget list", "the operator has set no budget %q", id)
	}
	if err := p.kv.Delete(ctx, ruleKey(id), store.AnyRevision); err != nil {
		return fmt.Errorf("removing a budget: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own = after
	p.rebuild()
	return nil
}

// SetApps puts the budgets of all manifests into force, those of apps that are gone out of it. It is called with every
// change of the catalog.
func (p *Purse) SetApps(ctx context.Context, apps map[string][]casemate.Budget) error {
	p.change.Lock()
	defer p.change.Unlock()
	before := p.apps
	after := maps.Clone(apps)
	maps.DeleteFunc(after, func(_ string, bs []casemate.Budget) bool { return len(bs) == 0 })
	for app, bs := range after {
		for _, b := range bs {
			if err := b.Check(); err != nil || b.App != app {
				return casemate.Errorf(casemate.Invalid, "deploy the app again", "a budget of app %s is not its own", app)
			}
		}
	}
	p.mu.Lock()
	clear(p.worst) // limits and grants may be others now
	p.mu.Unlock()
	if maps.EqualFunc(before, after, slices.Equal[[]casemate.Budget]) {
		return nil
	}
	return p.apply(ctx, func() { p.apps = after }, func() { p.apps = before }, func() error {
		for app := range before {
			if after[app] == nil {
				if err := p.kv.Delete(ctx, prefixApp+app, store.AnyRevision); err != nil {
					return err
				}
			}
		}
		for app, bs := range after {
			if err := p.put(ctx, prefixApp+app, bs); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tag gives a thing its cost allocation tags, in place of those it had; none takes them away.
func (p *Purse) Tag(ctx context.Context, t Tagging) error {
	kind, name, _ := strings.Cut(t.Of, "/")
	b := casemate.Budget{For: t.Of, Per: "day"}
	if !slices.Contains([]string{"app", "function", "role", "key"}, kind) || name == "" || b.Check() != nil {
		return casemate.Errorf(casemate.Invalid, "app/shop, function/price, role/clerk, key/ck_1", "%.60q cannot be tagged", t.Of)
	}
	names := map[string]bool{}
	for _, tag := range t.Tags {
		b.For = "tag/" + tag
		name, _, _ := strings.Cut(tag, "=")
		if b.Check() != nil || name == "" || name == tag || names[name] || len(tag) > 200 {
			return casemate.Errorf(casemate.Invalid, "team=web", "%.60q is no tag, or its name comes twice", tag)
		}
		names[name] = true
	}
	if len(t.Tags) > maxTags {
		return casemate.Errorf(casemate.Invalid, "", "more than %d tags", maxTags)
	}
	p.change.Lock()
	defer p.change.Unlock()
	t.Tags = slices.Sorted(slices.Values(t.Tags))
	key := prefixTags + strings.TrimPrefix(ruleKey(t.Of), prefixRule)
	if err := p.put(ctx, key, t); err != nil {
		return fmt.Errorf("storing tags: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags[t.Of] = t.Tags
	if len(t.Tags) == 0 {
		delete(p.tags, t.Of)
	}
	clear(p.merged)
	return nil
}

// Tags lists what has tags.
func (p *Purse) Tags() []Tagging {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []Tagging{}
	for _, of := range slices.Sorted(maps.Keys(p.tags)) {
		out = append(out, Tagging{of, slices.Clone(p.tags[of])})
	}
	return out
}

// List gives every budget with its counters in the window of now; one that nothing was spent of has a counter of zeros.
func (p *Purse) List(now time.Time) []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []Status{}
	rules := slices.SortedFunc(maps.Values(p.index.rules), func(a, b *rule) int { return cmp.Compare(a.id, b.id) })
	for _, r := range rules {
		start, any := r.start(now), false
		for _, name := range slices.Sorted(maps.Keys(p.counters[r.id])) {
			for _, w := range p.counters[r.id][name].windows {
				if w.Start == start {
					out = append(out, r.status(name, w))
					any = true
				}
			}
		}
		if !any {
			out = append(out, r.status("", &window{Start: start}))
		}
	}
	chain := p.index.chain
	out = append(out, Status{Budget: chain.Budget, ID: chain.id, Left: chain.Amount})
	for i := range out {
		out[i].Currency = cmp.Or(out[i].Currency, p.book.Currency)
	}
	return out
}

func (r *rule) status(name string, w *window) Status {
	s := Status{Budget: r.Budget, ID: r.id, Name: name, Spent: w.spent, Held: w.held, Lost: w.Lost, Left: max(r.Amount-w.taken(), 0), Resets: r.end(w.Start)}
	if r.stop {
		s.Stop = "it is in " + r.Currency + ", and prices are in another currency"
	}
	return s
}

// keepBook stores the price book in force by its digest, for bills of what it priced.
func (p *Purse) keepBook(ctx context.Context) error {
	_, err := p.kv.Put(ctx, prefixBook+p.book.Digest, []byte(p.book.Text), store.NewKey)
	if err != nil && casemate.CodeOf(err) != casemate.Conflict {
		return fmt.Errorf("keeping the price book: %w", err)
	}
	return nil
}

// Book is the price book in force.
func (p *Purse) Book() *price.Book { return p.book }

// Books are all price books that ever were in force here, by digest.
func (p *Purse) Books(ctx context.Context) (map[string]*price.Book, error) {
	es, err := p.kv.List(ctx, prefixBook)
	if err != nil {
		return nil, fmt.Errorf("reading the price books: %w", err)
	}
	out := map[string]*price.Book{}
	for _, e := range es {
		b, err := price.Parse(e.Value)
		if err != nil || prefixBook+b.Digest != e.Key {
			return nil, casemate.Errorf(casemate.Fault, "restore the node's folder from a backup", "the price book %s is damaged", e.Key)
		}
		out[b.Digest] = b
	}
	return out, nil
}

// Bill sums what the records of a span cost, told apart by function, app, caller, key, role, account, tag or chain.
func (p *Purse) Bill(ctx context.Context, from, until time.Time, by string) (*price.Bill, error) {
	books, err := p.Books(ctx)
	if err != nil {
		return nil, err
	}
	b, err := price.NewBill(from, until, by, func(digest string) *price.Book { return books[digest] })
	if err != nil {
		return nil, err
	}
	first, err := p.find(ctx, from.Unix(), p.cfg.Last()+1)
	if err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	if err := p.cfg.Read(ctx, first, func(_ uint64, r *casemate.Record) error { return b.Add(r) }); err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	if b.Currency == "" {
		b.Currency = p.book.Currency
	}
	return b.Close(), nil
}

// Since calls do with the records of events that were opened from from on, in the order of the log; a few older ones may be
// among them.
func (p *Purse) Since(ctx context.Context, from time.Time, do func(r *casemate.Record) error) error {
	first, err := p.find(ctx, from.Unix(), p.cfg.Last()+1)
	if err != nil {
		return err
	}
	return p.cfg.Read(ctx, first, func(_ uint64, r *casemate.Record) error { return do(r) })
}
