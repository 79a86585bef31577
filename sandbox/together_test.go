package sandbox

import (
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/internal/walls"
	"casemate/sandbox/api"
)

// severalWorkers is a runtime of its own that asks for as many events at once as it may.
const severalWorkers = `package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	here  = sync.NewCond(&mu)
	count = map[string]int{}
	base  = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
)

type event struct {
	Meet  string // wait until Of events name the same
	Of    int
	After string // wait until an event has said this
	Say   string
	Hang  bool
	Exit  int
	Burn  int
	Steal string
}

func wait(name string, n int) {
	mu.Lock()
	defer mu.Unlock()
	for count[name] < n {
		here.Wait()
	}
}

func tell(name string) {
	mu.Lock()
	defer mu.Unlock()
	count[name]++
	here.Broadcast()
}

func handle(id string, body []byte) any {
	var e event
	json.Unmarshal(body, &e)
	if e.Meet != "" {
		tell(e.Meet)
		wait(e.Meet, e.Of)
	}
	if e.Say != "" {
		line, _ := json.Marshal(map[string]string{"requestId": id, "message": e.Say})
		fmt.Printf("%s\nplain %s\n", line, e.Say)
		defer tell(e.Say)
	}
	if e.After != "" {
		wait(e.After, 1)
	}
	if e.Exit != 0 {
		os.Exit(e.Exit)
	}
	for end := time.Now().Add(time.Duration(e.Burn) * time.Millisecond); time.Now().Before(end); {
	}
	if e.Hang {
		tell("hung")
		select {}
	}
	status := 0
	if e.Steal != "" {
		if res, err := http.Post(base+e.Steal+"/response", "", bytes.NewReader([]byte("\"stolen\""))); err == nil {
			status = res.StatusCode
		}
	}
	return map[string]any{"id": id, "pid": os.Getpid(), "events": os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY"), "status": status}
}

func worker() {
	client := &http.Client{Transport: &http.Transport{}}
	for {
		res, err := client.Get(base + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		id := res.Header.Get("Lambda-Runtime-Aws-Request-Id")
		answer, _ := json.Marshal(handle(id, body))
		if res, err = client.Post(base+id+"/response", "application/json", bytes.NewReader(answer)); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
}

func main() {
	n, _ := strconv.Atoi(os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY"))
	for range max(n, 1) - 1 {
		go worker()
	}
	worker()
}
`

// several is a function whose sandbox takes n events at once.
func (b *bench) several(n int) *casemate.Version {
	v := warm(b.goFunction(severalWorkers))
	v.Managed = &casemate.Managed{AtOnce: n}
	return v
}

// awake keeps a sandbox running: one that is stopped after its first event may have workers that never asked.
func awake(c *Config) { c.FreezeAfter = time.Hour }

// sent is an event under way.
type sent struct {
	id  string
	res *casemate.Result
	err error
}

// send runs events at once and waits for all of them.
func (b *bench) send(v *casemate.Version, payloads ...string) []sent {
	all := make([]sent, len(payloads))
	var wg sync.WaitGroup
	for k, payload := range payloads {
		all[k].id = casemate.NewID()
		wg.Go(func() {
			all[k].res, all[k].err = b.pool.Run(b.t.Context(), &casemate.Launch{Version: v, RequestID: all[k].id, ARN: "arn:fn", Payload: []byte(payload)})
		})
	}
	wg.Wait()
	for _, s := range all {
		if s.err != nil {
			b.t.Fatal(s.err)
		}
	}
	return all
}

// Lambda checklist: 100
func TestItem100SeveralEventsInOneSandbox(t *testing.T) {
	b := newBench(t, awake)
	v := b.several(4)
	b.run(v, `{}`)
	b.ready(v, 4)
	all := b.send(v, `{"Meet":"all","Of":3,"Burn":30}`, `{"Meet":"all","Of":3,"After":"first"}`, `{"Meet":"all","Of":3,"Say":"first"}`)
	var cpu, borne time.Duration
	for _, s := range all {
		var out struct {
			ID, Events string
			Pid        int
		}
		if err := json.Unmarshal(s.res.Payload, &out); err != nil || out.ID != s.id || out.Events != "4" {
			t.Errorf("event %s was answered %s (%v)", s.id, s.res.Payload, err)
		}
		if s.res.Usage.Cold || s.res.Usage.Shared <= 0 || s.res.Usage.Shared >= s.res.Usage.Wall {
			t.Errorf("usage %+v", s.res.Usage)
		}
		cpu += s.res.Usage.CPU
		borne += s.res.Usage.Wall - s.res.Usage.Shared
		k := slices.IndexFunc(s.res.Effects, func(x casemate.Effect) bool { return x.Kind == casemate.EffectBeside })
		if k < 0 || s.res.Effects[k].Count != 2 || strings.Contains(s.res.Effects[k].Reason, s.id) {
			t.Errorf("effects %+v", s.res.Effects)
		}
		if tail := string(s.res.Tail); strings.Count(tail, "START RequestId: "+s.id) != 1 || strings.Count(tail, "REPORT RequestId: ") != 1 {
			t.Errorf("tail %s", tail)
		}
	}
	if cpu <= 0 || borne <= 0 {
		t.Errorf("cpu %v, time %v", cpu, borne)
	}
	if l := b.entry(`"message":"first"`); l.Request != all[2].id {
		t.Errorf("%+v", l)
	}
	if l := b.entry("plain first"); l.Request != "" {
		t.Errorf("a line that names no event is said to be one's: %+v", l)
	}
	if n := len(b.pool.Snapshot()); n != 1 {
		t.Errorf("%d sandboxes", n)
	}
}

// ready waits until the sandbox of a version is known to take n events at once.
func (b *bench) ready(v *casemate.Version, n int) {
	for ; ; runtime.Gosched() {
		b.pool.mu.Lock()
		for i := range b.pool.live {
			if i.version == v && i.api.Workers() >= n {
				b.pool.mu.Unlock()
				return
			}
		}
		b.pool.mu.Unlock()
	}
}

// inFlight waits until an event of a version is.
func (b *bench) inFlight(v *casemate.Version) {
	for ; ; runtime.Gosched() {
		b.pool.mu.Lock()
		n := len(b.pool.shared[v.ID])
		b.pool.mu.Unlock()
		if n > 0 {
			return
		}
	}
}

// A runtime that ends fails every event that it had, and a new one takes the next.
func TestSeveralFailTogether(t *testing.T) {
	b := newBench(t, awake)
	v := b.several(3)
	b.run(v, `{}`)
	b.ready(v, 3)
	for _, s := range b.send(v, `{"Meet":"all","Of":3,"Hang":true}`, `{"Meet":"all","Of":3,"Hang":true}`, `{"Meet":"all","Of":3,"Exit":3}`) {
		if s.res.Failure != casemate.FailureExit || !strings.Contains(string(s.res.Payload), "exit status 3") || !strings.Contains(string(s.res.Payload), s.id) {
			t.Errorf("%s %s", s.res.Failure, s.res.Payload)
		}
	}
	if res := b.run(v, `{}`); res.Failure != "" || !res.Usage.Cold {
		t.Errorf("%+v", res)
	}
}

// An event that passes its deadline fails alone: the others have their own time, the sandbox takes no more, and ends with them.
func TestSeveralOutliveOnesDeadline(t *testing.T) {
	b := newBench(t, awake)
	v := b.several(3)
	b.run(v, `{}`)
	b.ready(v, 3)
	late, done := make(chan *casemate.Result), make(chan *casemate.Result)
	launch := func(payload string, d time.Duration, to chan<- *casemate.Result) {
		res, err := b.pool.Run(context.Background(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), ARN: "arn:fn", Payload: []byte(payload), Deadline: time.Now().Add(d)})
		if err != nil {
			t.Error(err)
		}
		to <- res
	}
	go launch(`{"After":"free"}`, time.Minute, done)
	b.inFlight(v)
	go launch(`{"Hang":true}`, 3*time.Second, late)
	if res := <-late; res.Failure != casemate.FailureTimeout {
		t.Errorf("%s %s", res.Failure, res.Payload)
	}
	if res := b.run(v, `{}`); !res.Usage.Cold {
		t.Error("a sandbox in which an event hangs took another")
	}
	var old *instance
	b.pool.mu.Lock()
	for i := range b.pool.live {
		if i.shift.draining {
			old = i
		}
	}
	b.pool.mu.Unlock()
	if old == nil {
		t.Fatal("the sandbox of the other event is gone")
	}
	free := &casemate.Launch{RequestID: casemate.NewID(), Payload: []byte(`{"Say":"free"}`)}
	old.api.Offer(api.NewInvocation(free, time.Now().Add(time.Minute), 1<<20, "")) // the third worker is free
	res := <-done
	if res.Failure != "" || !slices.ContainsFunc(res.Effects, func(x casemate.Effect) bool { return x.Target == "late events" }) {
		t.Errorf("%s %s %+v", res.Failure, res.Payload, res.Effects)
	}
	<-old.over
}

// The function itself may take an answer for another of its events, and nothing else: not for one that is over.
func TestSeveralStaleWorker(t *testing.T) {
	b := newBench(t, awake)
	v := b.several(2)
	over := b.send(v, `{}`)[0]
	var out struct{ Status int }
	all := b.send(v, `{"Steal":"`+over.id+`"}`)
	if json.Unmarshal(all[0].res.Payload, &out); out.Status != 400 && walls.Up {
		t.Errorf("an answer to an event that was over: %d", out.Status)
	}
	if !slices.ContainsFunc(all[0].res.Effects, func(x casemate.Effect) bool { return x.Kind == "runtime-api" }) {
		t.Errorf("it was not recorded: %+v", all[0].res.Effects)
	}
}
