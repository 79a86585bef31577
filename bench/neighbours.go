package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"casemate/bench/checks"
	"casemate/bench/flood"
	"casemate/bench/load"
	"casemate/internal/casetest/guests"
)

// The rates of P10: what the plan of both tenants allows, and what the flooder asks for.
const (
	planned     = 150
	victimRate  = 120
	tenFold     = 10
	tenantConns = 512
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

// measureChecks is the half of P3 that is about all checks together: one path with them and without, to a fresh WebAssembly
// instance; and, as an eighth, the rule set for what the contract leaves free.
func measureChecks(ctx context.Context, o options) (lines []Line, err error) {
	for _, side := range []struct{ name, what, bar string }{{"on", "seven checks", "<= 0.40"}, {"screened", "seven checks and the rule set", "-"}} {
		l, err := addedBy(ctx, o, side.name)
		if err != nil {
			return nil, err
		}
		l.What, l.Bar = "CPU that "+side.what+" add to the same path without", side.bar
		lines = append(lines, l)
	}
	return lines, nil
}

func addedBy(ctx context.Context, o options, side string) (l Line, err error) {
	var sides [2]load.Target
	for i, name := range []string{"off", side} {
		n, err := startChecks(o, name)
		if err != nil {
			return l, err
		}
		defer func() { err = errors.Join(err, n.stop()) }()
		sides[i] = load.Target{Addr: n.addr, Request: request(n), Status: 200, Body: hello, PID: n.cmd.Process.Pid}
		if _, err := load.Drive(ctx, sides[i], o.conns, o.part/2, false); err != nil { // warms it up
			return l, err
		}
	}
	c, err := load.Compare(ctx, sides[0], sides[1], o.conns, o.reps, o.part/5)
	if err != nil {
		return l, err
	}
	added := func(e float64) float64 { return 1/e - 1 }
	return Line{ID: "P3", Figure: added(c.E.Median), Min: added(c.E.Max), Max: added(c.E.Min), Unit: "ratio", Reached: added(c.E.Median) <= 0.4, Noisy: c.Noisy, Control: c.Control.Median,
		Detail: fmt.Sprintf("%.0f us of CPU a request against %.0f us, to a fresh wasm instance; on: %s", c.SubjectCPU, c.FloorCPU, checks.What)}, nil
}

// startChecks starts this program as one side of it.
func startChecks(o options, side string) (*node, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(o.casemate)
	if err != nil {
		return nil, err
	}
	n := &node{child: child{cmd: exec.Command(exe, "checks", side, bin)}}
	n.cmd.Stderr = &n.errs
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 2 {
		_ = n.cmd.Wait() // it has said why
		return nil, fmt.Errorf("the path with checks %s did not start: %s", side, n.errs.String())
	}
	n.addr, n.key = fields[0], fields[1]
	return n, nil
}

// checksServer is the process of one side.
func checksServer(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "cm-checks-")
	if err == nil && len(args) == 2 {
		err = checks.Main(ctx, checks.Path{Executable: args[1], Dir: dir, Module: guests.Say(hello, 1), Contract: []byte(contract), On: args[0] != "off", Screened: args[0] == "screened"}, os.Stdout)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
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
	strict.key = "ck_" + strings.Repeat("a", 50) // nobody's: a caller that is known counts by itself
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
