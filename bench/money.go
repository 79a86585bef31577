package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"casemate"
	"casemate/bench/load"
	"casemate/budget"
	"casemate/internal/casetest/guests"
	"casemate/meter/price"
	"casemate/store"
)

// callers of the flood, and how much more they ask for than the budget pays for, at least.
const (
	moneyConns = 512
	moneyTimes = 10
)

// measureMoney is P9: what a flood spends over a hard budget on a real node, what a runaway loop of three functions makes of
// one event, and what holding and settling costs against serving.
func measureMoney(ctx context.Context, o options) ([]Line, error) {
	spent, limit, run, err := floodNode(ctx, o)
	if err != nil {
		return nil, err
	}
	over := max(spent-limit, 0)
	asked := run.Requests
	for _, n := range run.Statuses {
		asked += n
	}
	hold, runs, err := inProcess(ctx)
	if err != nil {
		return nil, err
	}
	served := run.PerRequest() * float64(run.Requests) / float64(max(asked, 1))
	ratio := float64(hold.Nanoseconds()) / 1e3 / max(served, 1)
	return []Line{
		{ID: "P9", What: "spent over a hard budget, 512 callers asking for more than ten times of it", Figure: over.Float(), Unit: "USD", Bar: "= 0", Reached: over == 0 && spent == limit && asked >= moneyTimes*run.Requests,
			Detail: fmt.Sprintf("%s of %s spent; %d served, %d asked", spent, limit, run.Requests, asked)},
		{ID: "P9", What: "runs that one event becomes in a runaway loop of three functions, fan-out 2", Figure: float64(runs), Unit: "runs", Bar: "<= 5", Reached: runs <= 5, Detail: "the chain's budget pays for 5; without one 2^17"},
		{ID: "P9", What: "hold and settle under four budgets over the CPU of one event of that flood", Figure: ratio, Unit: "ratio", Bar: "<= 0.10", Reached: ratio <= 0.1,
			Detail: fmt.Sprintf("%s against %.1f us, refusals among them", hold, served)},
	}, nil
}

// floodNode floods a node whose app may spend what 200 runs cost.
func floodNode(ctx context.Context, o options) (spent, limit casemate.Money, run load.Run, err error) {
	dir, err := os.MkdirTemp("", "cm-bench-")
	if err != nil {
		return 0, 0, run, err
	}
	defer os.RemoveAll(dir)
	err = writeApp(dir, map[string][]byte{"casemate.yaml": []byte(manifest("    runtime: wasm\n    code: hello.wasm\n    memory: 16MB") + "budgets:\n  - {for: app, amount: \"2.00\", per: total}\n"),
		"hello.wasm": guests.Say(hello, 1), "contract.json": []byte(contract)})
	if err != nil {
		return 0, 0, run, err
	}
	o.prices = filepath.Join(dir, "prices.yaml")
	if err := os.WriteFile(o.prices, []byte("currency: USD\nrequests: {price: \"0.01\"}\n"), 0o600); err != nil {
		return 0, 0, run, err
	}
	n, err := startNode(ctx, o, dir, "caller")
	if err != nil {
		return 0, 0, run, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	bin, err := filepath.Abs(o.casemate)
	if err != nil {
		return 0, 0, run, err
	}
	list := func() (b budget.Status, err error) {
		out, err := exec.CommandContext(ctx, bin, "--dir", n.dir, "--json", "budget", "list").Output()
		var all []budget.Status
		if err = errors.Join(err, json.Unmarshal(out, &all)); err != nil || len(all) == 0 {
			return b, errors.Join(err, errors.New("there is no budget"))
		}
		return all[0], nil
	}
	t := load.Target{Addr: n.addr, Request: request(n), Status: 200, PID: n.cmd.Process.Pid}
	if run, err = load.Drive(ctx, t, moneyConns, 3*time.Second, true); err != nil {
		return 0, 0, run, err
	}
	b, err := list()
	return b.Spent, b.Amount, run, err
}

// inProcess measures the purse alone: nanoseconds of one event under four budgets, and the runs of a runaway loop.
func inProcess(ctx context.Context) (each time.Duration, runs int, err error) {
	book, err := price.Default()
	if err != nil {
		return 0, 0, err
	}
	read := func(context.Context, uint64, func(uint64, *casemate.Record) error) error { return nil }
	p, err := budget.Open(ctx, budget.Config{Store: store.Memory(time.Now), Read: read, Last: func() uint64 { return 0 }, Book: book, Outside: func(*casemate.Version) bool { return false }})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, what := range []string{"node", "app/shop", "function/price", "caller/*"} {
		if err := p.Set(ctx, casemate.Budget{For: what, Per: "month", Amount: 1 << 60}); err != nil {
			return 0, 0, err
		}
	}
	v := &casemate.Version{ID: "v", App: "shop", Function: "price", Runtime: "wasm", Limits: casemate.Limits{MemoryMB: 128, Timeout: time.Second, Response: 1 << 10}}
	now := time.Now()
	s := casemate.Spend{Event: "e", Chain: "e", Root: true, Opened: now, App: "shop", Function: "price", Principal: "key/a", Version: v}
	one := func(s *casemate.Spend, seq uint64, below func()) error {
		h, err := p.Hold(ctx, now, s)
		if err != nil {
			return err
		}
		if below != nil {
			below()
		}
		r := casemate.Record{ID: s.Event, Chain: s.Chain, Opened: now, App: s.App, Function: s.Function, Principal: s.Principal, Held: h.Amount, Usage: casemate.Usage{Wall: 2 * time.Second, MemoryMB: 128}}
		r.Cost, _ = p.Settle(ctx, now, h, &r, true)
		p.Count(seq, &r)
		return nil
	}
	const times = 200_000
	start := time.Now()
	for i := range times {
		if err := one(&s, uint64(i+1), nil); err != nil {
			return 0, 0, err
		}
	}
	each = time.Since(start) / times
	worst, err := book.Worst(v.Limits, 1, false)
	if err == nil {
		err = p.Set(ctx, casemate.Budget{For: "chain", Per: "chain", Amount: 5 * worst})
	}
	if err != nil {
		return 0, 0, err
	}
	seq := uint64(times)
	var call func(depth int)
	call = func(depth int) {
		x := s
		seq++
		x.Event, x.Depth, x.Root = fmt.Sprint("c", seq), depth, depth == 0
		if err := one(&x, seq, func() { runs++; call(depth + 1); call(depth + 1) }); err != nil {
			seq--
		}
	}
	call(0)
	return each, runs, nil
}
