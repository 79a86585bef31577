package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/front/admin"
)

// patience bounds every wait for something that must come: it ends a test that would hang, and asserts no speed.
const patience = time.Minute

// node is a running `casemate up`.
type node struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	errs  *said
	url   string
	admin *admin.Client
	calls *http.Client
	ended chan struct{} // closed when the process is gone; err is set then
	err   error
}

// said keeps what a process writes; it may be read while the process runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// folder makes a node's folder. A unix socket's path has 107 bytes at most, and a test's own folder may be deep.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "n")
}

// command is the binary on a node's folder.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(shared.binary, args...)
	cmd.Env = append(os.Environ(), "CASEMATE_DIR="+dir)
	return cmd
}

// launch starts a node and does not wait for it.
func launch(t *testing.T, dir string) (*node, io.Reader) {
	t.Helper()
	args := []string{"up", "--json", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "warn", "--stop-grace", "2s", "--source-rate", "100000/s burst 100000"}
	if shared.weak {
		args = append(args, "--allow-weak-sandbox")
	}
	n := &node{t: t, dir: dir, cmd: command(dir, args...), errs: &said{}, ended: make(chan struct{})}
	n.cmd.Stderr = n.errs
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	n.cmd.Stdout = w
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		n.err = n.cmd.Wait()
		close(n.ended)
	}()
	t.Cleanup(func() {
		n.kill()
		out.Close()
		if t.Failed() {
			t.Logf("the node on %s said:\n%s", dir, tail(n.errs.String()))
		}
	})
	return n, out
}

func tail(s string) string { return s[max(0, len(s)-8000):] }

// start starts a node and waits until it is up; up is false when it refused and ended.
func start(t *testing.T, dir string) (n *node, up bool) {
	t.Helper()
	n, out := launch(t, dir)
	var at struct {
		HTTP   []string
		Socket string
	}
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		<-n.ended
		return n, false
	}
	n.url = at.HTTP[0]
	var err error
	if n.admin, err = admin.Dial(at.Socket); err != nil {
		t.Fatal(err)
	}
	n.calls = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return n, true
}

// mustStart starts a node that has to come up.
func mustStart(t *testing.T, dir string) *node {
	t.Helper()
	n, up := start(t, dir)
	if !up {
		t.Fatalf("the node did not come up: %v\n%s", n.err, n.errs)
	}
	return n
}

// kill ends the node as a power switch does, and nothing else of it.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended already
	<-n.ended
	if n.calls != nil {
		n.calls.CloseIdleConnections()
		n.admin.Close()
	}
}

// stop ends the node as an operator does, and wants a clean end.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	n.awaitEnd()
	if n.err != nil {
		n.t.Errorf("told to stop, the node ended with %v\n%s", n.err, n.errs)
	}
}

func (n *node) awaitEnd() {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatal("the node does not end")
	}
}

// run runs a verb on the node's folder and gives what it said and its exit code.
func (n *node) run(args ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	return verb(n.t, n.dir, args...)
}

func verb(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, shared.binary, args...)
	cmd.Env = append(os.Environ(), "CASEMATE_DIR="+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("casemate %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// call asks a built-in operation.
func (n *node) call(operation string, in, out any) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	return n.admin.Call(ctx, operation, in, out)
}

func (n *node) deploy(bundle []byte) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	return n.admin.Upload(ctx, "deploy.apply", bytes.NewReader(bundle), nil)
}

// answer is what a request over HTTP got. id is the node's name of it.
type answer struct {
	status int
	id     string
	header http.Header
	body   []byte
}

// send sends a request with a key. trace, when given, is its W3C trace id; async asks for 202.
func (n *node) send(method, path, key, body, trace string, async bool) (answer, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, n.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("x-api-key", key)
	if trace != "" {
		r.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	}
	if async {
		r.Header.Set("Prefer", "respond-async")
	}
	resp, err := n.calls.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, id: resp.Header.Get("X-Amzn-Requestid"), header: resp.Header, body: text}, nil
}

// await calls look, which asks the node, until it is content.
func await(t *testing.T, what string, look func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !look(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
