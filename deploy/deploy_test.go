package deploy

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/diff"
	"casemate/deploy/manifest"
	"casemate/internal/casetest/storetest"
	"casemate/policy"
	"casemate/shield"
	"casemate/store"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func setting() manifest.Setting { return manifest.Setting{Place: casemate.DefaultPlace, Now: now} }

func catalogOn(t testing.TB, s store.Store) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Store: s, Place: casemate.DefaultPlace, Contract: shield.Compile,
		Compile: func(p casemate.Policies) (casemate.Decider, error) {
			set, err := policy.Compile(p)
			if err != nil {
				return nil, err
			}
			return set, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stage is a deployer whose world a test can change.
type stage struct {
	store   store.Store
	now     time.Time
	missing string // prefix of runtimes that are not installed
}

func deployer(t testing.TB) (*Deployer, *stage) {
	t.Helper()
	st := &stage{now: now}
	st.store = store.Memory(func() time.Time { return st.now })
	return st.deployer(t, st.store), st
}

func (st *stage) deployer(t testing.TB, s store.Store) *Deployer {
	t.Helper()
	d, err := New(Config{Catalog: catalogOn(t, s), Blobs: s.Blobs(), Place: casemate.DefaultPlace, Clock: func() time.Time { return st.now },
		Program: func(path string) (string, error) {
			if strings.HasSuffix(path, "/gone") {
				return "", casemate.Errorf(casemate.Invalid, "install it", "it is not there")
			}
			return strings.Repeat("ab", 32), nil
		},
		Installed: func(r casemate.Runtime) bool { return st.missing == "" || !strings.HasPrefix(string(r), st.missing) },
		Inspect: func(m []byte) error {
			if !bytes.HasPrefix(m, []byte("\x00asm\x01")) {
				return casemate.Errorf(casemate.Invalid, "build a core module", "this is no core module")
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const shop = `
app: shop
functions:
  price:
    runtime: wasm
    code: price.wasm
  orders:
    runtime: nodejs20.x
    handler: index.handler
    code: orders
    grants: [invoke price]
    url: {auth: [key]}
routes:
  POST /orders:
    function: orders
    auth: [key]
    contract: {file: order.yaml}
    rate: 10/s burst 20
roles:
  clerk: {grants: [call POST /orders]}
`

func project(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, manifest.File, text)
	write(t, dir, "price.wasm", "\x00asm\x01\x00\x00\x00")
	write(t, dir, "orders/index.js", "exports.handler = async () => 1")
	write(t, dir, "order.yaml", "properties: {n: {type: integer}}")
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func packed(t testing.TB, dir string, o bundle.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := bundle.Pack(dir, setting(), o, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func apply(t testing.TB, d *Deployer, dir string) *Outcome {
	t.Helper()
	out, err := d.Apply(t.Context(), packed(t, dir, bundle.Options{}), "uid/0")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func resolve(d *Deployer, method, path string) (*casemate.Match, error) {
	return d.cfg.Catalog.Resolve(&casemate.Event{Target: casemate.Target{Method: method, Path: path}})
}

func TestDeployServes(t *testing.T) {
	d, st := deployer(t)
	dir := project(t, shop)
	plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if plan.Empty() || len(plan.New) != 2 || plan.Changes[0].Kind != diff.KindPermission || len(d.cfg.Catalog.Snapshot().Apps()) != 0 {
		t.Fatalf("%+v", plan)
	}
	for _, want := range []string{"new app", "+! role clerk: call POST /orders (casemate.yaml:", "+! function orders may: invoke price", "+  URL of orders: leads to orders", "function price: version 1: wasm"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("%q is not in\n%s", want, plan)
		}
	}
	if x := plan.Changes[0].Statement; x == nil || x.Effect != casemate.Allow || len(x.Action) != 1 {
		t.Errorf("the plan does not hold the statement that is decided on: %+v", plan.Changes[0])
	}
	out := apply(t, d, dir)
	if !out.Changed || out.Generation != 1 || out.Versions["price"] != 1 {
		t.Fatalf("%+v", out)
	}
	m, err := resolve(d, "POST", "/orders")
	if err != nil || m.Version.Function != "orders" || m.Contract == nil || m.Route.Rate.Burst != 20 || m.Version.Limits.Timeout != 3*time.Second {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, err := m.Contract.Check(&casemate.Exchange{ContentType: "application/json", Body: []byte(`{"x":1}`)}); err == nil {
		t.Error("the contract is open")
	}
	req := &casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindKey, ID: "k", Account: casemate.DefaultPlace.Account, Role: "clerk"}, Action: m.Action, Resource: m.Resource,
		Account: casemate.DefaultPlace.Account, Now: now}
	if got := m.Policy.Decide(req); got.Verdict != casemate.Allowed || !strings.Contains(got.Origin, "casemate.yaml:") {
		t.Errorf("%+v", got)
	}
	if again := st.deployer(t, st.store).cfg.Catalog.Snapshot(); again.Revision != d.cfg.Catalog.Snapshot().Revision {
		t.Error("a boot finds another state")
	}
}

func TestSecondDeployIsNoChange(t *testing.T) {
	d, st := deployer(t)
	dir := project(t, shop)
	first := apply(t, d, dir)
	st.now = now.Add(time.Hour)
	before := d.cfg.Catalog.Snapshot()
	plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
	if err != nil || !plan.Empty() {
		t.Fatalf("%+v %v", plan, err)
	}
	second := apply(t, d, dir)
	if second.Changed || second.Generation != first.Generation || d.cfg.Catalog.Snapshot() != before {
		t.Fatalf("%+v", second)
	}
	write(t, dir, "orders/index.js", "exports.handler = async () => 2")
	third := apply(t, d, dir)
	if third.Versions["orders"] != 2 || third.Versions["price"] != 1 || third.Generation != 2 {
		t.Fatalf("%+v", third)
	}
	write(t, dir, "orders/index.js", "exports.handler = async () => 1")
	if back := apply(t, d, dir); back.Versions["orders"] != 1 || back.Generation != 3 {
		t.Fatalf("the same content got another version: %+v", back)
	}
}

// entry is one file of a hand-made bundle.
type entry struct{ name, body string }

func bundleOf(t testing.TB, method uint16, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const tiny = "app: tiny\nfunctions: {f: {runtime: wasm, code: f.wasm}}\n"

func TestBadBundles(t *testing.T) {
	man, mod := entry{manifest.File, tiny}, entry{"code/f.wasm", "\x00asm\x01"}
	script := entry{manifest.File, "app: tiny\nfunctions: {f: {runtime: nodejs20.x, handler: index.handler, code: f}}\n"}
	zipOf := func(entries ...entry) string { return string(bundleOf(t, zip.Deflate, entries...)) }
	for name, data := range map[string][]byte{
		"nothing":           nil,
		"junk":              []byte("PK\x03\x04 junk"),
		"no manifest":       bundleOf(t, zip.Store, mod),
		"no code":           bundleOf(t, zip.Store, man),
		"more than named":   bundleOf(t, zip.Store, man, mod, entry{"code/g.wasm", "x"}),
		"stray file":        bundleOf(t, zip.Store, man, mod, entry{"../../etc/cron.d/x", "x"}),
		"twice":             bundleOf(t, zip.Store, man, mod, mod),
		"packed":            bundleOf(t, zip.Deflate, man, mod),
		"bad request":       bundleOf(t, zip.Store, man, mod, entry{"request.json", `{"by":"root"}`}),
		"component":         bundleOf(t, zip.Store, man, entry{"code/f.wasm", "\x00asm\x0d"}),
		"empty module":      bundleOf(t, zip.Store, man, entry{"code/f.wasm", ""}),
		"zip for wasm":      bundleOf(t, zip.Store, man, entry{"code/f.zip", zipOf(entry{"a", ""})}),
		"no handler file":   bundleOf(t, zip.Store, script, entry{"code/f.zip", zipOf(entry{"main.js", ""})}),
		"climbing zip":      bundleOf(t, zip.Store, script, entry{"code/f.zip", zipOf(entry{"index.js", ""}, entry{"../x", ""})}),
		"zip is junk":       bundleOf(t, zip.Store, script, entry{"code/f.zip", "junk"}),
		"missing contract":  bundleOf(t, zip.Store, entry{manifest.File, tiny + "routes: {POST /x: {function: f, auth: [key], contract: {file: c.yaml}}}\n"}, mod),
		"bad contract":      bundleOf(t, zip.Store, entry{manifest.File, tiny + "routes: {POST /x: {function: f, auth: [key], contract: {file: c.yaml}}}\n"}, mod, entry{"files/c.yaml", "type: nothing"}),
		"private key":       bundleOf(t, zip.Store, entry{manifest.File, tiny + "roles: {r: {}}\nauth: {jwt: [{issuer: i, audience: [a], keys: {file: k.json}, algorithms: [RS256], role: r}]}\n"}, mod, entry{"files/k.json", `{"keys":[{"kty":"RSA","d":"x"}]}`}),
		"no key":            bundleOf(t, zip.Store, entry{manifest.File, tiny + "roles: {r: {}}\nauth: {jwt: [{issuer: i, audience: [a], keys: {file: k.json}, algorithms: [RS256], role: r}]}\n"}, mod, entry{"files/k.json", `{}`}),
		"stale expectation": bundleOf(t, zip.Store, man, mod, entry{"request.json", `{"expect":7}`}),
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := deployer(t)
			_, err := d.Apply(t.Context(), data, "me")
			if c := casemate.CodeOf(err); err == nil || c != casemate.Invalid && !(c == casemate.Conflict && name == "stale expectation") {
				t.Fatalf("%v: %v", c, err)
			}
			if casemate.AsError(err).Hint == "" || len(d.cfg.Catalog.Snapshot().Apps()) != 0 {
				t.Fatalf("%+v", casemate.AsError(err))
			}
		})
	}
}

// Whichever write fails, the old state serves, a boot finds it, and the same deploy works afterwards.
func TestDeployFailsAtEveryStep(t *testing.T) {
	writes := 0
	for n := 1; ; n++ {
		st, left := &stage{now: now}, -1
		st.store = store.Memory(func() time.Time { return now })
		d := st.deployer(t, storetest.FailAt(st.store, &left))
		dir := project(t, shop)
		apply(t, d, dir)
		before := d.cfg.Catalog.Snapshot()
		write(t, dir, "orders/index.js", "exports.handler = async () => 'new'")
		write(t, dir, "price.wasm", "\x00asm\x01new")
		write(t, dir, "order.yaml", "properties: {m: {type: integer}}")
		left = n
		_, err := d.Apply(t.Context(), packed(t, dir, bundle.Options{}), "me")
		if err == nil {
			writes = n - 1
			break
		}
		if d.cfg.Catalog.Snapshot() != before || catalogOn(t, st.store).Snapshot().Revision != before.Revision {
			t.Fatalf("write %d: the old state is gone", n)
		}
		left = -1
		if out := apply(t, d, dir); out.Versions["orders"] != 2 {
			t.Fatalf("write %d: %+v", n, out)
		}
	}
	if writes != 5 { // two codes, a contract, the app, its head
		t.Errorf("%d writes were made to fail", writes)
	}
}

func TestRollback(t *testing.T) {
	d, _ := deployer(t)
	dir := project(t, shop)
	apply(t, d, dir)
	write(t, dir, "orders/index.js", "exports.handler = async () => 2")
	apply(t, d, dir)
	write(t, dir, manifest.File, strings.Replace(shop, "POST /orders:", "PUT /orders:", 1))
	apply(t, d, dir)

	out, err := d.Rollback(t.Context(), RollbackRequest{Function: "orders"}, "me")
	if err != nil || out.Versions["orders"] != 1 || out.Generation != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := resolve(d, "PUT", "/orders"); err != nil {
		t.Error("a function's rollback took the routes along")
	}
	out, err = d.Rollback(t.Context(), RollbackRequest{App: "shop", To: 2}, "me")
	if err != nil || out.Versions["orders"] != 2 || out.Generation != 5 {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := resolve(d, "POST", "/orders"); err != nil {
		t.Error(err)
	}
	dry, err := d.Rollback(t.Context(), RollbackRequest{App: "shop", To: 1, DryRun: true}, "me")
	if err != nil || dry.Changed || dry.Plan.Empty() || d.cfg.Catalog.Snapshot().Function("orders").Number != 2 {
		t.Fatalf("%+v, %v", dry, err)
	}
	h, err := d.History(t.Context(), HistoryRequest{App: "shop"})
	if err != nil || len(h.Generations) != 5 || h.Generation != 5 || len(h.Functions["orders"]) != 2 || h.Generations[0].Note != "rollback to generation 2" || h.Generations[0].By != "me" {
		t.Fatalf("%+v, %v", h, err)
	}
	for _, bad := range []RollbackRequest{{}, {App: "shop", Function: "orders"}, {App: "none"}, {App: "shop", To: 99}, {App: "shop", To: -1},
		{Function: "none"}, {Function: "orders", To: 99}, {Function: "price"}} {
		if _, err := d.Rollback(t.Context(), bad, "me"); err == nil || casemate.AsError(err).Hint == "" {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := d.History(t.Context(), HistoryRequest{App: "none"}); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}

// A check that only creation makes is walked round by an update or a rollback.
func TestGHSA_gx55_f84r_v3r7_RollbackPassesTheSameChecks(t *testing.T) {
	d, st := deployer(t)
	open := strings.Replace(shop, "auth: [key]\n    contract", "auth: {none: {reason: just a demo, expires: 2026-12-01}}\n    contract", 1)
	dir := project(t, open)
	apply(t, d, dir)
	write(t, dir, manifest.File, shop)
	plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
	if err != nil || !strings.Contains(plan.String(), "open to everybody no more") {
		t.Fatal(plan, err)
	}
	apply(t, d, dir)
	if dry, err := d.Rollback(t.Context(), RollbackRequest{App: "shop", DryRun: true}, "me"); err != nil || !strings.Contains(dry.Plan.String(), "+! route POST /orders: open to everybody until 2026-12-01") {
		t.Fatal(dry, err)
	}
	st.now = now.AddDate(0, 1, 0)
	if _, err := d.Rollback(t.Context(), RollbackRequest{App: "shop"}, "me"); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("an expired exception came back: %v", err)
	}
	st.now, st.missing = now, "nodejs"
	if _, err := d.Rollback(t.Context(), RollbackRequest{App: "shop"}, "me"); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a function without a runtime came back: %v", err)
	}
	st.missing = ""
	v := d.cfg.Catalog.Snapshot().Function("orders")
	if err := st.store.Blobs().Delete(t.Context(), v.Code); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Rollback(t.Context(), RollbackRequest{App: "shop"}, "me"); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("code that is gone came back: %v", err)
	}
}

// An app takes neither names nor paths of another one.
func TestGHSA_vjhc_cf4p_72q4_AppsDoNotReachIntoEachOther(t *testing.T) {
	d, _ := deployer(t)
	apply(t, d, project(t, shop))
	other := func(text string) error {
		dir := project(t, text)
		_, err := d.Apply(t.Context(), packed(t, dir, bundle.Options{}), "me")
		return err
	}
	base := "app: other\nfunctions: {mine: {runtime: wasm, code: price.wasm}}\n"
	for name, text := range map[string]string{
		"function": strings.Replace(base, "mine", "price", 1),
		"role":     base + "roles: {clerk: {}}\n",
		"route":    base + "routes: {POST /orders: {function: mine, auth: [key]}}\n",
		"wildcard": base + "routes: {\"ANY /orders\": {function: mine, auth: [key]}}\n",
	} {
		if err := other(text); casemate.CodeOf(err) != casemate.Conflict || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := other(base + "routes: {POST /other: {function: mine, auth: [key]}}\n"); err != nil {
		t.Error(err)
	}
}

func TestMissingRuntimeIsNamedOrLeftOut(t *testing.T) {
	d, st := deployer(t)
	st.missing = "nodejs"
	dir := project(t, shop)
	_, err := d.Apply(t.Context(), packed(t, dir, bundle.Options{}), "me")
	if casemate.CodeOf(err) != casemate.Invalid || !strings.Contains(err.Error(), "casemate.yaml:8:") || !strings.Contains(err.Error(), "nodejs20.x") {
		t.Fatal(err)
	}
	out, err := d.Apply(t.Context(), packed(t, dir, bundle.Options{LeaveOut: true}), "me")
	if err != nil || len(out.Plan.LeftOut) != 1 || !strings.Contains(out.Plan.String(), "LEFT OUT: function orders") {
		t.Fatal(out, err)
	}
	if _, err := resolve(d, "POST", "/orders"); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
	st.missing = ""
	if out := apply(t, d, dir); len(out.Versions) != 2 || len(out.Plan.LeftOut) != 0 {
		t.Errorf("%+v", out)
	}
}

func TestPlanSaysWhatGetsWider(t *testing.T) {
	d, _ := deployer(t)
	dir := project(t, shop)
	apply(t, d, dir)
	for _, c := range []struct{ from, to, says string }{
		{"auth: [key]\n    contract", "auth: {none: {reason: everybody orders, expires: 2027-01-01}}\n    contract", "+! route POST /orders: open to everybody until 2027-01-01: everybody orders"},
		{"    contract: {file: order.yaml}\n", "", "-! route POST /orders: requests have no contract any more"},
		{"rate: 10/s burst 20", "rate: 20/s burst 20", "~! route POST /orders: rate 20/s burst 20 instead of 10/s burst 20"},
		{"rate: 10/s burst 20", "rate: 5/s burst 20", "~  route POST /orders: rate 5/s burst 20"},
		{"[call POST /orders]", "[call POST /orders, call GET /orders]", "+! role clerk: call GET /orders"},
		{"[call POST /orders]", "[deny call POST /orders]", "-  role clerk: call POST /orders (casemate.yaml:"},
		{"[call POST /orders]", "[deny call POST /orders]", "+  role clerk: deny call POST /orders"},
		{"    grants: [invoke price]\n", "", "-  function orders may: invoke price"},
		{"    code: orders\n", "    code: orders\n    memory: 512MB\n    isolation: warm\n", "~! function orders: memory in MB 512 instead of 128"},
		{"    code: orders\n", "    code: orders\n    isolation: warm\n", "~! function orders: version 2 instead of 1: isolation warm instead of request"},
		{"    url: {auth: [key]}\n", "", "-  URL of orders: leads to orders no more"},
		{"roles:\n", "guardrails:\n  - {Effect: Deny, Action: \"lambda:*\", Resource: \"*\"}\nroles:\n", "+  guardrail of every app: Deny lambda:* on *"},
		{"roles:\n", "resources:\n  function/price:\n    - {Effect: Allow, Principal: \"*\", Action: \"lambda:InvokeFunction\"}\nroles:\n", "+! resource policy of price: Allow lambda:InvokeFunction"},
	} {
		text := strings.Replace(shop, c.from, c.to, 1)
		if text == shop {
			t.Fatalf("%q is not there", c.from)
		}
		write(t, dir, manifest.File, text)
		plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
		if err != nil {
			t.Errorf("%s: %v", c.says, err)
			continue
		}
		if !strings.Contains(plan.String(), c.says) {
			t.Errorf("%q is not in\n%s", c.says, plan)
		}
	}
}

// Comments and order in the manifest change nothing that a person has to look at.
// A program that the code does not hold would be found missing by the first event.
func TestChildrenOfTheCodeAreThere(t *testing.T) {
	for child, ok := range map[string]bool{"/var/task/index.js": true, "/var/task/tool": false, "/usr/bin/tool": true, "/usr/bin/gone": false} {
		d, _ := deployer(t)
		dir := project(t, strings.Replace(shop, "grants: [invoke price]", "children: ["+child+"]", 1))
		var b bytes.Buffer
		if _, err := bundle.Pack(dir, setting(), bundle.Options{}, &b); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Apply(t.Context(), b.Bytes(), "me"); (err == nil) != ok || !ok && casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", child, err)
		}
	}
}

func TestPlanIgnoresPlaces(t *testing.T) {
	d, _ := deployer(t)
	dir := project(t, shop)
	apply(t, d, dir)
	write(t, dir, manifest.File, "# a comment\n\n\n"+shop)
	plan, err := d.Plan(t.Context(), packed(t, dir, bundle.Options{}))
	if err != nil || !plan.Empty() {
		t.Fatal(plan, err)
	}
}

// Whatever is deployed, deploying it once more plans nothing and changes nothing.
func TestPlanOfTheSameStateIsEmpty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, _ := deployer(t)
		for range rapid.IntRange(1, 4).Draw(rt, "deploys") {
			text := tiny
			if rapid.Bool().Draw(rt, "limits") {
				text = fmt.Sprintf("app: tiny\nfunctions: {f: {runtime: wasm, code: f.wasm, timeout: %ds, memory: %dMB, env: {A: x%d}}}\n", rapid.IntRange(1, 9).Draw(rt, "timeout"), rapid.IntRange(16, 99).Draw(rt, "memory"), rapid.IntRange(0, 3).Draw(rt, "env"))
			}
			if n := rapid.IntRange(0, 3).Draw(rt, "routes"); n > 0 {
				text += "routes:\n"
				for i := range n {
					text += fmt.Sprintf("  GET /tiny/%d/{x}: {function: f, auth: [key], rate: %d/s}\n", i, 1+i)
				}
			}
			if rapid.Bool().Draw(rt, "role") {
				text += "roles: {r: {grants: [call *]}}\n"
			}
			data := bundleOf(t, zip.Store, entry{manifest.File, text}, entry{"code/f.wasm", "\x00asm\x01" + rapid.StringN(0, 2, 4).Draw(rt, "code")})
			if _, err := d.Apply(t.Context(), data, "me"); err != nil {
				rt.Fatal(err)
			}
			plan, err := d.Plan(t.Context(), data)
			if err != nil || !plan.Empty() || len(plan.New) != 0 {
				rt.Fatalf("%v, %v", plan, err)
			}
			if out, err := d.Apply(t.Context(), data, "me"); err != nil || out.Changed {
				rt.Fatalf("%+v, %v", out, err)
			}
		}
	})
}

func TestVersionsAreBounded(t *testing.T) {
	d, _ := deployer(t)
	for i := range keptVersions + 10 {
		data := bundleOf(t, zip.Store, entry{manifest.File, tiny}, entry{"code/f.wasm", fmt.Sprintf("\x00asm\x01%d", i)})
		if _, err := d.Apply(t.Context(), data, "me"); err != nil {
			t.Fatal(err)
		}
	}
	app, _ := d.cfg.Catalog.Snapshot().App("tiny")
	f := app.Functions["f"]
	if len(f.Versions) != keptVersions || f.Live != keptVersions+10 || f.Number(f.Live) == nil {
		t.Errorf("%d versions, %d in force", len(f.Versions), f.Live)
	}
}

// What was allowed for one app must not change another, whatever the body says.
func TestGHSA_chf8_4hv6_8pg6_AllowedForOneAppOnly(t *testing.T) {
	d, _ := deployer(t)
	dir := project(t, shop)
	data := packed(t, dir, bundle.Options{})
	other := d.For("other")
	if _, err := other.Plan(t.Context(), data); casemate.CodeOf(err) != casemate.Forbidden {
		t.Error(err)
	}
	if _, err := other.Apply(t.Context(), data, "me"); casemate.CodeOf(err) != casemate.Forbidden {
		t.Error(err)
	}
	apply(t, d.For("shop"), dir)
	for _, r := range []RollbackRequest{{App: "shop"}, {Function: "orders"}} {
		if _, err := other.Rollback(t.Context(), r, "me"); casemate.CodeOf(err) != casemate.Forbidden {
			t.Error(err)
		}
	}
	if _, err := other.History(t.Context(), HistoryRequest{App: "shop"}); casemate.CodeOf(err) != casemate.Forbidden {
		t.Error(err)
	}
	if out := apply(t, d.For("*"), dir); out.Changed {
		t.Error("any app is none")
	}
}

func BenchmarkPlan(b *testing.B) {
	d, _ := deployer(b)
	dir := project(b, shop)
	apply(b, d, dir)
	data := packed(b, dir, bundle.Options{})
	for b.Loop() {
		if _, err := d.Plan(b.Context(), data); err != nil {
			b.Fatal(err)
		}
	}
}
