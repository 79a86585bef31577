package stage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// changes are the ways to change files, on two paths.
var changes = map[string]func(a, b string) error{
	"create": func(a, _ string) error {
		fd, err := unix.Open(a, unix.O_CREAT|unix.O_WRONLY|unix.O_NONBLOCK, 0o644)
		unix.Close(fd)
		return err
	},
	"write": func(a, _ string) error {
		fd, err := unix.Open(a, unix.O_RDWR|unix.O_NONBLOCK, 0)
		unix.Close(fd)
		return err
	},
	"empty": func(a, _ string) error {
		fd, err := unix.Open(a, unix.O_RDONLY|unix.O_TRUNC|unix.O_NONBLOCK, 0)
		unix.Close(fd)
		return err
	},
	"truncate": func(a, _ string) error { return unix.Truncate(a, 0) },
	"mkdir":    func(a, _ string) error { return unix.Mkdir(a, 0o755) },
	"rmdir":    func(a, _ string) error { return unix.Rmdir(a) },
	"unlink":   func(a, _ string) error { return unix.Unlink(a) },
	"rename":   unix.Rename,
	"exchange": func(a, b string) error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	},
	"link":    unix.Link,
	"symlink": func(a, b string) error { return unix.Symlink(b, a) },
	"fifo":    func(a, _ string) error { return unix.Mkfifo(a, 0o644) },
	"socket": func(a, _ string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: a})
			unix.Close(fd)
		}
		return err
	},
	"device": func(a, _ string) error { return unix.Mknod(a, unix.S_IFCHR|0o666, 1<<8|3) },
	"temporary": func(a, _ string) error {
		fd, err := unix.Open(filepath.Dir(a), unix.O_TMPFILE|unix.O_RDWR, 0o644)
		unix.Close(fd)
		return err
	},
}

// TestLandlockAgainstRandomChanges: whatever is done to files in whatever order, over links and by the way back, only what
// lies in the writable tree is ever another than before.
func TestLandlockAgainstRandomChanges(t *testing.T) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 3 {
		t.Skipf("this kernel's Landlock has version %d, truncation came with 3: %v", abi, errno)
	}
	home := t.TempDir()
	if strings.HasPrefix(home, "/tmp/") { // which is writable in every jail
		var err error
		if home, err = os.MkdirTemp("/var/tmp", "casemate"); err != nil {
			t.Skip(err)
		}
		defer os.RemoveAll(home)
	}
	for _, dir := range []string{"ro", "rw", "out"} {
		for name, content := range map[string]string{"a": "a", "d/b": "b"} {
			file := filepath.Join(home, dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(content), 0o666)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../out", filepath.Join(home, dir, "away")); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, home, "ro", "out")
	seed := rand.Uint64()
	s := &stager{Order: &Order{Mounts: []Mount{{Target: home + "/ro", Exec: true}, {Target: home + "/rw", Writable: true}}}}
	done := make(chan map[string]int)
	go func() {
		runtime.LockOSThread()
		worked := map[string]int{}
		if err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), s.landlock()); err != nil {
			t.Error(err)
		} else {
			worked = change(home, rand.New(rand.NewPCG(seed, 1)))
		}
		done <- worked
	}()
	worked := <-done
	if after := tree(t, home, "ro", "out"); after != before {
		t.Errorf("seed %d: it was\n%sand is\n%s", seed, before, after)
	}
	if worked["create"] == 0 || worked["rename"] == 0 || worked["device"] != 0 {
		t.Errorf("seed %d: %v", seed, worked)
	}
}

// change makes some thousand changes and counts those that worked.
func change(home string, random *rand.Rand) map[string]int {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	path := func() string {
		return home + "/" + pick("ro", "rw", "rw", "out") + pick("", "/d", "/away", "/d/../../rw", "/d/../../out") + "/" + pick("a", "b", "c", "d", "away")
	}
	worked := map[string]int{}
	for range 4000 {
		for name, do := range changes {
			if do(path(), path()) == nil {
				worked[name]++
			}
		}
	}
	return worked
}

// tree writes down everything beneath some directories.
func tree(t *testing.T, home string, dirs ...string) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(home, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			content := ""
			if d.Type().IsRegular() {
				raw, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				content = string(raw)
			}
			var st unix.Stat_t
			err = unix.Lstat(path, &st)
			fmt.Fprintln(&b, strings.TrimPrefix(path, home), d.Type(), content, st.Ino, st.Nlink)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
