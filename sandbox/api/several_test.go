package api

import (
	"net/http"
	"runtime"
	"strconv"
	"testing"

	"casemate/lambda"
)

// worker asks for an event as one of several pollers, and tells which it got.
func (f *fakeRuntime) worker(got chan<- string) {
	res, err := f.srv.Client().Get(f.srv.URL + nextPath)
	if err != nil {
		got <- err.Error()
		return
	}
	res.Body.Close()
	got <- res.Header.Get(lambda.HeaderRequestID)
}

// Lambda checklist: 100
func TestSeveralWorkersGetDistinctEvents(t *testing.T) {
	f := newFakeRuntime(t)
	f.api.Several(3)
	got := make(chan string)
	for range 3 {
		go f.worker(got)
	}
	<-f.api.Ready()
	of := map[string]*Invocation{}
	for i := range 3 {
		id := "event-" + strconv.Itoa(i)
		of[id] = f.offer(id, `{}`)
	}
	taken := []string{<-got, <-got, <-got}
	if n := f.api.Workers(); n != 3 {
		t.Errorf("%d workers", n)
	}
	seen := map[string]bool{}
	for i := len(taken) - 1; i >= 0; i-- { // in the other order than they were taken in
		id := taken[i]
		if of[id] == nil || seen[id] {
			t.Fatalf("taken %v", taken)
		}
		seen[id] = true
		if of[id].Settled() {
			t.Errorf("%s has an answer that is another's", id)
		}
		f.want("POST", invoke+id+"/response", `"`+id+`"`, http.StatusAccepted, okBody)
		if res := of[id].Result(); string(res.Payload) != `"`+id+`"` {
			t.Errorf("%s: %s", id, res.Payload)
		}
	}
	back := f.api.Back()
	for i := range 3 {
		select {
		case <-back:
			t.Fatal("all were back before they had asked")
		default:
		}
		go f.worker(got)
		f.asking(i + 1)
	}
	<-back
	if s := f.signals(); s != "" {
		t.Errorf("signals %q", s)
	}
	f.api.Close()
	for range 3 {
		<-got
	}
}

// asking waits until n workers ask.
func (f *fakeRuntime) asking(n int) {
	for ; ; runtime.Gosched() {
		f.api.mu.Lock()
		polling := f.api.several.polling
		f.api.mu.Unlock()
		if polling >= n {
			return
		}
	}
}

// One worker must not be able to speak for an event that is over, was never taken, or has its answer.
func TestSeveralRefuseStaleAnswers(t *testing.T) {
	f := newFakeRuntime(t)
	f.api.Several(2)
	got := make(chan string)
	first := f.offer("first", `{}`)
	go f.worker(got)
	<-got
	second := f.offer("second", `{}`)
	f.want("POST", invoke+"second/response", `1`, http.StatusBadRequest, badID) // nobody was given it
	f.want("POST", invoke+"first/response", `1`, http.StatusAccepted, okBody)
	f.want("POST", invoke+"first/error", `{}`, http.StatusForbidden, transition("RuntimeResponseSentState", "InvocationErrorResponse"))
	f.api.Withdraw(first)
	f.want("POST", invoke+"first/response", `2`, http.StatusBadRequest, badID)
	go f.worker(got)
	if id := <-got; id != "second" {
		t.Fatalf("got %s", id)
	}
	f.api.Withdraw(second) // its time is over
	f.want("POST", invoke+"second/response", `2`, http.StatusBadRequest, badID)
	if second.Settled() || string(first.Result().Payload) != "1" {
		t.Errorf("second %v, first %s", second.Settled(), first.Result().Payload)
	}
	if s := f.signals(); s == "" {
		t.Error("nothing was recorded")
	}
	gone := f.offer("gone", `{}`)
	f.api.Withdraw(gone) // before anybody asked
	last := f.offer("last", `{}`)
	go f.worker(got)
	if id := <-got; id != "last" || last.Settled() {
		t.Errorf("got %s", id)
	}
}

// A runtime that asks once at a time is given one event at a time, whatever it may.
func TestSeveralCountWorkers(t *testing.T) {
	f := newFakeRuntime(t)
	f.api.Several(8)
	got := make(chan string)
	for _, id := range []string{"a", "b", "c"} {
		f.offer(id, `{}`)
		go f.worker(got)
		if s := <-got; s != id {
			t.Fatalf("got %s, want %s", s, id)
		}
		f.want("POST", invoke+id+"/response", `1`, http.StatusAccepted, okBody)
	}
	if n := f.api.Workers(); n != 1 {
		t.Errorf("%d workers", n)
	}
}
