package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Code that a template says is in a bucket is packed from where its tool left it: by the manifest of assets, beside the folder of a
// stage, by the name of a zip. The bundle is deployed from wherever it is.
func TestPackAssets(t *testing.T) {
	const function = `{"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "python3.12", "Handler": "a.b", "Code": {"S3Bucket": "b", "S3Key": "KEY"}}`
	beside := t.TempDir()
	for name, text := range map[string]string{
		"asset.one/a.py": "one", "app.zip": "PK\x05\x06" + strings.Repeat("\x00", 18),
		"Shop.template.json":    `{"Resources": {"F": ` + strings.ReplaceAll(function, "KEY", "1.zip") + `}, "G": ` + strings.ReplaceAll(function, "KEY", "x/app.zip") + `}}}`,
		"Shop.assets.json":      `{"version": "1", "files": {"1": {"source": {"path": "asset.one", "packaging": "zip"}, "destinations": {"d": {"objectKey": "1.zip"}}}}}`,
		"stage/Q.template.json": `{"Resources": {"F": ` + strings.ReplaceAll(function, "KEY", "1.zip") + `, "Metadata": {"aws:asset:path": "../asset.one", "aws:asset:property": "Code"}}}}`,
		"stage/P.template.json": `{"Resources": {"F": ` + strings.ReplaceAll(function, "KEY", "1.zip") + `}}}`,
		"stage/P.assets.json":   `{"version": "1", "files": {"1": {"source": {"path": "../asset.one"}, "destinations": {"d": {"objectKey": "1.zip"}}}}}`,
		"Bad.template.json":     `{"Resources": {"F": ` + strings.ReplaceAll(function, "KEY", "1.zip") + `}}}`, "Bad.assets.json": "{",
		"None.template.json": `{"Resources": {"F": ` + strings.ReplaceAll(function, "KEY", "1.zip") + `}}}`,
	} {
		at := filepath.Join(beside, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ dir, file, want, wrong string }{
		{"", "Shop.template.json", "asset.one app.zip", ""}, {"stage", "Q.template.json", "asset.one", ""}, {"stage", "P.template.json", "asset.one", ""},
		{"", "Bad.template.json", "", "Bad.assets.json"}, {"", "None.template.json", "", "code in a bucket cannot be had"},
	} {
		var b bytes.Buffer
		q := &Template{File: c.file, Stack: "shop"}
		m, err := PackTemplate(filepath.Join(beside, c.dir), c.file, setting(), Options{Template: q}, &b)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v", c.file, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		got := m.Functions["shop-F"].Code
		if g := m.Functions["shop-G"]; g != nil {
			got += " " + g.Code
		}
		if got != c.want {
			t.Errorf("%s: code %s", c.file, got)
		}
		if name, err := App(b.Bytes(), setting()); err != nil || name != "shop" {
			t.Error(name, err)
		}
		r, err := entries(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var of Contents
		if err := r.request(&of); err != nil {
			t.Fatal(err)
		}
		if err := r.described(&of, setting(), nil); err != nil || of.Manifest.Functions["shop-F"].Code != m.Functions["shop-F"].Code { // as a node reads it
			t.Error(c.file, err)
		}
	}
}

// What Metadata names is in the folder of the template, also where code is beside that.
func TestMetadataNamesFilesOfTheStage(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{
		"asset.one/a.py": "one", "stage/own/b.py": "two", "stage/deps/opt.txt": "x", "stage/events.json": `{"type": "object"}`, "stage/keys.json": `{"keys": []}`,
		"stage/S.template.json": `{"Metadata": {"Casemate": {"roles": {"clerk": {"statements": [{"Effect": "Allow", "Action": "lambda:GetFunction", "Resource": "*"}]}}, "functions": {"G": {"code": "own", "layers": ["./deps", "tools:3"]}}, "auth": {"jwt": [{"issuer": "https://id.example", "audience": ["shop"], "algorithms": ["RS256"], "role": "clerk", "keys": {"file": "keys.json"}}]}}},
			"Resources": {"F": {"Type": "AWS::Lambda::Function", "Metadata": {"aws:asset:path": "../asset.one", "aws:asset:property": "Code", "Casemate": {"contract": {"file": "events.json"}, "env": {"file": "x", "code": "y"}}},
			"Properties": {"Runtime": "python3.12", "Handler": "a.b", "Code": {"S3Bucket": "b", "S3Key": "1.zip"}}},
			"G": {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "python3.12", "Handler": "index.h", "Code": {"S3Bucket": "b", "S3Key": "1.zip"}}, "Metadata": {"aws:asset:path": "../asset.one", "aws:asset:property": "Code"}}}}`,
	} {
		at := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	q := &Template{File: "S.template.json", Stack: "shop"}
	m, err := PackTemplate(filepath.Join(home, "stage"), q.File, setting(), Options{Template: q}, &b)
	if err != nil {
		t.Fatal(err)
	}
	f, g := m.Functions["shop-F"], m.Functions["shop-G"]
	if f.Code != "asset.one" || f.Contract.File != "stage/events.json" || f.Env["file"] != "x" || f.Env["code"] != "y" || g.Code != "stage/own" || len(g.Layers) != 2 ||
		g.Layers[0].Path != "stage/deps" || g.Layers[1].Name != "tools" || m.Auth.JWT[0].Keys.File != "stage/keys.json" {
		t.Errorf("%+v %+v %+v", f, g, m.Auth.JWT)
	}
	r, err := entries(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var of Contents
	if err := r.request(&of); err != nil {
		t.Fatal(err)
	}
	if err := r.described(&of, setting(), nil); err != nil || r.entries[filesFolder+of.Manifest.Functions["shop-F"].Contract.File] == nil { // as a node reads it
		t.Error(err)
	}
}

// The folder around that of a template is not the template's: it may be a home directory.
func TestAssetsAreAllThatIsBeside(t *testing.T) {
	const function = `{"Resources": {"F": {"Type": "AWS::Lambda::Function", "Metadata": {"aws:asset:path": "PATH", "aws:asset:property": "Code", "other": "../asset.one"}, "Properties": {"Runtime": "python3.12", "Handler": "a.b", ` +
		`"Code": {"S3Bucket": "b", "S3Key": "1.zip"}}}, "I": {"Type": "AWS::Lambda::Function", "Properties": {"Runtime": "python3.12", "Handler": "index.h", "Code": {"ZipFile": "h = 1"}}}}}`
	home := t.TempDir()
	for _, dir := range []string{"asset.one", "secret", "stage/own"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, dir, "a.py"), []byte(dir), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"stage/link": "../secret", "asset.link": "secret", "asset.one/up": "../secret"} {
		if err := os.Symlink(to, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	const beyond = "no asset beside it"
	for at, want := range map[string]string{"own": "", "../stage/own": "", "../asset.one": "no plain file of the folder", "../secret": beyond, "../asset.one/../secret": beyond, "link": beyond, "../asset.link": beyond,
		"../asset.one/up": beyond, "../../etc": "not a plain path", "/etc": "cannot be read", "../.": beyond} {
		if err := os.WriteFile(filepath.Join(home, "stage", "T.template.json"), []byte(strings.ReplaceAll(function, "PATH", at)), 0o644); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		q := &Template{File: "T.template.json", Stack: "shop"}
		if m, err := PackTemplate(filepath.Join(home, "stage"), q.File, setting(), Options{Template: q}, &b); (err == nil) != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", at, m, err)
		}
	}
}
