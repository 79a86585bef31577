package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"casemate"
)

// officialClient is AWS's own runtime client for Node, built: the folder that CASEMATE_LAMBDA_RIC names, or what npm makes of it
// where there are the tools for its C++ part. That takes minutes, so it is part of the full tests alone. That it cannot be built
// says nothing about Casemate: then the comparison is left out, on CI as well.
func officialClient(t *testing.T) map[string]string {
	t.Helper()
	dir := os.Getenv("CASEMATE_LAMBDA_RIC")
	if dir == "" {
		if os.Getenv("CASEMATE_FULL") == "" {
			t.Skip("builds a C++ library; CASEMATE_FULL=1 runs it")
		}
		for _, tool := range []string{"npm", "cmake", "autoconf", "automake", "libtoolize", "g++"} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skipf("LEFT OUT: AWS's runtime client for Node is built with %s, which this machine does not have", tool)
			}
		}
		dir = t.TempDir()
		cmd := exec.Command("npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "aws-lambda-ric@3.3.0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("LEFT OUT: AWS's runtime client for Node could not be built here: %v\n%s", err, msg)
		}
	}
	files := map[string]string{}
	for _, name := range []string{"package.json", "bin/index.mjs", "dist/index.mjs", "dist/rapid-client.node"} {
		text, err := os.ReadFile(filepath.Join(dir, "node_modules", "aws-lambda-ric", name))
		if err != nil && name == "dist/rapid-client.node" {
			text, err = os.ReadFile(filepath.Join(dir, "node_modules", "aws-lambda-ric", "build", "Release", "rapid-client.node"))
		}
		if err != nil {
			t.Fatal(err)
		}
		files["node_modules/aws-lambda-ric/"+name] = string(text)
	}
	return files
}

// official makes a function that AWS's client runs, and ours one of the same code.
func (b *bench) official(client map[string]string, source string) (theirs, ours *casemate.Version) {
	b.t.Helper()
	needs(b.t, "nodejs20.x")
	i, _, err := findRuntimes().Choose("nodejs20.x")
	if err != nil {
		b.t.Fatal(err)
	}
	files := map[string]string{"index.js": source,
		"bootstrap": "#!/bin/sh\nexec " + i.Path + " node_modules/aws-lambda-ric/bin/index.mjs index.handler\n"}
	for name, text := range client {
		files[name] = text
	}
	theirs = b.function("provided.al2023", "index.handler", files)
	theirs.Children = allowed(b.t, i.Path)
	return theirs, b.node("index.handler", source)
}

// AWS's own client runs functions at our Runtime API, and ours gives the same answers, errors and log entries.
//
// Lambda checklist: 16, 17, 19, 20, 28, 30
func TestOfficialClientOfNode(t *testing.T) {
	client := officialClient(t)
	b := newBench(t)
	unlike := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+Z|\(?(node:|file:///|/)[^\s")]*\)?`)
	told := func(v *casemate.Version, payload string) string {
		b.mu.Lock()
		b.lines = nil
		b.mu.Unlock()
		res := b.run(v, payload)
		b.mu.Lock()
		defer b.mu.Unlock()
		said := fmt.Sprintf("%s %s %s\n", res.Failure, res.Payload, res.ContentType)
		for _, l := range b.lines {
			if l.Stream != "platform" && !strings.HasPrefix(l.Text, "Executing 'index.handler'") {
				said += l.Level + " " + l.Text + "\n"
			}
		}
		// Stacks lead through each client's own files: their lines are left out.
		said = regexp.MustCompile(`"    at [^"]*",?|\\n    at [^\\]*`).ReplaceAllString(said, "")
		return unlike.ReplaceAllString(strings.ReplaceAll(said, ",]", "]"), "~")
	}
	for _, source := range []string{
		`async (e, c) => ({ e, keys: Object.keys(c).sort(), env: process.env.AWS_LAMBDA_FUNCTION_NAME })`,
		`(e, c, cb) => cb(null, { n: 1 })`, `(e, c, cb) => cb(new RangeError('no'))`, `(e, c, cb) => cb('text')`, `(e, c) => c.fail({ a: 1 })`, `() => 5`,
		`(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); cb(null, 'free') }`,
		`(e, c, cb) => { let n = 0; setTimeout(() => n++, 30); cb(null, { get n() { return n } }) }`,
		`async () => { throw Object.assign(new TypeError('typed'), { code: 'E_OWN', more: { a: 1 } }) }`,
		`async () => { const e = new Error('cyclic'); e.self = e; throw e }`,
		`async () => { throw null }`, `async () => 10n`, `(e, c, cb) => { cb(null, 1); c.fail(new Error('late')) }`,
		`async (e, c, cb) => { cb(null, 1) }`, `async (e, c, cb) => { cb(new Error('no')); return 1 }`, `(e, c, cb) => { cb(null, 1); throw new Error('after') }`,
		`(e, c, cb) => { c.succeed(1); cb(null, 2) }`, `(e, c) => { c.done(null, undefined) }`, `async (e, c) => { c.fail('text'); return 1 }`,
		`() => { setTimeout(() => { throw new SyntaxError('loose') }, 1) }`, `async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 50)) }`,
		`async () => { console.log('a %s', 1, { b: [1] }); console.info(); console.warn('two\nlines'); console.error(new Error('shown').message); console.debug('d', null); console.trace('t') }`,
	} {
		theirs, ours := b.official(client, "exports.handler = "+source)
		want, got := told(theirs, `{"a":1}`), told(ours, `{"a":1}`)
		if got != want {
			t.Errorf("%s\n ours %s\ntheirs %s", source, got, want)
		}
		for _, v := range []*casemate.Version{theirs, ours} {
			v.Env = map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
		}
		if want, got = told(theirs, `{"a":1}`), told(ours, `{"a":1}`); got != want {
			t.Errorf("%s, JSON\n ours %s\ntheirs %s", source, got, want)
		}
	}
}
