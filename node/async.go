package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"casemate"
	"casemate/gate"
	"casemate/store"
)

// asyncQueue is the store's queue as the gate wants it.
type asyncQueue struct{ store.Queue }

// Next implements gate.Queue.
func (q asyncQueue) Next(ctx context.Context) (*gate.Delivery, error) {
	d, err := q.Queue.Next(ctx)
	if err != nil {
		return nil, err
	}
	return &gate.Delivery{ID: d.ID, Data: d.Data, Attempt: d.Attempt, Done: d.Done, Retry: d.Retry}, nil
}

// deadLetters lists events that will not be tried again. A second death of the same event replaces the first.
type deadLetters struct {
	kv     store.KV
	resend func(ctx context.Context, event json.RawMessage) (mine bool, err error) // of messages, back into their queue; nil: there are none
}

func (d deadLetters) put(ctx context.Context, l gate.DeadLetter) error {
	data, err := json.Marshal(&l)
	if err != nil {
		return fmt.Errorf("encoding a dead letter: %w", err)
	}
	_, err = d.kv.Put(ctx, l.ID, data, store.AnyRevision)
	return err
}

func (d deadLetters) list(ctx context.Context) ([]gate.DeadLetter, error) {
	entries, err := d.kv.List(ctx, "")
	if err != nil {
		return nil, err
	}
	all := make([]gate.DeadLetter, 0, len(entries))
	for _, e := range entries {
		var l gate.DeadLetter
		if err := json.Unmarshal(e.Value, &l); err != nil {
			return nil, fmt.Errorf("reading dead letter %s: %w", e.Key, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// replay puts a dead event back: queued first, then off the list, so that a crash between the two loses nothing.
func (d deadLetters) replay(ctx context.Context, q store.Queue, id string) error {
	e, err := d.kv.Get(ctx, id)
	if err != nil {
		return missing(err, id)
	}
	var l gate.DeadLetter
	if err := json.Unmarshal(e.Value, &l); err != nil {
		return fmt.Errorf("reading dead letter %s: %w", id, err)
	}
	if len(l.Event) == 0 {
		return casemate.Errorf(casemate.Invalid, "drop it", "the event of %s was damaged and cannot run", id)
	}
	if d.resend != nil {
		if mine, err := d.resend(ctx, l.Event); mine {
			if err != nil {
				return err
			}
			return d.kv.Delete(ctx, id, e.Revision)
		}
	}
	event, err := gate.Again(l.Event, time.Now())
	if err != nil {
		return err
	}
	// A name of its own: the queue drops a name that it has seen lately.
	if err := q.Put(ctx, id+"~"+strconv.FormatInt(time.Now().UnixNano(), 36), event); err != nil {
		return err
	}
	return d.kv.Delete(ctx, id, e.Revision)
}

func missing(err error, id string) error {
	if casemate.CodeOf(err) == casemate.NotFound {
		return casemate.Errorf(casemate.NotFound, "casemate async dead lists them", "no dead letter %s", id)
	}
	return err
}

// AsyncState is what `casemate async` shows.
type AsyncState struct {
	Queued uint64            `json:"queued"`
	Oldest time.Time         `json:"oldest,omitzero"`
	Dead   []gate.DeadLetter `json:"dead"`
}

func asyncBuiltins(q store.Queue, kv store.KV, resend func(context.Context, json.RawMessage) (bool, error)) map[string]builtin {
	dead := deadLetters{kv, resend}
	return map[string]builtin{
		"async.list": question("casemate:ListQueue", "queue", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			s, err := AsyncState{}, error(nil)
			if s.Queued, s.Oldest, err = q.Depth(ctx); err != nil {
				return nil, err
			}
			s.Dead, err = dead.list(ctx)
			return s, err
		}),
		"async.replay": question("casemate:ReplayEvent", "queue", func(ctx context.Context, _ *casemate.Launch, in IDQuestion) (any, error) {
			return in, dead.replay(ctx, q, in.ID)
		}),
		"async.drop": question("casemate:DropEvent", "queue", func(ctx context.Context, _ *casemate.Launch, in IDQuestion) (any, error) {
			return in, missing(kv.Delete(ctx, in.ID, store.AnyRevision), in.ID)
		}),
	}
}
