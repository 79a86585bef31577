package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

// deeds lists what the record of a run has of some kinds.
func deeds(res *casemate.Result, kinds string) string {
	var b strings.Builder
	for _, e := range res.Effects {
		if strings.Contains(kinds, e.Kind) {
			b.WriteString(e.Kind + " " + e.Target + " " + e.Verdict.String() + "; ")
		}
	}
	return b.String()
}

// allowed allows programs of this machine as they are.
func allowed(t *testing.T, paths ...string) []casemate.Child {
	t.Helper()
	var list []casemate.Child
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			missing(t, path)
		}
		sum := sha256.Sum256(content)
		list = append(list, casemate.Child{Path: path, SHA256: hex.EncodeToString(sum[:])})
	}
	return list
}

const deedsFunction = `
const cp = require('child_process'), fs = require('fs')
exports.handler = async () => {
	fs.readFileSync('/etc/nsswitch.conf'); fs.readFileSync('/var/task/index.js'); fs.writeFileSync('/tmp/x', 'y')
	try { return cp.execFileSync('/usr/bin/env', ['-i']).length } catch (e) { return e.code }
}`

// TestRecordSaysWhatARunDid: programs, and files outside of the package, where this node may see them.
func TestRecordSaysWhatARunDid(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", deedsFunction)
	res := b.want(v, `{}`, `"EPERM"`)
	if got := deeds(res, "exec"); got != "exec /usr/bin/env deny; " {
		t.Errorf("programs: %s", got)
	}
	got := deeds(res, "open")
	if jail.CanObserve() && (!strings.Contains(got, "open /etc/nsswitch.conf allow; ") || strings.Contains(got, "/var/task") || strings.Contains(got, "/tmp")) {
		t.Errorf("files: %s", got)
	}
	if !jail.CanObserve() && got != "" {
		t.Errorf("files: %s", got)
	}
}

func TestChildrenAreAllowedByDigest(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", deedsFunction)
	v.Children = allowed(t, "/usr/bin/env")
	if got := deeds(b.want(v, `{}`, `0`), "exec"); got != "exec /usr/bin/env allow; " {
		t.Errorf("programs: %s", got)
	}
	changed := *v
	changed.Children = []casemate.Child{{Path: "/usr/bin/env", SHA256: strings.Repeat("0", 64)}}
	_, err := b.pool.Run(t.Context(), &casemate.Launch{Version: &changed, RequestID: casemate.NewID(), Payload: []byte(`{}`)})
	if casemate.CodeOf(err) != casemate.Conflict || !strings.Contains(err.Error(), "/usr/bin/env") {
		t.Errorf("a changed program: %v", err)
	}
}

// TestNodeCountsProcessors: libraries size their pools by os.cpus(), however they import it.
func TestNodeCountsProcessors(t *testing.T) {
	b := newBench(t)
	b.want(b.function("nodejs20.x", "index.handler", map[string]string{"index.mjs": `import os, { cpus } from 'node:os'
export const handler = async () => [cpus().length === os.availableParallelism(), os.cpus()[0].times.idle]`}), `{}`, `[true,0]`)
	b.want(b.node("index.handler", `const os = require('os'); exports.handler = async () => os.cpus().length === os.availableParallelism()`), `{}`, `true`)
}

// TestNodeNamesItsInterface: tracers, cluster clients and makers of ids look for an address of their own, however they import it.
func TestNodeNamesItsInterface(t *testing.T) {
	b := newBench(t)
	b.want(b.function("nodejs20.x", "index.handler", map[string]string{"index.mjs": `import os, { networkInterfaces } from 'os'
export const handler = async () => [Object.keys(os.networkInterfaces()), networkInterfaces().lo[0].address]`}), `{}`, `[["lo"],"127.0.0.1"]`)
}

// TestOrdinaryRunsRaiseNoAlarm: what runtimes and libraries try by themselves is not worth a record.
func TestOrdinaryRunsRaiseNoAlarm(t *testing.T) {
	b := newBench(t)
	for name, v := range map[string]*casemate.Version{
		"node": b.node("index.handler", `const os = require('os'), dns = require('dns').promises, http = require('http')
exports.handler = async () => { try { os.networkInterfaces() } catch {}
	await dns.lookup('localhost').catch(() => 0)
	await new Promise((done) => { const s = http.createServer((q, r) => r.end('x')).listen(0, '127.0.0.1', () => http.get({ port: s.address().port }, (r) => { r.resume(); r.on('end', () => { s.close(); done() }) })) })
	return [process.memoryUsage().rss > 0, os.userInfo().uid > 0, require('crypto').randomUUID().length] }`),
		"python": b.function("python3.11", "app.handler", map[string]string{"app.py": `import socket, threading, tempfile, ssl
def handler(e, c):
    socket.getaddrinfo('localhost', 80); ssl.create_default_context(); tempfile.TemporaryFile()
    t = threading.Thread(target=lambda: 0); t.start(); t.join(); return [True, True, 36]`}),
		"go": b.goFunction(goFunction),
	} {
		res := b.run(v, `{}`)
		if res.Failure != "" {
			t.Errorf("%s: %s %s", name, res.Failure, res.Payload)
		}
		if got := deeds(res, "call exec flood"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestProcessorTimeIsBounded: a function that may use a tenth of a core and loops for half a second does not get half of
// it, whether its sandbox was started for it or waited.
func TestProcessorTimeIsBounded(t *testing.T) {
	for name, spares := range map[string]int{"fresh": -1, "from the pool": 1} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, withSpares(spares))
			v := b.node("index.handler", `exports.handler = async () => { const end = Date.now() + 500; let n = 0; while (Date.now() < end) n++; return n }`)
			v.Limits.CPU = 100
			if spares > 0 {
				b.pool.Prepare(v)
				b.full()
			}
			res := b.run(v, `{}`)
			if !slices.Contains(res.Walls, jail.WallCPU) {
				missing(t, "processor controller")
			}
			if used := res.Usage.CPU - res.Usage.Init; res.Failure != "" || used > 350*time.Millisecond {
				t.Errorf("%s, %s of CPU in %s", res.Failure, used, res.Usage.Wall)
			}
		})
	}
}
