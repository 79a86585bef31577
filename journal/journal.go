// Package journal keeps what functions write: their lines, attributed to runs, in size-bounded segment files that the
// oldest make room in. It is no record: lines may be lost in a power cut, and a full queue drops lines, counted, rather
// than slow a function down. What must not be lost goes to the audit log.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

// Config says where lines go and how many. Dir is needed; it is made with mode 0700.
type Config struct {
	Dir      string
	Segment  int64 // bytes of one file; default 8 MiB
	Segments int   // files kept; default 16
	Log      *slog.Logger
}

// Bounds of the queue between functions and the file, and between the file and one follower.
const (
	queueLines    = 8192
	queueBytes    = 16 << 20 // of their text
	followerLines = 1024
	segmentSuffix = ".jsonl"
)

// gather is how long lines wait for company before they are written: a busy node pays one wake-up for many.
const gather = 5 * time.Millisecond

// Journal is open until Close.
type Journal struct {
	cfg     Config
	some    chan struct{} // holds a token while lines wait
	asks    chan chan view
	leaves  chan chan casemate.LogLine
	done    chan struct{}
	stop    chan struct{}
	once    sync.Once
	dropped atomic.Uint64
	failed  atomic.Bool

	mu    sync.Mutex
	lines []casemate.LogLine // waiting, at most queueLines
	bytes int                // of their text, at most queueBytes
	spare []casemate.LogLine // the other half of the pair, empty
}

// view is what a reader may read without meeting a line that also comes live.
type view struct {
	files []part
	live  chan casemate.LogLine
}

type part struct {
	name string
	size int64
}

// Open makes or goes on with the journal in cfg.Dir. The caller closes it.
func Open(cfg Config) (*Journal, error) {
	if cfg.Segment <= 0 {
		cfg.Segment = 8 << 20
	}
	if cfg.Segments <= 0 {
		cfg.Segments = 16
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	w := &writer{cfg: cfg, followers: map[chan casemate.LogLine]bool{}}
	if err := w.rotate(); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &Journal{cfg: cfg, some: make(chan struct{}, 1), asks: make(chan chan view),
		leaves: make(chan chan casemate.LogLine), done: make(chan struct{}), stop: make(chan struct{})}
	go j.run(w)
	return j, nil
}

// Write queues a line. It never blocks: a line that finds the queue full is dropped and counted.
func (j *Journal) Write(l casemate.LogLine) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) >= queueLines || j.bytes+len(l.Text) > queueBytes {
		j.dropped.Add(1)
		return
	}
	j.bytes += len(l.Text)
	if j.lines = append(j.lines, l); len(j.lines) == 1 {
		select {
		case j.some <- struct{}{}:
		default:
		}
	}
}

// Dropped counts the lines that found no room.
func (j *Journal) Dropped() uint64 { return j.dropped.Load() }

// Close writes what is queued and waits for it.
func (j *Journal) Close() error {
	j.once.Do(func() { close(j.stop) })
	<-j.done
	return nil
}

// run owns the file and the followers.
func (j *Journal) run(w *writer) {
	defer close(j.done)
	defer w.close()
	for {
		select {
		case <-j.some:
			j.pause()
			j.drain(w)
		case ask := <-j.asks:
			j.drain(w)
			ask <- w.view()
		case live := <-j.leaves:
			delete(w.followers, live)
		case <-j.stop:
			j.drain(w)
			return
		}
	}
}

// pause lets lines gather, unless the journal closes.
func (j *Journal) pause() {
	t := time.NewTimer(gather)
	defer t.Stop()
	select {
	case <-t.C:
	case <-j.stop:
	}
}

// drain takes what is queued now and writes all of it at once. A disk that is full costs lines, not runs, and is said once
// until it goes well again.
func (j *Journal) drain(w *writer) {
	j.mu.Lock()
	lines := j.lines
	j.lines, j.spare, j.bytes = j.spare[:0], nil, 0
	j.mu.Unlock()
	for i := range lines {
		w.add(lines[i])
	}
	clear(lines)
	j.mu.Lock()
	j.spare = lines
	j.mu.Unlock()
	lost, err := w.flush()
	j.dropped.Add(uint64(lost))
	if failed := err != nil; j.failed.Swap(failed) != failed && failed {
		j.cfg.Log.Error("function output is being lost", "err", err)
	}
}

// MaxLast bounds Filter.Last: so many lines are held at once.
const MaxLast = 100_000

// Filter chooses lines. Zero fields choose all.
type Filter struct {
	Function string    `json:"function,omitempty"`
	Request  string    `json:"request,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Last     int       `json:"last,omitempty"` // only the newest so many of the history, up to MaxLast; 0: all
	Follow   bool      `json:"follow,omitempty"`
}

func (f *Filter) match(l *casemate.LogLine) bool {
	return (f.Function == "" || f.Function == l.Function) && (f.Request == "" || f.Request == l.Request) && !l.At.Before(f.Since)
}

// Read hands the chosen lines to do, oldest first, and with Follow goes on with new ones until ctx ends, which is then
// no error. A follower that is too slow is told how many lines it missed, in a line of stream "platform".
func (j *Journal) Read(ctx context.Context, f Filter, do func(casemate.LogLine) error) error {
	if f.Last < 0 || f.Last > MaxLast {
		return &casemate.Error{Code: casemate.Invalid, Field: "last", Message: "out of bounds", Hint: fmt.Sprintf("0, for all, or up to %d", MaxLast)}
	}
	v, err := j.look(ctx)
	if err != nil {
		return err
	}
	defer j.leave(v.live)
	if err := history(v.files, f, do); err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	for f.Follow {
		select {
		case <-ctx.Done():
			return nil
		case <-j.done:
			return nil
		case l := <-v.live:
			if l.Stream == missed || f.match(&l) {
				if err := do(l); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (j *Journal) look(ctx context.Context) (view, error) {
	ask := make(chan view, 1)
	select {
	case j.asks <- ask:
		return <-ask, nil
	case <-j.done:
		return view{}, errors.New("the journal is closed")
	case <-ctx.Done():
		return view{}, ctx.Err()
	}
}

func (j *Journal) leave(live chan casemate.LogLine) {
	select {
	case j.leaves <- live:
	case <-j.done:
	}
}

// history reads the files of a view up to the sizes it saw.
func history(files []part, f Filter, do func(casemate.LogLine) error) error {
	var last []casemate.LogLine
	for _, p := range files {
		err := eachLine(p, func(l casemate.LogLine) error {
			if !f.match(&l) {
				return nil
			}
			if f.Last <= 0 {
				return do(l)
			}
			if last = append(last, l); len(last) >= 2*f.Last {
				last = append(last[:0], last[len(last)-f.Last:]...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, l := range last[max(0, len(last)-f.Last):] {
		if err := do(l); err != nil {
			return err
		}
	}
	return nil
}

// eachLine reads one segment; a torn last line (power cut) is passed over, and so is a segment that was retired since.
func eachLine(p part, do func(casemate.LogLine) error) error {
	file, err := os.Open(p.name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	dec := json.NewDecoder(io.LimitReader(file, p.size))
	for {
		var l casemate.LogLine
		switch err := dec.Decode(&l); {
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", filepath.Base(p.name), err)
		}
		if err := do(l); err != nil {
			return err
		}
	}
}
