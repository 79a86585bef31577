package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

// Lambda checklist: 2
func TestDeadlineIsTheHandOverAndTheTimeout(t *testing.T) {
	b := newBench(t)
	v := warm(b.goFunction(deadlineTeller))
	v.Limits.Timeout = 7 * time.Second
	for range 2 {
		before := time.Now()
		res := b.run(v, `{}`)
		after := time.Now()
		told, err := strconv.ParseInt(string(res.Payload), 10, 64)
		if first, last := before.Add(7*time.Second).UnixMilli(), after.Add(7*time.Second).UnixMilli(); err != nil || told < first || told > last {
			t.Errorf("%s is not within %d and %d", res.Payload, first, last)
		}
	}
}

const deadlineTeller = `package main
import ("context"; "github.com/aws/aws-lambda-go/lambda")
func main() {
	lambda.Start(func(ctx context.Context, _ any) (int64, error) { d, _ := ctx.Deadline(); return d.UnixMilli(), nil })
}`

// Lambda checklist: 3, 11
func TestLargestAnswerPassesAndOneByteMoreDoesNot(t *testing.T) {
	b := newBench(t)
	node := warm(b.node("index.handler", `exports.handler = async (n) => 'x'.repeat(n - 2)`)) // in quotes
	python := warm(b.python("def handler(n, c): return bytes(range(256)) * (n // 256) + bytes(n % 256)"))
	for _, v := range []*casemate.Version{node, python} {
		if res := b.run(v, fmt.Sprint(lambda.MaxResponse)); res.Failure != "" || len(res.Payload) != lambda.MaxResponse {
			t.Errorf("%s: %q, %d bytes", v.Runtime, res.Failure, len(res.Payload))
		}
		body, _ := b.fails(v, fmt.Sprint(lambda.MaxResponse+1), casemate.FailureResponse)
		has(t, body, "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
		if res := b.run(v, `10`); res.Failure != "" || len(res.Payload) != 10 {
			t.Errorf("%s, afterwards: %q %s", v.Runtime, res.Failure, res.Payload)
		}
	}
}

// Where Python looks for handlers and what it says when there is none, in the words of AWS's client.
//
// Lambda checklist: 22, 23
func TestHandlersOfPython(t *testing.T) {
	b := newBench(t)
	const fn = "def fn(e, c): return "
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		want    string
	}{
		"dots":                    {"pkg.sub.mod.fn", map[string]string{"pkg/sub/mod.py": fn + "1"}, `1`},
		"a package":               {"pkg.fn", map[string]string{"pkg/__init__.py": fn + "__name__"}, `"pkg"`},
		"slashes and dots":        {"pkg/sub.mod.fn", map[string]string{"pkg/sub/mod.py": fn + "__name__"}, `"pkg.sub.mod"`},
		"a sibling of a package":  {"pkg/mod.fn", map[string]string{"pkg/mod.py": "from . import sib\n" + fn + "sib.x", "pkg/sib.py": "x = 2"}, `2`},
		"a parent of a package":   {"a/b/mod.fn", map[string]string{"a/b/mod.py": "from ..top import x\n" + fn + "x", "a/top.py": "x = 3", "a/__init__.py": "", "a/b/__init__.py": ""}, `3`},
		"the folder is its own":   {"mod.fn", map[string]string{"mod.py": "import os\n" + fn + "open('data.txt').read() + os.getcwd()", "data.txt": "d"}, `"d/var/task"`},
		"a callable":              {"mod.fn", map[string]string{"mod.py": "class F:\n  def __call__(self, e, c): return 4\nfn = F()"}, `4`},
		"no module":               {"pkg/nothing.fn", nil, "Runtime.ImportModuleError: Unable to import module 'pkg/nothing': No module named 'pkg'"},
		"no such module inside":   {"mod.fn", map[string]string{"mod.py": "from json import nothing"}, "Runtime.ImportModuleError: Unable to import module 'mod': cannot import name 'nothing' from 'json'"},
		"no handler":              {"mod.other", map[string]string{"mod.py": fn + "1"}, "Runtime.HandlerNotFound: Handler 'other' missing on module 'mod'"},
		"no dot":                  {"mod", nil, "Runtime.MalformedHandlerName: Bad handler 'mod': not enough values to unpack (expected 2, got 1)"},
		"a module of Python":      {"time.time", nil, "Runtime.BuiltInModuleConflict: Cannot use built-in module time as a handler module"},
		"syntax":                  {"mod.fn", map[string]string{"mod.py": "def fn(:"}, "Runtime.UserCodeSyntaxError: Syntax error in module 'mod': invalid syntax (mod.py, line 1)"},
		"an error of the module":  {"mod.fn", map[string]string{"mod.py": "1/0"}, "ZeroDivisionError: division by zero"},
		"not to be encoded":       {"mod.fn", map[string]string{"mod.py": fn + "{'a': object}"}, "Runtime.MarshalError: Unable to marshal response: Object of type type is not JSON serializable"},
		"it ends the process":     {"mod.fn", map[string]string{"mod.py": "import sys\ndef fn(e, c): sys.exit(3)"}, "Runtime.ExitError: RequestId: ~ Error: Runtime exited with error: exit status 3"},
		"it ends it while loaded": {"mod.fn", map[string]string{"mod.py": "import sys\nsys.exit(4)"}, "Runtime.ExitError: RequestId: ~ Error: Runtime exited with error: exit status 4"},
		"it takes one argument":   {"mod.fn", map[string]string{"mod.py": "def fn(e): return 1"}, "TypeError: fn() takes 1 positional argument but 2 were given"},
	} {
		got := b.outcome(b.function("python3.11", c.handler, c.files), `{}`)
		if head, rest, ok := strings.Cut(got, "RequestId: "); ok {
			got = head + "RequestId: ~" + rest[36:]
		}
		if got, _, _ = strings.Cut(got, " (/"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
}

// Lambda checklist: 24
func TestContextOfPython(t *testing.T) {
	b := newBench(t)
	v := b.python(`
def handler(e, c):
    c.log("logged\n")
    return [type(c.memory_limit_in_mb).__name__, c.identity, c.client_context, c.tenant_id, type(c.get_remaining_time_in_millis()).__name__]`)
	res := b.want(v, `{}`, `["str", null, null, null, "int"]`)
	if !strings.Contains(string(res.Tail), "\nlogged\n") {
		t.Errorf("%s", res.Tail)
	}
	v = b.python(`
def handler(e, c):
    x = c.client_context
    return [c.tenant_id, x.custom, x.env, x.client.installation_id, x.client.app_title, x.client.app_version_code]`)
	run := func(client string) string {
		res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{}`), ClientContext: client, Tenant: "blue"})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Payload)
	}
	if got := run(`{"client":{"installation_id":"i","app_title":"é"},"env":{"make":"m"}}`); got != `["blue", null, {"make": "m"}, "i", "\u00e9", null]` {
		t.Error(got)
	}
	if got := run(`{`); !strings.Contains(got, `"errorType": "Runtime.LambdaContextUnmarshalError"`) {
		t.Error(got)
	}
}
