package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

const childDir = "CASEMATE_STORE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUnderLoad(dir, os.Getenv(childDir+"_ROUND")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUnderLoad writes to everything at once and says on stdout what was acknowledged, one line each, until killed.
func writeUnderLoad(dir, round string) error {
	ctx := context.Background()
	n, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return err
	}
	s, err1 := n.Stream("audit")
	kv, err2 := n.KV("state")
	q, err3 := n.Queue("events")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	failed := make(chan error)
	say := func(err error, format string, args ...any) {
		if err != nil {
			failed <- err
		}
		fmt.Fprintf(os.Stdout, format+"\n", args...) // one write(2): lines do not mix
	}
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				data := fmt.Sprintf("%s-%d-%d", round, w, i)
				seq, err := s.Append(ctx, []byte(data), casemate.Wait((i/7+w)%2))
				say(err, "stream %d %s", seq, data)
			}
		}()
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", round, w, i)
				say(q.Put(ctx, id, []byte(id)), "put %s", id)
				rev, err := kv.Put(ctx, fmt.Sprintf("w%d", w), []byte(id), store.AnyRevision)
				say(err, "kv w%d %d %s", w, rev, id)
			}
		}()
	}
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				d, err := q.Next(ctx)
				if err != nil {
					failed <- err
				}
				if i%3 == 0 {
					say(d.Retry(ctx, 0), "retry %s", d.ID)
					continue
				}
				say(nil, "doing %s", d.ID)
				say(d.Done(ctx), "done %s", d.ID)
			}
		}()
	}
	return <-failed
}

// acked is what the killed processes had told about.
type acked struct {
	stream    map[uint64]string
	put, done map[string]bool
	doing     map[string]bool // done may have been on its way
	kv        map[string]string
	rev       map[string]uint64
	lines     int
}

func (a *acked) line(t *testing.T, line string) {
	f := strings.Fields(line)
	switch {
	case len(f) == 3 && f[0] == "stream":
		seq, _ := strconv.ParseUint(f[1], 10, 64)
		if old := a.stream[seq]; old != "" {
			t.Errorf("sequence %d was given to %s and to %s", seq, old, f[2])
		}
		a.stream[seq] = f[2]
	case len(f) == 2 && f[0] == "put":
		a.put[f[1]] = true
	case len(f) == 2 && f[0] == "doing":
		a.doing[f[1]] = true
	case len(f) == 2 && f[0] == "done":
		a.done[f[1]] = true
	case len(f) == 2 && f[0] == "retry":
	case len(f) == 4 && f[0] == "kv":
		rev, _ := strconv.ParseUint(f[2], 10, 64)
		if rev > a.rev[f[1]] {
			a.rev[f[1]], a.kv[f[1]] = rev, f[3]
		}
	default:
		t.Errorf("unexpected line %q", line)
	}
	a.lines++
}

// runAndKill lets a child write until it has told about the given number of lines.
func (a *acked) runAndKill(t *testing.T, dir string, round, lines int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDir+"_ROUND="+strconv.Itoa(round))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(out)
	for n := 0; scan.Scan(); n++ {
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		a.line(t, scan.Text())
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
}

func TestKilledNodeLosesNothing(t *testing.T) {
	rounds := 4
	if os.Getenv("CASEMATE_FULL") == "1" {
		rounds = 50
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	a := &acked{stream: map[uint64]string{}, put: map[string]bool{}, done: map[string]bool{}, doing: map[string]bool{},
		kv: map[string]string{}, rev: map[string]uint64{}}
	for round := range rounds {
		a.runAndKill(t, dir, round, 1+rnd.IntN(3000))
		a.check(t, dir, round == rounds-1)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d acknowledgements over %d kills", a.lines, rounds)
}

func (a *acked) check(t *testing.T, dir string, drain bool) {
	t.Helper()
	n, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	a.checkStream(t, n)
	a.checkKV(t, n)
	a.checkQueue(t, n, drain)
}

func (a *acked) checkStream(t *testing.T, n *store.Node) {
	t.Helper()
	s, err := n.Stream("audit")
	if err != nil {
		t.Fatal(err)
	}
	seen, at := map[string]uint64{}, uint64(0)
	for {
		msgs, err := s.Read(context.Background(), at+1, 5000)
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) == 0 {
			break
		}
		for _, m := range msgs {
			at++
			if m.Seq != at || seen[string(m.Data)] != 0 {
				t.Fatalf("record %d (%q) stands at %d; seen before at %d", m.Seq, m.Data, at, seen[string(m.Data)])
			}
			seen[string(m.Data)] = at
			if want := a.stream[at]; want != "" && want != string(m.Data) {
				t.Fatalf("record %d is %q; its writer was told %q", at, m.Data, want)
			}
		}
	}
	for seq, data := range a.stream {
		if seq > at {
			t.Errorf("record %d (%q) was acknowledged and is lost; the stream ends at %d", seq, data, at)
		}
	}
}

func (a *acked) checkKV(t *testing.T, n *store.Node) {
	t.Helper()
	kv, err := n.KV("state")
	if err != nil {
		t.Fatal(err)
	}
	for key, rev := range a.rev {
		e, err := kv.Get(context.Background(), key)
		if err != nil || e.Revision < rev || e.Revision == rev && string(e.Value) != a.kv[key] {
			t.Errorf("key %s: revision %d %q, acknowledged %d %q: %v", key, e.Revision, e.Value, rev, a.kv[key], err)
		}
	}
}

func (a *acked) checkQueue(t *testing.T, n *store.Node, drain bool) {
	t.Helper()
	ctx := context.Background()
	q, err := n.Queue("events")
	if err != nil {
		t.Fatal(err)
	}
	depth, _, err := q.Depth(ctx)
	if err != nil || !drain {
		if err != nil {
			t.Error(err)
		}
		return
	}
	got := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range uint64(16) {
		wg.Go(func() {
			for i := w; i < depth; i += 16 {
				d, err := q.Next(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if got[d.ID] || a.done[d.ID] || string(d.Data) != d.ID {
					t.Errorf("item %s (%q) again: delivered %v, done %v", d.ID, d.Data, got[d.ID], a.done[d.ID])
				}
				got[d.ID] = true
				mu.Unlock()
				if err := d.Done(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for id := range a.put {
		if !got[id] && !a.doing[id] {
			t.Errorf("item %s was acknowledged and is lost", id)
		}
	}
}
