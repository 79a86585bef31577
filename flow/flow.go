// Package flow holds declared orders of calls: a customer pays what is in the cart, and has shipped what was paid. Where each
// flow stands is durable before a step begins and before its answer leaves, so that neither a second call at the same time
// nor a node that is killed lets a step be taken twice or left out.
package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"casemate"
	"casemate/internal/keeper"
	"casemate/store"
)

// Bounds.
const (
	most  = 100_000         // flows under way on a node
	sweep = time.Minute     // how often flows that ran out are forgotten
	wait  = 5 * time.Second // for the store, once a step is done
)

// Config is what the room needs; all but Log and Most.
type Config struct {
	Store store.Store
	Clock func() time.Time
	Log   *slog.Logger
	Most  int // flows under way; 0: 100,000
}

// Room knows where each flow stands. All methods may be called concurrently.
type Room struct {
	cfg    Config
	kv     store.KV
	keeper *keeper.Keeper

	mu    sync.Mutex
	under int // flows under way
}

// state is where a flow stands: Step was taken last, and Busy is the event that takes the next, until BusyUntil.
type state struct {
	Step      int       `json:"step"`
	Until     time.Time `json:"until"`
	Busy      string    `json:"busy,omitempty"`
	BusyUntil time.Time `json:"busy_until,omitzero"`
}

// Open counts what is under way and starts the keeper, which forgets what ran out.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Clock == nil {
		return nil, errors.New("opening the flows: the configuration is incomplete")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Most <= 0 {
		cfg.Most = most
	}
	kv, err := cfg.Store.KV("flows")
	if err != nil {
		return nil, fmt.Errorf("opening the flows: %w", err)
	}
	all, err := kv.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("opening the flows: %w", err)
	}
	r := &Room{cfg: cfg, kv: kv, under: len(all)}
	r.keeper = keeper.Every(ctx, sweep, func(ctx context.Context) {
		if err := r.forget(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("flows that ran out are not forgotten", "err", err)
		}
	})
	return r, nil
}

// Close waits for the keeper. The store must still be open.
func (r *Room) Close() error {
	r.keeper.Stop()
	return nil
}

// Take begins a step of the flow that key names, or refuses it with a Conflict: it is out of order, or another step of the
// same flow is being taken. No step can be begun for patience, or until done is called; what ok says counts: a step that
// came to nothing is as if it had not been taken.
func (r *Room) Take(ctx context.Context, now time.Time, s *casemate.FlowStep, key, event string, patience time.Duration) (done func(ctx context.Context, ok bool), err error) {
	at := s.App + "/" + s.Name + "/" + key
	was, revision, err := r.read(ctx, at, now)
	if err != nil {
		return nil, err
	}
	if was.Busy != "" && now.Before(was.BusyUntil) {
		return nil, busy(s, was.BusyUntil.Sub(now))
	}
	if s.Step != was.Step+1 && !(s.Again && s.Step == was.Step) {
		return nil, disorder(s, was.Step)
	}
	next := state{Step: was.Step, Until: was.Until, Busy: event, BusyUntil: now.Add(patience)}
	if was.Step == 0 {
		next.Until = now.Add(s.Within)
	}
	if revision == store.NewKey && !r.room(1) {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "too many flows are under way", Hint: "try again later; the operator: shorten the flows' within", Retry: 60}
	}
	written, err := r.write(ctx, at, next, revision)
	if err != nil {
		if revision == store.NewKey {
			r.room(-1)
		}
		if casemate.CodeOf(err) == casemate.Conflict {
			return nil, busy(s, patience)
		}
		return nil, fmt.Errorf("beginning a step of flow %s: %w", s.Name, err)
	}
	return func(ctx context.Context, ok bool) { r.settle(ctx, at, s, was, next, written, ok) }, nil
}

// settle writes what came of a step. Where it cannot be written, the step stays begun until its patience ends, and counts
// as one that came to nothing.
func (r *Room) settle(ctx context.Context, at string, s *casemate.FlowStep, was, next state, revision uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	after := state{Step: was.Step, Until: next.Until}
	if ok {
		after.Step = s.Step
	}
	var err error
	if after.Step == 0 || after.Step == s.Steps && !s.Again {
		if err = r.kv.Delete(ctx, at, revision); err == nil {
			r.room(-1)
		}
	} else {
		_, err = r.write(ctx, at, after, revision)
	}
	if err != nil {
		r.cfg.Log.Error("a step of a flow is not settled", "flow", s.App+"/"+s.Name, "step", s.Step, "err", err)
	}
}

// read gives where a flow stands. One that ran out stands at its beginning.
func (r *Room) read(ctx context.Context, at string, now time.Time) (s state, revision uint64, err error) {
	e, err := r.kv.Get(ctx, at)
	switch {
	case err != nil && casemate.CodeOf(err) == casemate.NotFound:
		return state{}, store.NewKey, nil
	case err != nil:
		return state{}, 0, fmt.Errorf("reading where a flow stands: %w", err)
	}
	if err := json.Unmarshal(e.Value, &s); err != nil {
		return state{}, 0, fmt.Errorf("reading where a flow stands: %w", err)
	}
	if !now.Before(s.Until) {
		s = state{}
	}
	return s, e.Revision, nil
}

func (r *Room) write(ctx context.Context, at string, s state, expect uint64) (uint64, error) {
	value, err := json.Marshal(&s)
	if err != nil {
		return 0, err
	}
	return r.kv.Put(ctx, at, value, expect)
}

// room counts a flow in or out, and reports whether there was room for it.
func (r *Room) room(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && r.under >= r.cfg.Most {
		return false
	}
	r.under = max(r.under+n, 0)
	return true
}

// forget removes flows that ran out. One that a call begins again meanwhile has another revision, and stays.
func (r *Room) forget(ctx context.Context) error {
	all, err := r.kv.List(ctx, "")
	if err != nil {
		return err
	}
	now := r.cfg.Clock()
	for _, e := range all {
		var s state
		if err := json.Unmarshal(e.Value, &s); err != nil || now.Before(s.Until) {
			continue // a damaged one refuses its steps, rather than begin anew
		}
		if err := r.kv.Delete(ctx, e.Key, e.Revision); err == nil {
			r.room(-1)
		} else if c := casemate.CodeOf(err); c != casemate.Conflict && c != casemate.NotFound {
			return err
		}
	}
	return nil
}

func busy(s *casemate.FlowStep, left time.Duration) error {
	return &casemate.Error{Code: casemate.Conflict, Field: "flow " + s.Name, Rule: "flow " + s.Name, Message: "another step of this flow is being taken",
		Hint: "wait for its answer", Retry: int(left/time.Second) + 1}
}

func disorder(s *casemate.FlowStep, stands int) error {
	hint := fmt.Sprintf("step %d comes next", stands+1)
	if stands == 0 {
		hint = "the flow begins with step 1"
	}
	return &casemate.Error{Code: casemate.Conflict, Field: "flow " + s.Name, Rule: "flow " + s.Name, Hint: hint,
		Message: fmt.Sprintf("this is step %d of %d, and the flow stands at %d", s.Step, s.Steps, stands)}
}
