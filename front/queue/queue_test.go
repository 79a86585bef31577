package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/lambda"
)

// shelf is a queue in memory: what is released or deleted is noted.
type shelf struct {
	mu                        sync.Mutex
	list                      []Message
	more                      chan struct{}
	deleted, released, buried []string
	undone                    int
	grave                     bool
}

func newShelf(bodies ...string) *shelf {
	s := &shelf{more: make(chan struct{}, 1)}
	s.put(bodies...)
	return s
}

func (s *shelf) put(bodies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range bodies {
		group, _, _ := strings.Cut(b, "-")
		s.list = append(s.list, Message{Record: lambda.SQSRecord{MessageID: b, ReceiptHandle: b, Body: b}, Group: group})
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *shelf) Receive(ctx context.Context, most int, wait time.Duration) ([]Message, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if n := min(most, len(s.list)); n > 0 {
			out := slices.Clone(s.list[:n])
			s.list = s.list[n:]
			s.mu.Unlock()
			return out, nil
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *shelf) Delete(_ context.Context, handles []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, handles...)
	return nil
}

func (s *shelf) Release(_ context.Context, handles []string, _ time.Duration, undo bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = append(s.released, handles...)
	if undo {
		s.undone += len(handles)
	}
	return nil
}

func (s *shelf) Bury(_ context.Context, m *Message, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.grave {
		return casemate.Errorf(casemate.NotFound, "", "none")
	}
	s.buried = append(s.buried, m.Record.Body+": "+reason)
	return nil
}

func (s *shelf) gone() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.deleted)
	return strings.Join(s.deleted, " ")
}

// at starts a mapping of s in a bubble, and gives the events that the function got.
func at(t *testing.T, s *shelf, fifo bool, m casemate.Mapping, answer func(ids []string) (*casemate.Result, error)) (f *Front, events func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	h := func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		var x struct{ Records []struct{ MessageID string } }
		if err := json.Unmarshal(e.Payload, &x); err != nil {
			t.Error(err)
		}
		var ids []string
		for _, r := range x.Records {
			ids = append(ids, r.MessageID)
		}
		mu.Lock()
		got = append(got, strings.Join(ids, " "))
		mu.Unlock()
		if answer == nil {
			return &casemate.Result{}, nil
		}
		return answer(ids)
	}
	f, err := New(Config{Handler: h, Place: casemate.DefaultPlace, May: func(*casemate.Mapping, string) error { return nil },
		Open: func(string) (Source, error) { return Source{s, fifo, 30 * time.Second}, nil },
		Dead: func(context.Context, *casemate.Mapping, *Message, error) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	m.ID, m.App, m.Function, m.Source = "id", "a", "f", casemate.DefaultPlace.QueueARN("jobs")
	f.Set([]*casemate.Mapping{&m})
	return f, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func said(failed ...string) *casemate.Result {
	var items []string
	for _, id := range failed {
		items = append(items, fmt.Sprintf(`{"itemIdentifier":%q}`, id))
	}
	return &casemate.Result{Payload: []byte(`{"batchItemFailures":[` + strings.Join(items, ",") + `]}`)}
}

// Lambda checklist: 61
func TestWhatFailedStays(t *testing.T) {
	for name, c := range map[string]struct {
		fifo, partial bool
		result        *casemate.Result
		err           error
		deleted       string
	}{
		"all taken": {false, false, &casemate.Result{}, nil, "a-1 a-2 b-1"}, "failed": {false, false, &casemate.Result{Failure: casemate.FailureHandled}, nil, ""},
		"reported":              {false, true, said("a-1"), nil, "a-2 b-1"},
		"reported, unasked":     {false, false, said("a-1"), nil, "a-1 a-2 b-1"},
		"unknown id":            {false, true, said("zzz"), nil, ""},
		"null":                  {false, true, &casemate.Result{Payload: []byte("null")}, nil, "a-1 a-2 b-1"},
		"a group ends with it":  {true, true, said("a-1"), nil, "b-1"},
		"the last of its group": {true, true, said("a-2"), nil, "a-1 b-1"},
		"our own fault":         {false, false, nil, casemate.Errorf(casemate.Fault, "", "x"), ""},
		"may not":               {false, false, nil, casemate.Errorf(casemate.Forbidden, "", "x"), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf("a-1", "a-2", "b-1")
			f, _ := at(t, s, c.fifo, casemate.Mapping{Batch: 10, Partial: c.partial}, func([]string) (*casemate.Result, error) { return c.result, c.err })
			synctest.Wait()
			f.Stop()
			if got := s.gone(); got != c.deleted {
				t.Errorf("%s: deleted %q, want %q", name, got, c.deleted)
			}
			if casemate.CodeOf(c.err) == casemate.Forbidden && c.err != nil && s.undone != 3 {
				t.Errorf("%s: a receive that came to nothing counts", name)
			}
		})
	}
}

// Lambda checklist: 62
func TestBatchesWindowsAndConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf("1", "2", "3", "4", "5")
		f, events := at(t, s, false, casemate.Mapping{Batch: 2}, nil)
		synctest.Wait()
		f.Stop()
		got := events()
		slices.Sort(got)
		if strings.Join(got, ", ") != "1 2, 3 4, 5" {
			t.Errorf("batches %v", got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a window is waited for, and a full batch is not
		s := newShelf("1")
		f, events := at(t, s, false, casemate.Mapping{Batch: 3, Window: 5 * time.Second}, nil)
		synctest.Wait()
		if len(events()) != 0 {
			t.Error("a batch left before its window was over")
		}
		s.put("2")
		<-time.After(4 * time.Second)
		s.put("3")
		synctest.Wait()
		if got := events(); len(got) != 1 || got[0] != "1 2 3" {
			t.Errorf("full: %v", got)
		}
		s.put("4")
		<-time.After(6 * time.Second)
		synctest.Wait()
		if got := events(); len(got) != 2 || got[1] != "4" {
			t.Errorf("the window is over: %v", got)
		}
		f.Stop()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		for i := range 20 {
			s.put(fmt.Sprint(i))
		}
		var mu sync.Mutex
		busy, most := 0, 0
		f, _ := at(t, s, false, casemate.Mapping{Batch: 1, Concurrency: 3}, func([]string) (*casemate.Result, error) {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			busy--
			mu.Unlock()
			return &casemate.Result{}, nil
		})
		<-time.After(time.Minute)
		f.Stop()
		if most != 3 || len(s.deleted) != 20 {
			t.Errorf("%d at once, %d taken", most, len(s.deleted))
		}
	})
}

func TestThrottledMessagesComeBackUncounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf("1", "2")
		f, events := at(t, s, false, casemate.Mapping{Batch: 10}, func([]string) (*casemate.Result, error) {
			return nil, casemate.Errorf(casemate.Exhausted, "", "no room")
		})
		<-time.After(20 * time.Second)
		synctest.Wait()
		if n := len(events()); n < 3 || n > 20 || s.undone != 2 || len(s.deleted) != 0 {
			t.Errorf("%d tries, %d released, %v deleted", n, s.undone, s.deleted)
		}
		f.Stop()
	})
}

func TestOnlyWhatIsWantedArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(`{"kind":"order"}`, `{"kind":"other"}`, "text")
		f, events := at(t, s, false, casemate.Mapping{Batch: 10, Filters: []string{`{"body":{"kind":["order"]}}`}}, nil)
		synctest.Wait()
		if got := events(); len(got) != 1 || got[0] != `{"kind":"order"}` || len(s.deleted) != 3 {
			t.Errorf("%v, %v", got, s.deleted)
		}
		f.Stop()
	})
}

// One that is refused is found by trying each alone; a batch of 6 MB is cut before anybody refuses it.
func TestRefusedAndLargeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf("1", "bad", "3")
		s.grave = true
		f, events := at(t, s, false, casemate.Mapping{Batch: 10}, func(ids []string) (*casemate.Result, error) {
			if slices.Contains(ids, "bad") {
				return nil, casemate.Errorf(casemate.Invalid, "", "no good")
			}
			return &casemate.Result{}, nil
		})
		synctest.Wait()
		if got := strings.Join(events(), ", "); got != "1 bad 3, 1, bad, 3" || s.gone() != "1 3" || len(s.buried) != 1 || s.buried[0] != "bad: Invalid: no good" {
			t.Errorf("%s; %v; %v", got, s.deleted, s.buried)
		}
		big := strings.Repeat("x", 1<<20)
		for i := range 8 {
			s.put(fmt.Sprint(i, big))
		}
		synctest.Wait()
		n := 0
		for _, e := range events()[4:] {
			if ids := len(strings.Fields(e)); ids > 3 { // each is in its event twice and more: id, handle, body
				t.Errorf("an event of %d messages of 1 MB", ids)
			}
			n += len(strings.Fields(e))
		}
		if n != 8 {
			t.Errorf("%d of 8 arrived", n)
		}
		f.Stop()
	})
}

func TestMappingsComeGoAndChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		f, events := at(t, s, false, casemate.Mapping{Batch: 10}, nil)
		synctest.Wait()
		if st, _ := f.Status("id"); st.State != Enabled {
			t.Errorf("%+v", st)
		}
		off := &casemate.Mapping{ID: "id", App: "a", Function: "f", Source: "x", Batch: 10, Disabled: true}
		f.Set([]*casemate.Mapping{off})
		synctest.Wait()
		s.put("1")
		<-time.After(time.Minute)
		if st, _ := f.Status("id"); st.State != Disabled || len(events()) != 0 {
			t.Errorf("%+v %v", st, events())
		}
		on := *off
		on.Disabled = false
		f.Set([]*casemate.Mapping{&on})
		synctest.Wait()
		if len(events()) != 1 {
			t.Error("enabled again, and nothing came")
		}
		f.Set(nil)
		synctest.Wait()
		if _, known := f.Status("id"); known {
			t.Error("a mapping that is gone has a state")
		}
		f.Stop()
	})
}

// A function that may not receive from the queue gets nothing of it, whoever made the mapping; as soon as it may, it does.
func TestNothingIsTakenWithoutTheFunctionsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf("1")
		var mu sync.Mutex
		allowed := false
		ran := 0
		f, err := New(Config{Place: casemate.DefaultPlace,
			Handler: func(context.Context, *casemate.Event) (*casemate.Result, error) {
				ran++
				return &casemate.Result{}, nil
			},
			Open: func(string) (Source, error) { return Source{s, false, time.Minute}, nil },
			Dead: func(context.Context, *casemate.Mapping, *Message, error) error { return nil },
			May: func(_ *casemate.Mapping, action string) error {
				mu.Lock()
				defer mu.Unlock()
				if action == "sqs:DeleteMessage" && !allowed { // one of them is not enough
					return casemate.Errorf(casemate.Forbidden, "", "the role may not")
				}
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		f.Set([]*casemate.Mapping{{ID: "id", Function: "f", Source: "x", Batch: 1}})
		<-time.After(5 * time.Minute)
		st, _ := f.Status("id")
		if ran != 0 || len(s.list) != 1 || st.Result != "PROBLEM: the role may not" {
			t.Errorf("ran %d times, %d left, %+v", ran, len(s.list), st)
		}
		mu.Lock()
		allowed = true
		mu.Unlock()
		<-time.After(2 * time.Minute)
		f.Stop()
		if ran != 1 || len(s.deleted) != 1 {
			t.Errorf("allowed: ran %d times, %v", ran, s.deleted)
		}
	})
}
