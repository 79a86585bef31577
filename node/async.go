package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/gate"
	"casemate/store"
)

// asyncQueue is the store's queue as the gate wants it.
type asyncQueue struct{ store.Queue }

// Put implements gate.Queue. What an event counts for is the label of its item.
func (q asyncQueue) Put(ctx context.Context, id, function string, data []byte) error {
	if function != "" {
		id += store.LabelMark + function
	}
	return q.Queue.Put(ctx, id, data)
}

// Next implements gate.Queue.
func (q asyncQueue) Next(ctx context.Context) (*gate.Delivery, error) {
	d, err := q.Queue.Next(ctx)
	if err != nil {
		return nil, err
	}
	id, _, _ := strings.Cut(d.ID, store.LabelMark)
	return &gate.Delivery{ID: id, Data: d.Data, Attempt: d.Attempt, Done: d.Done, Retry: d.Retry}, nil
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
	function := l.Function
	if l.Destination != "" { // word of an end: nothing runs
		function = ""
	}
	if err := (asyncQueue{q}).Put(ctx, id+"~"+strconv.FormatInt(time.Now().UnixNano(), 36), function, event); err != nil {
		return err
	}
	return d.kv.Delete(ctx, id, e.Revision)
}

func missing(err error, id string) error {
	if casemate.CodeOf(err) == casemate.NotFound {
		return casemate.Errorf(casemate.NotFound, "casemate async list shows them", "no dead letter %s", id)
	}
	return err
}

// AsyncState is what `casemate async` shows.
type AsyncState struct {
	Queued    uint64            `json:"queued"`
	Oldest    time.Time         `json:"oldest,omitzero"`
	Functions []AsyncFunction   `json:"functions"` // those whose events wait; Queued counts what waits for destinations as well
	Dead      []gate.DeadLetter `json:"dead"`
}

// AsyncFunction is how much waits for a function, what runs right now included.
type AsyncFunction struct {
	Function string    `json:"function"`
	Queued   uint64    `json:"queued"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Dead     int       `json:"dead"`

	*casemate.Destinations // of its events
}

// waiting is what the store knows of each function's queue.
func waiting(ctx context.Context, q store.Queue) ([]AsyncFunction, error) {
	all, err := q.Depths(ctx)
	out := make([]AsyncFunction, 0, len(all))
	for _, d := range all {
		if d.Label != "" {
			out = append(out, AsyncFunction{Function: d.Label, Queued: d.Items, Oldest: d.Oldest})
		}
	}
	return out, err
}

// asyncState gathers what waits, what is dead, and who is told of either.
func asyncState(ctx context.Context, q store.Queue, dead deadLetters, told func(function string) *casemate.Destinations) (s AsyncState, err error) {
	if s.Queued, s.Oldest, err = q.Depth(ctx); err != nil {
		return s, err
	}
	if s.Functions, err = waiting(ctx, q); err != nil {
		return s, err
	}
	if s.Dead, err = dead.list(ctx); err != nil {
		return s, err
	}
	for i := range s.Dead {
		name := s.Dead[i].Function
		at := slices.IndexFunc(s.Functions, func(f AsyncFunction) bool { return f.Function == name })
		if at < 0 {
			at = len(s.Functions)
			s.Functions = append(s.Functions, AsyncFunction{Function: name})
		}
		s.Functions[at].Dead++
	}
	for i := range s.Functions {
		s.Functions[i].Destinations = told(s.Functions[i].Function)
	}
	return s, nil
}

func asyncBuiltins(q store.Queue, kv store.KV, resend func(context.Context, json.RawMessage) (bool, error), told func(string) *casemate.Destinations) map[string]builtin {
	dead := deadLetters{kv, resend}
	return map[string]builtin{
		"async.list": question("casemate:ListQueue", "queue", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			return asyncState(ctx, q, dead, told)
		}),
		"async.replay": question("casemate:ReplayEvent", "queue", func(ctx context.Context, _ *casemate.Launch, in IDQuestion) (any, error) {
			return in, dead.replay(ctx, q, in.ID)
		}),
		"async.drop": question("casemate:DropEvent", "queue", func(ctx context.Context, _ *casemate.Launch, in IDQuestion) (any, error) {
			return in, missing(kv.Delete(ctx, in.ID, store.AnyRevision), in.ID)
		}),
	}
}
