package battery

import (
	"os"
	"path/filepath"
	"testing"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/nodetest"
)

const runtimesApp = `app: runtimes
functions:
  snake: {runtime: python3.11, handler: app.handler, code: snake, timeout: 60s, memory: 128MB, tmp: 8MB}
  thread: {runtime: nodejs20.x, handler: index.handler, code: thread, timeout: 60s, memory: 128MB, tmp: 8MB}
routes:
  POST /snake: {function: snake, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
  POST /thread: {function: thread, auth: [key], screen: {mode: off}, leaks: {secrets: off, traces: off}}
roles:
  caller:
    grants: [call POST /snake, call POST /thread]
`

// interpreted are the attacks from runtimes that are started ahead: their walls stood, and their limits are set, at
// another time than those of a program that is executed at once.
func interpreted() []attack {
	py := func(a attack) attack { a.function = "snake"; return a }
	js := func(a attack) attack { a.function = "thread"; return a }
	return []attack{
		py(attack{name: "read host file", prepare: secretRead}), py(attack{name: "write host file", prepare: dropped}), py(attack{name: "write own code"}),
		py(attack{name: "read environment", prepare: secretRead}), py(attack{name: "signal", prepare: deadly}),
		py(attack{name: "ptrace", seen: "call ptrace", prepare: onVictim}),
		py(attack{name: "fork bomb"}), py(attack{name: "memory", seen: "Runtime.OutOfMemory"}), py(attack{name: "large file"}),
		py(attack{name: "unshare user", seen: "call unshare user"}), py(attack{name: "unshare mount", seen: "call unshare mount"}),
		py(attack{name: "mount tmpfs", seen: "call unshare mount"}), py(attack{name: "chroot", seen: "call chroot /tmp"}), py(attack{name: "keyring", seen: "call add_key"}),
		py(attack{name: "raw socket", seen: "call socket inet raw"}), py(attack{name: "packet socket", seen: "call socket packet raw"}),
		py(attack{name: "metadata", seen: "connect 169.254.169.254:80", prepare: arrives("tcp 169.254.169.254:80")}),
		py(attack{name: "exec program", seen: "exec /bin/echo"}), py(attack{name: "exec shell", seen: "exec /bin/sh"}),
		py(attack{name: "capabilities"}), py(attack{name: "become root"}),
		js(attack{name: "read host file", prepare: secretRead}), js(attack{name: "write host file", prepare: dropped}), js(attack{name: "write own code"}),
		js(attack{name: "read environment", prepare: secretRead}), js(attack{name: "signal", prepare: deadly}),
		js(attack{name: "exec program", seen: "exec /bin/echo"}), js(attack{name: "exec shell", seen: "exec /bin/sh"}),
		js(attack{name: "memory", seen: "Runtime.OutOfMemory"}),
	}
}

// TestInterpreted is TestBattery for Python and Node.
func TestInterpreted(t *testing.T) {
	if !shared.full {
		t.Skip("it takes a while: CASEMATE_FULL=1")
	}
	if !installed(t, "python3") || !installed(t, "node") {
		t.SkipNow()
	}
	t.Run("walls", func(t *testing.T) { interpretedOn(t, withWalls, mustFail) })
	t.Run("nowalls", func(t *testing.T) { interpretedOn(t, withoutWalls, mustWork) })
}

func interpretedOn(t *testing.T, binary string, judge func(*testing.T, *attack, tried)) {
	n := start(t, binary)
	files := map[string][]byte{manifest.File: []byte(runtimesApp)}
	for _, name := range []string{"snake/app.py", "thread/index.js"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	if err := n.deploy(nodetest.Pack(t, files)); err != nil {
		t.Fatal(err)
	}
	n.newKey("caller")
	for _, a := range interpreted() {
		t.Run(a.function+": "+a.name, func(t *testing.T) {
			got := try(t, n, &a)
			t.Logf("%q (recorded: %s)", got.detail, got.as)
			judge(t, &a, got)
		})
	}
}
