package sandbox

import (
	"encoding/json"
	"strings"
	"testing"

	"casemate"
)

// outcome is an answer, or the errorType and errorMessage of an error.
func (b *bench) outcome(v *casemate.Version, payload string) string {
	b.t.Helper()
	res := b.run(v, payload)
	if res.Failure == "" {
		return string(res.Payload)
	}
	var body struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(res.Payload, &body); err != nil {
		b.t.Errorf("error body %q: %v", res.Payload, err)
	}
	return body.ErrorType + ": " + body.ErrorMessage
}

// How a run of Node ends, by the rules of AWS's published runtime client: of several completions the first counts, a callback's
// waits for the event loop, and what cannot be written as JSON is an error.
//
// Lambda checklist: 16, 17, 20
func TestHowNodeRunsEnd(t *testing.T) {
	const never, jsonError = "Runtime.NodeJsExit: The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled.",
		"Error: Unable to stringify response body"
	b := newBench(t)
	for source, want := range map[string]string{
		`(e, c, cb) => { cb(null, 1); c.fail(new Error('second')) }`:                                   `1`,
		`(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, 1); c.fail(new Error()) }`: `1`,
		`(e, c, cb) => { cb(null, 1); cb(new Error('second')) }`:                                       `1`,
		`(e, c, cb) => { c.done(); cb(null, 1) }`:                                                      `null`,
		`async (e, c, cb) => { cb(null, 1) }`:                                                          `1`,
		`(e, c, cb) => { cb(null, 1); throw new Error('after') }`:                                      `1`,
		`async (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, 1) }`:                `1`,
		`async (e, c) => { c.succeed(1); return 2 }`:                                                   `1`,
		`(e, c) => { c.fail() }`:                                                                       `string: handled`,
		`(e, c) => { c.fail({ code: 7 }) }`:                                                            `object: [object Object]`,
		`(e, c) => { c.done('text') }`:                                                                 `string: text`,
		`(e, c, cb) => { cb(0) }`:                                                                      `number: 0`,
		`(e, c, cb) => { cb(undefined, 1) }`:                                                           `1`,
		`(e, c, cb) => { throw new RangeError('thrown') }`:                                             `RangeError: thrown`,
		`() => ({ then: (ok) => setTimeout(ok, 5, 'thenable') })`:                                      `"thenable"`,
		`() => 5`:                                         `null`,
		`async () => new Promise(() => {})`:               never,
		`() => new Promise(() => {})`:                     `null`,
		`(e, c, cb) => { setTimeout(() => {}, 20) }`:      `null`,
		`async () => () => 1`:                             `null`,
		`async () => { const o = {}; o.o = o; return o }`: jsonError,
		`(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; cb(null, 10n) }`: jsonError,
		`(e, c, cb) => cb(null, 10n)`: jsonError,
		`async () => { throw { name: 'Own', message: 'made by hand', stack: 'a' } }`:                                 `Own: made by hand`,
		`async () => { throw new Error('a\x7fb') }`:                                                                  `Error: a%7Fb`,
		`async () => { const e = new Error(); Object.defineProperty(e, 'message', { get() { throw 1 } }); throw e }`: `handled: callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack`,
		`async () => { throw null }`: `string: handled`,
		`async () => [globalThis[Symbol.for('aws.lambda.runtime.requestId')].length, globalThis[Symbol.for('aws.lambda.runtime.tenantId')] === undefined]`: `[36,true]`,
		`async (e, c) => { await new Promise((r) => setTimeout(r, 5)); return Object.keys(c).sort() }`:                                                     `["awsRequestId","callbackWaitsForEmptyEventLoop","clientContext","done","fail","functionName","functionVersion","getRemainingTimeInMillis","identity","invokedFunctionArn","logGroupName","logStreamName","memoryLimitInMB","succeed","tenantId"]`,
	} {
		if got := b.outcome(b.node("index.handler", "exports.handler = "+source), `{}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

// From Node 24 on Lambda has no callbacks: a handler that takes one does not start, and what any other returns is the answer.
//
// Lambda checklist: 17
func TestNode24HasNoCallbacks(t *testing.T) {
	b := newBench(t)
	for source, want := range map[string]string{
		`(e, c, cb) => cb(null, 1)`: `Runtime.CallbackHandlerDeprecated: ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ` +
			`You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.`,
		`() => 5`:                  `5`,
		`async (e) => e.a`:         `1`,
		`() => { throw 'thrown' }`: `string: thrown`,
		`async (e, c) => { setInterval(() => {}, 1000); return Object.keys(c).filter((k) => /done|fail|succeed|callback/.test(k)) }`: `[]`,
		`async () => 10n`: `Runtime.JSONStringifyError: Unable to stringify response body`,
	} {
		v := b.function("nodejs24.x", "index.handler", map[string]string{"index.js": "exports.handler = " + source})
		if got := b.outcome(v, `{"a":1}`); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

// What Lambda looks for, and in which order; names that lead nowhere.
//
// Lambda checklist: 18
func TestWhereNodeLooksForHandlers(t *testing.T) {
	b := newBench(t)
	is := func(s string) string { return `exports.handler = async () => '` + s + `'` }
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		want    string
	}{
		"a folder":                       {"src.handler", map[string]string{"src/index.js": is("folder")}, `"folder"`},
		"a file before the folder":       {"src.handler", map[string]string{"src/index.js": is("folder"), "src.js": is("file")}, `"file"`},
		"extensionless before all":       {"index.handler", map[string]string{"index": is("bare"), "index.js": is("js"), "index.mjs": is("mjs"), "package.json": `{"type":"commonjs"}`}, `"bare"`},
		"js of type module before mjs":   {"index.handler", map[string]string{"index.js": `export const handler = async () => 'js'`, "index.mjs": `export const handler = async () => 'mjs'`, "package.json": `{"type":"module"}`}, `"js"`},
		"nearest package.json":           {"a/b/index.handler", map[string]string{"a/b/index.js": is("cjs"), "a/b/package.json": `{}`, "package.json": `{"type":"module"}`}, `"cjs"`},
		"type does not matter to cjs":    {"index.handler", map[string]string{"index.cjs": is("cjs"), "package.json": `{"type":"module"}`}, `"cjs"`},
		"an installed package":           {"pkg.handler", map[string]string{"node_modules/pkg/index.js": is("installed")}, `"installed"`},
		"a package below the folder":     {"sub/pkg.handler", map[string]string{"sub/node_modules/pkg/index.js": is("below")}, `"below"`},
		"the root itself":                {".handler", map[string]string{"index.js": is("root")}, `"root"`},
		"top-level await":                {"index.handler", map[string]string{"index.mjs": `const x = await Promise.resolve('awaited'); export const handler = async () => x`}, `"awaited"`},
		"relative parts":                 {"./src/index.handler", map[string]string{"src/index.js": is("sub")}, `"sub"`},
		"upwards":                        {"src/../index.handler", map[string]string{"index.js": is("no")}, "Runtime.MalformedHandlerName: 'src/../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."},
		"no dot":                         {"index", map[string]string{"index.js": is("no")}, "Runtime.MalformedHandlerName: Bad handler"},
		"nothing after the dot":          {"index.", map[string]string{"index.js": is("no")}, "Runtime.HandlerNotFound: index. is undefined or not exported"},
		"a level that is not there":      {"index.a.b", map[string]string{"index.js": is("no")}, "Runtime.HandlerNotFound: index.a.b is undefined or not exported"},
		"no function":                    {"index.handler", map[string]string{"index.js": `exports.handler = { a: 1 }`}, "Runtime.HandlerNotFound: index.handler is not a function"},
		"an import that is not there":    {"index.handler", map[string]string{"index.mjs": `import 'nothing-here'`}, "Error: Cannot find package 'nothing-here' imported from /var/task/index.mjs"},
		"an error of its own":            {"index.handler", map[string]string{"index.js": `class Mine extends Error { constructor() { super('m'); this.name = 'Mine' } }; throw new Mine()`}, "Mine: m"},
		"a rejection while it is loaded": {"index.handler", map[string]string{"index.js": `Promise.reject(new Error('early')); ` + is("no")}, "Runtime.UnhandledPromiseRejection: Error: early"},
	} {
		got := b.outcome(b.function("nodejs20.x", c.handler, c.files), `{}`)
		if got, _, _ = strings.Cut(got, "\n"); got != c.want {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
}
