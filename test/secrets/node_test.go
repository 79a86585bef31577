package secrets

import (
	"bytes"
	"casemate/internal/casetest/nodetest"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// sink is an OpenTelemetry collector that keeps every byte, unpacked.
func sink(t *testing.T) (*httptest.Server, *nodetest.Words) {
	t.Helper()
	h := &nodetest.Words{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var from io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			from = z
		}
		fmt.Fprintln(h, r.URL, r.Header)
		_, _ = io.Copy(h, from) // what did not come cannot be searched
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s, h
}

// node is a running `casemate up`.
type node struct {
	*nodetest.Node
	t    *testing.T
	dir  string
	told nodetest.Words // what the command line printed, but for --reveal
	uid  uint32
}

// command is the binary on a node's folder, as a user.
func command(dir string, uid uint32, args ...string) *exec.Cmd {
	cmd := nodetest.Verb(shared.binary, dir, args...)
	cmd.Dir = filepath.Dir(dir)
	if int(uid) != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	return cmd
}

// start starts a node as talkative as it can be.
func start(t *testing.T, dir string, uid uint32, env []string, flags ...string) *node {
	t.Helper()
	args := append([]string{"up", "--json", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "debug", "--stop-grace", "5s", "--metrics", "127.0.0.1:0"}, flags...)
	if shared.weak || uid != 0 { // who is not root has cgroups only where they were delegated
		args = append(args, "--allow-weak-sandbox")
	}
	cmd := command(dir, uid, args...)
	cmd.Env = append(cmd.Env, env...)
	n := &node{t: t, dir: dir, uid: uid, Node: nodetest.Launch(t, cmd)}
	if err := n.Up(); err != nil {
		t.Fatal(err)
	}
	return n
}

// end ends the node with a signal and waits for it.
func (n *node) end(sig syscall.Signal) { _ = n.End(sig) } // one that does not hear is killed

// run runs a verb of the command line and keeps what it prints.
func (n *node) run(stdin string, args ...string) (string, error) {
	n.t.Helper()
	cmd := command(n.dir, n.uid, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	_, _ = n.told.Write(errs.Bytes()) // it takes everything
	if !slices.Contains(args, "--reveal") {
		_, _ = n.told.Write(out.Bytes())
	}
	if err != nil {
		err = errors.Join(err, errors.New(errs.String()))
	}
	return out.String(), err
}

// must runs a verb that has to succeed.
func (n *node) must(stdin string, args ...string) string {
	n.t.Helper()
	out, err := n.run(stdin, args...)
	if err != nil {
		n.t.Fatalf("casemate %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// processes gives arguments and environment of the node and of everything below it.
func (n *node) processes() map[string][]byte {
	n.t.Helper()
	parent := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it went
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		parent[pid], _ = strconv.Atoi(string(fields[1]))
	}
	out := map[string][]byte{}
	for pid := range parent {
		for up := pid; up > 1; up = parent[up] {
			if up != n.Cmd.Process.Pid {
				continue
			}
			for _, file := range []string{"cmdline", "environ"} {
				if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file)); err == nil {
					out[fmt.Sprintf("%s of process %d", file, pid)] = text
				}
			}
			break
		}
	}
	return out
}

// dialer leads to a node's admin socket.
func dialer(path string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
}
