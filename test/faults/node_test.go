package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/internal/casetest/nodetest"
)

// patience bounds every wait for something that must come: it ends a test that would hang, and asserts no speed.
const patience = nodetest.Patience

// node is a running `casemate up`.
type node struct {
	*nodetest.Node
	t   *testing.T
	dir string
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

// start starts a node and waits until it is up; up is false when it refused and ended.
func start(t *testing.T, dir string) (n *node, up bool) {
	t.Helper()
	args := []string{"up", "--json", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "warn", "--stop-grace", "2s", "--source-rate", "100000/s burst 100000"}
	if shared.weak {
		args = append(args, "--allow-weak-sandbox")
	}
	n = &node{t: t, dir: dir, Node: nodetest.Launch(t, nodetest.Verb(shared.binary, dir, args...))}
	err := n.Up()
	if err != nil && !errors.Is(err, nodetest.ErrEnded) {
		t.Fatal(err)
	}
	return n, err == nil
}

func tail(s string) string { return s[max(0, len(s)-8000):] }

// mustStart starts a node that has to come up.
func mustStart(t *testing.T, dir string) *node {
	t.Helper()
	n, up := start(t, dir)
	if !up {
		t.Fatalf("the node did not come up: %v\n%s", n.Err, n.Said)
	}
	return n
}

// kill ends the node as a power switch does, and nothing else of it.
func (n *node) kill() { _ = n.End(syscall.SIGKILL) } // nothing outlives that

// stop ends the node as an operator does, and wants a clean end.
func (n *node) stop() {
	n.t.Helper()
	if err := n.End(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	if n.Err != nil {
		n.t.Errorf("told to stop, the node ended with %v\n%s", n.Err, n.Said)
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

func (n *node) call(operation string, in, out any) error {
	return n.Call(n.t.Context(), operation, in, out)
}

func (n *node) deploy(bundle []byte) error { return n.Deploy(n.t.Context(), bundle) }

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
	r, err := http.NewRequestWithContext(ctx, method, n.At.HTTP[0]+path, strings.NewReader(body))
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
	resp, err := n.Calls.Do(r)
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
