package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"casemate/bench/load"
	"casemate/internal/casetest/guests"
)

// hello is what the floor and the functions of these figures answer.
const hello = `{"message":"hello"}`

// body is what they are sent: 90 bytes that the contract describes.
const body = `{"customer":"Ada Lovelace","items":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1}]}`

const contract = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["customer","items"],
"properties":{"customer":{"type":"string","maxLength":80},"items":{"type":"array","maxItems":50,"items":{"type":"object",
"required":["sku","quantity"],"properties":{"sku":{"type":"string","pattern":"^[a-z]+$"},"quantity":{"type":"integer","minimum":1}}}}}}`

const stages = "key, 100 policies, source+caller+function rate, concurrency, JSON Schema, audit (written), meter: all on"

// manifest is an app of one function behind one route, among a hundred roles.
func manifest(function string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `app: bench
functions:
  hello:
%s
    concurrency: 1000
    rate: 1000000/s burst 1000000
routes:
  POST /hello:
    function: hello
    auth: [key]
    rate: 1000000/s burst 1000000
    contract: {file: contract.json}
roles:
  caller:
    grants: [call POST /hello]
`, function)
	for i := range 99 {
		fmt.Fprintf(&b, "  role%d:\n    grants: [call POST /hello, \"read table/t%d\"]\n", i, i)
	}
	return b.String()
}

func request(n *node) []byte {
	return fmt.Appendf(nil, "POST /hello HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n.addr, n.key, len(body), body)
}

// compare measures one app against the floor.
func compare(ctx context.Context, o options, files map[string][]byte) (c load.Comparison, err error) {
	dir, err := os.MkdirTemp("", "cm-bench-")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	if err := writeApp(dir, files); err != nil {
		return c, err
	}
	floor, err := startFloor()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	n, err := startNode(ctx, o, dir, "caller")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	to := func(ch *child, request []byte) load.Target {
		return load.Target{Addr: ch.addr, Request: request, Status: 200, Body: hello, PID: ch.cmd.Process.Pid}
	}
	plain := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", floor.addr, len(body), body)
	f, s := to(floor, plain), to(&n.child, request(n))
	for _, t := range []load.Target{f, s} { // warm both up
		if _, err := load.Drive(ctx, t, o.conns, time.Second, false); err != nil {
			return c, err
		}
	}
	return load.Compare(ctx, f, s, o.conns, o.reps, o.part)
}

// measureCorridor is P1: a fresh WebAssembly instance for every request, with every check on.
func measureCorridor(ctx context.Context, o options) ([]Line, error) {
	c, err := compare(ctx, o, map[string][]byte{"casemate.yaml": []byte(manifest("    runtime: wasm\n    code: hello.wasm\n    memory: 16MB")),
		"hello.wasm": guests.Say(hello, 1), "contract.json": []byte(contract)})
	if err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("%.0f us of CPU a request, floor %.0f us; %s", c.SubjectCPU, c.FloorCPU, stages)
	return []Line{
		{ID: "P1", What: "E: floor's CPU over ours, fresh wasm a request", Figure: c.E.Median, Min: c.E.Min, Max: c.E.Max, Unit: "ratio", Bar: ">= 0.20", Reached: c.E.Median >= 0.20, Noisy: c.Noisy, Control: c.Control.Median, Detail: detail},
		{ID: "P1", What: "R: our requests a second over the floor's", Figure: c.R.Median, Min: c.R.Min, Max: c.R.Max, Unit: "ratio", Bar: "-", Noisy: c.Noisy, Control: c.Control.Median, Detail: fmt.Sprintf("closed loop, %d connections", o.conns)},
	}, nil
}

// measureWarm is P5: a warm native function on aws-lambda-go, with every check on. The platform is the node's process; the function
// is what runs in its sandbox.
func measureWarm(ctx context.Context, o options) ([]Line, error) {
	dir, err := os.MkdirTemp("", "cm-warm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bootstrap := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bootstrap, "./bench/warm")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the function: %w: %s", err, text)
	}
	code, err := os.ReadFile(bootstrap)
	if err != nil {
		return nil, err
	}
	c, err := compare(ctx, o, map[string][]byte{"casemate.yaml": []byte(manifest("    runtime: provided.al2023\n    code: fn\n    isolation: warm\n    memory: 128MB")),
		"fn/bootstrap": code, "contract.json": []byte(contract)})
	if err != nil {
		return nil, err
	}
	return []Line{{ID: "P5", What: "us of the platform's CPU a warm native invoke", Figure: c.SubjectOwn, Unit: "us", Bar: "<= 250", Reached: c.SubjectOwn <= 250, Noisy: c.Noisy, Control: c.Control.Median,
		Detail: fmt.Sprintf("with the function's own %.0f us; E %.3f (%.3f..%.3f), R %.3f, floor %.0f us; %s", c.SubjectCPU, c.E.Median, c.E.Min, c.E.Max, c.R.Median, c.FloorCPU, stages)}}, nil
}
