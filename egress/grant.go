package egress

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/egress/peek"
)

// connect is the action of every question to a policy here.
const connect = "casemate:Connect"

// Request is the question whether a version may connect to a host, a name or an IP address. It is asked for the role of
// the function, as a run of it. The caller fills in Now.
func Request(place casemate.Place, v *casemate.Version, host string, port uint16) *casemate.AccessRequest {
	p := &casemate.Principal{Kind: casemate.KindRun, ID: "function/" + v.Function, ARN: place.RoleARN(v.Role), Account: place.Account, Role: v.Role}
	return &casemate.AccessRequest{Principal: p, Action: connect, Resource: place.PlatformARN("host", target(host, port)), Account: place.Account}
}

// Grant is one thing that a role's statements could allow: a port, and where Network is valid only addresses in it.
type Grant struct {
	Port    uint16
	Network netip.Prefix
}

// maxPorts of one door; each costs a socket inside.
const maxPorts = 64

// runtimePort is the Runtime API's, inside every sandbox.
const runtimePort = 9001

// Grants reads from a role's statements on which ports to listen and which networks were meant, in order. It decides
// nothing: the policy is asked about each connection. Where a statement does not name a port, 443 and 80 stand for it.
// Without a Grant for its network an address is refused whatever the policy says: a star for all hosts means names.
func Grants(statements []casemate.Statement) []Grant {
	var all []Grant
	for i := range statements {
		s := &statements[i]
		if s.Effect != casemate.Allow || !connects(s) {
			continue
		}
		resources := s.Resource
		if len(s.NotResource) > 0 {
			resources = []string{"*"}
		}
		for _, r := range resources {
			networks := networksOf(s, r)
			for _, n := range portsOf(r) {
				for _, network := range networks {
					all = append(all, Grant{n, network})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), a.Network.Addr().Compare(b.Network.Addr()), cmp.Compare(a.Network.Bits(), b.Network.Bits()))
	})
	return slices.Compact(all)
}

// networksOf gives the networks of a statement about addresses, and one invalid prefix for a statement about names.
func networksOf(s *casemate.Statement, resource string) []netip.Prefix {
	if _, host, ok := strings.Cut(resource, ":host/"); ok {
		if at, err := netip.ParseAddrPort(host); err == nil && at.Addr().Zone() == "" {
			ip := at.Addr().Unmap()
			return []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}
		}
	}
	var networks []netip.Prefix
	for key, values := range s.Condition["IpAddress"] {
		for _, v := range values {
			p, err := netip.ParsePrefix(v)
			if ip, notOne := netip.ParseAddr(v); err != nil && notOne == nil {
				p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
			}
			if err == nil && strings.EqualFold(key, "casemate:Address") {
				networks = append(networks, p)
			}
		}
	}
	if networks == nil {
		networks = []netip.Prefix{{}}
	}
	return networks
}

// port is one port to listen on inside; six: on IPv6 addresses too.
type port struct {
	number uint16
	six    bool
}

// portsOfAll cuts the list at maxPorts and leaves out what is taken inside.
func portsOfAll(grants []Grant) (ports []port) {
	for _, g := range grants {
		six := g.Network.IsValid() && g.Network.Addr().Is6()
		switch last := len(ports) - 1; {
		case g.Port == runtimePort || g.Port == 0:
		case last >= 0 && ports[last].number == g.Port:
			ports[last].six = ports[last].six || six
		case len(ports) < maxPorts:
			ports = append(ports, port{g.Port, six})
		}
	}
	return ports
}

// connects reports whether a statement could be about connecting. Any pattern that is not plainly about something else
// counts.
func connects(s *casemate.Statement) bool {
	if len(s.NotAction) > 0 {
		return true
	}
	return slices.ContainsFunc(s.Action, func(a string) bool {
		a = strings.ToLower(a)
		prefix, _, wild := cutAny(a, "*?")
		return a == strings.ToLower(connect) || wild && strings.HasPrefix(strings.ToLower(connect), prefix)
	})
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// portsOf gives the ports that a resource pattern is about; none for one of another kind.
func portsOf(pattern string) []uint16 {
	_, name, found := strings.Cut(pattern, ":host/")
	if !found {
		if !strings.ContainsAny(pattern, "*?") || strings.Count(pattern, ":") >= 5 && !strings.ContainsAny(strings.SplitN(pattern, ":", 6)[5][:1], "*?h") {
			return nil
		}
		return []uint16{80, 443}
	}
	n, err := strconv.ParseUint(name[strings.LastIndexByte(name, ':')+1:], 10, 16)
	switch {
	case err == nil && n > 0:
		return []uint16{uint16(n)}
	case strings.ContainsAny(name, "*?$"):
		return []uint16{80, 443}
	}
	return nil
}

// target writes a host and a port as resources and effects have them.
func target(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}

// splitTarget reads what target writes, of a name.
func splitTarget(text string) (host string, port uint16, ok bool) {
	host, port, ok = peek.Authority(text)
	return host, port, ok && port != 0 && isName(host) && text == target(host, port)
}

// grantOf is the line of a manifest that would allow a connection, "" when there is none.
func grantOf(host string, port uint16) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); ip.Is6() {
			host = "[" + ip.String() + "/128]"
		} else {
			host = ip.String() + "/32"
		}
	} else if !isName(host) {
		return ""
	}
	return "connect " + host + ":" + strconv.Itoa(int(port))
}

// isName reports a host name in lower case that no program takes for an address: letters, digits, hyphens and
// underscores in labels of at most 63 bytes, and a last label that is not a number
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
		last = label
	}
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") != "" && !(isHex && strings.Trim(hex, "0123456789abcdef") == "")
}
