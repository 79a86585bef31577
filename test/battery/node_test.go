package battery

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
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/nodetest"
)

// patience bounds every wait for something that must come: it ends a test that would hang, and asserts no speed.
const patience = nodetest.Patience

// node is a running `casemate up`.
type node struct {
	*nodetest.Node
	t      *testing.T
	dir    string
	uid    int
	key    string
	tenant string // sent with each call when it is set
}

// start starts a node of a build and waits until it is up.
func start(t *testing.T, binary string) *node { return startAs(t, binary, 0) }

// startAs is start for a user. One that is not root gives no control groups, so their walls are missing.
func startAs(t *testing.T, binary string, uid int) *node {
	t.Helper()
	dir, err := os.MkdirTemp(shared.dir, "n") // a short path: the socket's has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	args := []string{"up", "--json", "--http", "127.0.0.1:0", "--https", "", "--aws", "", "--log-level", "warn", "--stop-grace", "2s", "--source-rate", "100000/s burst 100000"}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	if shared.weak || binary == withoutWalls || uid != 0 {
		args = append(args, "--allow-weak-sandbox")
	}
	n := &node{t: t, uid: uid, dir: filepath.Join(dir, "n")}
	cmd := nodetest.Verb(filepath.Join(shared.dir, binary), n.dir, args...)
	cmd.Env = append(cmd.Env, "BATTERY_CANARY="+shared.world.token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	n.Node = nodetest.Launch(t, cmd)
	t.Cleanup(n.stop)
	if err := n.Up(); err != nil {
		t.Fatalf("%s: %v", binary, err)
	}
	return n
}

// stop ends the node as an operator does.
func (n *node) stop() {
	if err := n.End(syscall.SIGTERM); err != nil {
		n.t.Error("told to stop: ", err)
	}
}

// run runs a verb on the node's folder; it has to end well.
func (n *node) run(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.Cmd.Path, args...)
	cmd.Env = append(os.Environ(), "CASEMATE_DIR="+n.dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		n.t.Fatalf("casemate %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return string(out)
}

func (n *node) call(operation string, in, out any) error {
	return n.Call(n.t.Context(), operation, in, out)
}

func (n *node) deploy(bundle []byte) error { return n.Deploy(n.t.Context(), bundle) }

// newKey makes a key with a role; the calls that follow are made with it.
func (n *node) newKey(role string) {
	n.t.Helper()
	var made struct{ Secret string }
	if err := n.call("keys.create", map[string]string{"name": role, "role": role}, &made); err != nil {
		n.t.Fatal(err)
	}
	n.key = made.Secret
}

// reply is what an unruly function says of itself, and what the caller saw of it.
type reply struct {
	Worked bool   `json:"worked"`
	Detail string `json:"detail"`
	Absent bool   `json:"absent"`

	Status int    `json:"-"`
	ID     string `json:"-"` // the node's name of the event
}

// send hands an order to a function and waits for what comes of it. A function that ended before it answered has said
// nothing: that is no error here.
func (n *node) send(ctx context.Context, function string, order map[string]string) (reply, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience+time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", n.At.HTTP[0]+"/"+function, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("x-api-key", n.key)
	if n.tenant != "" {
		r.Header.Set("x-org", n.tenant)
	}
	resp, err := n.Calls.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	a := reply{Status: resp.StatusCode, ID: resp.Header.Get("X-Amzn-Requestid")}
	if a.Status == http.StatusOK {
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("%s answered %q: %w", function, text, err)
		}
		return a, nil
	}
	a.Detail = fmt.Sprintf("%d %s", a.Status, strings.TrimSpace(string(text)))
	return a, nil
}

// record reads the record of an event; it has to be there.
func (n *node) record(t *testing.T, id string) casemate.Record {
	t.Helper()
	var e struct{ Record casemate.Record }
	if err := n.call("audit.show", map[string]string{"id": id}, &e); err != nil {
		t.Fatalf("the record of %s: %v", id, err)
	}
	return e.Record
}

// resident is the node's own memory in bytes.
func (n *node) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
