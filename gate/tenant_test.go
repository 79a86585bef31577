package gate

import (
	"strings"
	"testing"

	"casemate"
)

// caller is an event with its principal, as the corridor has them when the tenant is asked for.
type caller struct {
	id     string // of the event
	p      casemate.Principal
	tenant string
	header map[string][]string
	body   string
}

func key(id string) casemate.Principal {
	return casemate.Principal{Kind: casemate.KindKey, ID: "key/" + id}
}

func token(issuer, sub, tid string) casemate.Principal {
	return casemate.Principal{Kind: casemate.KindToken, ID: "jwt/" + issuer + "|" + sub, Claims: map[string]string{"tid": tid}}
}

func (c *caller) partition(rule string) (tenant, partition string, err error) {
	e := &casemate.Event{ID: c.id, Tenant: c.tenant}
	if c.header != nil {
		e.Header = func(name string) []string { return c.header[strings.ToLower(name)] }
	}
	m := &casemate.Match{Version: &casemate.Version{Isolation: casemate.IsolationTenant, Tenant: rule}}
	return tenancy(e, m, &c.p, []byte(c.body))
}

// TestTenantsNeverMeet: who may share a sandbox, and who may not whatever it sends.
func TestTenantsNeverMeet(t *testing.T) {
	of := func(v string) map[string][]string { return map[string][]string{"x-org": {v}} }
	for name, c := range map[string]struct {
		rule  string
		a, b  caller
		share bool
	}{
		"one caller":                      {"", caller{p: key("a")}, caller{p: key("a")}, true},
		"two callers":                     {"", caller{p: key("a")}, caller{p: key("b")}, false},
		"two callers, one tenant id":      {"", caller{p: key("a"), tenant: "t"}, caller{p: key("b"), tenant: "t"}, false},
		"one caller, two tenant ids":      {"", caller{p: key("a"), tenant: "t"}, caller{p: key("a"), tenant: "u"}, false},
		"one caller, one header":          {"header:x-org", caller{p: key("a"), header: of("t")}, caller{p: key("a"), header: of("t")}, true},
		"one caller, two headers":         {"header:x-org", caller{p: key("a"), header: of("t")}, caller{p: key("a"), header: of("u")}, false},
		"two callers, one header":         {"header:x-org", caller{p: key("a"), header: of("t")}, caller{p: key("b"), header: of("t")}, false},
		"two users of one claim":          {"claim:tid", caller{p: token("i", "s", "t")}, caller{p: token("i", "u", "t")}, true},
		"one claim of two issuers":        {"claim:tid", caller{p: token("i", "s", "t")}, caller{p: token("j", "s", "t")}, false},
		"two claims":                      {"claim:tid", caller{p: token("i", "s", "t")}, caller{p: token("i", "s", "u")}, false},
		"one caller, one field":           {"event:/org/id", caller{p: key("a"), body: `{"org":{"id":"t"}}`}, caller{p: key("a"), body: `{"org":{"id":"t"},"x":1}`}, true},
		"one caller, two fields":          {"event:/org/id", caller{p: key("a"), body: `{"org":{"id":"t"}}`}, caller{p: key("a"), body: `{"org":{"id":7}}`}, false},
		"two callers, one field":          {"event:/org/id", caller{p: key("a"), body: `{"org":{"id":"t"}}`}, caller{p: key("b"), body: `{"org":{"id":"t"}}`}, false},
		"anonymous, one header":           {"header:x-org", caller{id: "1", header: of("t")}, caller{id: "2", header: of("t")}, false},
		"anonymous":                       {"", caller{id: "1"}, caller{id: "2"}, false},
		"anonymous calling itself caller": {"", caller{id: "1", tenant: "key/a"}, caller{p: key("a")}, false},
		"another rule":                    {"", caller{p: key("a"), tenant: "t"}, caller{p: key("a\x00t")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, err := c.a.partition(c.rule)
			_, b, berr := c.b.partition(c.rule)
			if err != nil || berr != nil {
				t.Fatal(err, berr)
			}
			if a == "" || (a == b) != c.share {
				t.Errorf("partitions %.8s and %.8s, share: %t", a, b, c.share)
			}
		})
	}
}

// TestNoTenantNoRun: a key that is missing, doubled or odd refuses; it never becomes somebody's sandbox.
func TestNoTenantNoRun(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		c    caller
	}{
		"no header":        {"header:x-org", caller{p: key("a"), header: map[string][]string{}}},
		"empty header":     {"header:x-org", caller{p: key("a"), header: map[string][]string{"x-org": {""}}}},
		"two headers":      {"header:x-org", caller{p: key("a"), header: map[string][]string{"x-org": {"t", "u"}}}},
		"no headers":       {"header:x-org", caller{p: key("a")}},
		"no claim":         {"claim:tid", caller{p: token("i", "s", "")}},
		"a key's claim":    {"claim:tid", caller{p: casemate.Principal{Kind: casemate.KindKey, ID: "key/a", Claims: map[string]string{"tid": "t"}}}},
		"no field":         {"event:/org", caller{p: key("a"), body: `{}`}},
		"an object":        {"event:/org", caller{p: key("a"), body: `{"org":{}}`}},
		"no JSON":          {"event:/org", caller{p: key("a"), body: `org`}},
		"beyond the list":  {"event:/0/1", caller{p: key("a"), body: `[["x"]]`}},
		"control bytes":    {"", caller{p: key("a"), tenant: "t\n"}},
		"too long":         {"", caller{p: key("a"), tenant: strings.Repeat("t", 257)}},
		"an unknown rule":  {"cookie:x", caller{p: key("a")}},
		"a damaged header": {"header:x-org", caller{p: key("a"), header: map[string][]string{"x-org": {"\xff"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if tenant, partition, err := c.c.partition(c.rule); err == nil || partition != "" || tenant != "" {
				t.Errorf("tenant %q, partition %q, %v", tenant, partition, err)
			}
		})
	}
}

// TestTenantReachesTheRunner: the launch of a tenant's event has its partition, that of an accepted one the same one later.
func TestTenantReachesTheRunner(t *testing.T) {
	e := &casemate.Event{Header: func(string) []string { return []string{"t"} }}
	v := &casemate.Version{Isolation: casemate.IsolationTenant, Tenant: "header:x-org"}
	p := key("a")
	tenant, now, err := tenancy(e, &casemate.Match{Version: v}, &p, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := queued{Tenant: tenant, Principal: &p}
	if _, later, err := tenancy(q.event(2), &casemate.Match{Version: v}, &p, nil); err != nil || later != now {
		t.Errorf("accepted in %.8s, run in %.8s, %v", now, later, err)
	}
	v.Isolation = casemate.IsolationWarm
	if _, partition, err := tenancy(e, &casemate.Match{Version: v}, &p, nil); err != nil || partition != "" {
		t.Errorf("warm: partition %q, %v", partition, err)
	}
}
