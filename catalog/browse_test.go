package catalog

import (
	"testing"

	"casemate"
	"casemate/store"
)

// TestRouteIsWhatResolveFinds: the route that a browser is told about is the one that its request comes by.
func TestRouteIsWhatResolveFinds(t *testing.T) {
	c := open(t, config(store.Memory(clock)))
	a := app("a", 1, "GET /orders", "POST /orders/{id}")
	id := URLID(casemate.DefaultPlace.FunctionARN("a-0"))
	a.Routes = append(a.Routes, casemate.Route{ID: "$default", App: "a", Host: id, Method: "ANY", Path: "$default", Function: "a-0", URL: true,
		Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}})
	swap(t, c, a)
	for _, q := range []casemate.Target{{Method: "GET", Path: "/orders"}, {Method: "POST", Path: "/orders"}, {Method: "POST", Path: "/orders/%61"}, {Method: "POST", Path: "/orders/../orders/a"},
		{Method: "GET", Path: "/.casemate/health"}, {Method: "PUT", Path: "/any", Host: id + ".lambda-url.localhost"}, {Method: "GET", Path: "/orders", Host: "x.lambda-url.localhost"},
		{Method: "GET", Path: "/orders", Host: "SHOP.test.:8443"}} {
		got := c.Snapshot().Route(q.Host, q.Method, q.Path)
		m, err := c.Resolve(&casemate.Event{Target: q})
		if err != nil && got != nil || err == nil && got != m.Route {
			t.Errorf("%+v: %+v, and Resolve gives %v", q, got, err)
		}
	}
}

// TestBadBrowserIsRefused: what no manifest may say does not come into force by a rollback or a boot either.
func TestBadBrowserIsRefused(t *testing.T) {
	c := open(t, config(store.Memory(clock)))
	a := app("a", 1, "GET /orders")
	a.Routes[0].Browser = &casemate.Browser{CORS: &casemate.CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Credentials: true}}
	if err := a.check(c.cfg.Place); err == nil {
		t.Error("everybody may act as anybody")
	}
	a.Routes[0].Browser.CORS.Credentials = false
	if err := a.check(c.cfg.Place); err != nil {
		t.Error(err)
	}
}
