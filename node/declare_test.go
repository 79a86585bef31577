package node

import (
	"errors"
	"testing"

	"casemate"
	"casemate/deploy"
	"casemate/queue"
)

// TestQueuesThatCannotBeMadeAreRefused: before an app comes into force; and what fails after that is told to who deployed it.
func TestQueuesThatCannotBeMadeAreRefused(t *testing.T) {
	n, _ := queueNode(t)
	if _, err := n.queues.Create(t.Context(), "theirs", queue.Defaults(), nil, "other"); err != nil {
		t.Fatal(err)
	}
	fifo := queue.Defaults()
	fifo.FIFO = true
	for name, code := range map[string]casemate.Code{"theirs": casemate.Conflict, "a b": casemate.Invalid} {
		if err := n.declarable("shop", map[string]*casemate.Queue{"good": {}, name: {}}); casemate.CodeOf(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.queues.Declarable("shop", map[string]queue.Spec{"jobs": fifo}); casemate.CodeOf(err) == 0 && err == nil {
		t.Error("a queue of the other kind was taken")
	}
	if err := n.declarable("shop", map[string]*casemate.Queue{"jobs": {}, "fresh": {}, "fresh.fifo": {}}); err != nil {
		t.Error(err)
	}
	out := &deploy.Outcome{}
	n.undeclared.set("shop", errors.New("disk full"))
	if got, err := n.made("shop", out, nil); got != nil || casemate.CodeOf(err) != casemate.Unavailable || casemate.AsError(err).Retry == 0 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := n.made("other", out, nil); got != out || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	n.undeclared.set("shop", nil)
	if got, err := n.made("shop", out, nil); got != out || err != nil || len(n.undeclared.names()) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestFoundQueues: what an app declared once it may declare again; what CreateQueue made, and what another app left, was there before.
func TestFoundQueues(t *testing.T) {
	n, _ := queueNode(t)
	for _, app := range []string{"shop", "other"} {
		name := app + "s"
		for _, specs := range []map[string]queue.Spec{{name: queue.Defaults()}, nil} {
			if err := n.queues.Declare(t.Context(), app, specs); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]bool{"jobs": true, "others": true, "shops": false, "nowhere": false} {
		if got := n.queues.Found("shop", name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
