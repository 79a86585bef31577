package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"casemate"
)

// TestStopAnswersWhatIsUnderWay tells a node under load to stop: whoever got through the door gets an answer, and the
// end is clean.
func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	dir, p := folder(t), newPromise()
	n := mustStart(t, dir)
	caller, reader := furnish(t, n)
	var wg sync.WaitGroup
	warmed := make(chan struct{}, 64)
	unanswered := make(chan string, 8)
	for i := range 8 {
		wg.Go(func() {
			for turn := 1; ; turn++ {
				trace := fmt.Sprintf("%016x%016x", i+1, turn)
				a, err := n.send("POST", "/echo", caller, `{"a":1}`, trace, false)
				select {
				case warmed <- struct{}{}:
				default:
				}
				switch {
				case err != nil: // the door is closed
					unanswered <- trace
					return
				case a.status == 200:
					p.mu.Lock()
					p.answered[a.id] = "echo"
					p.mu.Unlock()
				case a.status != 503:
					t.Errorf("a call was answered %d: %s", a.status, a.body)
					return
				}
			}
		})
	}
	for range 64 {
		<-warmed
	}
	n.stop()
	wg.Wait()
	if left, err := os.ReadDir(filepath.Join(dir, "runtime")); err != nil || len(left) != 0 {
		t.Errorf("left in the runtime folder: %v %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "casemate.sock")); err == nil {
		t.Error("the socket is left")
	}
	n = mustStart(t, dir)
	verifies(t, n)
	p.holds(t, n, reader)
	close(unanswered)
	turnedAway := map[string]bool{}
	for trace := range unanswered {
		turnedAway[trace] = true
	}
	for _, r := range export(t, n) {
		if r.Outcome.Status == "interrupted" || turnedAway[r.Trace] {
			t.Errorf("a clean stop took in %s of %s and did not answer: %+v", r.ID, r.Action, r.Outcome)
		}
	}
	p.kept(t, n)
	n.stop()
}

// TestStopEndsWhatNeverEnds: a function that hangs, called in both ways, does not hold the node up, and its queued event
// is not lost.
func TestStopEndsWhatNeverEnds(t *testing.T) {
	dir := folder(t)
	n := mustStart(t, dir)
	caller, _ := furnish(t, n)
	a, err := n.send("POST", "/hang", caller, "", "", true)
	if err != nil || a.status != 202 {
		t.Fatal(a, err)
	}
	await(t, "the run to begin", func() bool {
		var s struct{ Sandboxes []struct{ State string } }
		if err := n.call("state", nil, &s); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(s.Sandboxes, func(x struct{ State string }) bool { return x.State == "busy" })
	})
	pid := n.Cmd.Process.Pid
	n.stop()
	mourn(t, noneLeft(t, pid))
	n = mustStart(t, dir)
	verifies(t, n)
	var s struct{ Queued uint64 }
	if err := n.call("async.list", nil, &s); err != nil || s.Queued != 1 {
		t.Errorf("%d events are queued, 1 was accepted and never done (%v)", s.Queued, err)
	}
	n.stop()
}

// TestStopEndsStreams: whoever follows the record or the logs does not keep a node from ending well.
func TestStopEndsStreams(t *testing.T) {
	n := mustStart(t, folder(t))
	reader := furnishSayer(t, n)
	var wg sync.WaitGroup
	follows := make(chan string, 1<<10)
	for operation, question := range map[string]any{"audit.follow": nil, "logs.read": map[string]any{"follow": true}} {
		wg.Go(func() {
			err := n.Admin.Stream(t.Context(), operation, question, func([]byte) error {
				follows <- operation
				return nil
			})
			if err != nil {
				t.Errorf("%s ended with %v", operation, err)
			}
		})
	}
	seen := map[string]bool{}
	await(t, "the record to be followed", func() bool {
		if _, err := n.send("GET", "/said", reader, "", "", false); err != nil {
			t.Fatal(err)
		}
		for len(follows) > 0 {
			seen[<-follows] = true
		}
		return seen["audit.follow"]
	})
	n.stop()
	wg.Wait()
}

// TestOneNodeOwnsAFolder: a second one is told why it may not, and does no harm.
func TestOneNodeOwnsAFolder(t *testing.T) {
	dir := folder(t)
	first := mustStart(t, dir)
	reader := furnishSayer(t, first)
	_, errs, code := verb(t, dir, "up", "--http", "127.0.0.1:0", "--https", "", "--aws", "")
	if code != casemate.Unavailable.Exit() || !strings.Contains(errs, "another node runs on this folder") || !strings.Contains(errs, "hint:") {
		t.Errorf("a second node ended with %d: %s", code, errs)
	}
	if a, err := first.send("GET", "/said", reader, "", "", false); err != nil || a.status != 200 {
		t.Errorf("after a second node was refused, the first answers %v %v", a, err)
	}
	first.stop()
}

// TestStaleSocket: what a killed node left in the way does not keep the next one from starting, and what is no socket of
// ours is not taken away.
func TestStaleSocket(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "casemate.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd) // the name stays, as after kill -9
	n := mustStart(t, dir)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	n.stop()
	if err := os.WriteFile(socket, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused, up := start(t, dir)
	if up || !strings.Contains(refused.Said.String(), "it is no socket") {
		t.Errorf("started over a file that is no socket: %s", refused.Said)
	}
	if text, err := os.ReadFile(socket); err != nil || string(text) != "mine" {
		t.Errorf("the file in the way is now %q, %v", text, err)
	}
}
