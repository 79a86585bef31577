package analysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/policy"
)

var (
	place = casemate.DefaultPlace
	noon  = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
)

// grants are those of a manifest, as deploy makes them.
func grants(t *testing.T, texts ...string) (list []casemate.Statement) {
	t.Helper()
	for i, text := range texts {
		s, err := policy.Grant(place, "shop", text, fmt.Sprintf("casemate.yaml:%d role", 10+i))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func compile(t *testing.T, roles map[string][]casemate.Statement) *policy.Set {
	t.Helper()
	s, err := policy.Compile(casemate.Policies{Identity: roles})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call is the record of one request, decided by s.
func call(s *policy.Set, role, sub, route, path string) *casemate.Record {
	method, _, _ := strings.Cut(route, " ")
	p := &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/idp|" + sub, Role: role, Account: place.Account, Claims: map[string]string{"sub": sub}}
	q := &casemate.AccessRequest{Principal: p, Action: "execute-api:Invoke", Resource: place.RouteARN("shop", method, path), Account: place.Account, Now: noon}
	return &casemate.Record{ID: role + " " + route + " " + path, Principal: p.ID, Role: role, Action: q.Action, Resource: q.Resource, Route: route, Opened: noon, Decision: s.Decide(q), Facts: s.Facts(q)}
}

func TestReplayTellsDenialsAllowsAndWhatCannotBeTold(t *testing.T) {
	was := compile(t, map[string][]casemate.Statement{"clerk": grants(t, "call GET /orders/{id}", "call POST /orders")})
	records := []*casemate.Record{call(was, "clerk", "ada", "GET /orders/{id}", "/orders/7"), call(was, "clerk", "ada", "POST /orders", "/orders"),
		call(was, "clerk", "ada", "DELETE /orders/{id}", "/orders/7"), {ID: "never asked", Action: "execute-api:Invoke"}}
	for name, c := range map[string]struct {
		grants                         []string
		same, denials, allows, unknown int
	}{
		"same":               {[]string{"call GET /orders/{id}", "call POST /orders"}, 3, 0, 0, 0},
		"other order, wider": {[]string{"call *"}, 2, 0, 1, 0},
		"narrower":           {[]string{"call GET /orders/{id}"}, 2, 1, 0, 0},
		"nothing":            {nil, 1, 2, 0, 0},
		"a deny":             {[]string{"call *", "deny call POST /orders"}, 1, 1, 1, 0},
		"a claim not kept":   {[]string{"call POST /orders", "call GET /orders/${jwt:sub}"}, 2, 0, 0, 1},
		"a claim beside":     {[]string{"call POST /orders", "call GET /orders/{id}", "call GET /orders/${jwt:sub}"}, 3, 0, 0, 0},
		"a deny by claim":    {[]string{"call GET /orders/{id}", "call POST /orders", "deny call GET /orders/${jwt:sub}"}, 2, 0, 0, 1},
	} {
		p := NewReplay(compile(t, map[string][]casemate.Statement{"clerk": grants(t, c.grants...)}), place.Account)
		for _, r := range records {
			p.Add(r)
		}
		if r := p.Report(); r.Records != 3 || r.Questions != 3 || r.Same != c.same || r.Denials != c.denials || r.Allows != c.allows || r.Unknown != c.unknown ||
			len(r.Differences) != c.denials+c.allows+c.unknown {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// What an exception opened, a service gave without asking, or a scope refused stays so under any policy.
func TestReplayKeepsWhatPoliciesDoNotDecide(t *testing.T) {
	set := compile(t, map[string][]casemate.Statement{"clerk": grants(t, "call *")})
	open := call(set, "", "", "GET /health", "/health")
	open.Principal, open.Decision = "anonymous", casemate.Decision{Verdict: casemate.Allowed, Layer: "exception", Reason: "open"}
	scoped := call(set, "clerk", "ada", "GET /a", "/a")
	scoped.Facts = append(scoped.Facts, casemate.Fact{Key: policy.FactScope, Values: []string{"true"}})
	scoped.Decision = casemate.Decision{Layer: policy.LayerSession, Reason: "the scope does not allow it"}
	unclear := call(set, "clerk", "ada", "GET /a", "/a")
	unclear.Facts, unclear.Decision = scoped.Facts, casemate.Decision{Layer: policy.LayerIdentity, Statement: "x", Reason: "x denies"}
	p := NewReplay(set, place.Account)
	for _, r := range []*casemate.Record{open, scoped, unclear} {
		p.Add(r)
	}
	if r := p.Report(); r.Same != 2 || r.Unknown != 1 || r.Denials+r.Allows != 0 {
		t.Errorf("%+v", r)
	}
}

func TestCan(t *testing.T) {
	set := compile(t, map[string][]casemate.Statement{"clerk": grants(t, "call GET /orders/${jwt:sub}", "call POST /orders", "deny call POST /admin/{id}"),
		"boss": grants(t, "call *", "deny call DELETE /orders/${jwt:sub}"), "none": nil})
	for _, c := range []struct{ role, method, path, can string }{
		{"clerk", "POST", "/orders", Yes}, {"clerk", "GET", "/orders/7", If}, {"clerk", "GET", "/orders", No}, {"clerk", "POST", "/admin/7", No},
		{"boss", "GET", "/orders/7", Yes}, {"boss", "DELETE", "/orders/7", If}, {"none", "GET", "/orders/7", No},
	} {
		p := &casemate.Principal{Kind: casemate.KindKey, ID: "role/" + c.role, Role: c.role, Account: place.Account}
		r := Can(set, &casemate.AccessRequest{Principal: p, Action: "execute-api:Invoke", Resource: place.RouteARN("shop", c.method, c.path), Account: place.Account, Now: noon})
		if r.Can != c.can || (r.Can == If) != slices.Equal(r.Keys, []string{"jwt:sub"}) || r.Can != No && r.Statement == "" {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// What tighten proposes is what history needed: it passes history, takes away what nobody used, and leaves alone what depends on
// its caller, roles that nobody came with, and every deny.
func TestTightenPassesHistory(t *testing.T) {
	roles := map[string][]casemate.Statement{
		"support":  grants(t, "call *", "call GET /orders/{id}", "deny call DELETE /orders/{id}", "invoke price", "connect *.example.com:443"),
		"customer": grants(t, "call GET /orders/${jwt:sub}", "write object/orders/${jwt:sub}/*"),
		"idle":     grants(t, "call *"),
	}
	roles["support"] = append(roles["support"], casemate.Statement{Effect: casemate.Allow, Action: []string{"s3:*"}, Resource: []string{"*"}, Origin: "casemate.yaml:40 role support"})
	set := compile(t, roles)
	u := NewUsage(set, place.Account, roles)
	records := []*casemate.Record{call(set, "support", "eve", "GET /orders/{id}", "/orders/7"), call(set, "support", "eve", "GET /orders/{id}", "/orders/8"),
		call(set, "support", "eve", "POST /refunds", "/refunds"), call(set, "support", "eve", "DELETE /orders/{id}", "/orders/7"), call(set, "customer", "ada", "GET /orders/{id}", "/orders/ada")}
	for _, r := range records {
		u.Add(r)
	}
	by := map[string]Change{}
	for _, c := range u.Tighten(false) {
		by[c.Role+" "+c.Grant] = c
	}
	if c := by["support call *"]; !slices.Equal(c.With, []string{"call GET /orders/{id}", "call POST /refunds"}) {
		t.Errorf("a wide grant: %+v", c)
	}
	for _, gone := range []string{"support call GET /orders/{id}", "support invoke price", "support connect *.example.com:443", "customer write object/orders/${jwt:sub}/*", "support "} {
		if c, ok := by[gone]; !ok || c.With != nil {
			t.Errorf("%s stays: %+v", gone, c)
		}
	}
	for _, stays := range []string{"customer call GET /orders/${jwt:sub}", "support deny call DELETE /orders/{id}", "idle call *"} {
		if _, ok := by[stays]; ok {
			t.Errorf("%s goes", stays)
		}
	}
	if len(u.Tighten(true)) != len(by)+1 {
		t.Error("--all takes the idle role's, too")
	}
	for role, list := range roles {
		var kept []casemate.Statement
		for _, s := range list {
			if c, ok := by[role+" "+grantText(s.Origin)]; !ok {
				kept = append(kept, s)
			} else {
				kept = append(kept, grants(t, c.With...)...)
			}
		}
		roles[role] = kept
	}
	p := NewReplay(compile(t, roles), place.Account)
	for _, r := range records {
		p.Add(r)
	}
	if r := p.Report(); r.Denials+r.Allows+r.Unknown != 0 || r.Same != len(records) {
		t.Errorf("history does not pass: %+v", r)
	}
}

func TestUsageCountsAndDates(t *testing.T) {
	roles := map[string][]casemate.Statement{"function/price": grants(t, "connect api.example.com:443", "connect other.example.com:443", "read secret/db")}
	set := compile(t, roles)
	u := NewUsage(set, place.Account, roles)
	u.Add(&casemate.Record{ID: "r", Function: "price", Opened: noon, Effects: []casemate.Effect{
		{Kind: casemate.EffectConnect, Target: "api.example.com:443", Verdict: casemate.Allowed, At: noon.Add(time.Second)},
		{Kind: casemate.EffectConnect, Target: "other.example.com:443", Verdict: casemate.Denied, At: noon},
		{Kind: casemate.EffectResolve, Target: "other.example.com", Verdict: casemate.Allowed, At: noon}}})
	gs := u.Grants()
	if len(gs) != 3 || gs[0].Uses != 1 || !gs[0].Last.Equal(noon.Add(time.Second)) || gs[0].Unused() || !gs[1].Unused() || !gs[2].Unused() {
		t.Errorf("%+v", gs)
	}
}
