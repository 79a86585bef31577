package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"casemate"
)

// smallDisk mounts a disk of its own, of 400 MiB: what is refused is recorded, and all of it has to fit beside the reserve. Without root there is none; CI must have it.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(folder(t))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400m,mode=755"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mounting a small disk: %v", err)
		}
		t.Skipf("*** SKIPPED: a full disk needs root to mount a small one: %v ***", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast fills a disk until so many bytes are free; removing it frees them again.
func ballast(t *testing.T, disk string, free uint64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(disk, "ballast"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err = syscall.ENOSPC; err == syscall.ENOSPC; { // the node writes too
		var st syscall.Statfs_t
		if err = syscall.Fstatfs(int(f.Fd()), &st); err != nil {
			break
		}
		left := st.Bavail * uint64(st.Bsize)
		if left <= free {
			return
		}
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			err = syscall.Fallocate(int(f.Fd()), 0, info.Size(), int64(left-free))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk fills the node's disk twice: below its reserve, as it notices itself, and to the last byte under load, as
// others do it. New work is refused with a reason and a hint, what can be read is, and it goes on by itself when there is
// space again.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	p := newPromise()
	n := mustStart(t, filepath.Join(disk, "n"))
	caller, reader := furnish(t, n)
	d := newDesk(t)
	d.furnish(t, n, 0)
	d.work(t, n)
	work(t, n, p, caller, true)
	for _, free := range []uint64{40 << 20, 0} {
		ballast(t, disk, free)
		refusesWork(t, n, p, caller)
		d.refused(t, n)
		if free > 0 {
			readsOn(t, n)
		}
		if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
			t.Fatal(err)
		}
		await(t, "the node to take work again", func() bool { return work(t, n, p, caller, false) })
		work(t, n, p, caller, true)
		d.work(t, n)
		verifies(t, n)
	}
	settles(t, n)
	p.holds(t, n, reader)
	p.kept(t, n)
	usageHolds(t, n)
	var s struct {
		Audit struct {
			InFlight int `json:"in_flight"`
		}
	}
	if err := n.call("state", nil, &s); err != nil || s.Audit.InFlight > 1 {
		t.Errorf("%d records are open on an idle node (%v)", s.Audit.InFlight, err)
	}
	n.stop()
	n = mustStart(t, filepath.Join(disk, "n"))
	verifies(t, n)
	p.kept(t, n)
	d.drain(t, n)
	n.stop()
}

// work does one of everything and notes what was acknowledged; must says that nothing may be refused.
func work(t *testing.T, n *node, p *promise, caller string, must bool) bool {
	t.Helper()
	ok := true
	note := func(what string, err error, a answer, want int) bool {
		t.Helper()
		good := err == nil && a.status == want
		if !good && must {
			t.Errorf("%s: %d %s (%v)", what, a.status, a.body, err)
		}
		ok = ok && good
		return good
	}
	a, err := n.send("POST", "/echo", caller, `{"a":1}`, "", false)
	if note("a call", err, a, 200) {
		p.answered[a.id] = "echo"
	}
	a, err = n.send("POST", "/echo", caller, `{"a":1}`, "", true)
	if note("an event", err, a, 202) {
		p.queued[a.id] = "echo"
	}
	p.asked++
	if err := n.deploy(sayerBundle(t, p.asked)); note("a deploy", err, answer{}, 0) {
		p.deployed = p.asked
	}
	return ok
}

// refusesWork sends new work from many sides until each kind was refused, and looks at how.
func refusesWork(t *testing.T, n *node, p *promise, caller string) {
	t.Helper()
	calls := 30
	if shared.full {
		calls = 300 // more in all than there are records in flight
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range calls {
				if a, err := n.send("POST", "/echo", caller, `{"a":1}`, "", true); err != nil {
					t.Error(err)
				} else if a.status == 202 {
					p.mu.Lock()
					p.queued[a.id] = "echo"
					p.mu.Unlock()
				} else {
					says(t, "an event", a)
				}
				if a, err := n.send("POST", "/echo", caller, `{"a":1}`, "", false); err != nil {
					t.Error(err)
				} else if a.status == 200 {
					p.mu.Lock()
					p.answered[a.id] = "echo"
					p.mu.Unlock()
				} else {
					says(t, "a call", a)
				}
			}
		})
	}
	wg.Wait()
	for _, async := range []bool{true, false} {
		a, err := n.send("POST", "/echo", caller, `{"a":1}`, "", async)
		if err != nil || a.status != 503 {
			t.Errorf("new work on a full disk (asynchronous %t): %d %s %v", async, a.status, a.body, err)
		}
	}
	p.asked++
	for what, err := range map[string]error{"a deploy": n.deploy(sayerBundle(t, p.asked)), "a key": n.call("keys.create", map[string]string{"name": "no", "role": "caller"}, nil)} {
		var e *casemate.Error
		if !errors.As(err, &e) || e.Code != casemate.Unavailable || !strings.Contains(e.Hint, "disk") {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
}

// says looks at the refusal of work.
func says(t *testing.T, what string, a answer) {
	if a.status != 503 || !strings.Contains(string(a.body), "disk") || a.header.Get("Retry-After") == "" {
		t.Errorf("%s was refused with %d %s", what, a.status, a.body)
	}
}

// readsOn looks at the node while its disk is full.
func readsOn(t *testing.T, n *node) {
	t.Helper()
	for _, args := range [][]string{{"audit", "list", "-n", "5"}, {"posture"}, {"list"}, {"async", "list"}, {"usage"}, {"keys", "list"}} {
		if out, errs, code := n.run(args...); code != 0 || out == "" {
			t.Errorf("casemate %s on a full disk ended with %d: %s", strings.Join(args, " "), code, errs)
		}
	}
}
