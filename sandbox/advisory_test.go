package sandbox

import (
	"slices"
	"strings"
	"testing"
)

// OpenWhisk CVE-2018-11756 and CVE-2018-11757: code inside a warm container could initialise it anew and replace the code of
// the events to come. Here code is read-only, there is no door to initialise by, and a second client of the Runtime API is
// in the record; the events that follow get what was deployed.
func TestCVE_2018_11756_CodeCannotBeReplacedFromInside(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `const fs = require('fs'), http = require('http');
	const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
	const post = (path, body) => new Promise((done) => { const r = http.request({ host, port, path, method: 'POST' }, (a) => { a.resume(); done(a.statusCode) });
		r.on('error', (e) => done(e.code)); r.end(body) });
	const can = (f) => { try { f(); return true } catch (e) { return e.code } };
	exports.handler = async (e) => {
		if (!e.attack) return 'deployed';
		const said = [];
		for (const path of ['/init', '/2018-06-01/init', '/2018-06-01/runtime/init', '/2018-06-01/runtime/code', '/run'])
			said.push(await post(path, JSON.stringify({ value: { code: "exports.handler = async () => 'replaced'", main: 'handler' } })));
		return [said.every((s) => s === 404 || s === 403 || s === 405), can(() => fs.writeFileSync(__filename, "exports.handler = async () => 'replaced'")),
			can(() => fs.unlinkSync(__filename)), can(() => fs.renameSync('/tmp', '/var/task')) !== true] }`)
	v.Isolation = "warm"
	b.want(v, `{}`, `"deployed"`)
	b.want(v, `{"attack":true}`, `[true,"EROFS","EROFS",true]`)
	b.want(v, `{}`, `"deployed"`)
}

// Fission GHSA-85g2-pmrx-r49q (CVE-2026-46617), GHSA-8wcj-mfrc-jx5q and supabase's edge runtime: the platform's own token lay in
// the sandbox, and every variable of the dispatcher was copied into it. Here the names inside are a list that is known.
func TestGHSA_85g2_pmrx_r49q_NoCredentialOfThePlatformInside(t *testing.T) {
	for _, name := range []string{"JWT_SECRET", "SERVICE_ROLE_KEY", "CASEMATE_KEY", "CASEMATE_DIR", "SSH_AUTH_SOCK", "KUBECONFIG"} {
		t.Setenv(name, "canary-of-the-platform")
	}
	b := newBench(t)
	v := b.node("index.handler", `const fs = require('fs'); exports.handler = async () => {
		const seen = Object.keys(process.env), read = [];
		for (const f of ['/var/run/secrets/kubernetes.io/serviceaccount/token', '/run/secrets', '/var/run/docker.sock', '/run/containerd/containerd.sock', '/root/.ssh', '/proc/1/environ'])
			try { read.push(f + fs.readFileSync(f)) } catch (e) {}
		return { seen: seen.sort(), read: read.filter((s) => s.includes('canary') || !s.startsWith('/proc')) } }`)
	v.Env = map[string]string{"TABLE": "orders"}
	text := string(b.run(v, `{}`).Payload)
	if strings.Contains(text, "canary") || !strings.Contains(text, `"read":[]`) {
		t.Errorf("inside: %s", text)
	}
	_, list, _ := strings.Cut(text, `"seen":[`)
	list, _, _ = strings.Cut(list, "]")
	for _, name := range strings.Split(list, ",") {
		name = strings.Trim(name, `"`)
		if !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "LAMBDA_") && !strings.HasPrefix(name, "_") &&
			!slices.Contains([]string{"TABLE", "PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "NODE_PATH", "HOME", "TMPDIR", "PWD", "SHLVL", "UV_THREADPOOL_SIZE", "GORACE", "NODE_EXTRA_CA_CERTS"}, name) {
			t.Errorf("%s is in the environment", name)
		}
	}
}
