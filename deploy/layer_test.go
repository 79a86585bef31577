package deploy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/deploy/bundle"

	"casemate"
)

func TestLayersAreDeployedAndSaidAloud(t *testing.T) {
	d, _ := deployer(t)
	dir := project(t, strings.Replace(shop, "grants: [invoke price]", "layers: [./tools, ./probe]\n    children: [/opt/bin/tool]", 1))
	write(t, dir, "tools/bin/tool", "#!/bin/sh\n")
	write(t, dir, "probe/extensions/probe", "\x7fELF")
	write(t, dir, "probe/extensions/README", "not executable")
	if err := os.Chmod(filepath.Join(dir, "probe/extensions/probe"), 0o755); err != nil {
		t.Fatal(err)
	}
	plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	said := "+! function orders runs: an extension of its layers beside it in every sandbox: /opt/extensions/probe (layer sha256 "
	if !strings.Contains(plan.String(), said) || strings.Contains(plan.String(), "README") {
		t.Errorf("%q is not in\n%s", said, plan)
	}
	apply(t, d, dir)
	m, err := resolve(d, "POST", "/orders")
	if err != nil || len(m.Version.Layers) != 2 || len(m.Version.Layers[0].Extensions) != 0 || strings.Join(m.Version.Layers[1].Extensions, " ") != "probe" {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, l := range m.Version.Layers {
		if has, err := d.cfg.Blobs.Has(t.Context(), l.Code); err != nil || !has {
			t.Errorf("layer %s is not stored: %v", l.Code, err)
		}
	}
	if out := apply(t, d, dir); out.Changed {
		t.Error("the second deploy changes something")
	}
	write(t, dir, "probe/extensions/probe", "\x7fELF of another kind")
	if plan, err = d.Plan(t.Context(), packed(t, dir, bundle.Options{})); err != nil || strings.Count(plan.String(), "/opt/extensions/probe") != 2 {
		t.Errorf("another program is not said: %v\n%s", err, plan)
	}
}

func TestLayersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		layer string
		files map[string]string
		want  string
	}{
		"not published": {"nobody:3", nil, "there is no layer arn:aws:lambda:"},
		"a text":        {"notes.txt", map[string]string{"notes.txt": "x"}, "code is a folder"},
		"no zip":        {"a.zip", map[string]string{"a.zip": "x"}, "not a zip"},
		"not there":     {"gone", nil, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := deployer(t)
			dir := project(t, strings.Replace(shop, "grants: [invoke price]", "layers: [\""+c.layer+"\"]", 1))
			for file, text := range c.files {
				write(t, dir, file, text)
			}
			var b bytes.Buffer
			_, err := bundle.Pack(dir, setting(), bundle.Options{}, &b)
			if err == nil {
				_, err = d.Apply(t.Context(), b.Bytes(), "me")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestPublishedLayersAreAskedFor(t *testing.T) {
	d, _ := deployer(t)
	asked := ""
	d.cfg.Layer = func(arn string) (casemate.Layer, error) {
		asked = arn
		return casemate.Layer{ARN: arn, Code: strings.Repeat("ab", 32), Size: 7}, nil
	}
	apply(t, d, project(t, strings.Replace(shop, "grants: [invoke price]", "layers: [\"tools:3\"]", 1)))
	if m, err := resolve(d, "POST", "/orders"); err != nil || asked != casemate.DefaultPlace.LayerARN("tools", 3) || m.Version.Layers[0].ARN != asked {
		t.Errorf("%s, %v", asked, err)
	}
	// One of another account is nobody's here, whatever its name.
	foreign := "arn:aws:lambda:eu-west-1:999999999999:layer:tools:3"
	asked = ""
	_, err := d.Apply(t.Context(), packed(t, project(t, strings.Replace(shop, "grants: [invoke price]", "layers: [\""+foreign+"\"]", 1)), bundle.Options{}), "me")
	if err == nil || asked != "" {
		t.Errorf("%v, asked for %q", err, asked)
	}
}

// TestDeployIsNoWayToLayersOfOthers: Lambda's API asks whether who adds a layer may read it, and a manifest did not, so that who
// might deploy one app had a function of its own print anybody's layer.
func TestDeployIsNoWayToLayersOfOthers(t *testing.T) {
	d, _ := deployer(t)
	d.cfg.Layer = func(arn string) (casemate.Layer, error) {
		return casemate.Layer{ARN: arn, Code: strings.Repeat("ab", 32), Size: 7}, nil
	}
	var beyond string
	refused := errors.New("not yours")
	under := func(readable bool) *Deployer {
		return d.Under(Guard{Beyond: func(_ string, what []string) error { beyond = strings.Join(what, "; "); return refused }, Layer: func(string) error {
			if readable {
				return nil
			}
			return refused
		}})
	}
	with := func(layer string) []byte {
		return packed(t, project(t, strings.Replace(shop, "grants: [invoke price]", "layers: [\""+layer+"\"]", 1)), bundle.Options{})
	}
	if _, err := under(false).Apply(t.Context(), with("tools:3"), "me"); err == nil || beyond != "layer "+casemate.DefaultPlace.LayerARN("tools", 3) {
		t.Errorf("a layer that its deployer may not read: %v, beyond %q", err, beyond)
	}
	if _, err := under(false).Apply(t.Context(), with("shopping:3"), "me"); err == nil {
		t.Error("a layer whose name only begins as the app's does")
	}
	for _, c := range []struct {
		layer    string
		readable bool
	}{{"shop_tools:1", false}, {"tools:3", true}, {"tools:3", false}} { // its namesake; one that may be read; one that it has
		if _, err := under(c.readable).Apply(t.Context(), with(c.layer), "me"); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLayersAreBounded(t *testing.T) {
	many := make([]string, casemate.MaxExtensions+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for name, list := range map[string][]casemate.Layer{"six": make([]casemate.Layer, 6), "too heavy": {{Unpacked: 200 << 20}, {Unpacked: 51 << 20}}, "eleven extensions": {{Extensions: many}}} {
		if err := CheckLayers(list, 0); casemate.CodeOf(err) != casemate.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	list := []casemate.Layer{{Unpacked: 200 << 20, Extensions: many[:10]}}
	if err := CheckLayers(list, 50<<20); err != nil {
		t.Error(err)
	}
	if err := CheckLayers(list, 50<<20+1); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("with its code: %v", err)
	}
}
