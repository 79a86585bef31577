package deploy

import (
	"archive/zip"
	"strings"
	"testing"

	"casemate/deploy/manifest"

	"casemate"
)

// What a manifest, a deploy and a node say about where an app belongs must be the same; none says none.
func TestEnvironmentsMustAgree(t *testing.T) {
	for _, c := range []struct{ manifest, option, node, want string }{
		{"", "", "", ""}, {"prod", "", "", "prod"}, {"", "prod", "", "prod"}, {"", "", "prod", "prod"}, {"prod", "prod", "prod", "prod"},
		{"prod", "dev", "", "!"}, {"prod", "", "dev", "!"}, {"", "prod", "dev", "!"}, {"", "Prod", "", "!"}, {"", "a/b", "", "!"}, {"", "pr-od", "", "!"},
	} {
		d, _ := deployer(t)
		d.cfg.Environment = c.node
		text := "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm}}\n"
		if c.manifest != "" {
			text += "environment: " + c.manifest + "\n"
		}
		request := `{"environment": "` + c.option + `"}`
		_, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, text}, entry{"code/m.wasm", "\x00asm\x01"}, entry{"request.json", request}), "me")
		app, _ := d.cfg.Catalog.Snapshot().App("mal")
		switch {
		case c.want == "!":
			if casemate.CodeOf(err) != casemate.Invalid || app != nil {
				t.Errorf("%+v: %v", c, err)
			}
		case err != nil || app.Environment != c.want:
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A resource has one app that says who may: a second one would take the first one's say away.
func TestOneResourceHasOnePolicy(t *testing.T) {
	d, _ := deployer(t)
	text := func(app string) string {
		return "app: " + app + "\nfunctions: {" + app + ": {runtime: wasm, code: " + app + ".wasm}}\nresources: {secret/shared: [{Effect: Deny, Principal: \"*\", Action: \"secretsmanager:*\"}]}\n"
	}
	for i, app := range []string{"one", "two"} {
		_, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, text(app)}, entry{"code/" + app + ".wasm", "\x00asm\x01"}), "me")
		if i == 0 && err != nil || i == 1 && (casemate.CodeOf(err) != casemate.Conflict || !strings.Contains(err.Error(), "another app")) {
			t.Errorf("%s: %v", app, err)
		}
	}
}
