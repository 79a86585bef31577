package wasm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"casemate"
	"casemate/sandbox/wasm/wire"
)

// Door is one worker's way out. It is made when the first event of the worker asks for it, and closed after the worker.
type Door interface {
	// Begin begins an event, or with nil ends it: what it did is recorded when Begin returns.
	Begin(l *casemate.Launch)
	// Fetch makes one exchange for the event that was begun, if it may.
	Fetch(ctx context.Context, f *casemate.Fetch) (*casemate.Fetched, error)
	// Close returns when nothing of the door runs any more.
	Close()
}

var (
	errRequest = fmt.Errorf("%w: a request of no event, or behind another", wire.ErrFrame)
	errNoDoor  = casemate.Errorf(casemate.Forbidden, "", "nothing leads out of this worker")
)

// maxEffects of one event; more are counted, and the count is the last effect.
const maxEffects = 256

// outside is what the events of one worker do outside. An event that asks for nothing costs nothing.
type outside struct {
	door Door
	of   *report     // of the event that the door is open for
	away atomic.Bool // an event waits for its response

	mu      sync.Mutex
	effects []casemate.Effect
	dropped casemate.Unlisted
	refused int // in all
}

// begin opens the door for an event, unless it is.
func (o *outside) begin(f *function, r *report) (Door, error) {
	if f.pool.cfg.Doors == nil {
		return nil, errNoDoor
	}
	if o.door == nil {
		door, err := f.pool.cfg.Doors(f.version, o.record)
		if err != nil {
			return nil, fmt.Errorf("making the door: %w", err)
		}
		if door == nil {
			return nil, errors.New("making the door: there is none")
		}
		o.door = door
	}
	if o.of == nil {
		o.of = r
		o.door.Begin(r.launch)
	}
	return o.door, nil
}

// end closes the door behind an event, which gets its effects.
func (o *outside) end() {
	if o.of == nil {
		return
	}
	r := o.of
	o.door.Begin(nil)
	o.of = nil
	o.mu.Lock()
	defer o.mu.Unlock()
	r.effects = o.dropped.On(o.effects, r.pool.cfg.Clock())
	o.effects, o.dropped = nil, casemate.Unlisted{}
}

func (o *outside) close() {
	o.end()
	if o.door != nil {
		o.door.Close()
	}
}

// record keeps an effect of the event that the door is open for. What is refused again and again is one effect.
func (o *outside) record(e casemate.Effect) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Verdict == casemate.Denied {
		o.refused += max(e.Count, 1)
		for i := range o.effects {
			if k := &o.effects[i]; k.Verdict == e.Verdict && k.Kind == e.Kind && k.Target == e.Target && k.Reason == e.Reason {
				k.Count = max(k.Count, 1) + max(e.Count, 1)
				return
			}
		}
	}
	if len(o.effects) >= maxEffects {
		o.dropped.Add(e)
		return
	}
	o.effects = append(o.effects, e)
}

func (o *outside) refusals() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}
