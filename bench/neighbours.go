package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"casemate/bench/flood"
	"casemate/bench/load"
	"casemate/internal/casetest/guests"
)

// The rates of P10: what the plan of both tenants allows, and what the flooder asks for.
const (
	planned     = 150
	victimRate  = 120
	tenFold  = 10
	tenantConns  = 512
	victimConns = 16
	rejectConns = 256 // of the cost of a rejection: a refused connection is left alone for a moment
	noisyP99    = 1.5 // the victim's p99 alone against itself: beyond this a ratio of p99s says nothing
)

// neighbours starts the node of P10, with the app of P1 and a plan; the flooder's key is beside the victim's.
func neighbours(ctx context.Context, o options, dir string) (*node, string, error) {
	text := manifest("    runtime: wasm\n    code: hello.wasm\n    memory: 16MB") + fmt.Sprintf("plans:\n  tenant: {rate: %d/s burst %d, day: 100000000}\n", planned, planned)
	if err := writeApp(dir, map[string][]byte{"casemate.yaml": []byte(strings.Replace(text, "  caller:\n", "  caller:\n    plan: tenant\n", 1)),
		"hello.wasm": guests.Say(hello, 1), "contract.json": []byte(contract)}); err != nil {
		return nil, "", err
	}
	n, err := startNode(ctx, o, dir, "caller")
	if err != nil {
		return nil, "", err
	}
	out, err := exec.CommandContext(ctx, o.casemate, "--dir", n.dir, "keys", "create", "--role", "caller").Output()
	if err != nil {
		return nil, "", errors.Join(err, n.stop())
	}
	return n, strings.TrimSpace(string(out)), nil
}

// measureNeighbours is P10: a victim and a flooder that have the same plan, from two addresses.
func measureNeighbours(ctx context.Context, o options) (lines []Line, err error) {
	dir, err := os.MkdirTemp("", "cm-flood-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	n, other, err := neighbours(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	stream := func(from, key string, rate, conns int) flood.Stream {
		with := *n
		with.key = key
		return flood.Stream{Addr: n.addr, From: from, Request: request(&with), Status: 200, Body: hello, Rate: rate, Conns: conns}
	}
	r, err := flood.Measure(ctx, n.cmd.Process.Pid, stream("127.0.0.1", n.key, victimRate, victimConns), stream("127.0.0.2", other, tenFold*planned, tenantConns), o.reps, o.part*2/3)
	if err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("victim %d/s on %d connections, flood open loop %d/s on %d, plans of %d/s; last part: flood served %d, refused %d", victimRate, victimConns, tenFold*planned, tenantConns, planned, r.Served, r.Refused)
	noisy := r.Control > noisyP99 || r.Control < 1/noisyP99
	lines = []Line{
		{ID: "P10", What: "victim's goodput beside a flood over without", Figure: r.Goodput.Median, Min: r.Goodput.Min, Max: r.Goodput.Max, Unit: "ratio", Bar: ">= 0.90", Reached: r.Goodput.Median >= 0.9, Control: r.Control, Detail: detail},
		{ID: "P10", What: "victim's p99 beside a flood over without", Figure: r.P99.Median, Min: r.P99.Min, Max: r.P99.Max, Unit: "ratio", Bar: "<= 2.00", Reached: r.P99.Median <= 2, Noisy: noisy, Control: r.Control,
			Detail: fmt.Sprintf("%s against %s", r.Beside.Round(10*time.Microsecond), r.Alone.Round(10*time.Microsecond))},
		{ID: "P10", What: "resident memory the node grew by under the flood", Figure: float64(r.Grown) / (1 << 20), Unit: "MiB", Bar: "<= 64", Reached: r.Grown <= 64<<20, Control: r.Control, Detail: "the whole of the node's own process"},
	}
	rejected, err := rejections(ctx, o, n, other)
	return append(lines, rejected...), err
}

// rejections is what refusing one request costs, over the floor's whole answer to one: of a plan that is used up, and of a
// source that is beyond its rate.
func rejections(ctx context.Context, o options, n *node, key string) (lines []Line, err error) {
	floor, err := startFloor()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	with := *n
	with.key = key
	f := load.Target{Addr: floor.addr, Request: fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", floor.addr, len(body), body), Status: 200, Body: hello, PID: floor.cmd.Process.Pid}
	s := load.Target{Addr: n.addr, Request: request(&with), Status: 429, PID: n.cmd.Process.Pid}
	spent, err := costs(ctx, o, f, s)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "cm-source-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeApp(dir, map[string][]byte{"casemate.yaml": []byte(manifest("    runtime: wasm\n    code: hello.wasm\n    memory: 16MB")), "hello.wasm": guests.Say(hello, 1), "contract.json": []byte(contract)}); err != nil {
		return nil, err
	}
	o.rate = "10/s burst 10"
	strict, err := startNode(ctx, o, dir, "caller")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, strict.stop()) }()
	s.Addr, s.PID, s.Request = strict.addr, strict.cmd.Process.Pid, request(strict)
	source, err := costs(ctx, o, f, s)
	if err != nil {
		return nil, err
	}
	line := func(what string, c load.Figure) Line {
		return Line{ID: "P10", What: "CPU of one rejection over the floor's answer, " + what, Figure: c.Ratio, Min: c.Min, Max: c.Max, Unit: "ratio", Bar: "<= 0.35", Reached: c.Ratio <= 0.35, Noisy: c.Noisy, Control: c.Control,
			Detail: fmt.Sprintf("%.1f us against %.1f us, closed loop, %d connections", c.Subject, c.Floor, rejectConns)}
	}
	return []Line{line("source beyond its rate", source), line("plan used up", spent)}, nil
}

// costs is the CPU of one of the subject's answers over one of the floor's, in the order floor, subject, subject, floor.
func costs(ctx context.Context, o options, floor, subject load.Target) (load.Figure, error) {
	var reps [][4]float64
	for range o.reps {
		var rep [4]float64
		for i, t := range []load.Target{floor, subject, subject, floor} {
			run, err := load.Drive(ctx, t, rejectConns, o.part/3, t.Status == 429) // a few of the subject's are let in
			if err != nil {
				return load.Figure{}, err
			}
			rep[i] = run.PerRequest()
		}
		reps = append(reps, rep)
	}
	return load.ABBA(reps), nil
}
