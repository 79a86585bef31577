package sandbox

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate"
)

// Lambda checklist: 16
func TestItem16NodeAsyncHandler(t *testing.T) {
	b := newBench(t)
	b.want(b.node("index.handler", `exports.handler = async (e) => ({ got: e.a })`), `{"a":1}`, `{"got":1}`)
	b.want(b.node("index.handler", `exports.handler = async () => undefined`), `{}`, `null`)
	b.want(b.node("index.handler", `exports.handler = () => {}`), `{}`, `null`)
	b.want(b.node("index.handler", `exports.handler = async (e, c) => [c.awsRequestId.length, c.invokedFunctionArn, c.functionName,
		c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.getRemainingTimeInMillis() > 0 && c.getRemainingTimeInMillis() <= 20000]`),
		`{}`, `[36,"arn:fn","fn","3","256","/aws/lambda/fn",true]`)
}

// Lambda checklist: 17
func TestItem17NodeCallbacks(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ source, answer string }{
		"callback":   {`exports.handler = (e, c, cb) => cb(null, 1)`, `1`},
		"later":      {`exports.handler = (e, c, cb) => setTimeout(() => cb(null, 2), 20)`, `2`},
		"only first": {`exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2); cb(new Error('x')) }`, `1`},
		"succeed":    {`exports.handler = (e, c) => { c.succeed('s'); c.fail(new Error('late')) }`, `"s"`},
		"done":       {`exports.handler = (e, c) => { c.done(null, 'd') }`, `"d"`},
		"held back until the loop is empty": {`let n = 0; exports.handler = (e, c, cb) => {
			const r = { get n() { return n } }; setTimeout(() => n++, 40); cb(null, r) }`, `{"n":1}`},
		"not held back": {`let n = 0; exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false;
			const r = { get n() { return n } }; setTimeout(() => n++, 40); cb(null, r) }`, `{"n":0}`},
		"an open timer does not hold back without it": {`exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false;
			setInterval(() => {}, 1000); cb(null, 'free') }`, `"free"`},
	} {
		t.Run(name, func(t *testing.T) { b := b.with(t); b.want(b.node("index.handler", c.source), `{}`, c.answer) })
	}
	body, _ := b.fails(b.node("index.handler", `exports.handler = (e, c) => c.fail('text')`), `{}`, casemate.FailureHandled)
	has(t, body, "string", "text")
	body, _ = b.fails(b.node("index.handler", `exports.handler = async () => new Promise(() => {})`), `{}`, casemate.FailureHandled)
	has(t, body, "Runtime.NodeJsExit", "Promise that was never settled")
}

// Lambda checklist: 18
func TestItem18NodeLoadingOrder(t *testing.T) {
	b := newBench(t)
	cjs := func(s string) string {
		return `exports.handler = async () => '` + s + `'; exports.a = { b: { c: exports.handler } }`
	}
	esm := func(s string) string { return `export const handler = async () => '` + s + `'` }
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		answer  string
	}{
		"js":               {"index.handler", map[string]string{"index.js": cjs("js"), "index.mjs": esm("mjs")}, `"js"`},
		"extensionless":    {"index.handler", map[string]string{"index": cjs("bare"), "index.js": cjs("js")}, `"bare"`},
		"mjs before cjs":   {"index.handler", map[string]string{"index.mjs": esm("mjs"), "index.cjs": cjs("cjs")}, `"mjs"`},
		"cjs":              {"index.handler", map[string]string{"index.cjs": cjs("cjs")}, `"cjs"`},
		"type module":      {"index.handler", map[string]string{"index.js": esm("esm"), "package.json": `{"type":"module"}`}, `"esm"`},
		"type above":       {"src/index.handler", map[string]string{"src/index.js": esm("esm"), "package.json": `{"type":"module"}`}, `"esm"`},
		"nested":           {"index.a.b.c", map[string]string{"index.js": cjs("deep")}, `"deep"`},
		"folder":           {"src/lib/index.handler", map[string]string{"src/lib/index.js": cjs("sub")}, `"sub"`},
		"node_modules":     {"index.handler", map[string]string{"index.js": `exports.handler = async () => require('m')`, "node_modules/m/index.js": `module.exports = 'm'`}, `"m"`},
		"esm node_modules": {"index.handler", map[string]string{"index.mjs": `import m from 'm'; export const handler = async () => m`, "node_modules/m/index.js": `module.exports = 'm'`}, `"m"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.with(t)
			b.want(b.function("nodejs20.x", c.handler, c.files), `{}`, c.answer)
		})
	}
	for _, c := range []struct{ handler, source, typ, message string }{
		{"../index.handler", "", "Runtime.MalformedHandlerName", "not a valid handler name"},
		{"index", "", "Runtime.MalformedHandlerName", "Bad handler"},
		{"index.none", "exports.handler = 1", "Runtime.HandlerNotFound", "index.none is undefined or not exported"},
		{"index.handler", "exports.handler = 1", "Runtime.HandlerNotFound", "is not a function"},
		{"other.handler", "", "Runtime.ImportModuleError", "Cannot find module 'other'"},
		{"index.handler", "require('nothing-here')", "Runtime.ImportModuleError", "nothing-here"},
		{"index.handler", "exports.handler = {", "Runtime.UserCodeSyntaxError", "SyntaxError"},
		{"index.handler", "throw new RangeError('at init')", "RangeError", "at init"},
	} {
		body, _ := b.fails(b.node(c.handler, c.source), `{}`, casemate.FailureInit)
		has(t, body, c.typ, c.message)
	}
}

// Lambda checklist: 19
func TestItem19NodeUncaughtErrorsReplaceTheSandbox(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ source, typ, message string }{
		{`setTimeout(() => { throw new TypeError('loose') }, 1)`, "TypeError", "loose"},
		{`Promise.reject(new Error('lost'))`, "Runtime.UnhandledPromiseRejection", "Error: lost"},
	} {
		v := b.node("index.handler", `let n = 0; exports.handler = (e, c, cb) => { n++; if (e.bad) { `+c.source+` } else cb(null, n) }`)
		v.Isolation = casemate.IsolationWarm
		b.want(v, `{}`, `1`)
		b.want(v, `{}`, `2`)
		body, res := b.fails(v, `{"bad":1}`, casemate.FailureHandled)
		has(t, body, c.typ, c.message)
		if res.Usage.Cold {
			t.Error("the third run was cold")
		}
		if res = b.want(v, `{}`, `1`); !res.Usage.Cold {
			t.Error("the sandbox was used again after an uncaught error")
		}
	}
}

// Lambda checklist: 20
func TestItem20NodeErrorBody(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `class OutOfStock extends Error { constructor(m) { super(m); this.name = 'OutOfStock' } }
exports.handler = async () => { throw new OutOfStock('none left') }`)
	body, res := b.fails(v, `{}`, casemate.FailureHandled)
	has(t, body, "OutOfStock", "none left")
	trace := body["trace"].([]any)
	if len(body) != 3 || len(trace) < 2 || !strings.Contains(trace[1].(string), "/var/task/index.js") {
		t.Errorf("body %v", body)
	}
	if !strings.Contains(string(res.Tail), "\tERROR\tInvoke Error \t{\"errorType\":\"OutOfStock\"") {
		t.Errorf("log %s", res.Tail)
	}
}

// Lambda checklist: 30
func TestNodeConsoleLines(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `console.log('at init'); exports.handler = async (e, c) => {
		console.log('a %s', 1, {b: 2}); console.warn('two\nlines'); console.error('e'); console.debug('d'); process.stderr.write('raw') }`)
	res := b.want(v, `{}`, `null`)
	id := strings.Fields(strings.Split(string(res.Tail), "START RequestId: ")[1])[0]
	for _, want := range []string{"\tundefined\tINFO\tat init\n", "\t" + id + "\tINFO\ta 1 { b: 2 }\n", "\t" + id + "\tWARN\ttwo\nlines\n",
		"\t" + id + "\tERROR\te\n", "\t" + id + "\tDEBUG\td\n", "raw\n"} {
		if !strings.Contains(string(res.Tail), want) {
			t.Errorf("no %q in\n%s", want, res.Tail)
		}
	}
	v = b.node("index.handler", `exports.handler = async () => { console.info('low'); console.warn({ k: 1 }) }`)
	v.Env = map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}
	res = b.want(v, `{}`, `null`)
	if s := string(res.Tail); strings.Contains(s, "low") || !strings.Contains(s, `"level":"WARN","requestId":"`) || !strings.Contains(s, `"message":{"k":1}`) {
		t.Errorf("JSON log %s", s)
	}
}

func TestItem53NodeStreaming(t *testing.T) {
	b := newBench(t)
	res := b.run(b.node("index.handler", `exports.handler = awslambda.streamifyResponse(async (e, out) => {
		out.setContentType('text/plain'); out.write('one,'); await new Promise((r) => setTimeout(r, 5)); out.end('two') })`), `{}`)
	if res.Failure != "" || string(res.Payload) != "one,two" || res.ContentType != "text/plain" {
		t.Errorf("%q %q %q %s", res.Failure, res.Payload, res.ContentType, res.Tail)
	}
	res = b.run(b.node("index.handler", `exports.handler = awslambda.streamifyResponse(async (e, out) => {
		out = awslambda.HttpResponseStream.from(out, { statusCode: 201 }); out.write('body'); out.end() })`), `{}`)
	if string(res.Payload) != "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body" || res.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("%q %q", res.Payload, res.ContentType)
	}
	body, _ := b.fails(b.node("index.handler", `exports.handler = awslambda.streamifyResponse(async (e, out) => {
		out.write('half'); await new Promise((r) => setTimeout(r, 5)); throw new Error('midway') })`), `{}`, casemate.FailureHandled)
	has(t, body, "Error", "midway")
	body, _ = b.fails(b.node("index.handler", `exports.handler = awslambda.streamifyResponse(async (e, out) => { throw new Error('before') })`), `{}`, casemate.FailureHandled)
	has(t, body, "Error", "before")
}

// Lambda checklist: 2
func TestItem02NodeRemainingTime(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `exports.handler = async (e, c) => { const a = c.getRemainingTimeInMillis();
		await new Promise((r) => setTimeout(r, 30)); return a > c.getRemainingTimeInMillis() && a <= 5000 && a > 0 }`)
	v.Limits.Timeout = 5 * time.Second
	b.want(v, `{}`, `true`)
}

// Garbage must be found before the memory limit is: short-lived, kept a while in a window, large arrays, parsed texts.
func TestNodeGarbageFitsIntoItsMemory(t *testing.T) {
	b := newBench(t)
	source := `exports.handler = async () => {
		const q = []; let n = 0;
		for (let i = 0; i < 6e5; i++) { q.push({ a: i, b: [i, i + 1, i + 2], c: 'x' + i }); if (q.length > 1e5) q.splice(0, 5e4); }
		for (let i = 0; i < 150; i++) n += new Array(131072).fill(i + 0.5).length;
		const text = JSON.stringify(Array.from({ length: 6e4 }, (_, i) => ({ id: i, name: 'n' + i })));
		for (let i = 0; i < 10; i++) n += JSON.parse(text).length;
		return [q.length <= 1e5, n, process.constrainedMemory() / 1048576, process.execArgv.length] }`
	for memory, flags := range map[int]string{128: "0", 160: "0", 2048: "0", 2049: "2"} {
		v := b.node("index.handler", source)
		v.Limits = casemate.Limits{MemoryMB: memory, Timeout: time.Minute}
		b.want(v, `{}`, "[true,20260800,"+strconv.Itoa(memory)+","+flags+"]")
	}
	v := b.node("index.handler", `exports.handler = async () => [process.constrainedMemory() / 1048576, process.execArgv]`)
	v.Limits = casemate.Limits{MemoryMB: 64}
	b.want(v, `{}`, `[64,["--max-old-space-size=57","--max-semi-space-size=3"]]`)
}
