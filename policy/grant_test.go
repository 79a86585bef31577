package policy_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"casemate"
	"casemate/catalog/route"
	"casemate/policy"
)

func TestGrant(t *testing.T) {
	place := casemate.DefaultPlace
	route := func(method, path string) string { return place.RouteARN("orders", method, path) }
	host := func(name string) string { return place.PlatformARN("host", name) }
	const db, sm = "arn:aws:dynamodb:us-east-1:000000000000:table/", "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
	for text, c := range map[string]struct{ yes, no [][2]string }{
		"call POST /orders": {[][2]string{{"execute-api:Invoke", route("POST", "/orders")}},
			[][2]string{{"execute-api:Invoke", route("GET", "/orders")}, {"execute-api:Invoke", route("POST", "/orders/7")}, {"lambda:InvokeFunction", route("POST", "/orders")}}},
		"call GET /": {[][2]string{{"execute-api:Invoke", route("GET", "/")}}, [][2]string{{"execute-api:Invoke", route("GET", "/x")}}},
		"call GET /orders/{id}": {[][2]string{{"execute-api:Invoke", route("GET", "/orders/7")}, {"execute-api:Invoke", route("GET", "/orders/{id}")}},
			[][2]string{{"execute-api:Invoke", route("GET", "/orders/7/refunds")}, {"execute-api:Invoke", route("GET", "/orders")}, {"execute-api:Invoke", place.RouteARN("other", "GET", "/orders/7")}}},
		"call GET /orders/{id}/items/{item}": {[][2]string{{"execute-api:Invoke", route("GET", "/orders/7/items/8")}},
			[][2]string{{"execute-api:Invoke", route("GET", "/orders/7/x/items/8")}, {"execute-api:Invoke", route("GET", "/orders/7/items/8/9")}}},
		"call ANY /orders": {[][2]string{{"execute-api:Invoke", route("DELETE", "/orders")}, {"execute-api:Invoke", route("PUT", "/orders")}},
			[][2]string{{"execute-api:Invoke", route("GET", "/admin/orders")}}},
		"call * /files/{path+}": {[][2]string{{"execute-api:Invoke", route("GET", "/files/a/b")}}, [][2]string{{"execute-api:Invoke", route("GET", "/x/files/a")}}},
		"call *":                {[][2]string{{"execute-api:Invoke", route("GET", "/a/b")}}, [][2]string{{"execute-api:Invoke", place.RouteARN("other", "GET", "/")}}},
		"invoke price": {[][2]string{{"lambda:InvokeFunction", place.FunctionARN("price")}, {"lambda:InvokeFunction", place.FunctionARN("price:live")}},
			[][2]string{{"lambda:InvokeFunction", place.FunctionARN("prices")}, {"lambda:DeleteFunction", place.FunctionARN("price")}}},
		"read table/orders": {[][2]string{{"dynamodb:Query", db + "orders/index/by-day"}, {"dynamodb:GetItem", db + "orders"}},
			[][2]string{{"dynamodb:PutItem", db + "orders"}, {"dynamodb:GetItem", db + "orders2"}}},
		"write table/orders": {[][2]string{{"dynamodb:PutItem", db + "orders"}}, [][2]string{{"dynamodb:GetItem", db + "orders"}, {"dynamodb:DeleteTable", db + "orders"}}},
		"read parameter/a/*": {[][2]string{{"ssm:GetParametersByPath", "arn:aws:ssm:us-east-1:000000000000:parameter/a"}, {"ssm:GetParametersByPath", "arn:aws:ssm:us-east-1:000000000000:parameter/a/"}, {"ssm:GetParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/a/b/c"}},
			[][2]string{{"ssm:GetParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/ab"}, {"ssm:PutParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/a/b"}}},
		"read secret/db": {[][2]string{{"secretsmanager:GetSecretValue", sm + "db-a1B2c3"}, {"secretsmanager:GetSecretValue", sm + "db"}}, [][2]string{{"secretsmanager:GetSecretValue", sm + "db-admin"}}},
		"connect API.stripe.com:443": {[][2]string{{"casemate:Connect", host("api.stripe.com:443")}},
			[][2]string{{"casemate:Connect", host("api.stripe.com:4433")}, {"casemate:Connect", host("xapi.stripe.com:443")}}},
		"connect *.stripe.com:443": {[][2]string{{"casemate:Connect", host("api.stripe.com:443")}}, [][2]string{{"casemate:Connect", host("stripe.com:443")}, {"casemate:Connect", host("evilstripe.com:443")}}},
		"connect *.example.com:80": {[][2]string{{"casemate:Connect", host("a.example.com:80")}},
			[][2]string{{"casemate:Connect", host("b.a.example.com:80")}, {"casemate:Connect", host("example.com:80")}, {"casemate:Connect", host("a.example.com:8080")}}},
		"connect 10.0.0.0/8:5432": {[][2]string{{"casemate:Connect", host("10.255.0.1:5432")}, {"casemate:Connect", host("[::ffff:10.1.2.3]:5432")}},
			[][2]string{{"casemate:Connect", host("11.0.0.1:5432")}, {"casemate:Connect", host("10.1.2.3:5433")}, {"casemate:Connect", host("db.internal:5432")}, {"casemate:Connect", host("10.1.2.3.example.com:5432")}}},
		"connect [fd00::/8]:443": {[][2]string{{"casemate:Connect", host("[fd12::1]:443")}}, [][2]string{{"casemate:Connect", host("[fe80::1]:443")}, {"casemate:Connect", host("10.0.0.1:443")}}},
		"publish topic/news":     {[][2]string{{"sns:Publish", "arn:aws:sns:us-east-1:000000000000:news"}}, [][2]string{{"sns:Publish", "arn:aws:sns:us-east-1:000000000000:newsroom"}}},
		"send queue/jobs":        {[][2]string{{"sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:jobs"}}, [][2]string{{"sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:000000000000:jobs"}}},
		"write bucket/photos":    {[][2]string{{"s3:PutObject", "arn:aws:s3:::photos/a/b"}}, [][2]string{{"s3:GetObject", "arn:aws:s3:::photos/a"}, {"s3:PutObject", "arn:aws:s3:::photos2/a"}}},
		"admin Deploy":           {[][2]string{{"casemate:deploy", place.PlatformARN("app", "orders")}}, [][2]string{{"casemate:Deployed", place.PlatformARN("app", "orders")}}},
		"admin *":                {[][2]string{{"casemate:CreateKey", place.PlatformARN("key", "*")}}, [][2]string{{"casemate:Connect", host("x.example:443")}, {"s3:GetObject", "arn:aws:s3:::a"}}},
	} {
		decides(t, text, c.yes, casemate.Allowed)
		decides(t, text, c.no, casemate.Denied)
		s, err := policy.Grant(place, "orders", "deny "+text, "here")
		if err != nil || s.Effect != casemate.Deny {
			t.Errorf("deny %s: %+v, %v", text, s, err)
			continue
		}
		set := mustCompile(t, roles("clerk", s, allow("*", "*")))
		for _, r := range c.yes {
			if d := set.Decide(ask(clerk(), r[0], r[1])); d.Verdict != casemate.Denied || d.Layer != "identity" || !strings.Contains(d.Origin, text) {
				t.Errorf("deny %s: %v is not denied: %+v", text, r, d)
			}
		}
		for _, r := range c.no {
			if d := set.Decide(ask(clerk(), r[0], r[1])); d.Verdict != casemate.Allowed {
				t.Errorf("deny %s: %v is denied: %+v", text, r, d)
			}
		}
	}
}

func decides(t *testing.T, text string, requests [][2]string, want casemate.Verdict) {
	t.Helper()
	s, err := policy.Grant(casemate.DefaultPlace, "orders", text, "here")
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	set := mustCompile(t, roles("clerk", s))
	for _, r := range requests {
		if d := set.Decide(ask(clerk(), r[0], r[1])); d.Verdict != want {
			t.Errorf("%s: %v on %v: %v, want %v", text, r[0], r[1], d.Verdict, want)
		}
	}
}

func TestGrantRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "call", "call ", "call  POST /orders", "call POST", "call POST orders", "call post /orders", "call POST /orders ", " call *", "call P* /x",
		"call GET /a*", "call GET /{a}b", "call GET /{a", "call GET /{}", "call GET /{a+}/b", "call GET /{a}/{b+}", "call GET /a/../b", "call GET /a?b",
		"call GET /${jwt:sub", "call GET /a${jwt:sub}", "call GET /${jwt:sub, 'x'}", "call GET /${*}", "call ${jwt:sub} /a", "call GET /${jwt:a b}", "call GET /$x",
		"read object/orders/${path:id}", "call GET /orders/${PATH:id}", "invoke ${jwt:sub}", "connect ${jwt:sub}:443", "admin ${jwt:sub}", "read table/orders/${jwt:sub", "read table/orders/x${jwt:sub}", "read table/${jwt:sub}/../x", "read table/orders/*", "read table/*/${jwt:sub}",
		"call GET /\x1b", "call GET /\xff", "Call *", "invoke", "invoke a/b", "invoke price:3", "invoke p*", "read", "read table",
		"read table/", "read tables/x", "read table/a*", "read table/a b", "read queue/x", "send topic/x", "publish news", "read bucket/../x", "delete table/x",
		"connect stripe.com", "connect stripe.com:", "connect stripe.com:0", "connect stripe.com:65536", "connect stripe.com:0443", "connect stripe.com:+1", "connect :443",
		"connect *:443", "connect a.*.com:443", "connect [::1]:443", "connect -a.com:443", "connect a..com:443", "connect a.com.:443", "connect 10.1.2.3:443", "connect 0x7f.1:443", "connect *.1:443", "connect *.com:443",
		"connect 10.0.0.1/8:443", "connect 0.0.0.0/0:443", "connect fd00::/8:443", "connect [10.0.0.0/8]:443", "connect [::ffff:10.0.0.0/104]:443", "connect [::/0]:443", "connect 10.0.0.0/33:1", "admin", "admin connect", "admin a b",
		"deny", "deny ", "deny deny call *", "deny  call *", strings.Repeat("x", 5000), "call GET /" + strings.Repeat("x", 3000),
	} {
		s, err := policy.Grant(casemate.DefaultPlace, "orders", text, "here")
		var e *casemate.Error
		if !errors.As(err, &e) || e.Code != casemate.Invalid || !strings.HasPrefix(e.Hint, "known grants: ") || strings.HasPrefix(text, "connect") != (e.Hint == "known grants: connect HOST:PORT, connect NETWORK/BITS:PORT") || s.Effect != "" {
			t.Errorf("%.60q: %+v, %v", text, s, err)
		}
	}
	for _, app := range []string{"", "a/b", "a*", "*"} {
		if _, err := policy.Grant(casemate.DefaultPlace, app, "call *", ""); err == nil {
			t.Errorf("app %q is taken", app)
		}
	}
}

// The grant that a refusal proposes allows the request, and nothing near it.
func TestHintedGrantAllows(t *testing.T) {
	p := casemate.DefaultPlace
	for _, r := range [][2]string{
		{"execute-api:Invoke", p.RouteARN("orders", "POST", "/orders/7/items")}, {"lambda:InvokeFunction", p.FunctionARN("price")},
		{"lambda:InvokeFunction", p.FunctionARN("price") + ":3"}, {"dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/t/index/i"},
		{"s3:GetObject", "arn:aws:s3:::photos/a/b.jpg"}, {"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-a1B2c3"},
		{"ssm:GetParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/a/b"}, {"events:PutEvents", "arn:aws:events:us-east-1:000000000000:event-bus/main"},
		{"casemate:Connect", p.PlatformARN("host", "api.stripe.com:443")}, {"casemate:Connect", p.PlatformARN("host", "10.1.2.3:443")},
		{"casemate:Connect", p.PlatformARN("host", "[fd00::1]:443")}, {"casemate:CreateKey", p.PlatformARN("key", "*")},
	} {
		text, ok := policy.ShortGrant(r[0], r[1])
		if !ok {
			t.Errorf("no grant for %v", r)
			continue
		}
		decides(t, text, [][2]string{r}, casemate.Allowed)
		decides(t, text, [][2]string{{r[0] + "Xyz", r[1]}, {r[0], "x" + r[1]}}, casemate.Denied)
	}
	for _, r := range [][2]string{
		{"execute-api:Invoke", p.RouteARN("orders", "GET", "/files/*")}, {"execute-api:Invoke", p.RouteARN("orders", "GET", "/{id}")},
		{"lambda:InvokeFunction", p.FunctionARN("*")}, {"kms:Decrypt", "arn:aws:kms:us-east-1:000000000000:key/1"}, {"s3:GetObject", "orders"},
		{"s3:GetObject", "*"}, {"casemate:Connect", p.PlatformARN("host", "*:443")},
	} {
		if text, ok := policy.ShortGrant(r[0], r[1]); ok {
			t.Errorf("%v: the grant %q says too much", r, text)
		}
	}
}

// Whatever Grant accepts compiles; a denied copy denies what it allows.
func FuzzGrant(f *testing.F) {
	for _, s := range []string{"call POST /orders", "call GET /orders/{id}", "deny call *", "invoke price", "read table/orders", "connect *.a.b:443", "admin keys.*", "call ANY /{a+}"} {
		f.Add(s, "orders")
	}
	f.Fuzz(func(t *testing.T, text, app string) {
		s, err := policy.Grant(casemate.DefaultPlace, app, text, "fuzz")
		if err != nil {
			if casemate.CodeOf(err) != casemate.Invalid || s.Effect != "" {
				t.Fatalf("%q: %v with %+v", text, err, s)
			}
			return
		}
		if len(s.Action) == 0 || len(s.Resource) == 0 {
			t.Fatalf("%q: %+v", text, s)
		}
		set := mustCompile(t, roles("clerk", s))
		if strings.ContainsAny(s.Action[0], "*") {
			return
		}
		if d := set.Decide(ask(clerk(), s.Action[0], strings.ReplaceAll(s.Resource[0], "*", "x"))); (d.Verdict == casemate.Allowed) != (s.Effect == casemate.Allow) {
			t.Fatalf("%q: its own resource: %+v", text, d)
		}
	})
}

// A function's URL is a way to invoke it: without this, no grant opened one.
func TestInvokeGrantOpensURL(t *testing.T) {
	arn := casemate.DefaultPlace.FunctionARN("price")
	decides(t, "invoke price", [][2]string{{"lambda:InvokeFunctionUrl", arn}, {"lambda:InvokeFunction", arn}}, casemate.Allowed)
	decides(t, "invoke price", [][2]string{{"lambda:InvokeFunctionUrl", arn + "s"}, {"lambda:DeleteFunction", arn}}, casemate.Denied)
}

// What one customer's grant allows that customer, and nobody else, whatever the customer is called.
func TestGrantWithVariables(t *testing.T) {
	place := casemate.DefaultPlace
	route := func(path string) string { return place.RouteARN("orders", "GET", path) }
	const db, s3 = "arn:aws:dynamodb:us-east-1:000000000000:table/", "arn:aws:s3:::"
	for _, c := range []struct {
		grant, sub, action, resource string
		want                         casemate.Verdict
	}{
		{"call GET /orders/${jwt:sub}", "ada", "execute-api:Invoke", route("/orders/ada"), casemate.Allowed},
		{"call GET /orders/${jwt:sub}", "ada", "execute-api:Invoke", route("/orders/bob"), casemate.Denied},
		{"call GET /orders/${jwt:sub}", "*", "execute-api:Invoke", route("/orders/bob"), casemate.Denied},
		{"call GET /orders/${jwt:sub}", "bob/x", "execute-api:Invoke", route("/orders/bob/x"), casemate.Denied},
		{"call GET /orders/${jwt:sub}", "", "execute-api:Invoke", route("/orders/"), casemate.Denied},
		{"call GET /orders/${jwt:sub}/items/{item}", "ada", "execute-api:Invoke", route("/orders/ada/items/7"), casemate.Allowed},
		{"call GET /orders/${jwt:sub}/items/{item}", "ada", "execute-api:Invoke", route("/orders/bob/items/7"), casemate.Denied},
		{"call GET /orders/${jwt:sub}/items/{item}", "ada", "execute-api:Invoke", route("/orders/ada/items/7/8"), casemate.Denied},
		{"call ANY /orders/${jwt:sub}/{rest+}", "ada", "execute-api:Invoke", route("/orders/ada/items/7"), casemate.Allowed},
		{"call ANY /orders/${jwt:sub}/{rest+}", "ad", "execute-api:Invoke", route("/orders/ada/items/7"), casemate.Denied},
		{"read table/orders/${jwt:sub}/*", "ada", "dynamodb:GetItem", db + "orders/ada/7", casemate.Allowed},
		{"read table/orders/${jwt:sub}/*", "ada", "dynamodb:GetItem", db + "orders/bob/7", casemate.Denied},
		{"read table/orders/${jwt:sub}/*", "ada", "dynamodb:GetItem", db + "orders/ada", casemate.Denied},
		{"read table/orders/${jwt:sub}/*", "ada", "dynamodb:PutItem", db + "orders/ada/7", casemate.Denied},
		{"read table/orders/${jwt:sub}/*", "bob/vip", "dynamodb:GetItem", db + "orders/bob/vip/7", casemate.Denied},
		{"write bucket/photos/${jwt:sub}", "ada", "s3:PutObject", s3 + "photos/ada/1.jpg", casemate.Allowed},
		{"write bucket/photos/${jwt:sub}", "?da", "s3:PutObject", s3 + "photos/ada/1.jpg", casemate.Denied},
		{"read secret/${aws:PrincipalTag/team}/db", "ada", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:blue/db-a1B2c3", casemate.Allowed},
		{"read secret/${aws:PrincipalTag/team}/db", "ada", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:red/db-a1B2c3", casemate.Denied},
	} {
		p := clerk()
		p.Kind, p.Claims, p.Tags = casemate.KindToken, map[string]string{"sub": c.sub}, map[string]string{"team": "blue"}
		s, err := policy.Grant(place, "orders", c.grant, "here")
		if err != nil {
			t.Fatal(err)
		}
		if d := mustCompile(t, roles("clerk", s)).Decide(ask(p, c.action, c.resource)); d.Verdict != c.want {
			t.Errorf("%s, sub %q, %s: %+v", c.grant, c.sub, c.resource, d)
		}
	}
	// Without the claim the grant allows nothing; the deny denies everybody's.
	for _, text := range []string{"call GET /orders/${jwt:sub}", "deny call GET /orders/${jwt:sub}"} {
		s, err := policy.Grant(place, "orders", text, "here")
		if err != nil {
			t.Fatal(err)
		}
		p := clerk()
		p.Claims = nil
		if d := mustCompile(t, roles("clerk", s, allow("execute-api:*", route("/none")))).Decide(ask(p, "execute-api:Invoke", route("/orders/ada"))); d.Verdict != casemate.Denied ||
			(d.Layer == "identity") != strings.HasPrefix(text, "deny") {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

// Whoever the caller is and whatever it asks for, in whatever spelling: its own is allowed, and nothing else is.
func TestOnesOwnAndNothingElse(t *testing.T) {
	place := casemate.DefaultPlace
	call, err1 := policy.Grant(place, "shop", "call GET /orders/${jwt:sub}", "")
	read, err2 := policy.Grant(place, "shop", "read object/orders/${jwt:sub}/*", "")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	set := mustCompile(t, roles("clerk", call, read))
	name := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune(`ab*?/.%@+~{}$"é: 2F`)), 0, 5, -1), rapid.String())
	rapid.Check(t, func(rt *rapid.T) {
		sub, asked := name.Draw(rt, "sub"), name.Draw(rt, "asked")
		if rapid.Bool().Draw(rt, "own") {
			asked = sub
		}
		p := clerk()
		p.Claims = map[string]string{"sub": sub}
		raw := "/orders/" + url.PathEscape(asked)
		if rapid.Bool().Draw(rt, "spelled out") {
			raw = "/orders/"
			for _, c := range []byte(asked) {
				raw += fmt.Sprintf("%%%02x", c)
			}
		}
		path, err := route.Canonical(raw)
		if err != nil || !utf8.ValidString(sub) {
			rt.Skip()
		}
		if got, want := set.Decide(ask(p, "execute-api:Invoke", place.RouteARN("shop", "GET", path))).Verdict == casemate.Allowed, asked == sub && sub != ""; got != want {
			rt.Fatalf("sub %q on %s (%q): %t", sub, path, asked, got)
		}
		object := place.PlatformARN("object", "orders/"+asked+"/7")
		if got, want := set.Decide(ask(p, "casemate:ReadObject", object)).Verdict == casemate.Allowed, asked == sub && sub != "" && !strings.Contains(sub, "/"); got && !want && !strings.HasPrefix(asked, sub+"/") || want && !got {
			rt.Fatalf("sub %q on %s: %t", sub, object, got)
		}
	})
}
