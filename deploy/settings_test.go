package deploy

import (
	"archive/zip"
	"strings"
	"testing"

	"casemate/deploy/manifest"

	"casemate"
)

const settings = `app: shop
functions:
  f:
    runtime: wasm
    code: f.wasm
    screen: {mode: tag}
    leaks: {secrets: block, personal: off}
    url: {auth: [jwt], SETTINGS}
routes:
  POST /f: {function: f, auth: [jwt], SETTINGS}
roles: {r: {grants: ["call POST /f"]}}
auth: {jwt: [{issuer: "https://id.example.com", audience: [shop], algorithms: [ES256], role: r}]}
`

// A function URL takes the settings of a route, and they are in force as a route's are; what comes by name has its own.
func TestURLsHaveTheSettingsOfRoutes(t *testing.T) {
	d, _ := deployer(t)
	text := strings.ReplaceAll(settings, "SETTINGS", `scopes: [a], audience: [b], contract: {file: c.yaml}, screen: {profile: crs, except: [{rule: 942100, field: body/q, reason: it is SQL, expires: 2027-01-01}]}, rate: 5/s, total: {rate: 9/s, day: 7}, max_body: 1KB, leaks: {secrets: mask, traces: scrub}`)
	_, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, text}, entry{"code/f.wasm", "\x00asm\x01"}, entry{"files/c.yaml", "properties: {n: {type: integer}}"}), "me")
	if err != nil {
		t.Fatal(err)
	}
	app, _ := d.cfg.Catalog.Snapshot().App("shop")
	if len(app.Routes) != 2 {
		t.Fatalf("%+v", app.Routes)
	}
	for i := range app.Routes {
		r := &app.Routes[i]
		if r.Screen.Profile != "crs" || len(r.Screen.Except) != 1 || r.Leaks != (casemate.Leaks{Secrets: "mask"}) || r.Contract == "" || r.Auth.Token == nil ||
			r.Total.Day != 7 || r.Total.Rate.PerSecond != 9 || r.Rate.PerSecond != 5 || r.Request != 1024 {
			t.Errorf("%s (URL %v): %+v", r.ID, r.URL, r)
		}
	}
	if v := app.Functions["f"].Number(1); v.Screen.Mode != casemate.ScreenTag || *v.Leaks != (casemate.Leaks{Secrets: "block"}) {
		t.Errorf("by name: %+v %+v", v.Screen, v.Leaks)
	}
}
