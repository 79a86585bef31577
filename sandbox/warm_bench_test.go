package sandbox

import (
	"context"
	"syscall"
	"testing"
	"time"

	"casemate"
)

// BenchmarkWarmInvoke is a warm run of a Go function: wall time, and the node's own CPU without the function's.
func BenchmarkWarmInvoke(b *testing.B) {
	for _, c := range []struct {
		name   string
		freeze time.Duration
	}{{"busy", time.Hour}, {"frozen", time.Nanosecond}} {
		b.Run(c.name, func(b *testing.B) { warmInvoke(b, c.freeze) })
	}
}

func warmInvoke(b *testing.B, freeze time.Duration) {
	dir := b.TempDir()
	bin := goBootstrap(b, goFunction)
	writeExecutable(b, dir+"/bootstrap", bin)
	p, err := New(Config{Dir: b.TempDir(), Interpreters: Interpreters{}, AllowWeak: true, FreezeAfter: freeze,
		Code: func(context.Context, *casemate.Version) (string, func(), error) { return dir, func() {}, nil }})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close(context.Background())
	v := &casemate.Version{ID: "v", Function: "fn", Runtime: "provided.al2023", Isolation: casemate.IsolationWarm}
	run := func() {
		res, err := p.Run(b.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{"Do":"x"}`)})
		if err != nil || res.Failure != "" {
			b.Fatal(err, res)
		}
	}
	run()
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run()
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N)/1e3, "node-cpu-us/op")
}
