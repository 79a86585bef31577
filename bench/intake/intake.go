// Package intake measures what durable intake costs: many writers whose record is fsynced before they are answered. It
// runs the store's queue beside two floors on the same disk in the same run: JetStream with sync always, one message at
// a time, and a bare append-and-fsync group commit.
package intake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/store"
)

// Rate is what one subject did: acknowledged records a second, CPU of this whole process an acknowledged record, and
// how long a writer waited.
type Rate struct {
	PerSecond float64
	CPU       time.Duration
	P50, P99  time.Duration
}

// Result is one run. Raw and JetStream are measured before and after the store, and averaged; Control is the raw floor's
// second half over its first: far from 1 the machine was too noisy for a verdict.
type Result struct {
	Writers        int
	Intake         Rate
	JetStream, Raw Rate
	OverJetStream  float64 // Intake.PerSecond over JetStream.PerSecond
	OverRaw        float64 // Intake.PerSecond over Raw.PerSecond
	Control        float64
}

const payload = 512 // bytes of one record

// Measure runs every subject in a fresh folder below dir, spending about the given seconds in all, with that many
// concurrent writers. dir should be on the disk in question; nothing stays behind.
func Measure(ctx context.Context, dir string, seconds, writers int) (Result, error) {
	if seconds < 1 || writers < 1 {
		return Result{}, fmt.Errorf("measuring intake: %d seconds with %d writers make no sense", seconds, writers)
	}
	each := time.Duration(seconds) * time.Second / 6
	var rates []Rate
	for _, subject := range []starter{startRaw, startJetStream, startStore, startStore, startJetStream, startRaw} {
		r, err := measureOne(ctx, dir, subject, each, writers)
		if err != nil {
			return Result{}, err
		}
		rates = append(rates, r)
	}
	res := Result{
		Writers: writers, Raw: mean(rates[0], rates[5]), JetStream: mean(rates[1], rates[4]), Intake: mean(rates[2], rates[3]),
		Control: rates[5].PerSecond / rates[0].PerSecond,
	}
	res.OverJetStream = res.Intake.PerSecond / res.JetStream.PerSecond
	res.OverRaw = res.Intake.PerSecond / res.Raw.PerSecond
	return res, nil
}

func mean(a, b Rate) Rate {
	return Rate{PerSecond: (a.PerSecond + b.PerSecond) / 2, CPU: (a.CPU + b.CPU) / 2, P50: (a.P50 + b.P50) / 2, P99: (a.P99 + b.P99) / 2}
}

// writer stores one record under an id and returns when it is durable.
type writer func(ctx context.Context, id string, data []byte) error

// starter opens a subject in dir.
type starter func(ctx context.Context, dir string) (write writer, stop func() error, err error)

func startStore(ctx context.Context, dir string) (writer, func() error, error) {
	n, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	q, err := n.Queue("intake")
	if err != nil {
		n.Close()
		return nil, nil, err
	}
	return q.Put, n.Close, nil
}

func measureOne(ctx context.Context, parent string, start starter, d time.Duration, writers int) (r Rate, err error) {
	dir, err := os.MkdirTemp(parent, "intake-*")
	if err != nil {
		return Rate{}, fmt.Errorf("measuring intake: %w", err)
	}
	defer os.RemoveAll(dir)
	write, stop, err := start(ctx, filepath.Join(dir, "state"))
	if err != nil {
		return Rate{}, fmt.Errorf("measuring intake: %w", err)
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()
	if r, err = drive(ctx, write, d, writers); err != nil {
		return Rate{}, fmt.Errorf("measuring intake: %w", err)
	}
	return r, nil
}

func drive(ctx context.Context, write writer, d time.Duration, writers int) (Rate, error) {
	var wg sync.WaitGroup
	var over atomic.Bool
	waits, errs := make([][]time.Duration, writers), make([]error, writers)
	begin, cpu := time.Now(), processCPU()
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	for w := range writers {
		wg.Go(func() {
			data := make([]byte, payload)
			for n := 0; !over.Load(); n++ {
				at := time.Now()
				if err := write(ctx, strconv.Itoa(w)+"-"+strconv.Itoa(n), data); err != nil {
					errs[w] = err
					over.Store(true)
					return
				}
				waits[w] = append(waits[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	took, used := time.Since(begin), processCPU()-cpu
	for _, err := range errs {
		if err != nil {
			return Rate{}, err
		}
	}
	all := slices.Concat(waits...)
	slices.Sort(all)
	n := len(all)
	return Rate{
		PerSecond: float64(n) / took.Seconds(), CPU: used / time.Duration(n), P50: all[n/2], P99: all[n*99/100],
	}, nil
}

// processCPU is user and system time of this process; in-process floors are in it as the store is.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
