package manifest

import (
	"fmt"
	"strings"
	"testing"

	"casemate"
)

const head = "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm}\n"

// bad manifests, each with the place and words of its first problem. schema says that an editor sees it as well.
var bad = []struct {
	name, text   string
	line, column int
	says         string
	schema       bool
}{
	{"nothing", "", 1, 1, "empty", false},
	{"a queue's name", head + "queues:\n  a.b: {}\n", 5, 3, "must match", true},
	{"a dead-letter queue of nobody", head + "queues:\n  j: {dead_letter: {queue: d, max_receives: 3}}\n", 5, 21, "there is no queue", false},
	{"a dead-letter queue of another kind", head + "queues:\n  j.fifo: {dead_letter: {queue: d, max_receives: 3}}\n  d: {}\n", 5, 26, "is one as well", false},
	{"duplicates of a standard queue", head + "queues:\n  j: {dedup: content}\n", 5, 3, "FIFO queues alone", false},
	{"a large batch at once", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, events: [{queue: j, batch: 100}]}\n", 3, 56, "needs a window", false},
	{"a large batch of a FIFO queue", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, events: [{queue: j.fifo, batch: 100}]}\n", 3, 61, "10 messages at a time", false},
	{"a pattern that is none", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, events: [{queue: j, filter: ['{\"body\": 1}']}]}\n", 3, 65, "pattern is invalid at /body", false},
	{"messages that come back too early", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 60s, events: [{queue: j}]}\nqueues:\n  j: {}\n", 3, 60, "come back", false},
	{"a list", "- a\n", 1, 1, "a mapping is wanted here, this is a list", true},
	{"no app", "functions: {f: {runtime: wasm, code: f.wasm}}\n", 1, 1, `"app" is missing`, true},
	{"no functions", "app: a\n", 1, 1, `"functions" is missing`, true},
	{"empty functions", "app: a\nfunctions: {}\n", 2, 1, "needs a function", false},
	{"unknown key", head + "route: {}\n", 4, 1, `no key "route"`, true},
	{"unknown inner key", "app: a\nfunctions:\n  f:\n    runtime: wasm\n    code: f.wasm\n    timout: 3s\n", 6, 5, `no key "timout"`, true},
	{"duplicate key", "app: a\napp: b\n", 2, 1, "second time", false},
	{"duplicate function", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm}\n  f: {runtime: wasm, code: g.wasm}\n", 4, 3, "second time", false},
	{"wrong type", "app: 7\n" + head[7:], 1, 6, "a text is wanted here, this is a number", true},
	{"boolean text", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, env: {A: true}}\n", 3, 45, "a text is wanted", true},
	{"null", "app: a\nfunctions:\n  f:\n", 3, 5, "this is nothing", true},
	{"app name", "app: A_b\n" + head[7:], 1, 6, "must match", true},
	{"function name", "app: a\nfunctions:\n  f/g: {runtime: wasm, code: f.wasm}\n", 3, 3, "must match", true},
	{"trust in everybody", head + "roles:\n  r:\n    trust:\n      - {Effect: Allow, Principal: '*', Action: sts:AssumeRole}\n", 7, 9, "trusts everybody", false},
	{"trust for anything", head + "roles:\n  r:\n    trust:\n      - {Effect: Allow, Principal: {AWS: 'arn:aws:iam::000000000000:user/a'}, Action: '*'}\n", 7, 9, "about assuming the role", false},
	{"cors for everybody with credentials", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"*\"], credentials: allow}\n", 8, 28, "act as whoever visits it", false},
	{"cors for null", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"null\"]}\n", 8, 22, "every sandboxed frame", false},
	{"cors for a suffix", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"https://*example.com\"]}\n", 8, 22, "a host that is none", false},
	{"cors for a path", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"https://a.test/\"]}\n", 8, 22, "a host that is none", false},
	{"cors for nobody", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {methods: [GET]}\n", 8, 11, "origins", true},
	{"cors for another method", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"https://a.test\"], methods: [POST]}\n", 8, 41, "takes GET alone", false},
	{"cors of a boolean", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"https://a.test\"], credentials: true}\n", 8, 54, "a text is wanted", true},
	{"cors for two days", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cors: {origins: [\"https://a.test\"], max_age: 48h}\n", 8, 50, "24h", false},
	{"a header of the platform", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    headers: {set: {set-cookie: a=b}}\n", 8, 21, "cannot be set here", false},
	{"a header that nobody knows", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    headers: {set: {x-frame-options: ALLOW}}\n", 8, 21, "browsers do not know", false},
	{"headers off and set", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    headers: {mode: off, set: {x-a: b}}\n", 8, 15, "headers are off", false},
	{"omit what is not there", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    headers: {omit: [x-a]}\n", 8, 22, "no header that is added", false},
	{"cookies as they are, but", head + "routes:\n  GET /a:\n    function: f\n    auth: [key]\n    cookies: {mode: as-is, readable: [a]}\n", 8, 28, "pass as they are", false},
	{"trust in nobody", head + "roles:\n  r:\n    trust:\n      - {Effect: Allow, Action: sts:AssumeRole}\n", 7, 9, "Principal", false},
	{"flow of one", head + "routes:\n  POST /a: {function: f, auth: [key]}\n  GET /b: {function: f, auth: [key]}\n" + "flows:\n  x: {steps: [POST /a], key: caller}\n", 8, 7, "two steps or more", false},
	{"flow without a key", head + "routes:\n  POST /a: {function: f, auth: [key]}\n  GET /b: {function: f, auth: [key]}\n" + "flows:\n  x: {steps: [POST /a, GET /b]}\n", 8, 6, "\"key\" is missing", true},
	{"flow by a claim of a key", head + "routes:\n  POST /a: {function: f, auth: [key]}\n  GET /b: {function: f, auth: [key]}\n" + "flows:\n  x: {steps: [POST /a, GET /b], key: \"claim:sub\"}\n", 8, 33, "only tokens have claims", false},
	{"flow by a parameter", head + "routes:\n  POST /a: {function: f, auth: [key]}\n  GET /b: {function: f, auth: [key]}\n" + "flows:\n  x: {steps: [POST /a, GET /b], key: \"path:id\"}\n", 8, 33, "no path parameter", false},
	{"a payload of no API", head + "routes:\n  GET /a: {function: f, auth: [key], payload: '3.0'}\n", 5, 47, "2.0, 1.0, rest", true},
	{"a stage with a slash", head + "routes:\n  GET /a: {function: f, auth: [key], stage: a/b}\n", 5, 45, "must match", true},
	{"a schedule of nothing", head + "schedules:\n  s: {function: g, when: rate(5 minutes)}\n", 5, 7, "no function", false},
	{"a schedule that never comes", head + "schedules:\n  s: {function: f, when: rate(1 minutes)}\n", 5, 20, "no unit for 1", false},
	{"a schedule in no zone", head + "schedules:\n  s: {function: f, when: rate(1 minute), zone: Mars/Phobos}\n", 5, 42, "no time zone", false},
	{"a schedule that ends first", head + "schedules:\n  s: {function: f, when: rate(1 minute), start: '2027-01-02T00:00:00Z', end: '2027-01-01T00:00:00Z'}\n", 5, 73, "ends before it starts", false},
	{"a schedule with a date", head + "schedules:\n  s: {function: f, when: rate(1 minute), start: '2027-01-02'}\n", 5, 42, "no time with a zone", false},
	{"a schedule with words", head + "schedules:\n  s: {function: f, when: rate(1 minute), input: hello}\n", 5, 42, "no JSON", false},
	{"cache of a POST", head + "routes:\n  POST /a: {function: f, auth: [key], cache: {ttl: 5s}}\n", 5, 39, "must happen every time", false},
	{"a stream that is kept", head + "routes:\n  GET /a: {function: f, auth: [key], response: stream, cache: {ttl: 5s}}\n", 5, 38, "do not go together", false},
	{"a request that may take for ever", head + "routes:\n  GET /a: {function: f, auth: [key], timeout: 1h}\n", 5, 47, "15m", false},
	{"a response of its own kind", head + "routes:\n  GET /a: {function: f, auth: [key], response: streaming}\n", 5, 48, "buffered", true},
	{"cache for ever", head + "routes:\n  GET /a: {function: f, auth: [key], cache: {}}\n", 5, 45, "\"ttl\" is missing", true},
	{"certificates of nobody", head + "roles: {r: {}}\ncertificates:\n  p: {role: r}\n", 6, 3, "nothing says which certificates", false},
	{"certificates of everybody", head + "roles: {r: {}}\ncertificates:\n  p: {role: r, ca: ca.pem}\n", 6, 3, "which of the authority's", false},
	{"certificates of a common name", head + "roles: {r: {}}\ncertificates:\n  p: {role: r, ca: ca.pem, san: [shop.example]}\n", 6, 34, "must match", true},
	{"certificate pin in base64", head + "roles: {r: {}}\ncertificates:\n  p: {role: r, pins: [\"sha256/AAAA\"]}\n", 6, 23, "must match", true},
	{"unknown certificate rule", head + "routes:\n  GET /x: {function: f, auth: [\"certificate:p\"]}\n", 5, 25, "no certificate rule", false},
	{"budget of nothing", head + "budgets:\n  - {for: moon/x, amount: \"5\", per: day}\n", 5, 11, "must match", true},
	{"budget of the node", head + "budgets:\n  - {for: node, amount: \"5\", per: day}\n", 5, 11, "must match", true},
	{"negative budget", head + "budgets:\n  - {for: app, amount: \"-5\", per: day}\n", 5, 24, "must match", true},
	{"budget as a number", head + "budgets:\n  - {for: app, amount: 5e3, per: day}\n", 5, 24, "a text is wanted", true},
	{"budget beyond all", head + "budgets:\n  - {for: app, amount: \"9999999999\", per: day}\n", 4, 1, "larger than any", false},
	{"budget of another's function", head + "budgets:\n  - {for: function/g, amount: \"5\", per: day}\n", 5, 6, "no function \"g\"", false},
	{"budget twice", head + "budgets:\n  - {for: app, amount: \"5\", per: day}\n  - {for: app, amount: \"6\", per: day}\n", 6, 5, "already", false},
	{"runtime", "app: a\nfunctions:\n  f: {runtime: nodejs, code: f}\n", 3, 16, "is none of", true},
	{"no handler", "app: a\nfunctions:\n  f: {runtime: nodejs20.x, code: f}\n", 3, 3, "needs a handler", false},
	{"wasm for node", "app: a\nfunctions:\n  f: {runtime: nodejs20.x, handler: i.h, code: f.wasm}\n", 3, 42, "is no code for", false},
	{"folder for wasm", "app: a\nfunctions:\n  f: {runtime: wasm, code: f}\n", 3, 22, "is no code for wasm", false},
	{"climbing code", "app: a\nfunctions:\n  f: {runtime: wasm, code: ../f.wasm}\n", 3, 22, "not a plain path", false},
	{"absolute code", "app: a\nfunctions:\n  f: {runtime: wasm, code: /f.wasm}\n", 3, 22, "not a plain path", false},
	{"backslash code", "app: a\nfunctions:\n  f: {runtime: wasm, code: 'a\\f.wasm'}\n", 3, 22, "not a plain path", false},
	{"timeout number", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 3}\n", 3, 45, "a text with a unit is wanted", true},
	{"timeout unit", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 3x}\n", 3, 45, "is no duration", true},
	{"timeout zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 0s}\n", 3, 45, "is no duration", false},
	{"timeout negative", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: -3s}\n", 3, 45, "is no duration", true},
	{"timeout long", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 901s}\n", 3, 45, "from 10ms to 900s", false},
	{"timeout endless", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, timeout: 99999999999999999999h}\n", 3, 45, "is no duration", false},
	{"memory unit", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 128}\n", 3, 44, "a text with a unit", true},
	{"memory word", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 128MBB}\n", 3, 44, "is no size", true},
	{"memory zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 0MB}\n", 3, 44, "is no size", true},
	{"memory huge", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 99999999999999999999GB}\n", 3, 44, "is no size", false},
	{"memory overflow", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 17179869184GB}\n", 3, 44, "is no size", false},
	{"memory beyond", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, memory: 11GB}\n", 3, 44, "from 16MB to 10240MB", false},
	{"concurrency zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, concurrency: 0}\n", 3, 49, "from 1 to 1000", true},
	{"concurrency huge", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, concurrency: 99999999999999999999999}\n", 3, 49, "from 1 to 1000", true},
	{"concurrency float", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, concurrency: 1.5}\n", 3, 49, "from 1 to 1000", true},
	{"rate", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, rate: 10 per second}\n", 3, 42, "10 per second", true},
	{"plan that limits nothing", head + "plans: {p: {}}\n", 4, 9, "limits nothing", false},
	{"plan rate", head + "plans: {p: {rate: NaN/s}}\n", 4, 19, "is no rate", true},
	{"plan rate overflow", head + "plans: {p: {rate: 1e400/s}}\n", 4, 19, "is no rate", true},
	{"plan rate huge", head + "plans: {p: {rate: 99999999/s}}\n", 4, 19, "is no rate", false},
	{"plan rate negative", head + "plans: {p: {rate: -1/s}}\n", 4, 19, "is no rate", true},
	{"plan day negative", head + "plans: {p: {day: -1}}\n", 4, 18, "from 1 to", true},
	{"plan day zero", head + "plans: {p: {day: 0}}\n", 4, 18, "from 1 to", true},
	{"plan day not a number", head + "plans: {p: {day: .nan}}\n", 4, 18, "from 1 to", false},
	{"plan day infinite", head + "plans: {p: {day: .inf}}\n", 4, 18, "from 1 to", false},
	{"plan day overflow", head + "plans: {p: {day: 9223372036854775808}}\n", 4, 18, "from 1 to", true},
	{"plan month overflow", head + "plans: {p: {month: 18446744073709551617}}\n", 4, 20, "from 1 to", true},
	{"plan day over month", head + "plans: {p: {day: 10, month: 9}}\n", 4, 13, "in a day than in a month", false},
	{"plan on no route", head + "plans: {p: {routes: {GET /x: {day: 1}}}}\n", 4, 22, "there is no route", false},
	{"plan concurrency negative", head + "plans: {p: {concurrency: -5}}\n", 4, 26, "from 1 to 1000", true},
	{"no such plan", head + "roles: {r: {plan: gold}}\n", 4, 13, "there is no plan", false},
	{"quota of nothing", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, quota: {}}\n", 3, 36, "limits nothing", false},
	{"reserved negative", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, reserved_concurrency: -1}\n", 3, 58, "from 0 to 1000", true},
	{"reserved and concurrency", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, concurrency: 5, reserved_concurrency: 5}\n", 3, 52, "is also the most", false},
	{"rate zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, rate: 0/s}\n", 3, 42, "0/s", false},
	{"isolation", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, isolation: none}\n", 3, 47, "is none of request, tenant, warm", true},
	{"tenant key alone", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, tenant: \"claim:tid\"}\n", 3, 36, "only isolation tenant", false},
	{"tenant key odd", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, isolation: tenant, tenant: tid}\n", 3, 63, "must match", true},
	{"lifetime of one event", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, lifetime: 1h}\n", 3, 36, "sees one event", false},
	{"several of one event", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, sandbox_concurrency: 4}\n", 3, 42, "kept apart", false},
	{"several of tenants", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, isolation: tenant, sandbox_concurrency: 4}\n", 3, 61, "kept apart", false},
	{"several of an interpreter", "app: a\nfunctions:\n  f: {runtime: nodejs22.x, handler: a.b, code: f, isolation: warm, sandbox_concurrency: 4}\n", 3, 68, "asks for one event at a time", false},
	{"several of too many", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, isolation: warm, sandbox_concurrency: 17}\n", 3, 80, "from 1 to 16", true},
	{"several beyond", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, isolation: warm, concurrency: 2, sandbox_concurrency: 3}\n", 3, 75, "more than may run", false},
	{"several and a caller", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, isolation: warm, sandbox_concurrency: 3, grants: [\"read table/o/${jwt:sub}\"]}\n", 3, 92, "of one event", false},
	{"provisioned for nobody", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, isolation: tenant, provisioned: 2}\n", 3, 55, "not known before", false},
	{"provisioned beyond", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, concurrency: 2, provisioned: 3}\n", 3, 52, "more than may run", false},
	{"children of wasm", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, children: [/usr/bin/id]}\n", 3, 36, "no processes", false},
	{"child by name", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, children: [id]}\n", 3, 53, "no absolute clean path", true},
	{"log of wasm", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, log: {format: json}}\n", 3, 42, "no logging of its own", false},
	{"level of lines", "app: a\nfunctions:\n  f: {runtime: python3.12, handler: a.b, code: f, log: {format: text, level: warn}}\n", 3, 71, "only JSON has levels", false},
	{"log format", "app: a\nfunctions:\n  f: {runtime: python3.12, handler: a.b, code: f, log: {format: xml}}\n", 3, 65, "text, json", true},
	{"layers of wasm", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, layers: [x]}\n", 3, 36, "has no /opt", false},
	{"layer above", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, layers: [../x]}\n", 3, 51, "not a plain path", false},
	{"layer twice", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, layers: [x:1, x:1]}\n", 3, 56, "twice", false},
	{"layer ARN", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, layers: [\"arn:aws:s3:::x\"]}\n", 3, 51, "no ARN of a layer", true},
	{"alias of a number", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, aliases: {\"7\": {}}}\n", 3, 46, "a number names a version", false},
	{"alias of no version", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, versions: [One], aliases: {x: {version: Two}}}\n", 3, 67, "none of versions", false},
	{"alias weight alone", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, aliases: {x: {weight: \"0.1\"}}}\n", 3, 46, "stand together", false},
	{"alias weight of more", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, aliases: {x: {other: \"3\", weight: \"1.1\"}}}\n", 3, 70, "must match", false},
	{"version twice", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, versions: [A, A]}\n", 3, 50, "twice", false},
	{"policy of no alias", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, aliases: {live: {}}}\nresources: {\"function/f:life\": [{Effect: Deny, Principal: '*', Action: lambda:InvokeFunction}]}\n", 4, 13, "no alias \"life\"", false},
	{"six layers", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, layers: [a, b, c, d, e, g]}\n", 3, 42, "more than 5", false},
	{"child twice", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, children: [/usr/bin/id, /usr/bin/id]}\n", 3, 66, "twice", false},
	{"child in /tmp", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, children: [/tmp/x]}\n", 3, 53, "nothing is executed", false},
	{"child digest", "app: a\nfunctions:\n  f: {runtime: provided.al2023, code: f, children: [/usr/bin/id sha256:12]}\n", 3, 53, "no SHA-256", true},
	{"cpu number", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, cpu: 0.5}\n", 3, 41, "a text with a unit", true},
	{"cpu zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, cpu: \"0\"}\n", 3, 41, "no number of cores", false},
	{"cpu fine", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, cpu: \"0.001\"}\n", 3, 41, "no number of cores", true},
	{"cpu dot", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, cpu: \"1.\"}\n", 3, 41, "no number of cores", true},
	{"output zero", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, output: 0MB}\n", 3, 44, "is no size", true},
	{"retries", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, async: {retries: 3}}\n", 3, 53, "from 0 to 2", true},
	{"env name", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, env: {A-B: x}}\n", 3, 42, "must match", true},
	{"env reserved", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, env: {AWS_REGION: x}}\n", 3, 42, "set by the platform", false},
	{"env size", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, env: {A: " + strings.Repeat("x", 5000) + "}}\n", 3, 36, "larger than 4 KB", false},
	{"env nul", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, env: {A: \"a\\0b\"}}\n", 3, 45, "NUL", false},
	{"object of no parameter", head + "routes:\n  GET /o/{id}: {function: f, auth: [key], resource: \"table/orders\"}\n", 5, 43, "names no parameter", false},
	{"object of another parameter", head + "routes:\n  GET /o/{id}: {function: f, auth: [key], resource: \"table/o/${path:ip}\"}\n", 5, 43, "no parameter \"ip\"", false},
	{"object of a claim", head + "routes:\n  GET /o/{id}: {function: f, auth: [key], resource: \"table/o/${jwt:sub}\"}\n", 5, 43, "neither plain text nor", false},
	{"object of no kind", head + "routes:\n  GET /o/{id}: {function: f, auth: [key], resource: \"queue/o/${path:id}\"}\n", 5, 43, "no kind of object", false},
	{"grant", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, grants: [fly moon]}\n", 3, 45, "fly moon", false},
	{"empty grants", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, grants: []}\n", 3, 44, "empty list", true},
	{"statement effect", head + "roles:\n  r:\n    statements:\n      - {Effect: Perhaps, Action: \"x:y\", Resource: \"*\"}\n", 7, 9, "Effect", false},
	{"statement key", head + "roles:\n  r:\n    statements:\n      - {Effect: Allow, Action: \"x:y\", Resource: \"*\", Conditions: {}}\n", 7, 9, "Conditions", false},
	{"statement text", head + "roles:\n  r:\n    statements: [everything]\n", 6, 18, "an IAM statement is wanted", true},
	{"role name", head + "roles:\n  function/f: {}\n", 5, 3, "must match", true},
	{"guardrail allows", head + "guardrails:\n  - {Effect: Allow, Action: \"x:y\", Resource: \"*\"}\n", 5, 5, "can only deny", false},
	{"resource of nobody", head + "resources:\n  function/g:\n    - {Effect: Deny, Principal: \"*\", Action: \"lambda:InvokeFunction\"}\n", 5, 3, "no function \"g\"", false},
	{"resource of another", head + "resources:\n  function/f:\n    - {Effect: Deny, Principal: \"*\", Action: \"lambda:InvokeFunction\", Resource: \"*\"}\n", 6, 7, "alone", false},
	{"route without auth", head + "routes:\n  GET /x: {function: f}\n", 5, 11, `"auth" is missing`, true},
	{"empty auth", head + "routes:\n  GET /x: {function: f, auth: []}\n", 5, 31, "empty list", true},
	{"unknown auth", head + "routes:\n  GET /x: {function: f, auth: [cookie]}\n", 5, 32, "must match ^(key|jwt", true},
	{"auth twice", head + "routes:\n  GET /x: {function: f, auth: [key, key]}\n", 5, 25, "stands here twice", false},
	{"bare none", head + "routes:\n  GET /x: {function: f, auth: none}\n", 5, 31, "needs a reason and an end", true},
	{"none without reason", head + "routes:\n  GET /x: {function: f, auth: {none: {expires: 2027-01-01}}}\n", 5, 38, `"reason" is missing`, true},
	{"none without end", head + "routes:\n  GET /x: {function: f, auth: {none: {reason: because}}}\n", 5, 38, `"expires" is missing`, true},
	{"none expired", head + "routes:\n  GET /x: {function: f, auth: {none: {reason: because, expires: 2026-11-21}}}\n", 5, 25, "has expired", false},
	{"none for ever", head + "routes:\n  GET /x: {function: f, auth: {none: {reason: because, expires: 2028-01-01}}}\n", 5, 25, "a year at most", false},
	{"none some day", head + "routes:\n  GET /x: {function: f, auth: {none: {reason: because, expires: soon}}}\n", 5, 65, "is no date", false},
	{"none blank reason", head + "routes:\n  GET /x: {function: f, auth: {none: {reason: '   ', expires: 2027-01-01}}}\n", 5, 25, "needs a reason", false},
	{"jwt without issuer", head + "routes:\n  GET /x: {function: f, auth: [jwt]}\n", 5, 25, "no issuer is trusted", false},
	{"route of nobody", head + "routes:\n  GET /x: {function: g, auth: [key]}\n", 5, 12, "no function \"g\"", false},
	{"route key", head + "routes:\n  /x: {function: f, auth: [key]}\n", 5, 3, "HTTP method", false},
	{"route climbs", head + "routes:\n  GET /a/../b: {function: f, auth: [key]}\n", 5, 3, "canonical", false},
	{"reserved route", head + "routes:\n  GET /.casemate/login: {function: f, auth: [key]}\n", 5, 3, "reserved", false},
	{"same route", head + "routes:\n  GET /x/{a}: {function: f, auth: [key]}\n  GET /x/{b}: {function: f, auth: [key]}\n", 6, 3, "same requests", false},
	{"max_body beyond", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, max_body: 1KB}\nroutes:\n  GET /x: {function: f, auth: [key], max_body: 2KB}\n", 5, 38, "more than the function takes", false},
	{"max_body huge", head + "routes:\n  GET /x: {function: f, auth: [key], max_body: 7MB}\n", 5, 48, "from 1 to 6MB", false},
	{"contract without file", head + "routes:\n  GET /x: {function: f, auth: [key], contract: {operation: GET /x}}\n", 5, 48, `"file" is missing`, true},
	{"contract doubled", head + "routes:\n  GET /x: {function: f, auth: [key], contract: {file: a, operation: GET /x, pointer: /x}}\n", 5, 38, "not both", false},
	{"contract outside", head + "routes:\n  GET /x: {function: f, auth: [key], contract: {file: ../../etc/passwd}}\n", 5, 49, "not a plain path", false},
	{"issuer without keys", head + "auth: {jwt: [{issuer: i, audience: [a], algorithms: [RS256], role: r}]}\nroles: {r: {}}\n", 4, 14, "where the issuer is an https address", false},
	{"issuer plain http", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {url: \"http://x\"}, algorithms: [RS256], role: r}]}\nroles: {r: {}}\n", 4, 53, "must match", true},
	{"issuer two key sets", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {url: \"https://x\", file: k}, algorithms: [RS256], role: r}]}\nroles: {r: {}}\n", 4, 41, "one of file and url", false},
	{"issuer algorithm none", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [none], role: r}]}\nroles: {r: {}}\n", 4, 71, "is none of", true},
	{"issuer unknown tokens", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [RS256], role: r, tokens: any}]}\nroles: {r: {}}\n", 4, 96, "is none of", true},
	{"scopes without tokens", head + "routes:\n  GET /x: {function: f, auth: [key], scopes: [a]}\n", 5, 38, "only tokens have scopes", false},
	{"scope with a quote", head + "routes:\n  GET /x: {function: f, auth: [jwt], scopes: ['a\"b']}\nauth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [RS256], role: r}]}\nroles: {r: {}}\n", 5, 47, "is no scope", false},
	{"unknown webhook", head + "routes:\n  GET /x: {function: f, auth: [webhook:x]}\n", 5, 25, "no webhook \"x\"", false},
	{"unknown authorizer", head + "routes:\n  GET /x: {function: f, auth: [authorizer:x]}\n", 5, 25, "no authorizer \"x\"", false},
	{"webhook of nobody", head + "webhooks: {x: {scheme: github, secret: secret/a/h, role: r}}\n", 4, 48 + 4, "no role \"r\"", false},
	{"webhook without secret", head + "webhooks: {x: {scheme: github, role: r}}\nroles: {r: {}}\n", 4, 15, `"secret" is missing`, true},
	{"webhook of another app", head + "webhooks: {x: {scheme: github, secret: secret/b/h, role: r}}\nroles: {r: {}}\n", 4, 32, "not a secret of this app", false},
	{"webhook of a namesake", head + "webhooks: {x: {scheme: github, secret: secret/ab/h, role: r}}\nroles: {r: {}}\n", 4, 32, "not a secret of this app", false},
	{"webhook of another app in an environment", head + "webhooks: {x: {scheme: github, secret: secret/prod/b/h, role: r}}\nroles: {r: {}}\n", 4, 32, "not a secret of this app", false},
	{"webhook with its secret", head + "webhooks: {x: {scheme: github, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, role: r}}\nroles: {r: {}}\n", 4, 40, "name of a secret is wanted", true},
	{"webhook scheme", head + "webhooks: {x: {scheme: sha1, secret: secret/a/h, role: r}}\nroles: {r: {}}\n", 4, 24, "is none of", true},
	{"webhook window", head + "webhooks: {x: {scheme: slack, secret: secret/a/h, role: r, tolerance: 48h}}\nroles: {r: {}}\n", 4, 71, "must be from", false},
	{"webhook with a header", head + "webhooks: {x: {scheme: slack, secret: secret/a/h, role: r, header: x-y}}\nroles: {r: {}}\n", 4, 60, "has its own header", false},
	{"hmac without a header", head + "webhooks: {x: {scheme: hmac, secret: secret/a/h, role: r}}\nroles: {r: {}}\n", 4, 12, "needs the header", false},
	{"hmac with a time unsigned", head + "webhooks: {x: {scheme: hmac, secret: secret/a/h, role: r, header: x, timestamp: t, signed: '{body}'}}\nroles: {r: {}}\n", 4, 84, "both", false},
	{"hmac over no body", head + "webhooks: {x: {scheme: hmac, secret: secret/a/h, role: r, header: x, signed: '{timestamp}'}}\nroles: {r: {}}\n", 4, 70, "hold {body} once", false},
	{"hmac with SHA-1", head + "webhooks: {x: {scheme: hmac, secret: secret/a/h, role: r, header: x, algorithm: sha1}}\nroles: {r: {}}\n", 4, 81, "is none of", true},
	{"authorizer without function", head + "authorizers: {x: {role: r}}\nroles: {r: {}}\n", 4, 18, `"function" is missing`, true},
	{"authorizer without role", head + "authorizers: {x: {function: f}}\n", 4, 18, `"role" is missing`, true},
	{"authorizer of nowhere", head + "authorizers: {x: {function: g, role: r}}\nroles: {r: {}}\n", 4, 19, "no function \"g\"", false},
	{"authorizer by the path", head + "authorizers: {x: {function: f, role: r, identity: [path id]}}\nroles: {r: {}}\n", 4, 52, "must match", true},
	{"authorizer of one token by two", head + "authorizers: {x: {function: f, role: r, type: token, identity: [header a, header b]}}\nroles: {r: {}}\n", 4, 54, "has one header", false},
	{"authorizer for a day", head + "authorizers: {x: {function: f, role: r, ttl: 24h}}\nroles: {r: {}}\n", 4, 41, "no time to remember", false},
	{"two webhooks on a route", head + "routes:\n  GET /x: {function: f, auth: [webhook:x, webhook:y]}\nwebhooks:\n  x: {scheme: github, secret: secret/a/h, role: r}\n  y: {scheme: github, secret: secret/a/h, role: r}\nroles: {r: {}}\n", 5, 25, "one webhook a route", false},
	{"screen of a URL", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, url: {auth: [key], screen: {except: [{rule: 1, field: body/x, reason: why not, expires: 2026-12-31}]}}}\n", 3, 74, "there is no rule 1", false},
	{"screen of a function", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, screen: {mode: none}}\n", 3, 51, "none of block, tag, off", true},
	{"leaks of a URL", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, url: {auth: [key], leaks: {traces: keep}}}\n", 3, 71, "none of scrub, off", true},
	{"scopes of a URL without tokens", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, url: {auth: [key], scopes: [a]}}\n", 3, 55, "this route takes none", false},
	{"authorizer's expression", head + "authorizers: {x: {function: f, type: token, validate: \"a(\", role: r}}\nroles: {r: {}}\n", 4, 45, "missing closing", false},
	{"authorizer's expression of a request", head + "authorizers: {x: {function: f, validate: \"a\", role: r}}\nroles: {r: {}}\n", 4, 32, "type token", false},
	{"authorizer of a URL", "app: a\nfunctions:\n  f: {runtime: wasm, code: f.wasm, url: {auth: [authorizer:x]}}\nauthorizers: {x: {function: f, role: r}}\nroles: {r: {}}\n", 3, 42, "a function URL has no authorizer", false},
	{"issuer hmac", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [HS256], role: r}]}\nroles: {r: {}}\n", 4, 71, "is none of", true},
	{"issuer without role", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [RS256]}]}\n", 4, 14, "role_claim and roles, or role", false},
	{"issuer unknown role", head + "auth: {jwt: [{issuer: i, audience: [a], keys: {file: k}, algorithms: [RS256], role: boss}]}\n", 4, 79, "no role \"boss\"", false},
	{"anchor", "app: &a a\nfunctions: {f: {runtime: wasm, code: *a}}\n", 1, 6, "anchors and aliases", false},
	{"merge key", "app: a\nfunctions:\n  f:\n    <<: {runtime: wasm}\n    code: f.wasm\n", 4, 5, "merge keys", false},
	{"tag", "app: !!binary YQ==\n" + head[7:], 1, 6, "tag", false},
	{"second document", head + "---\napp: b\n", 4, 1, "second document", false},
	{"tab", "app: a\nfunctions:\n\tf: {}\n", 3, 1, "", false},
	{"not utf-8", "app: a\nfunctions:\n  f: {runtime: \"\xff\"}\n", 3, 17, "UTF-8", false},
	{"key is a list", "app: a\n? [x, y]\n: z\n", 2, 3, "must be a text", false},
}

func TestBadManifests(t *testing.T) {
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(File, []byte(c.text), setting())
			if err == nil || m != nil {
				t.Fatal("accepted")
			}
			p, ok := err.(*Problems)
			if !ok || casemate.CodeOf(err) != casemate.Invalid {
				t.Fatalf("%T %v", err, err)
			}
			x := p.List[0]
			if x.Line != c.line || x.Column != c.column || !strings.Contains(x.Message, c.says) {
				t.Errorf("got %v\nwant %d:%d %s", err, c.line, c.column, c.says)
			}
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d:%d: ", File, c.line, c.column)) {
				t.Errorf("no place in %q", err)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Parse(File, []byte("app: A\nfunction: {}\nfunctions:\n  f: {runtime: cobol, code: f.wasm, memory: much}\nroutes:\n  GET /x: {function: g, auth: none}\n"), setting())
	p, ok := err.(*Problems)
	if !ok || len(p.List) != 6 {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "did you mean functions?") {
		t.Error(err)
	}
	var many strings.Builder
	many.WriteString(head)
	for i := range 100 {
		fmt.Fprintf(&many, "k%d: 1\n", i)
	}
	_, err = Parse(File, []byte(many.String()), setting())
	if p := err.(*Problems); len(p.List) != maxProblems || p.More != 75 || !strings.Contains(err.Error(), "and 75 more") {
		t.Errorf("%d problems and %d more", len(p.List), p.More)
	}
}

// YAML that grows when it is read, or nests without end, costs no more than its bytes.
func TestYAMLBombs(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	for name, text := range map[string]string{
		"laughs":      laughs,
		"self":        "a: &a [*a]\n",
		"deep flow":   "a: " + strings.Repeat("[", 100_000),
		"deep maps":   "a: " + strings.Repeat("{a: ", 100_000),
		"deep block":  strings.Repeat("- ", 100_000) + "x",
		"many values": "a: [" + strings.Repeat("1,", 300_000) + "1]\n",
		"large":       "a: " + strings.Repeat("x", 5<<20),
		"long key":    strings.Repeat("k", 2000) + ": 1\n",
		"deep indents": func() (s string) {
			for i := range 300 {
				s += strings.Repeat(" ", i) + "a:\n"
			}
			return s
		}(),
	} {
		if _, err := Parse(File, []byte(text), setting()); casemate.CodeOf(err) != casemate.Invalid || err == nil || len(err.Error()) > 50_000 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestValuesReadBack(t *testing.T) {
	for in, want := range map[string]string{"1": "1B", "1B": "1B", "64KB": "64KB", "1024KiB": "1MB", "10GB": "10GB", "1500MB": "1500MB"} {
		var s Size
		if err := s.parse(in); err != nil || s.String() != want {
			t.Errorf("%s: %s, %v", in, s, err)
		}
	}
	for in, want := range map[string]string{"90s": "1m30s", "2m": "2m", "1h": "1h", "250ms": "250ms", "10s": "10s"} {
		var d Duration
		if err := d.parse(in); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", in, d, err)
		}
	}
	if Size(1).MB() != 1 || Size(128<<20).MB() != 128 {
		t.Error("a size in MB is not rounded up")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head))
	for _, c := range bad {
		if len(c.text) < 500 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(File, text, setting())
		if (m == nil) == (err == nil) {
			t.Fatal("neither a manifest nor an error")
		}
		if err != nil {
			p := err.(*Problems)
			for _, x := range p.List {
				if x.Line < 1 || x.Column < 1 || x.Message == "" {
					t.Fatalf("%+v has no place or no words", x)
				}
			}
		}
	})
}
