package node

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"casemate"
	source "casemate/front/queue"
	"casemate/internal/casetest/sourcetest"
	"casemate/internal/casetest/storetest"
	"casemate/queue"
	"casemate/store"
)

// A queue passes the suite of sources: standard and FIFO, with a dead-letter queue and without.
// Lambda checklist: 60, 62
func TestQueuesAreSources(t *testing.T) {
	for name, c := range map[string]struct {
		suffix string
		dead   bool
		m      casemate.Mapping
	}{
		"standard": {"", true, casemate.Mapping{Batch: 10}}, "standard without a dead-letter queue": {"", false, casemate.Mapping{Batch: 5, Concurrency: 2}},
		"fifo": {".fifo", true, casemate.Mapping{Batch: 4}}, "one by one": {"", true, casemate.Mapping{Batch: 1, Partial: true}},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, sourcetest.Maker{Source: casemate.SourceQueue, Ordered: c.suffix != "", Make: func(t *testing.T, h casemate.Handler) *sourcetest.Subject {
				return queueSubject(t, h, c.suffix, c.dead, c.m)
			}})
		})
	}
}

func queueSubject(t *testing.T, h casemate.Handler, suffix string, dead bool, m casemate.Mapping) *sourcetest.Subject {
	clock := storetest.NewClock()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	room, err := queue.Open(t.Context(), queue.Config{Store: st, Place: casemate.DefaultPlace, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close(); _ = st.Close() })
	n := &node{queues: room}
	n.cfg.Place = casemate.DefaultPlace
	spec := queue.Defaults()
	spec.FIFO = suffix != ""
	spec.Visibility = time.Hour // of the test's clock: Later moves it
	var grave *queue.Queue
	if dead {
		if grave, err = room.Create(t.Context(), "dead"+suffix, spec, nil, ""); err != nil {
			t.Fatal(err)
		}
		spec.Redrive = &queue.Redrive{Target: grave.ARN, Max: 1000}
	}
	q, err := room.Create(t.Context(), "jobs"+suffix, spec, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	lost := map[string]string{}
	m.ID, m.App, m.Function, m.Source = "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "a", "f", q.ARN
	f, err := source.New(source.Config{Handler: h, Open: n.sourceOf, Place: casemate.DefaultPlace, Pause: time.Millisecond,
		May: func(*casemate.Mapping, string) error { return nil },
		Dead: func(_ context.Context, _ *casemate.Mapping, msg *source.Message, reason error) error {
			mu.Lock()
			defer mu.Unlock()
			lost[msg.Record.Body] = reason.Error()
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	f.Set([]*casemate.Mapping{&m})
	return &sourcetest.Subject{Stop: f.Stop, Later: func() { clock.Advance(61 * time.Minute) },
		Send: func(id, group string) error {
			o := queue.Outgoing{Body: id}
			if suffix != "" {
				o.Group, o.Dedup = group, id
			}
			_, errs := q.Send(context.Background(), []queue.Outgoing{o})
			return errs[0]
		},
		Items: func(payload []byte) (ids []string) {
			var e struct{ Records []struct{ Body string } }
			if err := json.Unmarshal(payload, &e); err != nil {
				t.Error(err)
			}
			for _, r := range e.Records {
				ids = append(ids, r.Body)
			}
			return ids
		},
		Left: func() int { c := q.Counts(); return c.Visible + c.InFlight + c.Delayed },
		Aside: func() map[string]string {
			mu.Lock()
			defer mu.Unlock()
			if grave != nil {
				list, _ := grave.Peek(context.Background(), 100)
				for _, x := range list {
					lost[x.Body] = x.Reason
				}
			}
			return lost
		},
		Who: func(e *casemate.Event) string {
			p := e.Credential.As
			if e.Credential.Kind != casemate.CredentialMapping || p == nil || p.Kind != casemate.KindMapping || p.Role != "mapping/"+m.ID || p.ARN != casemate.DefaultPlace.MappingARN(m.ID) {
				return "somebody else"
			}
			return ""
		}}
}
