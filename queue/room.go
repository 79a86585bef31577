package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/internal/keeper"
	"casemate/store"
)

// Journals gives a queue the journal of its slot. *store.Node does.
type Journals interface {
	KV(bucket string) (store.KV, error)
	Journal(name string, st store.State, young time.Duration) (*store.Journal, error)
}

// Config is what a Room needs. A zero bound means its default.
type Config struct {
	Store    Journals
	Place    casemate.Place
	Clock    func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: nowhere
	Queues   int              // at most; default 500
	Messages int              // of one queue; default 500,000
	Bytes    int64            // of one queue; default 2 GiB
	Waiters  int              // receives that wait at once, on all queues; default 1024, a quarter of them on one queue, half of one caller

	// Policy compiles a queue's policy, or refuses it. nil: no queue has one.
	Policy func(name, document string) (any, error)
}

// Definition is one queue: what it is called and how it behaves.
type Definition struct {
	Name     string            `json:"name"`
	Slot     int               `json:"slot"` // of the journal that it keeps its messages in
	Spec     Spec              `json:"spec"`
	Tags     map[string]string `json:"tags,omitempty"`
	App      string            `json:"app,omitempty"` // whose manifest declares it; "": made by CreateQueue, or declared no more
	Was      string            `json:"was,omitempty"` // whose manifest declared it last, where none does
	Created  time.Time         `json:"created"`
	Modified time.Time         `json:"modified"`

	Compiled any `json:"-"` // its policy, as Config.Policy made it
}

// Room is every queue of a node. Close ends what it does now and then, and who waits.
type Room struct {
	cfg     Config
	kv      store.KV
	cache   atomic.Int64
	closing chan struct{}
	keeper  *keeper.Keeper
	moves   moves

	waits   sync.Mutex // of what waits, here and on each queue
	waiting int
	waiters map[string]int // by who waits

	write  sync.Mutex // held while definitions change
	mu     sync.RWMutex
	queues map[string]*Queue
	states map[int]*slot // journals that are open, those of deleted queues among them
}

type slot struct {
	s *state
	j *store.Journal
}

const bucket = "queues"

// Open reads the queues that there are, with everything in them.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	fill(&cfg.Queues, 500)
	fill(&cfg.Messages, 500_000)
	fill(&cfg.Bytes, 2<<30)
	fill(&cfg.Waiters, 1024)
	kv, err := cfg.Store.KV(bucket)
	if err != nil {
		return nil, err
	}
	r := &Room{cfg: cfg, kv: kv, closing: make(chan struct{}), queues: map[string]*Queue{}, states: map[int]*slot{}, waiters: map[string]int{}}
	all, err := kv.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		d := &Definition{}
		if err := json.Unmarshal(e.Value, d); err != nil {
			return nil, fmt.Errorf("reading the queue %s: %w", e.Key, err)
		}
		if err := r.open(d); err != nil {
			return nil, fmt.Errorf("opening the queue %s: %w", d.Name, err)
		}
	}
	if err := r.finish(ctx); err != nil {
		return nil, err
	}
	r.keeper = keeper.Every(ctx, time.Minute, r.sweep)
	return r, nil
}

func fill[T int | int64](to *T, value T) {
	if *to <= 0 {
		*to = value
	}
}

// Close ends waiting receives. The journals are the store's to close.
func (r *Room) Close() error {
	close(r.closing)
	r.keeper.Stop()
	r.moves.end()
	return nil
}

func (r *Room) sweep(ctx context.Context) {
	for _, q := range r.List("") {
		if err := q.expire(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("dropping what is too old", "queue", q.Name, "err", err)
		}
	}
}

// open makes a queue of its definition. The caller holds write, or nobody else has the room yet.
func (r *Room) open(d *Definition) error {
	st, err := r.slot(d)
	if err != nil {
		return err
	}
	q := &Queue{Name: d.Name, ARN: ARN(r.cfg.Place, d.Name), room: r, s: st.s, j: st.j}
	if err := r.compile(d); err != nil {
		return err
	}
	q.def.Store(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queues[d.Name] = q
	return nil
}

// slot opens the journal of a definition, once.
func (r *Room) slot(d *Definition) (*slot, error) {
	if st := r.states[d.Slot]; st != nil {
		return st, nil
	}
	s := newState(r.cfg.Clock, d.Spec.FIFO, &r.cache)
	j, err := r.cfg.Store.Journal(fmt.Sprintf("queue-%04d", d.Slot), s, dedupWindow)
	if err != nil {
		return nil, err
	}
	r.states[d.Slot] = &slot{s, j}
	return r.states[d.Slot], nil
}

func (r *Room) compile(d *Definition) (err error) {
	if d.Compiled = nil; d.Spec.Policy == "" {
		return nil
	}
	if r.cfg.Policy == nil {
		return refusal(casemate.Invalid, "InvalidAttributeValue", "Invalid value for the parameter Policy.")
	}
	d.Compiled, err = r.cfg.Policy(d.Name, d.Spec.Policy)
	return err
}

// ARN is arn:aws:sqs:<region>:<account>:<name>.
func ARN(p casemate.Place, name string) string {
	return "arn:aws:sqs:" + p.Region + ":" + p.Account + ":" + name
}

// Queue finds a queue by its name.
func (r *Room) Queue(name string) (*Queue, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if q := r.queues[name]; q != nil {
		return q, nil
	}
	return nil, missing(name)
}

func missing(name string) error {
	e := refusal(casemate.NotFound, "QueueDoesNotExist", "The specified queue does not exist.")
	e.Hint = "casemate queue list shows what there is; " + shown(name) + " is not among it"
	return e
}

// ByARN finds a queue by its ARN.
func (r *Room) ByARN(arn string) (*Queue, error) {
	name, ok := strings.CutPrefix(arn, ARN(r.cfg.Place, ""))
	if !ok {
		return nil, missing(arn)
	}
	return r.Queue(name)
}

// List gives the queues whose names begin with prefix, by name.
func (r *Room) List(prefix string) []*Queue {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []*Queue
	for _, name := range slices.Sorted(maps.Keys(r.queues)) {
		if strings.HasPrefix(name, prefix) {
			all = append(all, r.queues[name])
		}
	}
	return all
}

// Create makes a queue. One that is there with the same attributes is given as it is.
func (r *Room) Create(ctx context.Context, name string, spec Spec, tags map[string]string, app string) (*Queue, error) {
	r.write.Lock()
	defer r.write.Unlock()
	if err := CheckName(name, spec.FIFO); err != nil {
		return nil, err
	}
	if q, err := r.Queue(name); err == nil {
		d := q.Definition()
		if d.Spec.equal(&spec) && d.App == app {
			return q, nil
		}
		return nil, refusal(casemate.Conflict, "QueueNameExists", "A queue already exists with the same name and a different value for an attribute.")
	}
	if len(tags) > maxTags {
		return nil, refusal(casemate.Invalid, "InvalidParameterValue", "Too many tags: 50 at most.")
	}
	now := r.cfg.Clock().UTC()
	d := &Definition{Name: name, Slot: r.free(), Spec: spec, Tags: tags, App: app, Created: now, Modified: now}
	if d.Slot < 0 {
		return nil, refusal(casemate.Exhausted, "OverLimit", "There are as many queues as this node takes.")
	}
	if err := r.checkRedrive(d); err != nil {
		return nil, err
	}
	if err := r.clearSlot(ctx, d); err != nil {
		return nil, err
	}
	if err := r.save(ctx, d, store.NewKey); err != nil {
		return nil, err
	}
	return r.Queue(name)
}

// free is the lowest slot that no queue has; -1: there is none.
func (r *Room) free() int {
	taken := map[int]bool{}
	for _, q := range r.List("") {
		taken[q.Definition().Slot] = true
	}
	for i := range r.cfg.Queues {
		if !taken[i] {
			return i
		}
	}
	return -1
}

// clearSlot drops what a deleted queue left in the slot.
func (r *Room) clearSlot(ctx context.Context, d *Definition) error {
	st, err := r.slot(d)
	if err != nil {
		return err
	}
	_, err = st.j.Append(ctx, casemate.Durable, func(uint64) ([]byte, []byte, error) { return (&change{op: 'x'}).encode(), nil, nil })
	if err != nil {
		return err
	}
	st.j.Lock()
	defer st.j.Unlock()
	st.s.fifo, st.s.seen, st.s.recent = d.Spec.FIFO, map[string]seen{}, nil // it is empty
	return nil
}

// save compiles, stores and puts in force.
func (r *Room) save(ctx context.Context, d *Definition, expect uint64) error {
	if err := r.compile(d); err != nil {
		return err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encoding the queue %s: %w", d.Name, err)
	}
	if _, err := r.kv.Put(ctx, d.Name, b, expect); err != nil {
		return err
	}
	if q, err := r.Queue(d.Name); err == nil {
		q.def.Store(d)
		return nil
	}
	return r.open(d)
}

// Change changes what a queue is. Change must not keep d.
func (r *Room) Change(ctx context.Context, name string, change func(d *Definition) error) error {
	r.write.Lock()
	defer r.write.Unlock()
	q, err := r.Queue(name)
	if err != nil {
		return err
	}
	next := *q.Definition()
	next.Tags = maps.Clone(next.Tags)
	if err := change(&next); err != nil {
		return err
	}
	if len(next.Tags) > maxTags {
		return refusal(casemate.Invalid, "InvalidParameterValue", "Too many tags: 50 at most.")
	}
	if err := r.checkRedrive(&next); err != nil {
		return err
	}
	next.Modified = r.cfg.Clock().UTC()
	return r.save(ctx, &next, store.AnyRevision)
}

// checkRedrive holds a redrive policy to what there is: a queue of the same kind that allows it.
func (r *Room) checkRedrive(d *Definition) error {
	x := d.Spec.Redrive
	if x == nil {
		return nil
	}
	bad := func(why string) error {
		return refusal(casemate.Invalid, "InvalidParameterValue", "Value "+shown(text(x))+" for parameter RedrivePolicy is invalid. Reason: "+why)
	}
	t, err := r.ByARN(x.Target)
	switch {
	case err != nil:
		return bad("Dead letter target does not exist.")
	case t.Name == d.Name:
		return bad("A queue cannot be its own dead letter target.")
	case t.Definition().Spec.FIFO != d.Spec.FIFO:
		return bad("Dead-letter queue must be same type of queue as the source.")
	}
	a, own := t.Definition().Spec.Allow, ARN(r.cfg.Place, d.Name)
	if a != nil && (a.Permission == "denyAll" || a.Permission == "byQueue" && !slices.Contains(a.Sources, own)) {
		return bad("The dead letter target does not allow this queue as a source.")
	}
	return nil
}

// Delete removes a queue and what is in it.
func (r *Room) Delete(ctx context.Context, name string) error {
	r.write.Lock()
	defer r.write.Unlock()
	q, err := r.Queue(name)
	if err != nil {
		return err
	}
	if err := r.kv.Delete(ctx, name, store.AnyRevision); err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.queues, name)
	r.mu.Unlock()
	q.ended.Store(true)
	r.moves.forget(name)
	return q.empty(ctx) // what a crash leaves of it, the next queue of the slot clears
}

// Sources are the names of the queues whose dead-letter queue name is, sorted.
func (r *Room) Sources(name string) (all []string) {
	arn := ARN(r.cfg.Place, name)
	for _, q := range r.List("") {
		if x := q.Definition().Spec.Redrive; x != nil && x.Target == arn {
			all = append(all, q.Name)
		}
	}
	return all
}

// roomy refuses what does not fit any more. The caller holds the journal's lock. A message that is moved was counted before.
func (r *Room) roomy(s *state, size int, moved bool) error {
	if moved || len(s.items) < r.cfg.Messages && s.bytes+int64(size) <= r.cfg.Bytes {
		return nil
	}
	e := refusal(casemate.Exhausted, "RequestThrottled", "The queue is full.")
	e.Retry = 5
	return e
}

// wait takes a place among those who wait on a queue: no queue has more than a quarter of all, and no caller more than half.
func (r *Room) wait(q *Queue, who string) (leave func(), err error) {
	if who == "" {
		return func() {}, nil
	}
	r.waits.Lock()
	defer r.waits.Unlock()
	if r.waiting >= r.cfg.Waiters || q.waiting >= max(r.cfg.Waiters/4, 1) || r.waiters[who] >= max(r.cfg.Waiters/2, 1) {
		e := refusal(casemate.Exhausted, "RequestThrottled", "Too many receives wait already.")
		e.Retry = 1
		return nil, e
	}
	r.waiting++
	q.waiting++
	r.waiters[who]++
	return func() {
		r.waits.Lock()
		defer r.waits.Unlock()
		r.waiting--
		q.waiting--
		if r.waiters[who]--; r.waiters[who] == 0 {
			delete(r.waiters, who)
		}
	}, nil
}

// Declare makes the queues of an app what its manifest says. A queue that it does not declare any more stays, as nobody's:
// what is in it was acknowledged. Errors of one queue do not keep the others from being made.
func (r *Room) Declare(ctx context.Context, app string, specs map[string]Spec) error {
	var errs []error
	names := slices.Sorted(maps.Keys(specs))
	// Dead-letter queues first: the others name them.
	slices.SortStableFunc(names, func(a, b string) int {
		return bool2int(specs[a].Redrive != nil) - bool2int(specs[b].Redrive != nil)
	})
	for _, name := range names {
		errs = append(errs, r.declare(ctx, app, name, specs[name]))
	}
	for _, q := range r.List("") {
		if _, still := specs[q.Name]; !still && q.Definition().App == app {
			errs = append(errs, r.Change(ctx, q.Name, func(d *Definition) error { d.App, d.Was = "", app; return nil }))
		}
	}
	return errors.Join(errs...)
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *Room) declare(ctx context.Context, app, name string, spec Spec) error {
	q, err := r.Queue(name)
	if err != nil {
		_, err = r.Create(ctx, name, spec, nil, app)
		return err
	}
	if d := q.Definition(); d.App == app && d.Spec.equal(&spec) {
		return nil
	}
	return r.Change(ctx, name, func(d *Definition) error {
		if err := mayTake(d, app, &spec); err != nil {
			return err
		}
		d.App, d.Was, d.Spec = app, "", spec
		return nil
	})
}
