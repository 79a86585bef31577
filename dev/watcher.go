package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	quiet = 40 * time.Millisecond  // without another event: the editor is done
	most  = 500 * time.Millisecond // of waiting for that
	poll  = 300 * time.Millisecond // between looks, where the kernel gives no more watches
)

// source says that something may have changed. A tick says no more: what changed, a look at the folder says.
type source interface {
	Ticks() <-chan struct{}
	Watch(folders []string) error // these, and no others
	Close() error
}

// Watcher reports changes of a folder. One goroutine uses it; Close it when done.
type Watcher struct {
	root string
	skip []string
	seen *Tree
	from source
	note func(string)
}

// Watch begins to watch root. Where the kernel's limit of watches is reached, note is told so and the folder is looked at
// from time to time instead. The folders in skip (absolute) are left out.
func Watch(root string, note func(string), skip ...string) (*Watcher, error) {
	w := &Watcher{root: root, skip: skip, note: note}
	var err error
	if w.seen, err = Scan(root, skip...); err != nil {
		return nil, err
	}
	if w.from, err = notices(); err != nil {
		w.slower(err)
	}
	w.follow()
	return w, nil
}

func (w *Watcher) Close() error { return w.from.Close() }

// Settle takes what stands in the folder now as known: what a build has just written is no change. It lists what it took.
func (w *Watcher) Settle() ([]string, error) {
	now, err := Scan(w.root, w.skip...)
	if err != nil {
		return nil, err
	}
	changed := now.Since(w.seen)
	w.seen = now
	w.follow()
	return changed, nil
}

// Next waits until files have changed and nothing changes any more, and lists them with the time of the first notice.
// It ends with ctx's error.
func (w *Watcher) Next(ctx context.Context) ([]string, time.Time, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		case <-w.from.Ticks():
		}
		first := time.Now()
		w.quieten(ctx, first)
		changed, err := w.Settle()
		if err != nil || len(changed) > 0 {
			return changed, first, err
		}
	}
}

func (w *Watcher) quieten(ctx context.Context, first time.Time) {
	if _, polling := w.from.(*ticker); polling {
		return
	}
	for time.Since(first) < most {
		still := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			still.Stop()
			return
		case <-w.from.Ticks():
			still.Stop()
		case <-still.C:
			return
		}
	}
}

func (w *Watcher) follow() {
	if err := w.from.Watch(w.seen.folders); err != nil {
		_ = w.from.Close() // it is given up
		w.slower(err)
	}
}

func (w *Watcher) slower(err error) {
	w.note(fmt.Sprintf("no more watches (%v): looking at the folder every %s instead; sysctl fs.inotify.max_user_watches raises their number, "+
		"max_user_instances that of watchers", err, poll))
	w.from = newTicker()
}

// ticker is the source where the kernel tells nothing. A goroutine of its own turns times into ticks; Close waits for it.
type ticker struct {
	ticks, done, ended chan struct{}
}

func newTicker() *ticker {
	t := &ticker{make(chan struct{}, 1), make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(t.ended)
		every := time.NewTicker(poll)
		defer every.Stop()
		for {
			select {
			case <-t.done:
				return
			case <-every.C:
				nudge(t.ticks)
			}
		}
	}()
	return t
}

func (t *ticker) Ticks() <-chan struct{} { return t.ticks }
func (t *ticker) Watch([]string) error   { return nil }
func (t *ticker) Close() error           { close(t.done); <-t.ended; return nil }

func nudge(ticks chan struct{}) {
	select {
	case ticks <- struct{}{}:
	default: // one is waiting
	}
}

// kernel is the source over inotify. Lost events are a tick as well: the look that follows misses nothing.
type kernel struct {
	w     *fsnotify.Watcher
	ticks chan struct{}
	ended chan struct{}
	set   map[string]bool
}

func notices() (source, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	k := &kernel{w: w, ticks: make(chan struct{}, 1), ended: make(chan struct{}), set: map[string]bool{}}
	go k.read()
	return k, nil
}

func (k *kernel) read() {
	defer close(k.ended)
	for {
		select {
		case _, ok := <-k.w.Events:
			if !ok {
				return
			}
		case _, ok := <-k.w.Errors:
			if !ok {
				return
			}
		}
		nudge(k.ticks)
	}
}

func (k *kernel) Ticks() <-chan struct{} { return k.ticks }

func (k *kernel) Watch(folders []string) error {
	want := make(map[string]bool, len(folders))
	for _, at := range folders {
		want[at] = true
		err := k.w.Add(at) // again where it is watched: the folder may be another one of the same name
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		default:
			return err
		}
	}
	for at := range k.set {
		if !want[at] {
			_ = k.w.Remove(at) // the kernel did, when it went
		}
	}
	k.set = want
	return nil
}

func (k *kernel) Close() error {
	err := k.w.Close()
	<-k.ended
	return err
}
