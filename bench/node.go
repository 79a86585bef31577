package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// child is a server process: a node, or the floor.
type child struct {
	cmd  *exec.Cmd
	errs bytes.Buffer
	addr string // host:port
}

// stop ends it by its own pid and waits.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = c.cmd.Wait() // the floor dies of the signal
	return nil
}

func startFloor() (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(exe, "floor")}
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the floor did not start: %s", c.errs.String())
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// node is a node with one app deployed and one key.
type node struct {
	child
	dir, key string
}

// startNode starts a node in a folder below dir, deploys the app that lies in dir/app and makes a key of the role.
func startNode(ctx context.Context, o options, dir, role string) (n *node, err error) {
	bin, err := filepath.Abs(o.casemate)
	if err != nil {
		return nil, err
	}
	n = &node{dir: filepath.Join(dir, "node")}
	rate := o.rate
	if rate == "" {
		rate = "1000000/s burst 1000000"
	}
	args := []string{"--dir", n.dir, "--json", "up", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "error",
		"--source-rate", rate, "--concurrency", "1024"}
	if o.prices != "" {
		args = append(args, "--prices", o.prices)
	}
	if o.weak {
		args = append(args, "--allow-weak-sandbox")
	}
	n.cmd = exec.Command(bin, args...)
	n.cmd.Stderr = &n.errs
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	var at struct{ HTTP []string }
	if err := json.NewDecoder(out).Decode(&at); err != nil || len(at.HTTP) == 0 {
		_ = n.cmd.Wait()
		return nil, fmt.Errorf("the node did not come up: %s", n.errs.String())
	}
	n.addr = strings.TrimPrefix(at.HTTP[0], "http://")
	keyFile := filepath.Join(dir, "key")
	for _, verb := range [][]string{{"deploy", filepath.Join(dir, "app"), "--no-build"}, {"keys", "create", "--role", role, "--out", keyFile}} {
		if text, err := exec.CommandContext(ctx, bin, append([]string{"--dir", n.dir}, verb...)...).CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("casemate %s: %w: %s", verb[0], err, text), n.stop())
		}
	}
	secret, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	n.key = strings.TrimSpace(string(secret))
	return n, nil
}

// writeApp writes the files of an app below dir/app.
func writeApp(dir string, files map[string][]byte) error {
	for name, data := range files {
		p := filepath.Join(dir, "app", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if filepath.Base(name) == "bootstrap" {
			mode = 0o755
		}
		if err := os.WriteFile(p, data, mode); err != nil {
			return err
		}
	}
	return nil
}
