package deploy

import (
	"archive/zip"
	"strings"
	"testing"

	"casemate/deploy/manifest"

	"casemate"
)

const other = `
app: other
functions:
  g:
    runtime: wasm
    code: g.wasm
routes:
  GET /g/{id}:
    function: g
    auth: [key]
auth:
  jwt:
    - {issuer: "https://id.example", audience: [other], keys: {url: "https://id.example/keys"}, algorithms: [ES256], role: reader}
roles:
  reader:
    grants: ["call GET /g/{id}"]
`

// TestDeployIsNoWayToOtherApps: who may deploy one app could have given a role of its own everything, an issuer of its
// own that role, and would have been the operator.
func TestDeployIsNoWayToOtherApps(t *testing.T) {
	const head = "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm}}\n"
	role := func(statement string) string { return head + "roles: {pwn: {statements: [" + statement + "]}}\n" }
	function := func(statement string) string {
		return "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm, statements: [" + statement + "]}}\n"
	}
	may := func(grants ...string) string {
		return "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm, grants: [\"" + strings.Join(grants, "\", \"") + "\"]}}\n"
	}
	for name, c := range map[string]struct{ text, beyond string }{
		"own routes":            {head + "routes: {\"GET /m\": {function: m, auth: [key]}}\nroles: {r: {grants: [\"call GET /m\", invoke m, deny call *]}}\n", ""},
		"deny elsewhere":        {role(`{Effect: Deny, Action: "*", Resource: "*"}`), ""},
		"own app":               {role(`{Effect: Allow, Action: "execute-api:*", Resource: "arn:aws:execute-api:us-east-1:000000000000:mal/*"}`), ""},
		"everything":            {role(`{Effect: Allow, Action: "*", Resource: "*"}`), "role pwn"},
		"operations":            {role(`{Effect: Allow, Action: "casemate:CreateKey", Resource: "*"}`), "role pwn"},
		"all but":               {role(`{Effect: Allow, NotAction: "s3:*", Resource: "arn:aws:execute-api:us-east-1:000000000000:mal/*"}`), "role pwn"},
		"all but there":         {role(`{Effect: Allow, Action: "execute-api:Invoke", NotResource: "arn:aws:execute-api:us-east-1:000000000000:mal/*"}`), "role pwn"},
		"another app":           {role(`{Effect: Allow, Action: "execute-api:Invoke", Resource: "arn:aws:execute-api:us-east-1:000000000000:other/*"}`), "role pwn"},
		"a longer name":         {role(`{Effect: Allow, Action: "execute-api:Invoke", Resource: "arn:aws:execute-api:us-east-1:000000000000:mal*"}`), "role pwn"},
		"all functions":         {role(`{Effect: Allow, Action: "lambda:InvokeFunction", Resource: "arn:aws:lambda:us-east-1:000000000000:function:*"}`), "role pwn"},
		"own secret":            {may(`read secret/mal/db`, `read parameter/mal/x`, `read table/mal.t`, `send queue/mal_q`), ""},
		"own hierarchy":         {may(`read parameter/mal/*`), ""},
		"own bucket":            {may(`read bucket/mal.b`), ""},
		"host":                  {may(`connect api.example.com:443`, `connect *.example.com:443`, `invoke m`), ""},
		"other secret":          {may(`read secret/db`), "function m"},
		"longer hierarchy":      {may(`read parameter/mal-2/*`), "function m"},
		"shorter name":          {function(`{Effect: Allow, Action: "ssm:GetParameter", Resource: "arn:aws:ssm:us-east-1:000000000000:parameter/mal*"}`), "function m"},
		"longer app":            {may(`read secret/mal-2/db`), "function m"},
		"all secrets":           {may(`read secret/*`), "function m"},
		"other function":        {may(`invoke g`), "function m"},
		"platform":              {may(`admin Deploy`), "function m"},
		"any host":              {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "*"}`), "function m"},
		"host pattern":          {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/1*:80"}`), "function m"},
		"addresses":             {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/10.0.0.0/8:5432"}`), "function m"},
		"one address":           {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/10.0.0.1:5432"}`), "function m"},
		"end of an address":     {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/*.0.0.1:8080", Condition: {IpAddress: {"casemate:Address": "127.0.0.0/8"}}}`), "function m"},
		"of no network":         {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/*.169.254:80"}`), "function m"},
		"network of a name":     {function(`{Effect: Allow, Action: "casemate:Connect", Resource: "arn:aws:casemate:us-east-1:000000000000:host/api.example.com:80", Condition: {IpAddress: {"CASEMATE:address": "127.0.0.0/8"}}}`), "function m"},
		"any action":            {function(`{Effect: Allow, Action: "*", Resource: "arn:aws:s3:::mal.b"}`), "function m"},
		"guardrail":             {head + `guardrails: [{Effect: Deny, Action: "execute-api:*", Resource: "*"}]` + "\n", "guardrails"},
		"own route's policy":    {head + "routes: {\"GET /m\": {function: m, auth: [key]}}\nresources: {\"route/GET /m\": [{Effect: Deny, Principal: \"*\", Action: \"execute-api:*\"}], function/m: [{Effect: Deny, Principal: \"*\", Action: \"lambda:*\"}]}\n", ""},
		"own secret's policy":   {head + "resources: {secret/mal/db: [{Effect: Allow, Principal: {AWS: \"111111111111\"}, Action: \"secretsmanager:GetSecretValue\"}]}\n", ""},
		"other secret's policy": {head + "resources: {secret/other/db: [{Effect: Allow, Principal: {AWS: \"arn:aws:iam::000000000000:role/pwn\"}, Action: \"secretsmanager:GetSecretValue\"}]}\n", "the policy of secret:other/db"},
		"longer table's policy": {head + "resources: {table/mallet: [{Effect: Allow, Principal: \"*\", Action: \"dynamodb:*\"}]}\n", "the policy of table/mallet"},
		"own object":            {head + "roles: {r: {grants: [\"call GET /m/${jwt:sub}\"]}}\nroutes: {\"GET /m/{id}\": {function: m, auth: [key], resource: \"object/mal/${path:id}\"}}\n", ""},
		"other object":          {head + "roles: {pwn: {grants: [\"read object/other/${jwt:sub}/*\"]}}\n", "role pwn"},
		"environment":           {head + "environment: prod\n", "environment prod"},
		"queues":                {head + "queues: {mal: {}, mal_jobs: {}, fresh: {dead_letter: {queue: mal_jobs, max_receives: 1}}}\n", ""},
		"queue of nobody":       {head + "queues: {inbox: {dead_letter: {queue: mal_jobs, max_receives: 1}}, mal_jobs: {}}\n", "queue inbox"},
		"shadow":                {head + `routes: {"GET /g/free": {function: m, host: shop.example, auth: [key]}}` + "\n", "route GET /g/free"},
		"same issuer": {head + "roles: {r: {grants: [\"call *\"]}}\n" +
			`auth: {jwt: [{issuer: "https://id.example", audience: [mal], keys: {url: "https://evil.example/keys"}, algorithms: [ES256], role: r}]}` + "\n", "issuer https://id.example"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := deployer(t)
			d.cfg.Found = func(app, name string) bool { return app == "mal" && (name == "inbox" || name == "mal_jobs") } // made by CreateQueue
			if _, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, other}, entry{"code/g.wasm", "\x00asm\x01"}), "me"); err != nil {
				t.Fatal(err)
			}
			refused := casemate.Errorf(casemate.Forbidden, "", "no")
			var asked []string
			scoped := d.For("mal").Under(Guard{Beyond: func(app string, what []string) error {
				if app != "mal" {
					t.Errorf("asked about %q", app)
				}
				asked = what
				return refused
			}})
			data := bundleOf(t, zip.Store, entry{manifest.File, c.text}, entry{"code/m.wasm", "\x00asm\x01"})
			_, err := scoped.Apply(t.Context(), data, "me")
			if (err != nil) != (c.beyond != "") || c.beyond == "" && asked != nil || !strings.HasPrefix(strings.Join(asked, ";"), c.beyond) {
				t.Fatalf("%v, asked %q", err, asked)
			}
			if c.beyond == "" {
				return
			}
			if casemate.CodeOf(err) != casemate.Forbidden {
				t.Fatal(err)
			}
			if app, _ := d.cfg.Catalog.Snapshot().App("mal"); app != nil {
				t.Error("it is in force")
			}
			// What somebody was allowed to put there may stay while the code changes, and may not be widened.
			if _, err := d.Apply(t.Context(), data, "operator"); err != nil {
				t.Fatal(err)
			}
			if _, err := scoped.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, c.text}, entry{"code/m.wasm", "\x00asm\x01new"}), "me"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Losing a guardrail is as wide as gaining a right; and a boundary that goes frees what it held.
func TestDeployCannotTakeBoundsAway(t *testing.T) {
	const head = "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm}}\n"
	const wide = `{Effect: Allow, Action: "*", Resource: "*"}`
	const narrow = `{Effect: Deny, Action: "secretsmanager:*", Resource: "*"}`
	for name, c := range map[string][2]string{
		"guardrail":      {head + `guardrails: [{Effect: Deny, Action: "s3:*", Resource: "*"}]` + "\n", head},
		"deny of a role": {head + "roles: {r: {statements: [" + wide + ", " + narrow + "]}}\n", head + "roles: {r: {statements: [" + wide + "]}}\n"},
		"boundary":       {head + "roles: {r: {statements: [" + wide + "], boundary: [{Effect: Allow, Action: \"s3:*\", Resource: \"*\"}]}}\n", head + "roles: {r: {statements: [" + wide + "]}}\n"},
	} {
		d, _ := deployer(t)
		if _, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, c[0]}, entry{"code/m.wasm", "\x00asm\x01"}), "operator"); err != nil {
			t.Fatal(err)
		}
		scoped := d.Under(Guard{App: func(string) error { return nil }, Beyond: func(string, []string) error { return casemate.Errorf(casemate.Forbidden, "", "no") }})
		if _, err := scoped.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, c[1]}, entry{"code/m.wasm", "\x00asm\x01"}), "me"); casemate.CodeOf(err) != casemate.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who names no app is asked about the one that the body names.
func TestDeployWithoutANamedAppIsDecidedOnAgain(t *testing.T) {
	d, _ := deployer(t)
	data := bundleOf(t, zip.Store, entry{manifest.File, "app: mal\nfunctions: {m: {runtime: wasm, code: m.wasm}}\n"}, entry{"code/m.wasm", "\x00asm\x01"})
	for _, any := range []string{"", "*"} {
		scoped := d.For(any).Under(Guard{App: func(app string) error { return casemate.Errorf(casemate.Forbidden, "", "not %s", app) }})
		if _, err := scoped.Apply(t.Context(), data, "me"); casemate.CodeOf(err) != casemate.Forbidden || !strings.Contains(err.Error(), "not mal") {
			t.Error(err)
		}
	}
}

// TestIssuersOfAllAppsHoldTogether: an issuer that could not be put in force kept every other change of issuers out of
// force, so that one that was taken away stayed trusted.
func TestIssuersOfAllAppsHoldTogether(t *testing.T) {
	d, _ := deployer(t)
	var seen [][]casemate.Issuer
	d.cfg.Issuers = func(all []casemate.Issuer) error {
		seen = append(seen, all)
		if len(all) > 1 {
			return casemate.Errorf(casemate.Invalid, "", "two entries take the same audience")
		}
		return nil
	}
	if _, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, other}, entry{"code/g.wasm", "\x00asm\x01"}), "me"); err != nil {
		t.Fatal(err)
	}
	twin := strings.NewReplacer("app: other", "app: twin", "  g:", "  h:", "function: g", "function: h", "g.wasm", "h.wasm", "/g/", "/h/", "reader", "looker").Replace(other)
	_, err := d.Apply(t.Context(), bundleOf(t, zip.Store, entry{manifest.File, twin}, entry{"code/h.wasm", "\x00asm\x01"}), "me")
	if casemate.CodeOf(err) != casemate.Invalid || len(seen) != 2 || len(seen[1]) != 2 || seen[1][0].App != "twin" || seen[1][1].App != "other" {
		t.Errorf("%v, %v", err, seen)
	}
	if app, _ := d.cfg.Catalog.Snapshot().App("twin"); app != nil {
		t.Error("it is in force")
	}
}
