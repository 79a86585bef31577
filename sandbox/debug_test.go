package sandbox

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"casemate"
)

func withDebugger(c *Config) { c.Debug = func(*casemate.Version) bool { return true } }

// targets asks the debugger of a function what there is to debug.
func (b *bench) targets(function string) string {
	b.t.Helper()
	c, web, err := b.pool.Debug(b.t.Context(), function)
	if err != nil || !web {
		b.t.Fatalf("no way to the debugger: %v %v", web, err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n"); err != nil {
		b.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

// TestDebuggerIsReachedThroughTheWalls: it listens inside, in a sandbox that was started before any event; events wait for
// that one, and each record says what it is.
func TestDebuggerIsReachedThroughTheWalls(t *testing.T) {
	b := newBench(t, withDebugger)
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async () => { await new Promise((r) => setTimeout(r, 20)); return [++n, process.debugPort].join() }`))
	v.Spare = 1
	b.pool.Prepare(v)
	b.full()
	if list := b.targets(v.Function); !strings.Contains(list, `"webSocketDebuggerUrl": "ws://127.0.0.1:4711/`) {
		t.Errorf("targets: %s", list)
	}
	var all sync.WaitGroup
	answers := make(chan string, 4)
	for range cap(answers) {
		all.Go(func() {
			res := b.run(v, `{}`)
			if answers <- string(res.Payload); !slices.Contains(res.Weak, "debugger") {
				t.Errorf("the record holds nothing of the debugger: %v", res.Weak)
			}
		})
	}
	all.Wait()
	close(answers)
	var got []string
	for a := range answers {
		got = append(got, a)
	}
	slices.Sort(got)
	if want := []string{`"1,9229"`, `"2,9229"`, `"3,9229"`, `"4,9229"`}; !slices.Equal(got, want) {
		t.Errorf("not one sandbox, one event after the other: %v", got)
	}
	if len(b.targets(v.Function)) == 0 {
		t.Error("an idle sandbox has no debugger")
	}
	b.pool.Drop(v.ID)
	if _, _, err := b.pool.Debug(t.Context(), v.Function); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("what was dropped is debugged: %v", err)
	}
}

// TestNoFunctionOpensADebugger: nothing that a function brings along leads to it from outside: on a node that was not told so
// there is no way in, whatever listens inside. With the same code, a node that was told leads there (above).
func TestNoFunctionOpensADebugger(t *testing.T) {
	b := newBench(t)
	v := warm(b.node("index.handler", `exports.handler = async () => require('inspector').url() ? 'open inside' : 'closed'`))
	v.Env = map[string]string{"NODE_OPTIONS": "--inspect=0.0.0.0:9229"}
	res := b.want(v, `{}`, `"open inside"`)
	if slices.Contains(res.Weak, debugged) {
		t.Error("it counts as debugged")
	}
	if c, _, err := b.pool.Debug(t.Context(), v.Function); casemate.CodeOf(err) != casemate.Unavailable {
		if err == nil {
			c.Close()
		}
		t.Errorf("a way in: %v", err)
	}
	for i := range b.pool.live {
		if i.beside != nil {
			t.Error("a process leads into the sandbox")
		}
	}
}

// TestPythonStopsAtBreakpoints: breakpoint() waits for whoever connects, shows the function's variables, and goes on when told
// to or left alone.
func TestPythonStopsAtBreakpoints(t *testing.T) {
	b := newBench(t, withDebugger)
	v := warm(b.python("import sys\ndef handler(event, context):\n    secret = event['n'] * 2\n    breakpoint()\n    return [secret, 'debugger' in sys.modules, sys.argv[1:]]\n"))
	v.Spare = 1
	b.pool.Prepare(v)
	b.full()
	for _, say := range []string{"p secret + 1\nsecret = 7\nc\n", ""} {
		c, web, err := b.pool.Debug(t.Context(), v.Function)
		if err != nil || web {
			t.Fatal(web, err)
		}
		answer := make(chan string, 1)
		go func() { answer <- string(b.run(v, `{"n": 20}`).Payload) }()
		from := bufio.NewReader(c)
		if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "app.py(5)handler()") {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := from.ReadString('\n'); err != nil { // the line itself
			t.Fatal(err)
		}
		want := `[40, false, []]`
		if say != "" {
			want = `[7, false, []]`
		}
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
		if said := make([]byte, len("(Pdb) 41\n")); say != "" {
			if _, err := io.ReadFull(from, said); err != nil || string(said) != "(Pdb) 41\n" {
				t.Errorf("pdb said %q, %v", said, err)
			}
		}
		_ = c.(*net.TCPConn).CloseWrite()
		if got := <-answer; got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
		c.Close()
	}
}
