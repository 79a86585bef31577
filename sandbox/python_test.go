package sandbox

import (
	"regexp"
	"strings"
	"testing"

	"casemate"
)

// Lambda checklist: 22
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

// Lambda checklist: 23
func TestItem23PythonErrors(t *testing.T) {
	b := newBench(t)
	body, res := b.fails(b.python("def handler(e, c):\n  raise KeyError('gone')"), `{}`, casemate.FailureHandled)
	has(t, body, "KeyError", "'gone'")
	stack := body["stackTrace"].([]any)
	if len(body["requestId"].(string)) != 36 || len(stack) != 1 || stack[0] != "  File \"/var/task/app.py\", line 2, in handler\n    raise KeyError('gone')\n" {
		t.Errorf("body %v", body)
	}
	if !strings.Contains(string(res.Tail), "[ERROR] KeyError: 'gone'\nTraceback (most recent call last):\n\u00a0\u00a0File ") {
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

// Lambda checklist: 24
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

// Lambda checklist: 25
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
		`\[WARNING\]\t\S+Z\t[0-9a-f-]{36}\ttwo\nlines\n`, `(?m)^printed$`} {
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
	b.want(b.python("from decimal import Decimal as D\ndef handler(e, c): return {'a': D('12345678901234567890.10'), 'é': [D('NaN'), b'x\\xc3\\xa9', '1.5']}"), `{}`,
		`{"a": 12345678901234567890.10, "\u00e9": [NaN, "x\u00e9", "1.5"]}`)
	v := b.python("def handler(e, c): return b'\\x00\\xff'")
	if res := b.want(v, `{}`, "\x00\xff"); res.ContentType != "application/unknown" {
		t.Errorf("content type %q", res.ContentType)
	}
	v = b.function("python3.12", "app.handler", map[string]string{"app.py": "def handler(e, c): return 'é'"})
	b.want(v, `{}`, `"é"`)
}

// The C modules that the runtime uses must read and write as package json does, on every interpreter that is there.
func TestPythonJSONIsTheLibrarys(t *testing.T) {
	b := newBench(t)
	source := `
import json, __main__, enum, math
class Color(enum.IntEnum):
    RED = 1
class Text(str): pass
def outcome(f):
    try:
        return repr(f())
    except RecursionError:
        return "deep"
    except Exception as e:
        return type(e).__name__ + ": " + str(e)
loop = []
loop.append(loop)
texts = [b'{}', b' [1, 2.5, -3e9, true, false, null] \n', b'"\\u00e9\\ud83d\\ude00"', '"\u00e9"'.encode(), b'\xef\xbb\xbf{}', '{"a":1}'.encode("utf-16"),
         b'NaN', b'[Infinity, -Infinity]', b'123456789012345678901234567890', b'{"a":1,"a":2}', b'', b' ', b'{', b'[1,]', b'1 2', b'"\x01"', b'"\xff"',
         b'\x0b1', b'[' * 100000, b'{"a" : {"b" : [ ] } }', b'nul', b"'x'", b'01', b'1.', b'"\\ud800"']
values = [None, True, 0, -1, 1.5, 1e100, math.nan, math.inf, "x\u00e9\u2028\ud800\"\\\x01", [], {}, (1, 2), {"a": [1, {"b": None}]}, {1: 2, None: 3, True: 4, 1.5: 5},
          {(1, 2): 3}, {1, 2}, b"x", Color.RED, Text("t"), [Color.RED, Text("u")], loop, 10**40, {"k": Color.RED}]
def handler(e, c):
    bad = []
    for t in texts:
        if outcome(lambda: __main__.loads(t)) != outcome(lambda: json.loads(t)): bad.append(repr(t)[:40])
    for v in values:
        for ascii in (True, False):
            mine, theirs = outcome(lambda: __main__.dumps(v, __main__.plain, ascii)), outcome(lambda: json.dumps(v, default=__main__.plain, ensure_ascii=ascii))
            if mine != theirs: bad.append(mine[:60] + " / " + theirs[:60])
    return [bad, __main__.scan is not None, __main__.make_encoder is not None]`
	for _, i := range b.pool.cfg.Interpreters {
		if i.Family != "python" {
			continue
		}
		t.Run(i.Version, func(t *testing.T) {
			b := b.with(t)
			parts := strings.Split(i.Version, ".")
			v := b.function(casemate.Runtime("python"+parts[0]+"."+parts[1]), "app.handler", map[string]string{"app.py": source})
			b.want(v, `{}`, `[[], true, true]`)
		})
	}
}

// A function that needs neither json nor socket does not pay for them.
func TestPythonStartsLean(t *testing.T) {
	b := newBench(t)
	b.want(b.python("import sys\ndef handler(e, c): return [m for m in ('json', 'socket', 're', 'enum', 'logging', 'http') if m in sys.modules]"), `{}`, `[]`)
}
