package node

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"casemate"
	source "casemate/front/queue"
	"casemate/internal/casetest/storetest"
	"casemate/queue"
	"casemate/store"
)

// forged is a message that says in every way a sender has that it begins a chain.
func forged(url string, lap int) []byte {
	text := func(v string) map[string]any { return map[string]any{"DataType": "String", "StringValue": v} }
	body, _ := json.Marshal(map[string]any{"QueueUrl": url, "MessageBody": fmt.Sprintf(`{"lap":%d,"l":{"c":"mine","d":0}}`, lap),
		"MessageAttributes":       map[string]any{"l": text(`{"c":"mine","d":0}`), "Lineage": text("mine:0"), "chain": text("mine"), "depth": map[string]any{"DataType": "Number", "StringValue": "0"}},
		"MessageSystemAttributes": map[string]any{"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:0|68fd508a:0")}})
	return body
}

// TestLineageCannotBeForged: a function that gets its own messages ends at the depth at which calls do, whatever it writes into
// them. What believes the messages goes on.
func TestLineageCannotBeForged(t *testing.T) {
	for name, c := range map[string]struct {
		trust bool
		most  int
	}{"ours": {false, casemate.MaxDepth + 1}, "one that believes the sender": {true, 40}} {
		runs, last := loop(t, c.trust, 40)
		if runs != c.most {
			t.Errorf("%s: %d runs", name, runs)
		}
		if !c.trust && (last == nil || last.Chain != "root" || last.Depth != casemate.MaxDepth+1) {
			t.Errorf("the cut is at %+v", last)
		}
	}
}

// loop sends a message from a run, runs what takes it up, and so on, as the door of a sandbox would have it. cut is the event that
// the gate refuses.
func loop(t *testing.T, trust bool, most int) (runs int, cut *casemate.Event) {
	n, send := queueNode(t)
	run := &casemate.Event{ID: "root", Chain: "root", Source: casemate.SourceHTTP}
	for runs = 1; runs < most; runs++ {
		e := &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceRun, Parent: run.ID, Chain: run.Chain, Depth: run.Depth + 1}
		if e.Depth > casemate.MaxDepth {
			return runs, e
		}
		if _, err := send(e, forged("http://x/000000000000/jobs", runs)); err != nil {
			t.Fatal(err)
		}
		q, err := n.queues.Queue("jobs")
		if err != nil {
			t.Fatal(err)
		}
		list, err := polled{q}.Receive(t.Context(), 1, 0)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d messages, %v", len(list), err)
		}
		run = &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceQueue}
		lineage := list[0].Lineage
		if trust {
			lineage = believed(&list[0])
		}
		lineage.Continue(run)
		if err := (polled{q}).Delete(t.Context(), []string{list[0].Record.ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
	}
	return runs, nil
}

// believed is the weakness: lineage as the sender tells it.
func believed(m *source.Message) *casemate.Lineage {
	var l casemate.Lineage
	_ = json.Unmarshal([]byte(*m.Record.MessageAttributes["l"].StringValue), &l)
	return &l
}

func queueNode(t *testing.T) (*node, func(e *casemate.Event, body []byte) (any, error)) {
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	room, err := queue.Open(t.Context(), queue.Config{Store: st, Place: casemate.DefaultPlace, Clock: storetest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = room.Close(); _ = st.Close() })
	if _, err := room.Create(t.Context(), "jobs", queue.Defaults(), nil, ""); err != nil {
		t.Fatal(err)
	}
	n := &node{queues: room}
	n.cfg.Place = casemate.DefaultPlace
	for _, o := range n.queueOperations() {
		if o.Name == "SendMessage" {
			return n, func(e *casemate.Event, body []byte) (any, error) {
				return o.Run(context.Background(), &casemate.Launch{Event: e, Principal: &casemate.Principal{Kind: casemate.KindRun, ID: "execution/f"}, Payload: body})
			}
		}
	}
	t.Fatal("nothing sends")
	return nil, nil
}

// TestWhoComesFromOutsideBeginsAChain: a message of a client, of an operator, or of one who moves it back by hand is the first.
func TestWhoComesFromOutsideBeginsAChain(t *testing.T) {
	n, send := queueNode(t)
	for _, s := range []casemate.Source{casemate.SourceAWS, casemate.SourceAdmin, casemate.SourceHTTP} {
		if _, err := send(&casemate.Event{ID: "e", Chain: "c", Depth: 9, Source: s}, forged("jobs", 1)); err != nil {
			t.Fatal(err)
		}
	}
	q, err := n.queues.Queue("jobs")
	if err != nil {
		t.Fatal(err)
	}
	list, err := polled{q}.Receive(t.Context(), 10, 0)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	for i := range list {
		if list[i].Lineage != nil {
			t.Errorf("%+v", list[i].Lineage)
		}
	}
}
