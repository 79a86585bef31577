package jail

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/opened"
)

// insideOpen opens what it is told, line by line on descriptor 3, and answers each line. A line is "times path".
func insideOpen([]string) any {
	orders := bufio.NewScanner(os.NewFile(3, "orders"))
	for orders.Scan() {
		var times int
		var file string
		fmt.Sscan(orders.Text(), &times, &file)
		for range times {
			if fd, err := unix.Open(file, unix.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
				unix.Close(fd)
			}
		}
		os.Stdout.WriteString("done\n")
	}
	return "end"
}

// opener is a jail that opens files when it is told.
type opener struct {
	t     *testing.T
	child *Child
	tell  *os.File
	hear  *bufio.Reader
}

func newOpener(t *testing.T, s Spec) *opener {
	in, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tell.Close(); out.Close() })
	s.Files, s.Stdout = []*os.File{in}, w
	o := &opener{t, start(t, s), tell, bufio.NewReader(out)}
	in.Close()
	w.Close()
	return o
}

func (o *opener) open(times int, file string) {
	o.t.Helper()
	fmt.Fprintln(o.tell, times, file)
	if line, err := o.hear.ReadString('\n'); line != "done\n" {
		o.t.Fatal(line, err)
	}
}

func TestOpenedFilesAreSeen(t *testing.T) {
	s := probeSpec(t, "open")
	data := t.TempDir()
	for d := data; d != "/" && d != "/tmp"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	for i := range opened.MaxPaths + 20 {
		os.WriteFile(filepath.Join(data, itoa(i)), nil, 0o644)
	}
	s.Mounts = append(s.Mounts, Mount{Source: data, Target: "/data"}, Mount{Source: data, Target: "/own"})
	o := newOpener(t, s)
	if !isRoot() {
		if err := o.child.Observe(); err == nil {
			t.Error("an ordinary user may observe")
		}
		if paths, more := o.child.Opened(); paths != nil || more {
			t.Error(paths, more)
		}
		return
	}
	o.open(1, "/data/0")
	for round := range 2 {
		if err := o.child.Observe("/own"); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"/data/1", "/own/2", "/etc/hosts", "/proc/self/status", "/dev/null", "/no/such"} {
			o.open(100, file)
		}
		want := []string{"/data/1", "/etc/hosts", "/proc/1/status"}
		if paths, more := o.child.Opened(); !slices.Equal(paths, want) || more {
			t.Errorf("round %d: saw %q, more %t", round, paths, more)
		}
	}
	if err := o.child.Observe(); err != nil {
		t.Fatal(err)
	}
	for i := range opened.MaxPaths + 20 {
		o.open(1, "/data/"+itoa(i))
	}
	paths, more := o.child.Opened()
	if len(paths) != opened.MaxPaths || !more || strings.Contains(strings.Join(paths, " "), "status") {
		t.Errorf("saw %d, more %t: %q", len(paths), more, paths)
	}
	if err := o.child.Observe(); err != nil {
		t.Fatal(err)
	}
	o.open(1, "/data/3")
	if paths, more := o.child.Opened(); !slices.Equal(paths, []string{"/data/3"}) || more {
		t.Errorf("after a flood: saw %q, more %t", paths, more)
	}
}

// TestOpensOfAFifoDoNotStopTheNode: the kernel opens for the node what the program opened.
func TestOpensOfAFifoDoNotStopTheNode(t *testing.T) {
	if !isRoot() {
		return // nothing is observed
	}
	s := probeSpec(t, "open")
	dir := t.TempDir()
	for d := dir; d != "/" && d != "/tmp"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	s.Mounts = append(s.Mounts, Mount{Source: dir, Target: "/data"})
	o := newOpener(t, s)
	if err := o.child.Observe(); err != nil {
		t.Fatal(err)
	}
	o.open(1, "/data/fifo") // whether a kernel tells of special files differs
	o.open(1, "/etc/hosts")
	if paths, _ := o.child.Opened(); !slices.Contains(paths, "/etc/hosts") {
		t.Errorf("saw %q", paths)
	}
}
