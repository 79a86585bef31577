package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// nodeProcess is a running `casemate up`.
type nodeProcess struct {
	cmd  *exec.Cmd
	errs bytes.Buffer // read after stop alone
}

func up(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if neg || w.node != nil {
		ts.Fatalf("usage: up [FLAGS], once")
	}
	flags := []string{"up", "--json", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--aws", "127.0.0.1:0", "--log-level", "warn"}
	if shared.weak {
		flags = append(flags, "--allow-weak-sandbox")
	}
	n := &nodeProcess{cmd: exec.Command(shared.node, append(flags, args...)...)}
	n.cmd.Dir, n.cmd.Stderr = ts.MkAbs("."), &n.errs
	n.cmd.Env = append(os.Environ(), "CASEMATE_DIR="+ts.Getenv("CASEMATE_DIR"), "GORACE="+gorace)
	if roots := ts.Getenv("SSL_CERT_FILE"); roots != "" { // whom the node trusts when it goes out for a function
		n.cmd.Env = append(n.cmd.Env, "SSL_CERT_FILE="+roots)
	}
	out, err := n.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(n.cmd.Start())
	var at struct {
		HTTP                    []string
		AWS, Admin, CA, Metrics string
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&at); err != nil {
		ts.Fatalf("the node did not come up: %v, %v\n%s", err, n.cmd.Wait(), n.errs.String())
	}
	w.node = n
	ts.Defer(func() {
		if w.node != nil {
			if err := w.node.stop(); err != nil {
				w.t.Log("the node did not end well:", err, "\n"+w.node.errs.String())
				w.t.FailNow()
			}
		}
	})
	for _, u := range at.HTTP {
		scheme, addr, _ := strings.Cut(u, "://")
		ts.Setenv(strings.ToUpper(scheme), u)
		ts.Setenv(strings.ToUpper(scheme)+"_ADDR", addr)
		ts.Setenv(strings.ToUpper(scheme)+"_PORT", addr[strings.LastIndexByte(addr, ':')+1:])
	}
	ts.Setenv("CA", at.CA)
	ts.Setenv("ADMIN", at.Admin)
	awsEnv(ts, at.AWS)
	ts.Setenv("METRICS", at.Metrics)
}

// stop ends the node as an operator does, and wants a clean end.
func (n *nodeProcess) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(err, n.cmd.Wait())
	}
	if err := n.cmd.Wait(); err != nil {
		return err
	}
	if said := n.errs.String(); strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic") {
		return errors.New("a race or a panic")
	}
	return nil
}

func down(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if neg || len(args) > 0 || w.node == nil {
		ts.Fatalf("usage: down, after up")
	}
	n := w.node
	w.node = nil
	err := n.stop()
	_, _ = io.WriteString(ts.Stderr(), n.errs.String()) // a strings.Builder
	ts.Check(err)
}

// await waits for a line, not for a time. The program goes on until it is told to stop, as with Ctrl-C.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await PATTERN PROGRAM ARGS")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	path := args[1]
	if path == "casemate" {
		path = filepath.Join(shared.bin, "casemate")
	}
	cmd := exec.CommandContext(of(ts).ctx, path, args[2:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), os.Environ()
	for _, name := range []string{"CASEMATE_DIR", "CASEMATE_URL", "CASEMATE_KEY_FILE", "CASEMATE_CA", "GORACE", "TZ"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	lines, found := bufio.NewScanner(out), ""
	lines.Buffer(nil, 1<<20)
	var seen []string
	for lines.Scan() {
		if seen = append(seen, lines.Text()); pattern.MatchString(lines.Text()) {
			found = lines.Text()
			break
		}
	}
	signalled := cmd.Process.Signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, out) // so that it can end; what follows the line is not wanted
	err = cmd.Wait()
	if found == "" {
		ts.Fatalf("no line matched %s (%v)\n%s\n%s", pattern, err, strings.Join(seen, "\n"), errs.String())
	}
	ts.Check(signalled)
	if err != nil {
		ts.Fatalf("interrupted, it ended with %v\n%s", err, errs.String())
	}
	put(ts, found+"\n")
}

// until runs a program again and again until its output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGS")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if text := ts.ReadFile("stdout"); pattern.MatchString(text) {
			put(ts, text)
			return
		}
		ts.Check(of(ts).ctx.Err())
	}
}
