package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/lambda"
)

// TestEventsContinueTheirChain: an event has messages of one depth alone, and is where the run that sent them left it.
func TestEventsContinueTheirChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fifo := range []bool{false, true} {
			s := newShelf()
			for i, depth := range []int{2, 0, 2, 5} {
				m := Message{Record: lambda.SQSRecord{MessageID: fmt.Sprint(i), ReceiptHandle: fmt.Sprint(i), Body: "x"}, Group: "g"}
				if depth > 0 {
					m.Lineage = &casemate.Lineage{Chain: "c", Parent: fmt.Sprint("send", i), Depth: depth, Spent: 7}
				}
				s.list = append(s.list, m)
			}
			s.put()
			var mu sync.Mutex
			var got []string
			f, err := New(Config{Place: casemate.DefaultPlace, May: func(*casemate.Mapping, string) error { return nil },
				Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprint(e.Chain, e.Parent, e.Depth, int64(e.Spent)))
					return &casemate.Result{}, nil
				},
				Open: func(string) (Source, error) { return Source{s, fifo, 30 * time.Second}, nil },
				Dead: func(context.Context, *casemate.Mapping, *Message, error) error { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			f.Set([]*casemate.Mapping{{ID: "id", App: "a", Function: "f", Source: casemate.DefaultPlace.QueueARN("jobs"), Batch: 10}})
			synctest.Wait()
			f.Stop()
			want := []string{"0 0", "csend02 7", "csend35 7"}
			if fifo {
				want = []string{"csend02 7", "0 0", "csend22 7", "csend35 7"}
			}
			if !slices.Equal(got, want) || s.gone() != "0 1 2 3" {
				t.Errorf("fifo %v: %q, gone %s", fifo, got, s.gone())
			}
		}
	})
}

// TestLoopsArePutAside: what is refused for its chain does not come again, and takes nothing with it that is none of it.
func TestLoopsArePutAside(t *testing.T) {
	for name, refusal := range map[string]*casemate.Error{
		"too deep":      {Code: casemate.Forbidden, AWS: "RecursiveInvocationException", Message: "functions call each other in a loop"},
		"nothing spent": {Code: casemate.Exhausted, Rule: "budget chain per chain, c", Message: "this causal chain has spent what one may"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf("bad", "good")
			s.grave = true
			f, _ := at(t, s, false, casemate.Mapping{Batch: 10}, func(ids []string) (*casemate.Result, error) {
				if slices.Contains(ids, "bad") {
					return nil, refusal
				}
				return said(), nil
			})
			synctest.Wait()
			f.Stop()
			if len(s.buried) != 1 || s.gone() != "good" || len(s.released) != 0 {
				t.Errorf("%s: buried %q, gone %s, released %q", name, s.buried, s.gone(), s.released)
			}
		})
	}
}
