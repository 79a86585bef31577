package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate"
	"casemate/authn"
	"casemate/gate"
	"casemate/meter"
)

// TestKilledUnderLoad kills a node with signal 9 in the middle of mixed work, again and again on the same folder, and
// then holds what is left against what callers were told.
func TestKilledUnderLoad(t *testing.T) {
	rounds := 5
	if shared.full {
		rounds = 50
	}
	rnd, dir, p := draw(t), folder(t), newPromise()
	mounts := mountCount(t, dir)
	n := mustStart(t, dir)
	caller, reader := furnish(t, n)
	for round := range rounds {
		l := p.begin(t, n, caller, rnd.Uint64())
		l.reach(50 + rnd.IntN(200))
		pid := n.Cmd.Process.Pid
		n.kill()
		l.end()
		frozen := noneLeft(t, pid)
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
		n = mustStart(t, dir)
		mourn(t, frozen)
		noGroups(t, pid)
		verifies(t, n)
		p.holds(t, n, reader)
	}
	settles(t, n)
	p.kept(t, n)
	usageHolds(t, n)
	pid := n.Cmd.Process.Pid
	n.stop()
	mourn(t, noneLeft(t, pid))
	noGroups(t, pid)
	if now := mountCount(t, dir); now != mounts {
		t.Errorf("%d mounts before, %d after", mounts, now)
	}
	t.Logf("%d kills: %d events queued, %d calls answered, %d keys, %d deploys", rounds, len(p.queued), len(p.answered), len(p.keys), p.deployed)
}

func newKey(t *testing.T, n *node, role string) string {
	t.Helper()
	var made struct {
		Secret string
		Key    authn.Key
	}
	if err := n.call("keys.create", map[string]string{"name": "test", "role": role}, &made); err != nil {
		t.Fatal(err)
	}
	return made.Secret
}

func verifies(t *testing.T, n *node) {
	t.Helper()
	if out, errs, code := n.run("audit", "verify"); code != 0 {
		t.Fatalf("audit verify ended with %d\n%s%s", code, out, errs)
	}
}

// settles waits until nothing is queued. Events that were cut off are delivered again at once: a killed node's leases
// end with it.
func settles(t *testing.T, n *node) {
	t.Helper()
	await(t, "the queue to become empty", func() bool {
		var s struct{ Queued uint64 }
		if err := n.call("async.list", nil, &s); err != nil {
			t.Fatal(err)
		}
		return s.Queued == 0
	})
}

// export reads every record of the log, and has the offline verifier look at the same bytes.
func export(t *testing.T, n *node) []casemate.Record {
	t.Helper()
	out, errs, code := n.run("audit", "export")
	if code != 0 {
		t.Fatalf("audit export ended with %d: %s", code, errs)
	}
	file := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := n.run("audit", "verify", "--file", file); code != 0 {
		t.Fatalf("verifying the export ended with %d: %s", code, errs)
	}
	var all []casemate.Record
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var line struct {
			Seq    uint64
			Record casemate.Record
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Seq != 0 {
			all = append(all, line.Record)
		}
	}
	return all
}

// kept holds the record, the queue and the list of dead events against what callers were told.
func (p *promise) kept(t *testing.T, n *node) {
	t.Helper()
	var list struct {
		Queued uint64
		Dead   []gate.DeadLetter
	}
	out, errs, code := n.run("async", "list", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 {
		t.Fatalf("async list ended with %d: %v %s", code, err, errs)
	}
	dead := map[string]bool{}
	for _, d := range list.Dead {
		dead[d.ID] = true
	}
	records, ran, hung := map[string]*casemate.Record{}, map[string]bool{}, map[string]string{}
	for _, r := range export(t, n) {
		if records[r.ID] != nil {
			t.Errorf("two records of %s", r.ID)
		}
		records[r.ID] = &r
		if r.Source == casemate.SourceAsync && r.Outcome.Status == "answered" {
			ran[r.Event] = true
		}
		if p.hung[r.Trace] {
			hung[r.Trace] = r.Outcome.Status
		}
	}
	for id, function := range p.queued {
		switch r := records[id]; {
		case r == nil || r.Outcome.Status != "queued":
			t.Errorf("event %s was accepted; its record: %+v", id, r)
		case function == "trap" && !dead[id], function != "trap" && !ran[id]:
			t.Errorf("event %s of %s was accepted and neither ran (%t) nor is dead (%t)", id, function, ran[id], dead[id])
		}
	}
	for id, function := range p.answered {
		want := "answered"
		if function == "trap" {
			want = "failed"
		}
		if r := records[id]; r == nil || r.Outcome.Status != want || r.Function != function {
			t.Errorf("call %s of %s was answered; its record: %+v", id, function, r)
		}
	}
	for trace, status := range hung {
		if status != "interrupted" {
			t.Errorf("call %s was cut off and is recorded as %q", trace, status)
		}
	}
	if len(hung) == 0 && len(p.hung) > 0 {
		t.Error("no run was cut off; the test shows less than it should")
	}
}

// usageHolds counts the use of every function again, from an export of the record.
func usageHolds(t *testing.T, n *node) {
	t.Helper()
	records := export(t, n)
	want, err := meter.Recompute(t.Context(), func(_ context.Context, _ uint64, do func(uint64, *casemate.Record) error) error {
		for i := range records {
			if err := do(uint64(i+1), &records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, errs, code := n.run("usage", "--by", "all", "--json", "--days", "3")
	var got []meter.Row
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("usage ended with %d: %v %s", code, err, errs)
	}
	functions := func(rows []meter.Row) map[string]meter.Row {
		m := map[string]meter.Row{}
		for _, r := range rows {
			switch r.Function {
			case "echo", "trap", "said", "warm", "hang":
				m[r.Day+" "+r.Function+" "+r.Principal] = r
			}
		}
		return m
	}
	w, g := functions(want), functions(got)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if !reflect.DeepEqual(w[name], g[name]) {
			t.Errorf("usage of %s:\n%+v is reported,\n%+v is in the record", name, g[name], w[name])
		}
	}
	if len(g) != len(w) || len(w) == 0 {
		t.Errorf("usage has %d rows, the record %d", len(g), len(w))
	}
}

// relative is a process of a dead node.
type relative struct {
	pid, fd int
	frozen  bool // a version 1 freezer holds it: not even signal 9 ends it before the next node thaws it
	command string
}

// noneLeft waits until no process of a dead node is alive: its sandboxes die with it. The frozen ones are given back.
func noneLeft(t *testing.T, node int) (frozen []relative) {
	t.Helper()
	var running []relative
	for _, pid := range family(t, node) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it is gone
		}
		t.Cleanup(func() { unix.Close(fd) })
		r := relative{pid: pid, fd: fd, frozen: isFrozen(pid), command: cmdline(pid)}
		if r.frozen {
			frozen = append(frozen, r)
		} else {
			running = append(running, r)
		}
	}
	mourn(t, running)
	return frozen
}

// mourn waits for the end of processes.
func mourn(t *testing.T, all []relative) {
	t.Helper()
	end := time.Now().Add(patience)
	for _, r := range all {
		left := max(time.Until(end), 0)
		if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)); ready == 0 {
			t.Errorf("process %d outlives its node (%v): %s", r.pid, err, r.command)
		}
	}
}

func isFrozen(pid int) bool {
	groups, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	for line := range strings.Lines(string(groups)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 && f[1] == "freezer" {
			state, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup/freezer", f[2], "freezer.state"))
			return strings.TrimSpace(string(state)) != "THAWED"
		}
	}
	return false
}

func cmdline(pid int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))
}

// family finds the processes that belong to a node: by the cgroup, or by the program where there are no cgroups. It is
// called while no other node runs.
func family(t *testing.T, node int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == node {
			continue
		}
		groups, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if bytes.Contains(groups, []byte("/casemate-"+strconv.Itoa(node)+"-")) || exe == shared.binary {
			pids = append(pids, pid)
		}
	}
	return pids
}

// noGroups checks that no cgroup of a dead node is left.
func noGroups(t *testing.T, node int) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "casemate-"+strconv.Itoa(node)+"-") {
			t.Errorf("a cgroup is left: %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// mountCount counts the mounts of sandboxes, and those that have to do with a folder: other tests mount disks of their own meanwhile.
func mountCount(t *testing.T, dir string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(" - tmpfs casemate ")) || bytes.Contains(line, []byte(dir)) {
			n++
		}
	}
	return n
}
