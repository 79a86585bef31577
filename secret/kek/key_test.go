package kek

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate"
)

func keyPath(t *testing.T) string { return filepath.Join(t.TempDir(), "kek.json") }

func TestKeysThatAreNotTaken(t *testing.T) {
	dir, good := t.TempDir(), keyPath(t)
	if _, err := Generate(good); err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(good); err == nil {
		t.Error("a key was overwritten")
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + p
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for what, handle := range map[string]string{"readable by a group": write("g", string(text), 0o640), "writable by others": write("o", string(text), 0o602), "empty": write("e", "", 0o600),
		"not a keyset": write("n", "canary", 0o600), "another JSON": write("j", `{"canary":1}`, 0o600), "too long": write("l", strings.Repeat("a", maxKeyFile+1), 0o600),
		"a link": "file:" + link, "a folder": "file:" + dir, "missing": "file:" + dir + "/nowhere", "relative": "file:kek.json", "no variable": "env:CASEMATE_NOT_SET", "standard input": "fd:0",
		"no number": "fd:x", "closed": "fd:4711", "nothing": "", "a bare path": good, "the key itself": string(text)} {
		m, err := Read(handle)
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Hint == "" || strings.Contains(e.Message, "canary") && what != "missing" {
			t.Errorf("%s: %v %v", what, m, err)
		}
	}
	if m, err := Read("file:" + good); err != nil || m.Handle != "file:"+good {
		t.Error(err)
	}
	if m, err := parse("x", []byte(base64.StdEncoding.EncodeToString(text)+"\n")); err != nil || m.Name == "" {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(good, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := Read("file:" + good); err == nil {
			t.Error("somebody else's file was taken")
		}
	}
}

// TestDescriptorIsReadAndClosed: no child gets what was handed to the node alone.
func TestDescriptorIsReadAndClosed(t *testing.T) {
	path := keyPath(t)
	name, err := Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	handle := fmt.Sprint("fd:", fd)
	if m, err := Read(handle); err != nil || m.Name != name || m.Handle != handle {
		t.Fatal(m, err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != syscall.EBADF {
		t.Errorf("the descriptor is still open: %v", err)
	}
}

// TestVariableLeavesTheEnvironment runs itself with a key in a variable and looks at what the kernel shows afterwards.
func TestVariableLeavesTheEnvironment(t *testing.T) {
	const name = "CASEMATE_TEST_KEK"
	if os.Getenv("CASEMATE_TEST_CHILD") == "" {
		path := keyPath(t)
		if _, err := Generate(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestVariableLeavesTheEnvironment$")
		cmd.Env = append(os.Environ(), name+"="+string(text), "CASEMATE_TEST_CHILD=1", "CASEMATE_TEST_OTHER=kept")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	shown := func() string {
		b, err := os.ReadFile("/proc/self/environ")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	value := os.Getenv(name)
	if value == "" || !strings.Contains(shown(), value) {
		t.Fatal("the kernel does not show it before: the test proves nothing")
	}
	if _, err := Read("env:" + name); err != nil {
		t.Fatal(err)
	}
	if s := shown(); strings.Contains(s, value) || strings.Contains(s, value[20:60]) || !strings.Contains(s, "CASEMATE_TEST_OTHER=kept") {
		t.Errorf("the kernel shows %q", s)
	}
	if _, ok := os.LookupEnv(name); ok {
		t.Error("the variable is still set")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"primaryKeyId":1,"key":[]}`))
	f.Add([]byte("e30="))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse("x", text)
		if (m == nil) == (err == nil) {
			t.Errorf("%v, %v", m, err)
		}
	})
}
