package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
)

// packages writes node_modules below a folder, which functions may read.
func packages(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		pkg := filepath.Join(dir, "node_modules", name)
		if err := os.MkdirAll(pkg, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{
			"package.json": `{"name":"` + name + `","exports":{"import":"./index.mjs","require":"./index.cjs"}}`,
			"index.cjs":    `exports.how = 'required'`, "index.mjs": `export const how = 'imported'`,
		} {
			if err := os.WriteFile(filepath.Join(pkg, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error { // whatever the umask
		if err == nil && d.IsDir() {
			return os.Chmod(p, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Lambda checklist: 21
func TestNodeFindsTheSDKOfTheRuntime(t *testing.T) {
	b := newBench(t, func(c *Config) { c.NodeSDK, c.Spares = packages(t, "@aws-sdk/client-s3"), 0 })
	esm := b.function("nodejs20.x", "index.handler", map[string]string{"index.mjs": `import { how } from '@aws-sdk/client-s3'; export const handler = async () => how`})
	cjs := b.node("index.handler", `const { how } = require('@aws-sdk/client-s3'); exports.handler = async () => [how, (await import('@aws-sdk/client-s3')).how,
		require.resolve('@aws-sdk/client-s3'), require('module')._resolveFilename('@aws-sdk/client-s3', { id: 'x', filename: '/opt/x.js', paths: [] })]`)
	own := b.function("nodejs20.x", "index.handler", map[string]string{"index.js": `exports.handler = async () => require('@aws-sdk/client-s3')`,
		"node_modules/@aws-sdk/client-s3/index.js": `module.exports = 'its own'`})
	for range 2 { // the second time from interpreters that waited
		b.want(esm, `{}`, `"imported"`)
		b.want(cjs, `{}`, `["required","imported","/var/node_modules/@aws-sdk/client-s3/index.cjs","/var/node_modules/@aws-sdk/client-s3/index.cjs"]`)
		b.want(own, `{}`, `"its own"`)
		b.pool.Prepare(cjs)
		waitFor(t, "full", b.pool.Full)
	}
	body, _ := b.fails(b.node("index.handler", `require('@aws-sdk/client-sqs')`), `{}`, casemate.FailureInit)
	has(t, body, "Runtime.ImportModuleError", "Error: Cannot find module '@aws-sdk/client-sqs'")
	has(t, body, "Runtime.ImportModuleError", "has no @aws-sdk/client-sqs: install it in the folder of casemate up --node-sdk")
}

func TestNodeWithoutAnSDKSaysHowToHaveOne(t *testing.T) {
	b := newBench(t)
	const hint = "start it with casemate up --node-sdk DIR"
	body, _ := b.fails(b.node("index.handler", `require('aws-sdk')`), `{}`, casemate.FailureInit)
	has(t, body, "Runtime.ImportModuleError", hint)
	v := b.function("nodejs20.x", "index.handler", map[string]string{"index.mjs": `import '@aws-sdk/client-s3'`})
	body, _ = b.fails(v, `{}`, casemate.FailureInit)
	has(t, body, "Error", hint)
	body, _ = b.fails(b.node("index.handler", `require('other')`), `{}`, casemate.FailureInit)
	if strings.Contains(body["errorMessage"].(string), "--node-sdk") {
		t.Errorf("%v", body)
	}
}

func TestOnlyAFolderNobodyElseCanChangeIsAnSDK(t *testing.T) {
	dir := packages(t, "@aws-sdk/client-s3")
	modules := filepath.Join(dir, "node_modules")
	for _, d := range []string{dir, modules} {
		if got, err := nodeSDK(d); err != nil || got != modules {
			t.Errorf("%s: %s %v", d, got, err)
		}
	}
	refused := func(what, dir, says string) {
		t.Helper()
		if _, err := nodeSDK(dir); err == nil || !strings.Contains(err.Error(), says) || casemate.AsError(err).Field != "--node-sdk" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another package", packages(t, "express"), "no AWS SDK")
	refused("nothing there", filepath.Join(dir, "none"), "cannot be read")
	for mode, says := range map[os.FileMode]string{0o775: "changed by other users", 0o777: "changed by other users", 0o700: "cannot be read by functions"} {
		for _, d := range []string{modules, filepath.Join(modules, "@aws-sdk")} {
			if err := os.Chmod(d, mode); err != nil {
				t.Fatal(err)
			}
			refused(d, dir, says)
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}
