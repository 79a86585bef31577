package deploy

import (
	"archive/zip"
	"strings"
	"testing"
	"time"

	"casemate/deploy/manifest"

	"casemate"
)

const senders = `app: shop
functions: {f: {runtime: wasm, code: f.wasm}, warden: {runtime: wasm, code: warden.wasm}}
webhooks:
  github: {scheme: github, secret: secret/shop/github, role: hook}
  own: {scheme: hmac, secret: [secret/shop/a, secret/shop/b], role: hook, header: x-sig, timestamp: x-time, tolerance: 2m}
authorizers:
  plain: {function: warden, role: hook}
  whole: {function: warden, format: "2.0", identity: [header a, query b], ttl: none, role: hook}
routes:
  POST /github: {function: f, auth: [key, webhook:github]}
  POST /own: {function: f, auth: [webhook:own]}
  GET /plain: {function: f, auth: [authorizer:plain]}
  GET /whole: {function: f, auth: [jwt, authorizer:whole], scopes: [a, b or c], audience: [x]}
roles: {hook: {grants: ["call POST /github"]}}
auth: {jwt: [{issuer: "https://id.example.com", audience: [shop], algorithms: [ES256], role: hook, clients: [web], tokens: at+jwt}]}
`

func sendersBundle(t *testing.T, text string) []byte {
	return bundleOf(t, zip.Store, entry{manifest.File, text}, entry{"code/f.wasm", "\x00asm\x01"}, entry{"code/warden.wasm", "\x00asm\x01"})
}

// What a manifest says of its callers is in force as it was said, with the defaults that the documentation names.
func TestSendersAreInTheirRoutes(t *testing.T) {
	d, _ := deployer(t)
	if _, err := d.Apply(t.Context(), sendersBundle(t, senders), "me"); err != nil {
		t.Fatal(err)
	}
	app, _ := d.cfg.Catalog.Snapshot().App("shop")
	auth := map[string]casemate.Auth{}
	for _, r := range app.Routes {
		auth[r.ID] = r.Auth
	}
	if w := auth["POST /github"].Webhook; w == nil || w.Scheme != "github" || w.Tolerance != 5*time.Minute || strings.Join(w.Secrets, " ") != "shop/github" || w.HMAC != nil || len(auth["POST /github"].Kinds) != 2 {
		t.Errorf("github: %+v", w)
	}
	if w := auth["POST /own"].Webhook; w == nil || w.Tolerance != 2*time.Minute || len(w.Secrets) != 2 || w.HMAC == nil || w.HMAC.Signed != "{timestamp}.{body}" || w.HMAC.Encoding != "hex" || w.HMAC.Algorithm != "sha256" {
		t.Errorf("own: %+v", w)
	}
	if a := auth["GET /plain"].Authorizer; a == nil || a.TTL != 300*time.Second || a.Type != "request" || a.Format != "1.0" || len(a.Identity) != 1 || a.Identity[0] != (casemate.IdentitySource{In: "header", Name: "authorization"}) {
		t.Errorf("plain: %+v", a)
	}
	if a := auth["GET /whole"].Authorizer; a == nil || a.TTL != 0 || a.Format != "2.0" || len(a.Identity) != 2 || auth["GET /whole"].Token == nil || len(auth["GET /whole"].Token.Scopes) != 2 {
		t.Errorf("whole: %+v", a)
	}
	for _, name := range []string{"plain", "whole"} {
		s := app.Roles["authorizer/shop/"+name].Statements
		if len(s) != 1 || s[0].Effect != casemate.Allow || strings.Join(s[0].Action, "") != ActionAuthorize || strings.Join(s[0].Resource, "") != d.cfg.Place.FunctionARN("warden") {
			t.Errorf("role of %s: %+v", name, s)
		}
	}
	if i := app.Issuers[0]; !i.Discover || i.Tokens != "at+jwt" || len(i.Clients) != 1 {
		t.Errorf("%+v", i)
	}
}

// Whoever may deploy one app may give it senders and authorizers: that reaches nothing of others.
func TestSendersStayWithTheirApp(t *testing.T) {
	d, _ := deployer(t)
	g := d.Under(Guard{Beyond: func(_ string, what []string) error {
		return casemate.Errorf(casemate.Forbidden, "", "beyond: %s", strings.Join(what, ", "))
	}})
	if _, err := g.Apply(t.Context(), sendersBundle(t, senders), "me"); err != nil {
		t.Error(err)
	}
}

// A change of who is believed is told, as what widens.
func TestPlanTellsOfSenders(t *testing.T) {
	d, _ := deployer(t)
	if _, err := d.Apply(t.Context(), sendersBundle(t, senders), "me"); err != nil {
		t.Fatal(err)
	}
	for change, want := range map[[2]string]string{
		{"scheme: github", "scheme: stripe"}:              "takes webhook github: stripe, signed with shop/github, as role hook",
		{"shop/github,", "shop/other,"}:                   "signed with shop/other",
		{"tolerance: 2m", "tolerance: 1h"}:                "takes webhook own",
		{"{function: warden, role", "{function: f, role"}: "asks function f who is calling",
		{"ttl: none", "ttl: 1h"}:                          "remembers it 1h0m0s",
		{"scopes: [a, b or c]", "scopes: [a]"}:            "a token needs scopes [a]",
		{"audience: [x]", "audience: [x, y]"}:             "audience [x, y]",
	} {
		p, err := d.Plan(t.Context(), sendersBundle(t, strings.Replace(senders, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, c := range p.Changes {
			found = found || strings.Contains(c.Text, want) && c.Wider
		}
		if !found {
			t.Errorf("%v: %+v", change, p.Changes)
		}
	}
}

// The secrets of one environment's senders are not another's.
func TestSendersOfAnEnvironment(t *testing.T) {
	for _, x := range []struct {
		environment, secret string
		ok                  bool
	}{{"", "shop/h", true}, {"", "prod/shop/h", false}, {"prod", "prod/shop/h", true}, {"prod", "shop/h", false}, {"prod", "staging/shop/h", false}} {
		d, _ := deployer(t)
		text := "app: shop\nfunctions: {f: {runtime: wasm, code: f.wasm}}\nwebhooks: {x: {scheme: github, secret: secret/" + x.secret + ", role: r}}\nroutes: {POST /x: {function: f, auth: [webhook:x]}}\nroles: {r: {}}\n"
		if x.environment != "" {
			text = "environment: " + x.environment + "\n" + text
		}
		_, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, text}, entry{"code/f.wasm", "\x00asm\x01"}), "me")
		if (err == nil) != x.ok {
			t.Errorf("%+v: %v", x, err)
		}
	}
}
