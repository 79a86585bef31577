package jail

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insideBreed is a family of three that starts children and buries them without end. A copy of a Go process can do no more
// than call the kernel.
func insideBreed([]string) any {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	begun := [...]byte{'b', '\n'}
	for range 2 {
		if pid, _, _ := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0); pid == 0 {
			break
		}
	}
	syscall.RawSyscall(unix.SYS_WRITE, 1, uintptr(unsafe.Pointer(&begun)), uintptr(len(begun)))
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
	s.Limits.MemoryBytes = 2 << 30 // copies of a race-enabled process
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
		if line, err := said.ReadString('\n'); line != "b\n" {
			t.Fatal(line, err)
		}
	}
	for range 20 {
		if err := c.Freeze(); err != nil {
			t.Fatal(err)
		}
		look := func(int) error { return nil }
		before, err := c.family(look)
		if err != nil || len(before) < 3 {
			t.Fatal(before, err)
		}
		for _, pid := range before {
			if !standing(pid) {
				t.Errorf("%d of %v goes on", pid, before)
			}
		}
		if after, _ := c.family(look); !slices.Equal(before, after) {
			t.Errorf("%v became %v", before, after)
		}
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if standing(c.Pid()) {
		stat, err := os.ReadFile("/proc/" + itoa(c.Pid()) + "/stat")
		t.Errorf("it did not go on: %s %v", stat, err)
	}
}
