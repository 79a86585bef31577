// Command demo shows the product on real requests: it starts a node in a fresh folder, deploys the shop of this example,
// sends it good and bad requests over HTTP, and prints for each what the corridor decided, what the function answered and
// what it cost. It exits 0 only when every step came out as the table says.
//
// It uses nothing but the casemate binary and HTTP, as you would.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	binary := flag.String("casemate", "bin/casemate", "the binary to show")
	app := flag.String("app", "examples/orders", "folder of the app")
	keep := flag.Bool("keep", false, "leave the node up at the end")
	weak := flag.Bool("allow-weak-sandbox", false, "go on where the kernel does not give every wall")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := show(ctx, *binary, *app, *keep, *weak); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is the running node and how to speak to it.
type stage struct {
	binary, dir, base string
	node              *exec.Cmd
	nodeErrs          bytes.Buffer
	keys              map[string]string
	leftOut           map[string]bool
	client            http.Client
}

func show(ctx context.Context, binary, app string, keep, weak bool) (err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "casemate-demo-")
	if err != nil {
		return err
	}
	s := &stage{binary: binary, dir: dir, keys: map[string]string{}, leftOut: map[string]bool{}, client: http.Client{Timeout: time.Minute}}
	defer func() {
		if !keep || err != nil {
			err = errors.Join(err, s.stop(), os.RemoveAll(dir))
		}
	}()
	if err := s.start(ctx, weak); err != nil {
		return err
	}
	if err := s.deploy(ctx, app); err != nil {
		return err
	}
	failed, err := s.play(ctx)
	if err != nil {
		return err
	}
	if err := s.closing(ctx); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d steps did not come out as they should", failed)
	}
	fmt.Println("\nEvery step came out as the table says.")
	if keep {
		s.handOver()
	}
	return nil
}

func title(text string) { fmt.Printf("\n\x1b[1m%s\x1b[0m\n", text) }

// start runs `casemate up` and waits for the line in which it says where it listens.
func (s *stage) start(ctx context.Context, weak bool) error {
	title("A node on an embedded store, in a fresh folder")
	partner, err := s.partner()
	if err != nil {
		return err
	}
	args := []string{"--dir", s.dir, "--json", "up", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "warn", "--resolve", "partner.example:80=" + partner}
	if weak {
		args = append(args, "--allow-weak-sandbox")
	}
	s.node = exec.Command(s.binary, args...)
	s.node.Stderr = &s.nodeErrs
	out, err := s.node.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.node.Start(); err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	var at struct{ HTTP []string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&at); err != nil || len(at.HTTP) == 0 {
		_ = s.node.Wait()
		return fmt.Errorf("the node did not come up: %s", s.nodeErrs.String())
	}
	s.base = at.HTTP[0]
	fmt.Printf("%s, state in %s\n", s.base, s.dir)
	return ctx.Err()
}

// partner serves, on loopback, what stands for a host of the outside world. It ends with the process.
func (s *stage) partner() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "a pound of %s is 4.50", strings.TrimPrefix(r.URL.Path, "/"))
	}))
	return l.Addr().String(), nil
}

// run calls the command line; its output is returned and, when it fails, what it said is the error.
func (s *stage) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"--dir", s.dir}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("casemate %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out, nil
}

func (s *stage) deploy(ctx context.Context, app string) error {
	title("casemate deploy " + app + ": what changes, permissions first")
	out, err := s.run(ctx, "deploy", app, "--leave-out-missing", "--no-build")
	if err != nil {
		return err
	}
	fmt.Print(string(out))
	out, err = s.run(ctx, "list", "--json")
	if err != nil {
		return err
	}
	var state struct {
		Functions []struct{ Name string }
	}
	if err := json.Unmarshal(out, &state); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, f := range state.Functions {
		there[f.Name] = true
	}
	for _, fn := range []string{"price", "orders", "receipt", "greet", "unruly"} {
		if !there[fn] {
			s.leftOut[fn] = true
			fmt.Printf("\n*** LEFT OUT: function %s, because its language is not installed on this machine. Its steps are skipped. ***\n", fn)
		}
	}
	for _, role := range []string{"clerk", "viewer", "tester"} {
		file := filepath.Join(s.dir, role+".key")
		if _, err := s.run(ctx, "keys", "create", "--role", role, "--out", file); err != nil {
			return err
		}
		secret, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s.keys[role] = strings.TrimSpace(string(secret))
	}
	return s.hide(ctx)
}

// hide keeps a secret for the function that may read it. Its value goes by standard input, never as an argument.
func (s *stage) hide(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, "--dir", s.dir, "secret", "set", "shop/partner")
	cmd.Stdin = strings.NewReader("correct-horse-battery-24")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("casemate secret set: %w: %s", err, out)
	}
	return nil
}

// closing prints the trail and has it verified.
func (s *stage) closing(ctx context.Context) error {
	title("casemate audit list: the trail")
	out, err := s.run(ctx, "audit", "list", "--limit", "12")
	if err != nil {
		return err
	}
	fmt.Print(string(out))
	title("casemate audit export | casemate audit verify --file -: offline, with nothing of the node")
	export, err := s.run(ctx, "audit", "export")
	if err != nil {
		return err
	}
	verify := func(log []byte) ([]byte, error) {
		cmd := exec.CommandContext(ctx, s.binary, "audit", "verify", "--file", "-")
		cmd.Stdin = bytes.NewReader(log)
		return cmd.CombinedOutput()
	}
	out, err = verify(export)
	if err != nil {
		return fmt.Errorf("the log does not verify: %s", out)
	}
	fmt.Print(string(out))
	forged := bytes.Replace(export, []byte(`"verdict":"deny"`), []byte(`"verdict":"allow"`), 1)
	if bytes.Equal(forged, export) {
		return errors.New("the trail holds no refusal to forge")
	}
	out, err = verify(forged)
	if err == nil {
		return errors.New("a forged log was taken for a good one")
	}
	fmt.Printf("and with one \"deny\" forged into \"allow\":\n%s", out)
	return nil
}

// handOver says how to go on by hand.
func (s *stage) handOver() {
	title("The node stays up (KEEP=1)")
	fmt.Printf(`  export CASEMATE_DIR=%[1]s
  %[2]s list
  %[2]s audit list --follow
  curl -H "x-api-key: $(cat %[1]s/clerk.key)" -H 'content-type: application/json' \
       -d '{"items":[{"sku":"tea","quantity":2}]}' %[3]s/prices
  kill %[4]d      # ends it; then remove %[1]s
`, s.dir, s.binary, s.base, s.node.Process.Pid)
}

// stop ends the node by its own pid and waits for it.
func (s *stage) stop() error {
	if s.node == nil || s.node.Process == nil || s.node.ProcessState != nil {
		return nil
	}
	if err := s.node.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the node: %w", err)
	}
	if err := s.node.Wait(); err != nil {
		return fmt.Errorf("the node did not end well: %w: %s", err, s.nodeErrs.String())
	}
	return nil
}

// send makes one request of a step and gives status, headers and body.
func (s *stage) send(ctx context.Context, st *step) (*http.Response, []byte, error) {
	var body io.Reader
	if st.body != "" {
		body = strings.NewReader(st.body)
	}
	r, err := http.NewRequestWithContext(ctx, st.method, s.base+st.path, body)
	if err != nil {
		return nil, nil, err
	}
	if st.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if st.role != "" {
		r.Header.Set("X-Api-Key", s.keys[st.role])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, text, err
}
