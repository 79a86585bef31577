package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) {
	// The jail's spawning thread lives as long as the process, by design.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("casemate/sandbox/jail.newLauncher.func1"))
}

// children counts the processes whose parent is this one.
func children(t *testing.T) int {
	t.Helper()
	n := 0
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skip("LEFT OUT: this kernel does not list children")
	}
	for _, f := range lists {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += len(strings.Fields(string(b)))
	}
	return n
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestNoLeaksAfterManyColdRuns: no child, no descriptor; goleak looks for goroutines at the end of the tests.
func TestNoLeaksAfterManyColdRuns(t *testing.T) {
	b := newBench(t)
	v := b.goFunction(goFunction)
	one := func() {
		b.fails(v, `{"Do":"panic"}`, casemate.FailureHandled)
		b.pool.ending.Wait()
	}
	one()
	kids, fds := children(t), descriptors(t)
	for range 100 {
		one()
	}
	if n := children(t); n > kids {
		t.Errorf("%d children, %d before", n, kids)
	}
	if n := descriptors(t); n > fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
	if len(b.pool.slots) != 0 || len(b.pool.live) != 0 || len(b.pool.uids.used) != 0 || len(b.pool.running) != 0 {
		t.Error("the pool still counts a sandbox")
	}
}
