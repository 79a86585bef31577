package http

import (
	nethttp "net/http"
	"strings"
	"testing"

	"casemate"
)

// TestStrangersAreNotToldWhy: names of statements and roles are told on the node's own machine alone.
func TestStrangersAreNotToldWhy(t *testing.T) {
	var refusal error
	_, addr := start(t, Config{Handler: app(func(*casemate.Event) (*casemate.Result, error) { return nil, refusal })})
	denied := &casemate.Error{Code: casemate.Forbidden, Message: "key/canary may not x", Field: "canary", Rule: "role canary#1", Hint: "canary"}
	absent := &casemate.Error{Code: casemate.NotFound, Message: "no such route", Rule: "canary", Hint: "canary"}
	for _, e := range []*casemate.Error{denied, absent} {
		refusal = e
		if resp, body := raw(t, addr, get("/")); resp.StatusCode != e.Code.HTTP() || !strings.Contains(body, `"rule":"`+e.Rule) {
			t.Errorf("on this machine: %d %s", resp.StatusCode, body)
		}
		for _, h := range []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "Via: 1.1 proxy", "X-Real-IP: 203.0.113.9"} {
			resp, body := raw(t, addr, get("/", h))
			if resp.StatusCode != e.Code.HTTP() || strings.Contains(body, "canary") || !strings.Contains(body, resp.Header.Get("X-Request-Id")) {
				t.Errorf("%s: %d %s", h, resp.StatusCode, body)
			}
		}
	}
	for peer, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.9]:1": true, "203.0.113.9:1": false, "10.0.0.1:1": false, "@": false, "": false} {
		if nearby(&nethttp.Request{RemoteAddr: peer}) != want {
			t.Errorf("%q is near: %v", peer, !want)
		}
	}
}
