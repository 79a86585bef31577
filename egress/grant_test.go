package egress

import (
	"net/netip"
	"slices"
	"testing"

	"casemate"
	"casemate/policy"
)

func TestGrants(t *testing.T) {
	host := func(name string) string { return casemate.DefaultPlace.PlatformARN("host", name) }
	name := func(ports ...uint16) (all []Grant) {
		for _, p := range ports {
			all = append(all, Grant{Port: p})
		}
		return all
	}
	short := func(text string) casemate.Statement {
		s, err := policy.Grant(casemate.DefaultPlace, "app", text, "here")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	allow := func(action, resource string) casemate.Statement {
		return casemate.Statement{Effect: casemate.Allow, Action: []string{action}, Resource: []string{resource}}
	}
	for what, c := range map[string]struct {
		statements []casemate.Statement
		want       []Grant
	}{
		"nothing":      {nil, nil},
		"a host":       {[]casemate.Statement{short("connect api.example.com:8443")}, name(8443)},
		"two":          {[]casemate.Statement{short("connect b.example.com:8443"), short("connect a.example.com:80"), short("connect c.example.com:80")}, name(80, 8443)},
		"wildcard":     {[]casemate.Statement{short("connect *.example.com:443")}, name(443)},
		"network":      {[]casemate.Statement{short("connect 10.0.0.0/8:5432")}, []Grant{{5432, netip.MustParsePrefix("10.0.0.0/8")}}},
		"IPv6":         {[]casemate.Statement{short("connect [fd00::/8]:5432"), short("connect db.internal:5432")}, []Grant{{Port: 5432}, {5432, netip.MustParsePrefix("fd00::/8")}}},
		"denied":       {[]casemate.Statement{short("deny connect api.example.com:443")}, nil},
		"other things": {[]casemate.Statement{short("read table/orders"), short("invoke price"), short("send queue/jobs"), short("call *")}, nil},
		"any action":   {[]casemate.Statement{allow("casemate:*", host("a.example:99"))}, name(99)},
		"action ?":     {[]casemate.Statement{allow("casemate:Conn??t", host("a.example:99"))}, name(99)},
		"other action": {[]casemate.Statement{allow("casemate:Deploy", host("a.example:99")), allow("s3:*", "*")}, nil},
		"any resource": {[]casemate.Statement{allow("casemate:Connect", "*")}, name(80, 443)},
		"any port":     {[]casemate.Statement{allow("CASEMATE:connect", host("a.example:*"))}, name(80, 443)},
		"any host":     {[]casemate.Statement{allow("casemate:Connect", host("*:22"))}, name(22)},
		"wild kind":    {[]casemate.Statement{allow("casemate:Connect", "arn:aws:casemate:*:*:*")}, name(80, 443)},
		"not":          {[]casemate.Statement{{Effect: casemate.Allow, NotAction: []string{"s3:*"}, NotResource: []string{host("a:1")}}}, name(80, 443)},
		"a literal":    {[]casemate.Statement{allow("casemate:Connect", host("10.1.2.3:99"))}, []Grant{{99, netip.MustParsePrefix("10.1.2.3/32")}}},
		"no port":      {[]casemate.Statement{allow("casemate:Connect", host("a.example")), allow("casemate:Connect", host("a.example:0")), allow("casemate:Connect", host("a.example:70000"))}, nil},
	} {
		if got := Grants(c.statements); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

func TestPortsAreBounded(t *testing.T) {
	var grants []Grant
	for n := range 9100 {
		grants = append(grants, Grant{Port: uint16(n + 8990)}, Grant{Port: uint16(n + 8990), Network: netip.MustParsePrefix("fd00::/8")})
	}
	ports := portsOfAll(grants)
	if len(ports) != maxPorts || !ports[0].six || slices.ContainsFunc(ports, func(p port) bool { return p.number == runtimePort }) {
		t.Errorf("%d ports, %v", len(ports), ports[:12])
	}
}

// A star for all hosts means names: an address needs a network, whatever the policy allows.
func TestStarIsNoNetwork(t *testing.T) {
	var rec recorder
	e, _ := New(Config{Resolver: &zone{}})
	o := opening(&rec)
	o.Grants = []Grant{{Port: 443}, {443, netip.MustParsePrefix("10.0.0.0/8")}}
	o.Decide = func(string, uint16) casemate.Decision { return casemate.Decision{Verdict: casemate.Allowed} }
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for at, may := range map[string]bool{"169.254.169.254:443": false, "93.184.216.34:443": false, "10.0.0.1:443": true, "10.0.0.1:80": false} {
		if d.OnConnect("connect", at) != may {
			t.Errorf("%s: want %v", at, may)
		}
	}
	if _, why := d.lookup("anything.example.com"); why != "" {
		t.Error(why)
	}
}

// The question to the policy is answered by the statements of the function's role.
func TestRequestIsDecided(t *testing.T) {
	v := &casemate.Version{Function: "f", Role: "function/f"}
	var statements []casemate.Statement
	for _, g := range []string{"connect api.example.com:443", "connect *.wild.example:80", "connect 10.0.0.0/8:5432", "connect [fd00::/8]:5432"} {
		s, err := policy.Grant(casemate.DefaultPlace, "app", g, "here")
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, s)
	}
	set, err := policy.Compile(casemate.Policies{Identity: map[string][]casemate.Statement{v.Role: statements}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		port uint16
		want casemate.Verdict
	}{{"api.example.com", 443, casemate.Allowed}, {"api.example.com", 444, casemate.Denied}, {"a.wild.example", 80, casemate.Allowed}, {"b.a.wild.example", 80, casemate.Denied},
		{"10.9.8.7", 5432, casemate.Allowed}, {"11.9.8.7", 5432, casemate.Denied}, {"db.internal", 5432, casemate.Denied}, {"fd01::1", 5432, casemate.Allowed}, {"::1", 5432, casemate.Denied}} {
		if d := set.Decide(Request(casemate.DefaultPlace, v, c.host, c.port)); d.Verdict != c.want {
			t.Errorf("%s:%d: %+v", c.host, c.port, d)
		}
	}
	other := Request(casemate.DefaultPlace, &casemate.Version{Function: "g", Role: "function/g"}, "api.example.com", 443)
	if d := set.Decide(other); d.Verdict != casemate.Denied {
		t.Errorf("another function: %+v", d)
	}
}

func TestWhatIsPublic(t *testing.T) {
	for text, public := range map[string]bool{"93.184.216.34": true, "8.8.8.8": true, "2606:4700::1111": true, "2001:4860:4860::8888": true, "172.32.0.1": true, "100.128.0.1": true,
		"10.0.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "127.0.0.1": false, "169.254.169.254": false, "100.100.100.200": false, "0.0.0.0": false, "224.0.0.1": false,
		"255.255.255.255": false, "198.18.0.1": false, "::1": false, "::": false, "fe80::1": false, "fd00:ec2::254": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true,
		"64:ff9b::a00:1": false, "64:ff9b::808:808": false, "2002:7f00:1::": false, "2001::1": false, "::127.0.0.1": false, "4000::1": false, "fec0::1": false, "fe80::1%eth0": false, "2606:4700::1%x": false} {
		if what := whatIs(netip.MustParseAddr(text)); public != (what == "") {
			t.Errorf("%s: %q", text, what)
		}
	}
	for text, special := range map[string]bool{"127.0.0.0/8": true, "169.254.169.254/32": true, "128.0.0.0/1": true, "fe80::/10": true, "::1/128": true, "10.0.0.0/8": false, "fd00::/8": false, "8.8.8.8/32": false} {
		if what := Special(netip.MustParsePrefix(text)); special != (what != "") {
			t.Errorf("%s: %q", text, what)
		}
	}
	if Special(netip.Prefix{}) != "" {
		t.Error("no network is special")
	}
	if whatIs(netip.Addr{}) == "" {
		t.Error("no address is public")
	}
}
