package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// listener is an extension in Python that subscribes to telemetry and says what it was sent.
const listener = `#!/usr/bin/env python3
import http.server, json, os, sys, threading, urllib.request
name, api = os.path.basename(sys.argv[0]), "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, body=None, **headers):
    r = urllib.request.Request(api + path, None if body is None else json.dumps(body).encode(), {k.replace("_", "-"): v for k, v in headers.items()}, method=method)
    with urllib.request.urlopen(r) as a:
        return a.status, a.headers, a.read()
reports = threading.Semaphore(0)
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        for e in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            print("told", self.path, json.dumps(e), flush=True)
            if e["type"] == "platform.report": reports.release()
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("sandbox.localdomain", 8080), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
_, h, _ = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Lambda_Extension_Name=name)
me = h["Lambda-Extension-Identifier"]
status, _, body = call("PUT", "/2022-07-01/telemetry", {"schemaVersion": "2022-12-13", "types": ["platform", "function"], "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/sink"}}, Lambda_Extension_Identifier=me)
print("subscribed", status, body, flush=True)
while True:
    e = json.loads(call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)[2])
    if e["eventType"] == "SHUTDOWN":
        reports.acquire(); reports.acquire(); os._exit(0)
`

// Lambda checklist: 99
func TestTelemetryReachesAnExtension(t *testing.T) {
	b := withLayers(t)
	needs(t, "python3.11")
	v := b.layered(warm(b.node("index.handler", `exports.handler = async (e) => { console.log('a line of', e.who); return 1 }`)),
		map[string]string{"extensions/listener": listener}, "extensions/listener")
	b.want(v, `{"who":"one"}`, `1`)
	b.want(v, `{"who":"two"}`, `1`)
	b.pool.Drop(v.ID)
	b.pool.ending.Wait()
	said := b.said()
	if !strings.Contains(said, `subscribed 200 b'"OK"'`) {
		t.Fatalf("%s", said)
	}
	var kinds []string
	for _, line := range strings.Split(said, "\n") {
		text, ok := strings.CutPrefix(line, "told /sink ")
		if !ok {
			continue
		}
		var e struct {
			Time, Type string
			Record     json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Type)
	}
	want := []string{"platform.initStart", "platform.telemetrySubscription", "platform.extension", "platform.initRuntimeDone", "platform.initReport"}
	for range 2 {
		want = append(want, "platform.start", "function", "platform.runtimeDone", "platform.report")
	}
	for _, k := range want {
		i := slices.Index(kinds, k)
		if i < 0 {
			t.Fatalf("no %s in\n%s", k, said)
		}
		kinds = slices.Delete(kinds, i, i+1)
	}
	if len(kinds) > 0 {
		t.Errorf("besides: %v", kinds)
	}
	for _, text := range []string{`a line of one"`, `a line of two"`, `"status": "success"`, `"memorySizeMB": 256`, `"initDurationMs"`, `"producedBytes": 1`} {
		if !strings.Contains(said, text) {
			t.Errorf("no %s in\n%s", text, said)
		}
	}
	if res := b.run(b.node("index.handler", telemetryAsked), `{}`); string(res.Payload) != `[202,"Telemetry.NotSupported"]` {
		t.Errorf("without an extension: %s", res.Payload)
	}
}

// telemetryAsked is a function that asks for telemetry itself.
const telemetryAsked = `exports.handler = async () => {
	const r = await fetch('http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2022-07-01/telemetry', { method: 'PUT', body: '{}' })
	return [r.status, (await r.json()).errorType] }`

// TestAdoptedTakesConnectionsOnly: a sandbox can send any descriptor that it has.
func TestAdoptedTakesConnectionsOnly(t *testing.T) {
	for name, fd := range descriptorsOfAllKinds(t) {
		if c, err := adopted(fd); err == nil {
			c.Close()
			t.Errorf("%s was taken for a connection", name)
		}
	}
}

func descriptorsOfAllKinds(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for name, open := range map[string]func() (int, error){
		"a file":        func() (int, error) { return syscall.Open("/dev/null", syscall.O_RDWR, 0) },
		"a unix socket": func() (int, error) { return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) },
		"a datagram":    func() (int, error) { return syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0) },
	} {
		fd, err := open()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = fd
	}
	return all
}
