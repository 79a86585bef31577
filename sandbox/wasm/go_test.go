package wasm

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"casemate"
)

const goProbe = `package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	in, _ := io.ReadAll(os.Stdin)
	if string(in) == "panic" {
		panic("a secret of the function")
	}
	if string(in) == "grow" {
		var keep [][]byte
		for {
			keep = append(keep, make([]byte, 1<<20))
		}
	}
	_, open := os.ReadFile("/etc/passwd")
	_, list := os.ReadDir("/")
	_, dial := net.Dial("tcp", "127.0.0.1:80")
	began := time.Now()
	time.Sleep(2 * time.Millisecond)
	fmt.Fprintln(os.Stderr, "working")
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"in": string(in), "args": len(os.Args), "env": os.Environ(), "year": time.Now().Year(),
		"slept": time.Since(began) >= 2*time.Millisecond,
		"open": open != nil, "list": list != nil, "dial": dial != nil,
	})
}
`

func builtBare(t testing.TB) func(*Config) {
	executable := staticWorker(t)
	return func(c *Config) {
		c.Start = func(_ context.Context, s *Spec) (*Started, error) { return startBareOf(executable, s) }
	}
}

func TestGoGuest(t *testing.T) {
	b := newBed(t, builtBare(t))
	v := b.version("probe", goGuest(t, goProbe))
	v.Env = map[string]string{"STAGE": "test", "EMPTY": ""}
	r := b.run(v, "hello")
	var got struct {
		In                      string
		Args, Year              int
		Env                     []string
		Slept, Open, List, Dial bool
	}
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatalf("%v: %s %s %s", err, r.Payload, r.Detail, r.Tail)
	}
	if got.In != "hello" || got.Args != 0 || len(got.Env) != 2 || !strings.Contains(strings.Join(got.Env, ","), "STAGE=test") {
		t.Errorf("%+v", got)
	}
	if got.Year < 2025 || !got.Slept {
		t.Errorf("clocks: %+v", got)
	}
	if !got.Open || !got.List || !got.Dial {
		t.Errorf("the guest reached outside: %+v", got)
	}
	if b.logs.text("stderr") != "working\n" {
		t.Errorf("log %q", b.logs.text("stderr"))
	}
	if r = b.run(v, "panic"); r.Failure != casemate.FailureExit || strings.Contains(string(r.Payload), "secret") ||
		!strings.Contains(string(r.Tail), "a secret of the function") {
		t.Errorf("panic: %s %s", r.Payload, r.Tail)
	}
	if r = b.run(v, "grow"); r.Failure != casemate.FailureMemory || r.Usage.PeakBytes > 128<<20 {
		t.Errorf("grow: %s %+v", r.Payload, r.Usage)
	}
	if r = b.run(v, "again"); r.Failure != "" {
		t.Errorf("after the failures: %s", r.Detail)
	}
}

const goReactor = `package main

import (
	"bytes"
	"unsafe"
)

var event, result []byte

//go:wasmexport casemate_alloc
func alloc(n uint32) uint32 {
	event = make([]byte, n+1)
	return uint32(uintptr(unsafe.Pointer(&event[0])))
}

//go:wasmexport casemate_handle
func handle(at, n uint32) uint64 {
	result = append(bytes.ToUpper(event[:n]), '!')
	return uint64(uintptr(unsafe.Pointer(&result[0])))<<32 | uint64(len(result))
}

func main() {}
`

func TestGoReactor(t *testing.T) {
	b := newBed(t, builtBare(t))
	v := b.version("reactor", goGuest(t, goReactor, "-buildmode=c-shared"))
	for range 3 {
		if r := b.run(v, "hello"); string(r.Payload) != "HELLO!" {
			t.Fatalf("%s %s %s %s", r.Payload, r.Failure, r.Detail, r.Tail)
		}
	}
}
