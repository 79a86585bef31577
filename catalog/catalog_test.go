package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/store"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// stand is a decider and a contract that remember what they were made of.
type stand struct{ p casemate.Policies }

func (d *stand) Decide(*casemate.AccessRequest) casemate.Decision { return casemate.Decision{} }

type paper struct{ doc, pointer, name string }

func (paper) Check(*casemate.Exchange) ([]casemate.Field, error) { return nil, nil }
func (paper) Answer(*casemate.Answer) error                      { return nil }

func config(s store.Store) Config {
	return Config{Store: s, Place: casemate.DefaultPlace,
		Compile: func(p casemate.Policies) (casemate.Decider, error) { return &stand{p}, nil },
		Contract: func(doc []byte, pointer, name string) (casemate.Contract, error) {
			if string(doc) == "bad" {
				return nil, errors.New("bad contract")
			}
			return paper{string(doc), pointer, name}, nil
		}}
}

func open(t testing.TB, cfg Config) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func digest(s string) string { return strings.Repeat(fmt.Sprintf("%x", s[0]%16), 64) }

func version(app, fn string, n int) *casemate.Version {
	return &casemate.Version{App: app, Function: fn, Number: n, ID: digest(string(rune('a' + n))), Code: digest("c"), ARN: casemate.DefaultPlace.FunctionARN(fn),
		Runtime: "wasm", Role: ExecutionRole(fn), Limits: casemate.DefaultLimits()}
}

// app makes one with functions named <name>-0 ... and a route for each key.
func app(name string, functions int, keys ...string) *App {
	a := &App{Name: name, Functions: map[string]*Function{}, Roles: map[string]Role{}, At: now}
	for i := range functions {
		fn := fmt.Sprintf("%s-%d", name, i)
		a.Functions[fn] = &Function{Live: 1, Versions: []*casemate.Version{version(name, fn, 1)}}
	}
	for _, k := range keys {
		m, p, _ := strings.Cut(k, " ")
		if k == "$default" {
			m, p = "ANY", k
		}
		a.Routes = append(a.Routes, casemate.Route{ID: k, App: name, Method: m, Path: p, Function: name + "-0", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}})
	}
	return a
}

func swap(t testing.TB, c *Catalog, a *App) {
	t.Helper()
	_, rev := c.Snapshot().App(a.Name)
	if err := c.Swap(t.Context(), a, rev); err != nil {
		t.Fatal(err)
	}
}

func get(method, path string) *casemate.Event {
	return &casemate.Event{Target: casemate.Target{Host: "node.example:8443", Method: method, Path: path}}
}

func TestSwapServesAndBootIsEqual(t *testing.T) {
	s := store.Memory(clock)
	c := open(t, config(s))
	if len(c.Snapshot().Apps()) != 0 || c.Snapshot().Policy == nil {
		t.Fatal("an empty catalog must decide too")
	}
	a := app("orders", 2, "GET /orders/{id}")
	a.Roles["clerk"] = Role{Statements: []casemate.Statement{{Effect: casemate.Allow, Action: []string{"x:y"}, Resource: []string{"*"}}}}
	a.Guardrails = []casemate.Statement{{Effect: casemate.Deny, Action: []string{"x:z"}, Resource: []string{"*"}}}
	a.Issuers = []casemate.Issuer{{App: "orders", Issuer: "i"}}
	d, _, err := s.Blobs().Put(t.Context(), strings.NewReader("schema"))
	if err != nil {
		t.Fatal(err)
	}
	a.Routes[0].Contract = ContractID(d, "/x")
	swap(t, c, a)
	for _, c := range []*Catalog{c, open(t, config(s))} {
		m, err := c.Resolve(get("GET", "/orders/7%2f8"))
		if err != nil {
			t.Fatal(err)
		}
		if m.Version.Function != "orders-0" || m.Params["id"] != "7/8" || m.Action != "execute-api:Invoke" ||
			m.Resource != "arn:aws:execute-api:us-east-1:000000000000:orders/$default/GET/orders/7%2F8" || m.Contract != (paper{"schema", "/x", "/x"}) {
			t.Errorf("%+v", m)
		}
		p := m.Policy.(*stand).p
		if len(p.Identity["clerk"]) != 1 || len(p.Guardrails) != 2 || p.Guardrails[1].Effect != casemate.Allow || p.Revision == "" {
			t.Errorf("%+v", p)
		}
		if len(c.Snapshot().Issuers()) != 1 || !c.Snapshot().HasRole("clerk") || c.Snapshot().Owner("orders-1") != "orders" || len(c.History("orders")) != 1 {
			t.Error("the snapshot lost something")
		}
	}
	again := open(t, config(s))
	if a, b := c.Snapshot(), again.Snapshot(); a.Revision != b.Revision || a.Policies != b.Policies {
		t.Errorf("boot made %s/%s of %s/%s", b.Revision, b.Policies, a.Revision, a.Policies)
	}
}

func TestResolveFunctions(t *testing.T) {
	c := open(t, config(store.Memory(clock)))
	a := app("a", 1)
	f := a.Functions["a-0"]
	f.Versions, f.Live = append(f.Versions, version("a", "a-0", 2)), 2
	swap(t, c, a)
	arn := casemate.DefaultPlace.FunctionARN("a-0")
	for in, want := range map[string]int{"a-0": 2, "a-0:$LATEST": 2, "a-0:1": 1, arn: 2, arn + ":1": 1, "000000000000:function:a-0": 2,
		"a-0:3": 0, "a-0:01": 0, "a-0:+1": 0, "a-0:": 0, "a-0:1:1": 0, "b": 0, "": 0, "arn:aws:lambda:eu-west-1:000000000000:function:a-0": 0,
		"111111111111:function:a-0": 0, "arn:aws:s3:::x": 0, "A-0": 0} {
		m, err := c.Resolve(&casemate.Event{Target: casemate.Target{Function: in}})
		if want == 0 {
			if casemate.CodeOf(err) != casemate.NotFound || err == nil {
				t.Errorf("%q: %+v, %v", in, m, err)
			}
			continue
		}
		if err != nil || m.Version.Number != want || m.Route != nil || m.Action != "lambda:InvokeFunction" || !strings.HasPrefix(m.Resource, arn) {
			t.Errorf("%q: %+v, %v", in, m, err)
		}
	}
}

func TestResolveFunctionURL(t *testing.T) {
	c := open(t, config(store.Memory(clock)))
	a := app("a", 2, "$default")
	id := URLID(casemate.DefaultPlace.FunctionARN("a-1"))
	a.Routes = append(a.Routes, casemate.Route{ID: "$default", App: "a", Host: id, Method: "ANY", Path: "$default", Function: "a-1", URL: true,
		Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}})
	swap(t, c, a)
	e := get("POST", "/any/thing")
	e.Target.Host = strings.ToUpper(id) + ".lambda-url.localhost:8443"
	m, err := c.Resolve(e)
	if err != nil || m.Version.Function != "a-1" || m.Action != "lambda:InvokeFunctionUrl" || !m.Route.URL || len(id) != 32 {
		t.Fatalf("%+v, %v", m, err)
	}
	e.Target.Host = "nobody.lambda-url.localhost"
	if m, err := c.Resolve(e); casemate.CodeOf(err) != casemate.NotFound || err == nil {
		t.Fatalf("an unknown URL fell through to %+v", m)
	}
	if m, err := c.Resolve(get("GET", "/.casemate/health")); err == nil {
		t.Fatalf("$default took a platform path: %+v", m)
	}
	a2 := app("a", 2, "$default")
	swap(t, c, a2)
	e.Target.Host = id + ".lambda-url.localhost"
	if _, err := c.Resolve(e); err == nil {
		t.Fatal("the URL outlived its route")
	}
}

// Whatever refuses a change, the old snapshot serves and a boot finds the old state.
func TestRefusedSwapChangesNothing(t *testing.T) {
	s := store.Memory(clock)
	cfg := config(s)
	fail := false
	cfg.Base.Identity = map[string][]casemate.Statement{"operator": {{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}}}}
	cfg.Compile = func(p casemate.Policies) (casemate.Decider, error) {
		if fail {
			return nil, errors.New("bad policy")
		}
		return &stand{p}, nil
	}
	c := open(t, cfg)
	swap(t, c, app("a", 1, "GET /a"))
	swap(t, c, app("b", 1, "GET /b"))
	bad, _, err := s.Blobs().Put(t.Context(), strings.NewReader("bad"))
	if err != nil {
		t.Fatal(err)
	}
	before := c.Snapshot()
	for name, change := range map[string]func(a *App){
		"bad contract":     func(a *App) { a.Routes[0].Contract = ContractID(bad, "") },
		"missing contract": func(a *App) { a.Routes[0].Contract = ContractID(digest("z"), "") },
		"route of another": func(a *App) { *a = *app("a", 1, "GET /b") },
		"function of another": func(a *App) {
			a.Functions["b-0"] = &Function{Live: 1, Versions: []*casemate.Version{version("a", "b-0", 1)}}
		},
		"role of the platform": func(a *App) { a.Roles["operator"] = Role{} },
		"no version in force":  func(a *App) { a.Functions["a-0"].Live = 7 },
		"foreign version":      func(a *App) { a.Functions["a-0"].Versions[0].Function = "b-0" },
		"foreign role":         func(a *App) { a.Functions["a-0"].Versions[0].Role = "operator" },
		"no auth":              func(a *App) { a.Routes[0].Auth = casemate.Auth{} },
		"reserved path":        func(a *App) { a.Routes[0].ID, a.Routes[0].Path = "GET /.casemate/x", "/.casemate/x" },
		"lying route":          func(a *App) { a.Routes[0].Path = "/b" },
		"allowing guardrail":   func(a *App) { a.Guardrails = []casemate.Statement{{Effect: casemate.Allow}} },
		"foreign resource": func(a *App) {
			a.Resources = map[string][]casemate.Statement{casemate.DefaultPlace.FunctionARN("b-0"): nil}
		},
		"no function": func(a *App) { a.Functions = nil },
		"bad policy": func(a *App) {
			fail = true
			a.Roles["r"] = Role{Statements: []casemate.Statement{{Effect: casemate.Allow}}}
		},
	} {
		a := app("a", 1, "GET /a")
		fail = false
		change(a)
		_, rev := before.App("a")
		if err := c.Swap(t.Context(), a, rev); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if c.Check(t.Context(), a, nil) == nil {
			t.Errorf("%s: Check accepts what Swap refuses", name)
		}
		fail = false
		if c.Snapshot() != before {
			t.Fatalf("%s: the snapshot changed", name)
		}
		if got := open(t, cfg).Snapshot().Revision; got != before.Revision {
			t.Fatalf("%s: a boot finds another state", name)
		}
	}
	_, rev := before.App("a")
	if err := c.Swap(t.Context(), app("a", 2), rev+1000); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a stale revision: %v", err)
	}
	if err := c.Swap(t.Context(), app("a", 2), store.NewKey); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a second creation: %v", err)
	}
}

func TestSwapFailsAtEveryWrite(t *testing.T) {
	for n := 1; n <= 2; n++ {
		s, left := store.Memory(clock), -1
		c := open(t, config(storetest.FailAt(s, &left)))
		swap(t, c, app("a", 1, "GET /a"))
		before := c.Snapshot()
		_, rev := before.App("a")
		left = n
		if err := c.Swap(t.Context(), app("a", 2, "GET /a"), rev); err == nil {
			t.Fatalf("write %d did not fail", n)
		}
		if c.Snapshot() != before || open(t, config(s)).Snapshot().Revision != before.Revision {
			t.Errorf("write %d: the old state is gone", n)
		}
		left = -1
		swap(t, c, app("a", 2, "GET /a"))
	}
}

// Two nodes on one store: the slower one is refused, and has the other's state afterwards.
func TestSwapOfTwoNodes(t *testing.T) {
	s := store.Memory(clock)
	one, two := open(t, config(s)), open(t, config(s))
	swap(t, one, app("a", 1, "GET /a"))
	if err := two.Swap(t.Context(), app("a", 3, "GET /a"), 0); casemate.CodeOf(err) != casemate.Conflict {
		t.Fatal(err)
	}
	if two.Snapshot().Revision != one.Snapshot().Revision {
		t.Error("the loser did not read the winner's state")
	}
}

func TestPolicyIsCompiledOnlyWhenItChanges(t *testing.T) {
	cfg, n := config(store.Memory(clock)), 0
	compile := cfg.Compile
	cfg.Compile = func(p casemate.Policies) (casemate.Decider, error) { n++; return compile(p) }
	c := open(t, cfg)
	swap(t, c, app("a", 1, "GET /a"))
	was := n
	swap(t, c, app("a", 5, "GET /a", "POST /a"))
	if n != was {
		t.Error("code changed, and the policies were compiled")
	}
	a := app("a", 1)
	a.Roles["r"] = Role{Statements: []casemate.Statement{{Effect: casemate.Deny}}}
	swap(t, c, a)
	if n != was+1 {
		t.Error("a role changed, and the policies were not compiled")
	}
}

// However apps come, change and lose routes, what resolves is what a fresh boot resolves.
func TestSnapshotsEqualFreshBoot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := store.Memory(clock)
		c := open(t, config(s))
		paths := []string{"/x", "/x/{p}", "/y/{p+}", "/{p}", "/{p+}", "/z/q"}
		for range rapid.IntRange(1, 6).Draw(rt, "swaps") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "app")
			a := app(name, rapid.IntRange(1, 3).Draw(rt, "functions"))
			for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 0, 3, rapid.ID[string]).Draw(rt, "paths") {
				a.Routes = append(a.Routes, app(name, 1, "GET "+p).Routes...)
			}
			_, rev := c.Snapshot().App(name)
			_ = c.Swap(t.Context(), a, rev)
		}
		fresh := open(t, config(s))
		for _, p := range []string{"/x", "/x/1", "/y/1/2", "/q", "/z/q", "/"} {
			m1, err1 := c.Resolve(get("GET", p))
			m2, err2 := fresh.Resolve(get("GET", p))
			if (err1 == nil) != (err2 == nil) || err1 == nil && (m1.Route.App != m2.Route.App || m1.Route.ID != m2.Route.ID || m1.Revision != m2.Revision) {
				rt.Fatalf("%s: %+v %v, fresh %+v %v", p, m1, err1, m2, err2)
			}
		}
	})
}

func TestOpenNamesTheBrokenApp(t *testing.T) {
	s := store.Memory(clock)
	swap(t, open(t, config(s)), app("a", 1, "GET /a"))
	kv, err := s.KV("catalog")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"", "{}", `{"generation":1,"digest":"` + digest("x") + `"}`, "\xff"} {
		if _, err := kv.Put(t.Context(), "app/broken", []byte(v), store.AnyRevision); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), config(s)); err == nil || !strings.Contains(err.Error(), "app broken") {
			t.Errorf("%q: %v", v, err)
		}
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("an empty configuration opens")
	}
}

func BenchmarkResolve(b *testing.B) {
	c := open(b, config(store.Memory(clock)))
	for i := range 50 {
		swap(b, c, app(fmt.Sprintf("app%d", i), 100, fmt.Sprintf("GET /app%d/orders/{id}", i), fmt.Sprintf("POST /app%d/orders", i)))
	}
	e := get("GET", "/app7/orders/42")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Resolve(e); err != nil {
			b.Fatal(err)
		}
	}
}

// strict is a decider that denies whatever a guardrail names, to everybody.
type strict struct{ denied map[string]bool }

func (d strict) Decide(r *casemate.AccessRequest) casemate.Decision {
	if d.denied[r.Action] || r.Principal.Role != "operator" {
		return casemate.Decision{Reason: "guardrail"}
	}
	return casemate.Decision{Verdict: casemate.Allowed}
}

// TestNobodyLocksTheOperatorsOut: a guardrail over everything could not be taken back by anybody, ever.
func TestNobodyLocksTheOperatorsOut(t *testing.T) {
	cfg := config(store.Memory(clock))
	cfg.Base.Identity = map[string][]casemate.Statement{"operator": {{Effect: casemate.Allow, Action: []string{"casemate:*"}, Resource: []string{"*"}}}}
	cfg.Compile = func(p casemate.Policies) (casemate.Decider, error) {
		d := strict{map[string]bool{}}
		for _, s := range p.Guardrails {
			for _, a := range s.Action {
				d.denied[a] = s.Effect == casemate.Deny
			}
		}
		return d, nil
	}
	c := open(t, cfg)
	deny := func(action string) *App {
		a := app("shop", 1)
		a.Guardrails = []casemate.Statement{{Effect: casemate.Deny, Action: []string{action}, Resource: []string{"*"}}}
		return a
	}
	for action, ok := range map[string]bool{"s3:PutObject": true, "casemate:Deploy": false, "casemate:Rollback": false} {
		err := c.Check(t.Context(), deny(action), nil)
		if (err == nil) != ok || err != nil && casemate.CodeOf(err) != casemate.Conflict {
			t.Errorf("checking a guardrail over %s: %v", action, err)
		}
	}
	if err := c.Swap(t.Context(), deny("casemate:Rollback"), 0); casemate.CodeOf(err) != casemate.Conflict {
		t.Error(err)
	}
	if now, _ := c.Snapshot().App("shop"); now != nil {
		t.Error("it is in force")
	}
}
