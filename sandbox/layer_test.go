package sandbox

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
)

// layered gives a version a folder as its layers; executable names those of files that may be executed.
func (b *bench) layered(v *casemate.Version, files map[string]string, executable ...string) *casemate.Version {
	b.t.Helper()
	dir := b.t.TempDir()
	for name, text := range files {
		b.put(dir, name, []byte(text), 0o444)
	}
	for _, name := range executable {
		if err := os.Chmod(filepath.Join(dir, name), 0o555); err != nil {
			b.t.Fatal(err)
		}
	}
	v.Layers = []casemate.Layer{{Code: strings.Repeat("0", 64)}}
	b.opt[v.ID] = dir
	return v
}

func (b *bench) put(dir, name string, data []byte, mode os.FileMode) {
	b.t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, mode); err != nil {
		b.t.Fatal(err)
	}
	for p, m := file, mode; p != filepath.Dir(dir); p, m = filepath.Dir(p), 0o755 { // whatever the umask
		if err := os.Chmod(p, m); err != nil {
			b.t.Fatal(err)
		}
	}
}

// withLayers is a bench whose pool has layers.
func withLayers(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	var b *bench
	b = newBench(t, append(change, func(c *Config) {
		c.Layers = func(_ context.Context, v *casemate.Version) (string, func(), error) {
			return b.opt[v.ID], func() {}, nil
		}
	})...)
	return b
}

// Lambda checklist: 13
func TestLayersAreAtOpt(t *testing.T) {
	for name, spare := range map[string]int{"fresh": -1, "made ahead": 2} {
		t.Run(name, func(t *testing.T) {
			b := withLayers(t, func(c *Config) { c.Spares = spare })
			node := warm(b.node("index.handler", `const fs = require('fs'), helper = require('helper'); exports.handler = async () => {
				const can = (f) => { try { f(); return true } catch (e) { return e.code } }
				return [helper(), fs.readFileSync('/opt/data.txt', 'utf8'), can(() => fs.writeFileSync('/opt/x', '')), process.env.PATH.includes('/opt/bin')] }`))
			b.layered(node, map[string]string{"nodejs/node_modules/helper/index.js": `module.exports = () => 'from the layer'`, "data.txt": "data"})
			python := b.layered(b.python("import helper\ndef handler(e, c):\n    return helper.text"), map[string]string{"python/helper.py": "text = 'from the layer'"})
			// ld.so names the file that it found and could not use, or just the name that it looked for.
			native := b.layered(b.function("python3.11", "app.handler", map[string]string{"lib/libmine.so": "", "app.py": `import ctypes
def found(name):
    try: ctypes.CDLL(name)
    except OSError as e: return str(e).split(":")[0]
def handler(e, c): return [found("libmine.so"), found("libtheirs.so"), found("libnone.so")]`}), map[string]string{"lib/libtheirs.so": ""})
			plain := b.node("index.handler", `exports.handler = async () => require('fs').readdirSync('/opt')`)
			if spare > 0 {
				for _, v := range []*casemate.Version{node, python, native, plain} {
					b.pool.Prepare(v)
				}
				b.full()
			}
			b.want(node, `{}`, `["from the layer","data","EROFS",true]`)
			b.want(python, `{}`, `"from the layer"`)
			b.want(native, `{}`, `["/var/task/lib/libmine.so", "/opt/lib/libtheirs.so", "libnone.so"]`)
			b.want(plain, `{}`, `["lib"]`)
		})
	}
}

// TestBootstrapOfALayer: a custom runtime may come in a layer, and a wrapper too.
func TestBootstrapOfALayer(t *testing.T) {
	b := withLayers(t)
	v := b.goFunction(goFunction)
	opt := b.layered(v, map[string]string{"x": ""}).ID
	if err := os.Rename(filepath.Join(b.dirs[v.ID], "bootstrap"), filepath.Join(b.opt[opt], "bootstrap")); err != nil {
		t.Fatal(err)
	}
	if res := b.run(v, `{}`); res.Failure != "" {
		t.Errorf("%s", res.Payload)
	}
	w := b.layered(b.node("index.handler", `exports.handler = async () => process.env.WRAPPED`), map[string]string{"wrap": "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n"}, "wrap")
	w.Env = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}
	b.want(w, `{}`, `"yes"`)
	w.Env = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"}
	body, _ := b.fails(w, `{}`, casemate.FailureInit)
	has(t, body, "Runtime.ExitError", "exit status 127")
}

// probe is an extension over the public API and nothing else. What it does is in /opt/probe.json.
const probe = `package main
import ("bytes"; "encoding/json"; "fmt"; "io"; "net/http"; "os"; "os/signal"; "path/filepath"; "strings"; "syscall"; "time")
func call(method, path string, body string, header ...string) (int, http.Header, []byte) {
	req, _ := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, bytes.NewReader([]byte(body)))
	for k := 0; k < len(header); k += 2 { req.Header.Set(header[k], header[k+1]) }
	res, err := http.DefaultClient.Do(req)
	if err != nil { fmt.Println("call", err); os.Exit(9) }
	b, _ := io.ReadAll(res.Body); res.Body.Close()
	return res.StatusCode, res.Header, b
}
func main() {
	signal.Ignore(syscall.SIGTERM)
	name := filepath.Base(os.Args[0])
	var do struct{ Events []string; Until string; InitExit, InvokeExit, InvokeError, Bye int }
	text, _ := os.ReadFile("/opt/" + name + ".json"); json.Unmarshal(text, &do)
	var hidden []string
	for _, e := range os.Environ() { if strings.HasPrefix(e, "_") || strings.HasPrefix(e, "AWS_EXECUTION_ENV") || strings.HasPrefix(e, "LAMBDA_TASK") { hidden = append(hidden, e) } }
	fmt.Println("env", os.Getenv("MINE"), os.Getenv("AWS_ACCESS_KEY_ID") != "", os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), hidden, os.Getpid() > 1)
	if do.InitExit > 0 { os.Exit(do.InitExit) }
	events, _ := json.Marshal(map[string]any{"events": do.Events})
	status, h, b := call("POST", "/2020-01-01/extension/register", string(events), "Lambda-Extension-Name", name, "Lambda-Extension-Accept-Feature", "accountId")
	fmt.Println("registered", status, string(b))
	id := h.Get("Lambda-Extension-Identifier")
	for {
		_, h, b := call("GET", "/2020-01-01/extension/event/next", "", "Lambda-Extension-Identifier", id)
		fmt.Println("event", h.Get("Lambda-Extension-Event-Identifier") != "", string(b))
		if strings.Contains(string(b), "SHUTDOWN") { time.Sleep(time.Duration(do.Bye)*time.Millisecond); fmt.Println("bye"); os.Exit(0) }
		if do.InvokeError > 0 { call("POST", "/2020-01-01/extension/exit/error", "{}", "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.Weary") ; os.Exit(do.InvokeError) }
		if do.InvokeExit > 0 { os.Exit(do.InvokeExit) }
		for do.Until != "" { if _, err := os.Stat(do.Until); err == nil { break }; time.Sleep(time.Millisecond) }
	}
}`

// extended gives a version the probe as an extension of each name, which does as the JSON text says.
func (b *bench) extended(v *casemate.Version, does map[string]string) *casemate.Version {
	b.t.Helper()
	program := b.built(probe)
	files := map[string]string{}
	for name, text := range does {
		files[name+".json"] = text
	}
	b.layered(v, files)
	for name := range does {
		b.put(b.opt[v.ID], "extensions/"+name, program, 0o555)
	}
	return v
}

// built compiles a program, once.
func (b *bench) built(source string) []byte {
	b.t.Helper()
	bin, ok := goBinary.Load(source)
	if !ok {
		if _, err := exec.LookPath("go"); err != nil {
			missing(b.t, "Go compiler")
		}
		bin = goBootstrap(b.t, source)
		goBinary.Store(source, bin)
	}
	return []byte(bin.(string))
}

// said are the lines that extensions wrote.
func (b *bench) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, l := range b.lines {
		if l.Stream == "extension" {
			lines = append(lines, l.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// Lambda checklist: 97
func TestExternalExtensions(t *testing.T) {
	b := withLayers(t)
	v := b.extended(warm(b.node("index.handler", `exports.handler = async (e) => { console.log('mine'); return process.ppid > 0 && process.pid > 1 }`)),
		map[string]string{"one": `{"Events":["INVOKE","SHUTDOWN"]}`, "two": `{"Events":["SHUTDOWN"]}`})
	v.Env = map[string]string{"MINE": "customer"}
	first := b.want(v, `{}`, `true`)
	b.want(v, `{}`, `true`)
	if n := len(b.pool.Snapshot()); n != 1 {
		t.Errorf("%d sandboxes", n)
	}
	b.pool.Drop(v.ID)
	b.pool.ending.Wait()
	said := b.said()
	for text, times := range map[string]int{
		"env customer true fn [] true": 2, `registered 200 {"functionName":"fn","functionVersion":"3","handler":"index.handler","accountId":"`: 2,
		`event true {"eventType":"INVOKE","deadlineMs":`: 2, `event true {"eventType":"SHUTDOWN","deadlineMs":`: 2, `"shutdownReason":"spindown"}`: 2, "bye": 2,
		`"invokedFunctionArn":"`: 2,
	} {
		if strings.Count(said, text) != times {
			t.Errorf("%q not %d times in:\n%s", text, times, said)
		}
	}
	if strings.Contains(said, "mine") {
		t.Error("the function's lines are the extensions'")
	}
	for _, e := range first.Effects {
		if e.Verdict == casemate.Denied {
			t.Errorf("alarm: %+v", e)
		}
	}
}

func TestExtensionsThatEndEndTheSandbox(t *testing.T) {
	b := withLayers(t)
	echo := `exports.handler = async (e) => { await new Promise((r) => setTimeout(r, e.wait || 0)); return e }`
	for name, c := range map[string]struct {
		does      string
		kind      casemate.Failure
		typ, says string
	}{
		"before it registers": {`{"InitExit":3}`, casemate.FailureInit, "Extension.Crash", "Error: exit status 3"},
		"in an invoke":        {`{"Events":["INVOKE"],"InvokeExit":4}`, casemate.FailureExit, "Extension.Crash", "Error: exit status 4"},
		"with a word":         {`{"Events":["INVOKE"],"InvokeError":5}`, casemate.FailureExit, "Extension.ExitError", "Error: Extension.Weary, exit status 5"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.with(t)
			v := b.extended(warm(b.node("index.handler", echo)), map[string]string{"one": c.does})
			body, _ := b.fails(v, `{"wait":10000}`, c.kind)
			has(t, body, c.typ, c.says)
		})
	}
	v := b.layered(b.node("index.handler", echo), map[string]string{"extensions/broken": "no program"}, "extensions/broken")
	body, _ := b.fails(v, `{}`, casemate.FailureInit)
	has(t, body, "Extension.LaunchError", "fork/exec /opt/extensions/broken: exec format error")
}

// TestInvokeEndsWithItsExtensions: the answer goes out at once, the sandbox is used again when all have asked for more.
func TestInvokeEndsWithItsExtensions(t *testing.T) {
	b := withLayers(t)
	v := b.extended(warm(b.node("index.handler", `let n = 0; exports.handler = async () => ++n`)), map[string]string{"one": `{"Events":["INVOKE"],"Until":"/opt/enough"}`})
	b.want(v, `{}`, `1`)
	if res := b.want(v, `{}`, `1`); !res.Usage.Cold {
		t.Error("a sandbox whose extension still worked was used")
	}
	b.put(b.opt[v.ID], "enough", nil, 0o444)
	waitFor(t, "idle", func() bool {
		return !slices.ContainsFunc(b.pool.Snapshot(), func(s Status) bool { return s.State == "busy" })
	})
	b.want(v, `{}`, `2`)
}

func TestShutdownReasons(t *testing.T) {
	b := withLayers(t)
	for reason, source := range map[string]string{"timeout": `exports.handler = async () => { for (;;); }`, "failure": `exports.handler = async () => process.exit(1)`} {
		v := b.extended(warm(b.node("index.handler", source)), map[string]string{"one": `{"Events":["SHUTDOWN"],"Bye":100}`})
		v.Limits.Timeout = time.Second
		b.run(v, `{}`)
		b.pool.ending.Wait()
		if said := b.said(); !strings.Contains(said, `"shutdownReason":"`+reason+`"}`) || strings.Count(said, "bye") == 0 {
			t.Errorf("%s: %s", reason, said)
		}
	}
	var event struct{ DeadlineMs int64 }
	for _, line := range strings.Split(b.said(), "\n") {
		if text, ok := strings.CutPrefix(line, "event true "); ok && json.Unmarshal([]byte(text), &event) == nil && time.Until(time.UnixMilli(event.DeadlineMs)) > shutdownTime {
			t.Errorf("a deadline that is too late: %s", line)
		}
	}
}

// TestLayersBringNoProgramsUnasked: what a layer brings is executed when the version lists it, and otherwise not.
func TestLayersBringNoProgramsUnasked(t *testing.T) {
	b := withLayers(t)
	v := b.node("index.handler", `const { execFileSync } = require('child_process'); exports.handler = async (e) => {
		try { return execFileSync(e.run).toString() } catch (x) { return x.code } }`)
	b.layered(v, map[string]string{"bin/tool": "#!/bin/sh\necho it ran\n", "extensions/README": "no program"}, "bin/tool")
	res := b.want(v, `{"run":"/opt/bin/tool"}`, `"EPERM"`)
	if got := deeds(res, "exec"); !strings.Contains(got, "exec /opt/bin/tool") || strings.Contains(got, "allow") {
		t.Errorf("record: %s", got)
	}
	weak := *v // the same with leave: then it runs
	weak.Children = []casemate.Child{{Path: "/opt/bin/tool"}}
	b.want(&weak, `{"run":"/opt/bin/tool"}`, `"it ran\n"`)
}

// TestFirstProcessIsOutOfReach: the function runs as its user and must not speak for it.
func TestFirstProcessIsOutOfReach(t *testing.T) {
	b := withLayers(t)
	v := b.extended(b.node("index.handler", `const fs = require('fs'); exports.handler = async () => {
		const can = (f) => { try { f(); return 'yes' } catch (e) { return e.code } }
		return [can(() => fs.openSync('/proc/1/mem', 'r+')), can(() => fs.readdirSync('/proc/1/fd')), can(() => fs.readFileSync('/proc/1/environ')),
			can(() => fs.openSync('/proc/self/mem', 'r')), fs.readdirSync('/proc/self/fd').map((n) => { try { return fs.readlinkSync('/proc/self/fd/' + n) } catch { return '' } }).filter((l) => l.includes('socket')).length] }`),
		map[string]string{"one": `{"Events":["INVOKE"]}`})
	res := b.run(v, `{}`)
	var got []any
	if err := json.Unmarshal(res.Payload, &got); err != nil || len(got) != 5 {
		t.Fatalf("%s", res.Payload)
	}
	for k, what := range []string{"its memory", "its descriptors", "its environment"} {
		if got[k] != "EACCES" && got[k] != "EPERM" {
			t.Errorf("%s: %v", what, got[k])
		}
	}
	if got[3] != "yes" {
		t.Errorf("its own memory: %v: the attack would not work anywhere", got[3])
	}
	if got[4].(float64) > 1 { // its own connection to the Runtime API
		t.Errorf("%v sockets in the runtime", got[4])
	}
}

// TestSIGTERMBesideAnExtension: the runtime hears of the end first, then its extension; and a sandbox with extensions can be
// kept initialised.
//
// Lambda checklist: 98
func TestSIGTERMBesideAnExtension(t *testing.T) {
	b := withLayers(t, func(c *Config) { c.Spares = 1 })
	v := b.extended(warm(b.goFunction(goFunction)), map[string]string{"one": `{"Events":["SHUTDOWN"]}`})
	v.Spare = 1
	b.pool.Prepare(v)
	b.full()
	if res := b.want(v, `{"Do":"x"}`, `"x"`); res.Usage.Cold {
		t.Error("it was not ready")
	}
	b.pool.Drop(v.ID)
	b.pool.ending.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	at := map[string]int{}
	for k, l := range b.lines {
		for _, text := range []string{"SIGTERM came", `"shutdownReason":"spindown"`, "bye"} {
			if strings.Contains(l.Text, text) {
				at[text] = k + 1
			}
		}
	}
	if at["SIGTERM came"] == 0 || at["SIGTERM came"] > at[`"shutdownReason":"spindown"`] || at["bye"] == 0 {
		t.Errorf("%v in %+v", at, b.lines)
	}
}
