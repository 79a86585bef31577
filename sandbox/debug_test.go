package sandbox

import (
	"bufio"
	"io"
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
