package jail

import (
	"bufio"
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideBreed is a family of three that starts children and buries them without end.
func insideBreed([]string) any {
	for range 2 {
		if pid, _, _ := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); pid == 0 {
			break
		}
	}
	os.Stdout.WriteString("begun\n")
	for {
		pid, _, _ := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		if pid == 0 {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		syscall.RawSyscall6(unix.SYS_WAIT4, pid, 0, 0, 0, 0, 0)
	}
}

// TestStopStopsEverybody: where no freezer is, what a function left running stands as well.
func TestStopStopsEverybody(t *testing.T) {
	s := probeSpec(t, "breed")
	s.broken, s.AllowWeak = []string{WallFreezer}, true
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Stdout = w
	c := start(t, s)
	w.Close()
	said := bufio.NewReader(r)
	for range 3 {
		if line, err := said.ReadString('\n'); line != "begun\n" {
			t.Fatal(line, err)
		}
	}
	for range 20 {
		if err := c.Freeze(); err != nil {
			t.Fatal(err)
		}
		before, err := c.family()
		if err != nil || len(before) < 3 {
			t.Fatal(before, err)
		}
		for _, pid := range before {
			if !standing(pid) {
				t.Errorf("%d of %v goes on", pid, before)
			}
		}
		if after, _ := c.family(); !slices.Equal(before, after) {
			t.Errorf("%v became %v", before, after)
		}
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if standing(c.Pid()) {
		t.Error("it did not go on")
	}
}
