package sandbox

import (
	"regexp"
	"strings"
	"testing"

	"casemate"
)

func TestItem22PythonModules(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		answer  string
	}{
		"plain":   {"app.handler", map[string]string{"app.py": "def handler(e, c): return {'a': e['a']}"}, `{"a": 1}`},
		"folder":  {"pkg/mod.fn", map[string]string{"pkg/mod.py": "def fn(e, c): return 'sub'"}, `"sub"`},
		"package": {"pkg.mod.fn", map[string]string{"pkg/__init__.py": "", "pkg/mod.py": "from . import sib\ndef fn(e, c): return sib.x", "pkg/sib.py": "x = 'sib'"}, `"sib"`},
		"sibling": {"app.handler", map[string]string{"app.py": "import other\ndef handler(e, c): return other.x", "other.py": "x = None"}, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.with(t)
			b.want(b.function("python3.11", c.handler, c.files), `{"a":1}`, c.answer)
		})
	}
}

func TestItem23PythonErrors(t *testing.T) {
	b := newBench(t)
	body, res := b.fails(b.python("def handler(e, c):\n  raise KeyError('gone')"), `{}`, casemate.FailureHandled)
	has(t, body, "KeyError", "'gone'")
	stack := body["stackTrace"].([]any)
	if len(body["requestId"].(string)) != 36 || len(stack) != 1 || !strings.Contains(stack[0].(string), `File "/var/task/app.py", line 2, in handler`) {
		t.Errorf("body %v", body)
	}
	if !strings.Contains(string(res.Tail), "[ERROR] KeyError: 'gone'\rTraceback (most recent call last):\r") {
		t.Errorf("log %s", res.Tail)
	}
	for _, c := range []struct {
		handler, source, typ, message string
		kind                          casemate.Failure
	}{
		{"nothing.handler", "", "Runtime.ImportModuleError", "Unable to import module 'nothing': No module named 'nothing'", casemate.FailureInit},
		{"app.handler", "import not_there", "Runtime.ImportModuleError", "No module named 'not_there'", casemate.FailureInit},
		{"app.handler", "def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'", casemate.FailureInit},
		{"app.other", "", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'app'", casemate.FailureInit},
		{"app", "", "Runtime.MalformedHandlerName", "Bad handler 'app'", casemate.FailureInit},
		{"sys.exit", "", "Runtime.BuiltInModuleConflict", "built-in module sys", casemate.FailureInit},
		{"app.handler", "raise ValueError('at init')", "ValueError", "at init", casemate.FailureInit},
		{"app.handler", "def handler(e, c): return {1, 2}", "Runtime.MarshalError", "Unable to marshal response", casemate.FailureHandled},
	} {
		body, _ := b.fails(b.function("python3.11", c.handler, map[string]string{"app.py": c.source}), `{}`, c.kind)
		has(t, body, c.typ, c.message)
		if c.kind == casemate.FailureInit && body["requestId"] != "" {
			t.Errorf("requestId %v", body["requestId"])
		}
	}
}

func TestItem24PythonContext(t *testing.T) {
	b := newBench(t)
	v := b.python(`
def handler(e, c):
    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name[4] , c.invoked_function_arn,
            len(c.aws_request_id), c.identity, c.client_context.custom, c.client_context.client.app_title,
            0 < c.get_remaining_time_in_millis() <= 20000]`)
	res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), ARN: "arn:fn", Payload: []byte(`{}`),
		ClientContext: `{"custom":{"k":"v"},"client":{"app_title":"t"}}`})
	if err != nil {
		t.Fatal(err)
	}
	want := `["fn", "3", "256", "/aws/lambda/fn", "/", "arn:fn", 36, null, {"k": "v"}, "t", true]`
	if string(res.Payload) != want {
		t.Errorf("got %s\nwant %s\n%s", res.Payload, want, res.Tail)
	}
}

func TestItem25PythonLogging(t *testing.T) {
	b := newBench(t)
	res := b.want(b.python(`
import logging
log = logging.getLogger()
log.setLevel(logging.INFO)
def handler(e, c):
    log.info("hello %s", "there")
    log.debug("no")
    logging.getLogger("x").warning("two\nlines")
    print("printed")`), `{}`, `null`)
	for _, want := range []string{`(?m)^\[INFO\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t[0-9a-f-]{36}\thello there$`,
		`\[WARNING\]\t\S+Z\t[0-9a-f-]{36}\ttwo\rlines\n`, `(?m)^printed$`} {
		if !regexp.MustCompile(want).Match(res.Tail) {
			t.Errorf("no %s in\n%s", want, res.Tail)
		}
	}
	if strings.Contains(string(res.Tail), "no\n") {
		t.Error("DEBUG was logged")
	}
}

func TestPythonEncoding(t *testing.T) {
	b := newBench(t)
	b.want(b.python("from decimal import Decimal\ndef handler(e, c): return [Decimal('1.5'), 'é']"), `{}`, `[1.5, "\u00e9"]`)
	v := b.python("def handler(e, c): return b'\\x00\\xff'")
	if res := b.want(v, `{}`, "\x00\xff"); res.ContentType != "application/unknown" {
		t.Errorf("content type %q", res.ContentType)
	}
	v = b.function("python3.12", "app.handler", map[string]string{"app.py": "def handler(e, c): return 'é'"})
	b.want(v, `{}`, `"é"`)
}
