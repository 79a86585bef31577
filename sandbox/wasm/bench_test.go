package wasm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
	"casemate/internal/casetest/guests"
)

// goGuest builds a Go program for WASI.
func goGuest(t testing.TB, source string, args ...string) []byte {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "main.wasm")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}, args...), file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GO111MODULE=off")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building a Go guest: %v\n%s", err, b)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

const goEcho = `package main

import ("io"; "os")

func main() { io.Copy(os.Stdout, os.Stdin) }
`

// BenchmarkRun is a whole event, node and worker: fresh instance, run, answer, cleaning. cpu-us/run is the worker's part,
// node-us/run that of this process.
func BenchmarkRun(b *testing.B) {
	for _, g := range []struct {
		name   string
		module func() []byte
	}{
		{"hello", guests.Hello}, {"echo", guests.Echo}, {"reactor", func() []byte { return guests.Reactor(false) }},
		{"go", func() []byte { return goGuest(b, goEcho) }},
	} {
		b.Run(g.name, func(b *testing.B) {
			d := newBed(b, func(c *Config) { c.MaxWorkers = 1; c.Logs = nil })
			v := d.version(g.name, g.module())
			d.run(v, "{}")
			var worker time.Duration
			before, _ := cpu()
			b.ReportAllocs()
			for b.Loop() {
				worker += d.run(v, "{}").Usage.CPU
			}
			after, _ := cpu()
			b.ReportMetric(float64(worker.Microseconds())/float64(b.N), "worker-us/run")
			b.ReportMetric(float64(after-before)/1e3/float64(b.N), "node-us/run")
		})
	}
}

// cpu is the user and system time of this process in nanoseconds.
func cpu() (int64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return t.Nano(), err
}

// BenchmarkFetch is an event that makes one exchange with a door that answers at once, beside one that makes none: what
// the two processes add to going out.
func BenchmarkFetch(b *testing.B) {
	for _, c := range []struct {
		name, event string
		body        int
	}{{"none", ask("", 0), 0}, {"small", ask(request, 100), 100}, {"64 KiB", ask(request, 100), 64 << 10}, {"1 MiB", ask(request, 100), 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			e := &exit{fetch: answering(&casemate.Fetched{Status: 200, Body: make([]byte, c.body)})}
			d := newBed(b, func(cfg *Config) { cfg.MaxWorkers, cfg.Logs, cfg.Doors = 1, nil, e.doors })
			v := d.version("fetch", guests.FetchReactor(nil))
			d.run(v, c.event)
			b.ReportAllocs()
			for b.Loop() {
				d.run(v, c.event)
			}
		})
	}
}
