// Package nodetest runs whole nodes for tests, as processes of their own.
package nodetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/front/admin"
)

// Patience bounds every wait for something that must come: it ends a test that would hang, and asserts no speed.
const Patience = 2 * time.Minute

// ErrEnded says that a node ended instead of coming up.
var ErrEnded = errors.New("the node did not come up")

// Words keeps what a process writes. It may be read while the process runs.
type Words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer; it takes everything.
func (w *Words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// Bytes is all of it, and the caller's own.
func (w *Words) Bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.text.Bytes())
}

func (w *Words) String() string { return string(w.Bytes()) }

// Node is a `casemate up --json` that was started. It ends with its test at the latest.
type Node struct {
	Cmd   *exec.Cmd
	Said  *Words        // standard output and error
	Ended chan struct{} // closed when the process is gone
	Err   error         // how it ended; set when Ended is closed

	// Set by Up.
	At    At
	Admin *admin.Client
	Calls *http.Client

	first chan json.RawMessage // where it is; closed when it has ended instead
}

// At is where a node says that it is.
type At struct {
	HTTP                []string
	Socket, CA, Metrics string
}

// Verb is a verb of the program on a node's folder.
func Verb(program, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "CASEMATE_DIR="+dir)
	return cmd
}

// Launch starts a node and does not wait for it. Its two outputs are the Node's.
func Launch(t testing.TB, cmd *exec.Cmd) *Node {
	t.Helper()
	n := &Node{Cmd: cmd, Said: &Words{}, Ended: make(chan struct{}), first: make(chan json.RawMessage, 1)}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, n.Said
	err = cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		t.Fatal(err)
	}
	go func() {
		var reading sync.WaitGroup
		reading.Go(func() {
			defer close(n.first)
			var at json.RawMessage
			from := io.TeeReader(out, n.Said)
			if json.NewDecoder(from).Decode(&at) == nil {
				n.first <- at
			}
			_, _ = io.Copy(io.Discard, from) // ends with the process
		})
		n.Err = cmd.Wait()
		reading.Wait()
		out.Close()
		close(n.Ended)
	}()
	t.Cleanup(func() {
		n.End(syscall.SIGKILL)
		if said := n.Said.String(); t.Failed() {
			t.Logf("the node said:\n%s", said[max(0, len(said)-8000):])
		}
	})
	return n
}

// Up waits until the node is up; the error is an ErrEnded, with what it said, when it ended instead.
func (n *Node) Up() error {
	at, ok := <-n.first
	if !ok {
		<-n.Ended
		return fmt.Errorf("%w: %w\n%s", ErrEnded, n.Err, n.Said)
	}
	err := json.Unmarshal(at, &n.At)
	if err == nil {
		n.Admin, err = admin.Dial(n.At.Socket)
	}
	n.Calls = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return err
}

// End sends the node a signal and waits until it is gone. One that does not go within Patience is killed, and that is the error;
// how it went is in Err.
func (n *Node) End(sig os.Signal) (err error) {
	_ = n.Cmd.Process.Signal(sig) // it may have ended already
	select {
	case <-n.Ended:
	case <-time.After(Patience):
		_ = n.Cmd.Process.Kill()
		<-n.Ended
		err = errors.New("the node does not end")
	}
	if n.Admin != nil {
		n.Calls.CloseIdleConnections()
		n.Admin.Close()
	}
	return err
}

// Call asks a built-in operation.
func (n *Node) Call(ctx context.Context, operation string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return n.Admin.Call(ctx, operation, in, out)
}

// Deploy applies a bundle; a refusal is given back.
func (n *Node) Deploy(ctx context.Context, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return n.Admin.Upload(ctx, "deploy.apply", bytes.NewReader(bundle), nil)
}
