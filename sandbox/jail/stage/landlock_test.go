package stage

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLandlockAloneHoldsFiles: it is the second wall, so it must hold where the first, the mounts, is not there. The
// thread that is locked in ends with its goroutine.
func TestLandlockAloneHoldsFiles(t *testing.T) {
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skipf("this kernel has no Landlock: %v", errno)
	}
	home, err := os.MkdirTemp("/var/tmp", "casemate")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(home)
	readonly, writable, file := filepath.Join(home, "ro"), filepath.Join(home, "rw"), filepath.Join(home, "file")
	for _, dir := range []string{readonly, writable} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &stager{Order: &Order{Mounts: []Mount{{Target: readonly, Exec: true}, {Target: writable, Writable: true}, {Target: file}}}}
	done := make(chan map[string]error)
	go func() {
		runtime.LockOSThread()
		answers := map[string]error{"locking in": errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), s.landlock())}
		put := func(path string) error {
			fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY, 0o644)
			if err == nil {
				err = unix.Close(fd)
			}
			return err
		}
		answers["write writable"] = put(filepath.Join(writable, "x"))
		answers["write readonly"] = put(filepath.Join(readonly, "x"))
		answers["write elsewhere"] = put(filepath.Join(home, "x"))
		answers["write file"] = put(file)
		answers["write null"] = put("/dev/null")
		answers["make device"] = unix.Mknod(filepath.Join(writable, "dev"), unix.S_IFCHR|0o666, 1<<8|3)
		fd, err := unix.Open(file, unix.O_RDONLY, 0)
		answers["read file"] = err
		unix.Close(fd)
		done <- answers
	}()
	answers := <-done
	for what, want := range map[string]error{"locking in": nil, "write writable": nil, "write readonly": unix.EACCES,
		"write elsewhere": unix.EACCES, "write file": unix.EACCES, "write null": nil, "read file": nil} {
		if got := answers[what]; !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if err := answers["make device"]; err == nil {
		t.Error("a device was made")
	}
}

// TestLandlockAloneMutes: where Landlock knows TCP, a mute program reaches nothing, and every other one itself.
func TestLandlockAloneMutes(t *testing.T) {
	if abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 || abi < 4 {
		t.Skipf("this kernel's Landlock has version %d, TCP came with 4: %v", abi, errno)
	}
	for mute, want := range map[bool]error{true: unix.EACCES, false: nil} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			s := &stager{Order: &Order{Mute: mute}}
			err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), s.landlock())
			if err == nil {
				var fd int
				if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
					err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
					unix.Close(fd)
				}
			}
			done <- err
		}()
		if err := <-done; !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("mute %t: %v", mute, err)
		}
	}
}
