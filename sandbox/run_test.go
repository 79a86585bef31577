package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
)

func warm(v *casemate.Version) *casemate.Version {
	v.Isolation = casemate.IsolationWarm
	return v
}

// Lambda checklist: 8
func TestItem08InitErrorRetriesOnce(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `console.log('starting'); throw new Error('not today')`)
	body, res := b.fails(v, `{}`, casemate.FailureInit)
	has(t, body, "Error", "not today")
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, l := range b.lines {
		if strings.HasSuffix(l.Text, "INFO\tstarting") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d starts, want 2 (log %s)", n, res.Tail)
	}
	for _, line := range []string{"INFO\tstarting\n", "START RequestId: ", "END RequestId: ", "REPORT RequestId: "} {
		if strings.Count(string(res.Tail), line) != 1 {
			t.Errorf("%q in %s", line, res.Tail)
		}
	}
	if !res.Usage.Cold || res.Usage.Init <= 0 || len(res.Walls) == 0 {
		t.Errorf("usage %+v walls %v", res.Usage, res.Walls)
	}
}

// Lambda checklist: 9
func TestItem09ExitDuringTheRun(t *testing.T) {
	b := newBench(t)
	for code, message := range map[string]string{
		"process.exit(3)":                      "Error: Runtime exited with error: exit status 3",
		"process.exit(0)":                      "Error: Runtime exited without providing a reason",
		"process.kill(process.pid, 'SIGKILL')": "", // pid 1 of its namespace cannot kill itself
	} {
		v := b.node("index.handler", `exports.handler = async () => { `+code+`; return 'alive' }`)
		if message == "" {
			b.want(v, `{}`, `"alive"`)
			continue
		}
		body, _ := b.fails(v, `{}`, casemate.FailureExit)
		has(t, body, "Runtime.ExitError", message)
		if !regexp.MustCompile(`^RequestId: [0-9a-f-]{36} Error: `).MatchString(body["errorMessage"].(string)) {
			t.Errorf("message %v", body)
		}
	}
	body, _ := b.fails(b.node("index.handler", `process.exit(7)`), `{}`, casemate.FailureInit)
	has(t, body, "Runtime.ExitError", "exit status 7")
}

// Lambda checklist: 10
func TestItem10TimeoutKillsAndTheNextIsCold(t *testing.T) {
	b := newBench(t)
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async (e) => { n++; if (e.hang) for (;;); return n }`))
	v.Limits.Timeout = time.Second
	b.want(v, `{}`, `1`)
	body, res := b.fails(v, `{"hang":1}`, casemate.FailureTimeout)
	has(t, body, "Sandbox.Timedout", "Error: Task timed out after 1.00 seconds")
	if !strings.Contains(string(res.Tail), "Task timed out after 1.00 seconds") || res.Usage.CPU <= 0 {
		t.Errorf("tail %s usage %+v", res.Tail, res.Usage)
	}
	if res := b.want(v, `{}`, `1`); !res.Usage.Cold {
		t.Error("the run after a timeout was warm")
	}
}

func TestTimeoutEndsTheWholeProcessTree(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `const { spawn } = require('child_process'); // before the function's time begins
		const child = new Promise((r) => spawn('/bin/sleep', ['31536017'], { detached: true, stdio: 'ignore' }).on('spawn', r));
		exports.handler = async () => { await child; console.log('child is there'); await new Promise((r) => setTimeout(r, 100)); for (;;); }`)
	v.Limits.Timeout, v.Children = time.Second, allowed(t, "/bin/sleep")
	_, res := b.fails(v, `{}`, casemate.FailureTimeout)
	if !strings.Contains(string(res.Tail), "child is there") {
		t.Errorf("log %s", res.Tail)
	}
	b.pool.ending.Wait()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if cmd, err := os.ReadFile(f); err == nil && strings.Contains(string(cmd), "31536017") {
			t.Errorf("%s is still there: %q", f, cmd)
		}
	}
}

func TestInitTimeout(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `for (;;);`)
	v.Limits.InitTimeout, v.Limits.Timeout = 300*time.Millisecond, time.Second
	body, res := b.fails(v, `{}`, casemate.FailureTimeout)
	has(t, body, "Sandbox.Timedout", "timed out after 1.00 seconds")
	if s := string(res.Tail); !strings.Contains(s, "\tPhase: invoke\tStatus: timeout\n") || strings.Contains(s, "\tInit Duration") {
		t.Errorf("log %s", s)
	}
	b.entry("\tPhase: init\tStatus: timeout")
}

// A start that takes longer than it may is tried again within the run, with the function's own timeout.
//
// Lambda checklist: 8
func TestSlowStartSucceedsWithinTheRun(t *testing.T) {
	b := newBench(t)
	v := warm(b.node("index.handler", `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
let n = 0; exports.handler = async (e, c) => (++n === 1 ? c.getRemainingTimeInMillis() < 19400 : n)`)) // what the start took is gone
	v.Limits.InitTimeout = 300 * time.Millisecond
	res := b.want(v, `{}`, `true`)
	if !regexp.MustCompile(`REPORT RequestId: \S+\tDuration: \d{3,}\.\d\d ms\t`).Match(res.Tail) || strings.Contains(string(res.Tail), "\tInit Duration") {
		t.Errorf("log %s", res.Tail)
	}
	b.entry("\tPhase: init\tStatus: timeout")
	b.want(v, `{}`, `2`)
}

func TestLaunchDeadlineBoundsTheColdStart(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `for (;;);`)
	v.Limits.Timeout = 2 * time.Second
	res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: "r", Payload: []byte(`{}`), Deadline: time.Now().Add(400 * time.Millisecond)})
	if err != nil || res.Failure != casemate.FailureTimeout || !strings.Contains(string(res.Payload), "timed out after 2.00 seconds") {
		t.Errorf("%v %+v", err, res)
	}
}

// A deadline that leaves room for the start gives the function its whole time from the hand-over on, and not more.
func TestColdStartDoesNotEatTheFunctionsTime(t *testing.T) {
	b := newBench(t)
	slow := `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);`
	launch := func(v *casemate.Version) *casemate.Result {
		v.Limits = casemate.Limits{InitTimeout: 30 * time.Second, Timeout: 2 * time.Second}
		res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: "r", Payload: []byte(`{}`),
			Deadline: time.Now().Add(v.Limits.InitTimeout + v.Limits.Timeout)})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := launch(b.node("index.handler", slow+`exports.handler = async (e, c) => c.getRemainingTimeInMillis() > 0 && c.getRemainingTimeInMillis() <= 2000`))
	if res.Failure != "" || string(res.Payload) != "true" {
		t.Errorf("%s %s", res.Failure, res.Payload)
	}
	res = launch(b.node("index.handler", `exports.handler = async () => { for (;;); }`))
	if res.Failure != casemate.FailureTimeout || !strings.Contains(string(res.Payload), "timed out after 2.00 seconds") || res.Usage.Wall > 30*time.Second { // what the start may take
		t.Errorf("%s %s after %s", res.Failure, res.Payload, res.Usage.Wall)
	}
}

func TestMemoryHogIsKilled(t *testing.T) {
	b := newBench(t)
	v := b.python("def handler(e, c):\n  x = []\n  while True: x.append(bytearray(1 << 20))")
	v.Limits.MemoryMB = 128
	res := b.run(v, `{}`)
	switch res.Failure {
	case casemate.FailureMemory:
		if !strings.Contains(string(res.Payload), `"errorType":"Runtime.ExitError"`) || !strings.Contains(string(res.Payload), "signal: killed") {
			t.Errorf("payload %s", res.Payload)
		}
	case casemate.FailureHandled: // without a memory cgroup Python meets its own limit
		if !slices.Contains(res.Weak, "cgroup-memory") || !strings.Contains(string(res.Payload), "MemoryError") {
			t.Errorf("payload %s", res.Payload)
		}
	default:
		t.Errorf("%q %s", res.Failure, res.Payload)
	}
	b.want(b.python("def handler(e, c): return 1"), `{}`, `1`) // the node goes on
}

// Lambda checklist: 12
func TestItem12EnvironmentInside(t *testing.T) {
	t.Setenv("HOST_SECRET", "canary")
	b := newBench(t)
	v := b.node("index.handler", `exports.handler = async () => process.env`)
	v.Env = map[string]string{"TABLE": "orders", "AWS_REGION": "mine", "_HANDLER": "mine"}
	first, second := string(b.run(v, `{}`).Payload), string(b.run(v, `{}`).Payload)
	for _, want := range []string{`"TABLE":"orders"`, `"AWS_REGION":"us-east-1"`, `"_HANDLER":"index.handler"`, `"TZ":":UTC"`,
		`"LANG":"en_US.UTF-8"`, `"AWS_LAMBDA_RUNTIME_API":"169.254.100.1:9001"`, `"AWS_EXECUTION_ENV":"AWS_Lambda_nodejs20.x"`, `"AWS_ACCESS_KEY_ID":"ASIA`} {
		if !strings.Contains(first, want) {
			t.Errorf("no %s in %s", want, first)
		}
	}
	if strings.Contains(first, "canary") {
		t.Error("a host variable leaked")
	}
	secret := regexp.MustCompile(`"AWS_SECRET_ACCESS_KEY":"([^"]{40})"`)
	if a, c := secret.FindStringSubmatch(first), secret.FindStringSubmatch(second); a == nil || c == nil || a[1] == c[1] {
		t.Error("the credentials are not new for each sandbox")
	}
}

// Lambda checklist: 13
func TestItem13FilesInside(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `const fs = require('fs'), os = require('os'); exports.handler = async () => {
		const can = (f) => { try { f(); return true } catch (e) { return e.code } };
		return [process.cwd(), can(() => fs.writeFileSync('/var/task/x', '')), can(() => fs.writeFileSync('/opt/x', '')), fs.existsSync('/opt'),
			can(() => fs.writeFileSync('/tmp/x', 'y')), can(() => fs.writeFileSync('/tmp/big', Buffer.alloc(3 << 20))), process.getuid() > 0,
			os.userInfo().username.startsWith('sbx_user'), can(() => fs.readdirSync('/root')), fs.existsSync('/usr/local'),
			process.geteuid() === process.getuid(), os.hostname()] }`)
	v.Limits.TmpMB = 2
	b.want(v, `{}`, `["/var/task","EROFS","EROFS",true,true,"ENOSPC",true,true,"ENOENT",false,true,"sandbox"]`)
}

// Lambda checklist: 14
func TestItem14TimeZoneAndLocale(t *testing.T) {
	b := newBench(t)
	b.want(b.node("index.handler", `exports.handler = async () => new Date(0).getTimezoneOffset()`), `{}`, `0`)
	b.want(b.python("import locale, sys, time\ndef handler(e, c): return [time.timezone, sys.getfilesystemencoding(), sys.stdout.encoding]"),
		`{}`, `[0, "utf-8", "utf-8"]`)
}

const goFunction = `package main
import ("context"; "errors"; "os"; "github.com/aws/aws-lambda-go/lambda"; "github.com/aws/aws-lambda-go/lambdacontext")
func main() {
	lambda.StartWithOptions(func(ctx context.Context, e struct{ Do string }) (any, error) {
		switch e.Do {
		case "fail": return nil, errors.New("no")
		case "panic": panic("boom")
		case "id": lc, _ := lambdacontext.FromContext(ctx); return len(lc.AwsRequestID), nil
		}
		return e.Do, nil
	}, lambda.WithEnableSIGTERM(func() { os.Stdout.WriteString("SIGTERM came\n") }))
}`

var goBinary sync.Map // built once: source -> binary

func (b *bench) goFunction(source string) *casemate.Version {
	bin, ok := goBinary.Load(source)
	if !ok {
		if _, err := exec.LookPath("go"); err != nil {
			missing(b.t, "Go compiler")
		}
		bin = goBootstrap(b.t, source)
		goBinary.Store(source, bin)
	}
	return b.function("provided.al2023", "bootstrap", map[string]string{"bootstrap": bin.(string)})
}

// Lambda checklist: 26
func TestItem26GoFunction(t *testing.T) {
	b := newBench(t)
	v := warm(b.goFunction(goFunction))
	b.want(v, `{"Do":"x"}`, `"x"`)
	if res := b.want(v, `{"Do":"id"}`, `36`); res.Usage.Cold {
		t.Error("the second run was cold")
	}
	body, _ := b.fails(v, `{"Do":"fail"}`, casemate.FailureHandled)
	has(t, body, "errorString", "no")
	body, _ = b.fails(v, `{"Do":"panic"}`, casemate.FailureHandled)
	has(t, body, "string", "boom")
	if res := b.want(v, `{"Do":"x"}`, `"x"`); !res.Usage.Cold {
		t.Error("the sandbox was used again after a panic")
	}
}

// Lambda checklist: 98
func TestItem98SIGTERMBeforeTheEnd(t *testing.T) {
	b := newBench(t)
	v := warm(b.goFunction(goFunction))
	b.want(v, `{"Do":"x"}`, `"x"`)
	b.pool.Drop(v.ID)
	b.pool.ending.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.lines, func(l casemate.LogLine) bool { return l.Text == "SIGTERM came" && l.Request == "" }) {
		t.Errorf("lines %+v", b.lines)
	}
}

// Lambda checklist: 27
func TestItem27ShellBootstrap(t *testing.T) {
	if _, err := exec.LookPath("/usr/bin/curl"); err != nil {
		missing(t, "curl")
	}
	b := newBench(t)
	v := b.function("provided.al2023", "x", map[string]string{"bootstrap": `#!/bin/sh
set -e
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
	event=$(curl -sS -D /tmp/head "$api/next")
	id=$(sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/head | tr -d '\r')
	curl -sS -o /dev/null -d "got $event in $PWD" "$api/$id/response"
done
`})
	v.Children = allowed(t, "/usr/bin/curl", "/usr/bin/sed", "/usr/bin/tr")
	b.want(v, `{"a":1}`, `got {"a":1} in /var/task`)
}

func TestNoEntrypoint(t *testing.T) {
	b := newBench(t)
	body, _ := b.fails(b.function("provided.al2023", "x", map[string]string{"main": ""}), `{}`, casemate.FailureInit)
	has(t, body, "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
	for text, why := range map[string]string{"#!/nowhere\n": "no such file or directory", "\x00\x01": "exec format error"} {
		body, _ := b.fails(b.function("provided.al2023", "x", map[string]string{"bootstrap": text}), `{}`, casemate.FailureInit)
		has(t, body, "Runtime.InvalidEntrypoint", "fork/exec /var/task/bootstrap: "+why)
	}
}

func TestUnknownAndMissingRuntimes(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Interpreters = Interpreters{} })
	for r, code := range map[casemate.Runtime]casemate.Code{
		"nodejs20.x": casemate.Unavailable, "python3.12": casemate.Unavailable, "wasm": casemate.Unavailable, "ruby3.3": casemate.Invalid, "": casemate.Invalid,
	} {
		v := &casemate.Version{ID: "x", Runtime: r}
		b.dirs["x"] = t.TempDir()
		_, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: "r"})
		if e := casemate.AsError(err); err == nil || e.Code != code || e.Hint == "" {
			t.Errorf("%s: %v", r, err)
		}
	}
}

// Lambda checklist: 29
func TestItem29LogLines(t *testing.T) {
	b := newBench(t)
	v := warm(b.node("index.handler", `exports.handler = async (e) => { process.stdout.write('out ' + e.n + '\n'); process.stderr.write('err ' + e.n) }`))
	var ids []string
	for n := range 2 {
		res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: fmt.Appendf(nil, `{"n":%d}`, n)})
		if err != nil {
			t.Fatal(err)
		}
		id := strings.Fields(string(res.Tail))[2]
		ids = append(ids, id)
		init := `Init Duration: [\d.]+ ms\t`
		if n == 1 {
			init = ``
		}
		want := `^START RequestId: ` + id + ` Version: 3\n(out §\nerr §|err §\nout §)\nEND RequestId: ` + id + `\nREPORT RequestId: ` + id +
			`\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t` + init + `\n$`
		if !regexp.MustCompile(strings.ReplaceAll(want, "§", fmt.Sprint(n))).Match(res.Tail) {
			t.Errorf("run %d: tail %q\nwant %s", n, res.Tail, want)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		for n, id := range ids {
			if strings.HasSuffix(l.Text, fmt.Sprint(" ", n)) && (l.Request != id || l.App != "app" || l.Function != "fn" || l.Version != 3) {
				t.Errorf("line %+v belongs to %s", l, id)
			}
		}
	}
}

func TestItem34TailIsBounded(t *testing.T) {
	b := newBench(t)
	res := b.want(b.node("index.handler", `exports.handler = async () => { for (let i = 0; i < 3000; i++) process.stdout.write('line ' + i + '\n'); process.stdout.write('x'.repeat(600000)) }`), `{}`, `null`)
	if len(res.Tail) != tailSize || !strings.Contains(string(res.Tail), "REPORT RequestId") {
		t.Errorf("%d bytes", len(res.Tail))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	longest, lines := 0, 0
	for _, l := range b.lines {
		longest = max(longest, len(l.Text))
		lines++
	}
	if longest != maxLine || lines < 3000 {
		t.Errorf("longest line %d, %d lines", longest, lines)
	}
}

func TestLogFloodIsDropped(t *testing.T) {
	b := newBench(t)
	b.want(b.node("index.handler", `exports.handler = async () => { const s = 'y'.repeat(65535) + '\n'; for (let i = 0; i < 300; i++) process.stdout.write(s) }`), `{}`, `null`)
	b.mu.Lock()
	defer b.mu.Unlock()
	total, dropped := 0, 0
	for _, l := range b.lines {
		total += len(l.Text)
		if strings.HasPrefix(l.Text, "LOGS dropped") {
			dropped++
		}
	}
	if total > maxRunLogs+1<<20 || dropped != 1 {
		t.Errorf("%d bytes, %d notices", total, dropped)
	}
}

func TestRequestIsolationSharesNothing(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `let n = 0; const fs = require('fs'); exports.handler = async () => { n++; const seen = fs.existsSync('/tmp/mark'); fs.writeFileSync('/tmp/mark', ''); return [n, seen] }`)
	for range 3 {
		if res := b.want(v, `{}`, `[1,false]`); !res.Usage.Cold {
			t.Error("warm")
		}
	}
}

// beginning is a sealed door that notes whose each beginning is.
type beginning struct {
	sealedDoor
	begun chan string
}

func (d *beginning) Begin(l *casemate.Launch) {
	if l == nil {
		d.begun <- "nobody"
		return
	}
	d.begun <- l.RequestID
}

// TestInitialisationIsOfTheEventThatAskedForIt: a function that calls itself while it initialises is a loop like any other.
func TestInitialisationIsOfTheEventThatAskedForIt(t *testing.T) {
	begun := make(chan string, 8)
	b := newBench(t, func(c *Config) {
		c.Doors = func(*casemate.Version, func(casemate.Effect)) (Door, error) { return &beginning{begun: begun}, nil }
	})
	v := b.node("index.handler", `exports.handler = async () => 1; throw new Error('no')`)
	if _, err := b.pool.Run(t.Context(), &casemate.Launch{RequestID: "r", Version: v, Event: &casemate.Event{}, Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"r", "r", "nobody"} { // a start that fails is tried once more
		if got := <-begun; got != want {
			t.Errorf("begun for %s, want %s", got, want)
		}
	}
}

func TestWarmSandboxIsReusedAndFrozen(t *testing.T) {
	b := newBench(t, func(c *Config) { c.FreezeAfter = time.Nanosecond })
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async (e) => { if (e.fail) throw new Error('x'); return ++n }`))
	for n := 1; n <= 4; n++ {
		res := b.want(v, `{}`, fmt.Sprint(n))
		if res.Usage.Cold != (n == 1) || (res.Usage.Init > 0) != (n == 1) {
			t.Errorf("run %d: %+v", n, res.Usage)
		}
		waitFor(t, "frozen", func() bool { s := b.pool.Snapshot(); return len(s) == 1 && s[0].State == "frozen" && s[0].Events == n })
	}
	b.fails(v, `{"fail":1}`, casemate.FailureHandled)
	b.want(v, `{}`, `5`) // an error that the handler reported leaves the sandbox in use, as on Lambda
}

// waitFor polls for something that another goroutine or process brings about. What bounds it is the time that the whole test may
// take: waiting sandboxes are made at the lowest priority, and get next to nothing of a machine that is busy.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := t.Context()
	if deadline, set := t.Deadline(); set {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-20*time.Second)) // to say what was awaited in vain
		defer cancel()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never %s", what)
		}
	}
}

func TestWarmSandboxEnds(t *testing.T) {
	var now time.Time = time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := newBench(t, func(c *Config) { c.MaxEvents = 2; c.MaxLifetime = time.Hour; c.Clock = clock })
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async () => ++n`))
	b.want(v, `{}`, `1`)
	b.want(v, `{}`, `2`)
	b.want(v, `{}`, `1`) // after MaxEvents
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	b.want(v, `{}`, `1`) // after MaxLifetime, however recent the last event
	b.pool.Drop(v.ID)
	b.pool.ending.Wait()
	if s := b.pool.Snapshot(); len(s) != 0 {
		t.Errorf("a dropped version was kept: %+v", s)
	}
	b.want(v, `{}`, `1`)
	b.want(v, `{}`, `2`) // in use again after a rollback

	idle := newBench(t, func(c *Config) { c.IdleTimeout = time.Millisecond })
	v = warm(idle.node("index.handler", `exports.handler = async () => 1`))
	idle.want(v, `{}`, `1`)
	waitFor(t, "gone", func() bool { return len(idle.pool.Snapshot()) == 0 })
}

func TestConcurrencyIsBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSandboxes = 2 })
	v := b.node("index.handler", `exports.handler = async (e) => { console.log('began'); for (;;); }`)
	v.Limits.Concurrency = 1
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.pool.Run(ctx, &casemate.Launch{Version: v, RequestID: "a", Payload: []byte(`{}`)})
		done <- err
	}()
	waitFor(t, "began", func() bool { return len(b.pool.Snapshot()) == 1 })
	_, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: "b", Payload: []byte(`{}`)})
	if casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("second run: %v", err)
	}
	cancel()
	if err := <-done; casemate.CodeOf(err) != casemate.Unavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run: %v", err)
	}
}

func TestDropReachesBusySandboxes(t *testing.T) {
	b := newBench(t)
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async () => { console.log('began'); await new Promise((r) => setTimeout(r, 300)); return ++n }`))
	done := make(chan *casemate.Result, 1)
	go func() { done <- b.run(v, `{}`) }()
	waitFor(t, "began", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.lines, func(l casemate.LogLine) bool { return strings.HasSuffix(l.Text, "began") })
	})
	b.pool.Drop(v.ID)
	if res := <-done; string(res.Payload) != `1` {
		t.Errorf("the run in progress: %s %s", res.Failure, res.Payload)
	}
	if res := b.want(v, `{}`, `1`); !res.Usage.Cold {
		t.Error("a dropped sandbox was used again")
	}
	b.pool.mu.Lock()
	b.pool.mark(v.ID, true)
	b.pool.mu.Unlock()
	b.pool.Prepare(v)
	b.want(v, `{}`, `2`)
	b.want(v, `{}`, `3`)
}

// raw speaks the Runtime API by itself: it works on for a while after its answer.
const slowToReturn = `package main
import ("bytes"; "fmt"; "net/http"; "os"; "time")
func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for n := 1; ; n++ {
		r, err := http.Get(api + "next")
		if err != nil { os.Exit(1) }
		r.Body.Close()
		p, err := http.Post(api+r.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "", bytes.NewBufferString(fmt.Sprint(n)))
		if err != nil { os.Exit(1) }
		p.Body.Close()
		time.Sleep(400 * time.Millisecond)
	}
}`

func TestWorkAfterTheAnswerKeepsTheSandboxBusy(t *testing.T) {
	b := newBench(t)
	v := warm(b.goFunction(slowToReturn))
	res := b.want(v, `{}`, `1`)
	if res.Usage.Wall <= 0 {
		t.Errorf("usage %+v", res.Usage)
	}
	waitFor(t, "idle", func() bool { s := b.pool.Snapshot(); return len(s) == 1 && s[0].State != "busy" })
	b.want(v, `{}`, `2`)
	v.Isolation = casemate.IsolationRequest
	b.want(v, `{}`, `1`)
}

func TestCallersShareTheSandboxesThereAre(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSandboxes = 3; c.FreezeAfter = time.Nanosecond })
	v := warm(b.goFunction(goFunction))
	v.Limits.Concurrency = 64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 5 {
				res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{"Do":"x"}`)})
				if err != nil || string(res.Payload) != `"x"` {
					t.Errorf("%v %+v", err, res)
				}
			}
		})
	}
	wg.Wait()
	if s := b.pool.Snapshot(); len(s) > 3 {
		t.Errorf("%d sandboxes", len(s))
	}
}

func TestErrorBetweenTwoEventsReplacesTheSandbox(t *testing.T) {
	b := newBench(t, func(c *Config) { c.FreezeAfter = time.Hour })
	v := warm(b.node("index.handler", `let n = 0; exports.handler = async (e) => { if (e.later) setTimeout(() => { throw new Error('loose') }, 1); return ++n }`))
	b.want(v, `{"later":1}`, `1`)
	waitFor(t, "dead", func() bool {
		b.pool.mu.Lock()
		defer b.pool.mu.Unlock()
		list := b.pool.idle[v.ID]
		return len(list) == 0 || list[0].dead()
	})
	if res := b.want(v, `{}`, `1`); !res.Usage.Cold {
		t.Error("a dead sandbox was used")
	}
}

func TestNodeMakesRoomForOtherVersions(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxSandboxes = 1 })
	for i := range 3 {
		v := warm(b.node("index.handler", fmt.Sprintf(`exports.handler = async () => %d`, i)))
		b.want(v, `{}`, fmt.Sprint(i))
	}
	if s := b.pool.Snapshot(); len(s) > 2 {
		t.Errorf("%d sandboxes", len(s))
	}
}

func TestSocketsOutAreRefusedAndRecorded(t *testing.T) {
	b := newBench(t)
	res := b.run(b.node("index.handler", `exports.handler = () => new Promise((done) => {
		const s = require('net').connect(443, '93.184.216.34'); s.on('error', (e) => done(e.code)); s.on('connect', () => done('connected')) })`), `{}`)
	if res.Failure != "" || strings.Contains(string(res.Payload), "connected") {
		t.Errorf("%s %s", res.Failure, res.Payload)
	}
	if !slices.Contains(res.Weak, "seccomp-notify") {
		waited := slices.ContainsFunc(res.Effects, func(e casemate.Effect) bool {
			return e.Kind == "connect" && strings.Contains(e.Target, "93.184.216.34:443") && e.Verdict == casemate.Denied
		})
		if !waited {
			t.Errorf("effects %+v", res.Effects)
		}
	}
}

// Lambda checklist: 7
func TestItem07SecondReaderInsideIsRecorded(t *testing.T) {
	b := newBench(t)
	res := b.want(b.node("index.handler", `exports.handler = () => new Promise((done) => {
		require('http').get('http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/next', (r) => {
			let s = ''; r.on('data', (d) => s += d); r.on('end', () => done(s)) }) })`), `{"a":1}`, `"{\"a\":1}"`)
	var kinds []string
	for _, e := range res.Effects {
		kinds = append(kinds, e.Kind+" "+e.Target)
	}
	if !slices.Contains(kinds, "runtime-api next") || !slices.Contains(kinds, "runtime-api client") {
		t.Errorf("effects %v", kinds)
	}
}
