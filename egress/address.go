package egress

import (
	"net/netip"
	"strings"
)

// special is a range that no name may lead into unless a network was granted.
type special struct {
	network netip.Prefix
	what    string
}

// specials is what the registries call not globally reachable, and what translates into it
// (https://www.iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry): everything else is public.
var specials = readSpecials(`
0.0.0.0/8         an unspecified address
10.0.0.0/8        a private address
100.64.0.0/10     a carrier's shared address
127.0.0.0/8       a loopback address
168.63.129.16/32  a metadata address
169.254.0.0/16    a link-local or metadata address
172.16.0.0/12     a private address
192.0.0.0/24      an address of protocols
192.0.2.0/24      an address of documentation
192.31.196.0/24   an address of AS112
192.52.193.0/24   an address of AMT
192.88.99.0/24    a 6to4 relay
192.168.0.0/16    a private address
192.175.48.0/24   an address of AS112
198.18.0.0/15     an address of benchmarks
198.51.100.0/24   an address of documentation
203.0.113.0/24    an address of documentation
224.0.0.0/4       a multicast address
240.0.0.0/4       a reserved or broadcast address
64:ff9b::/96      a NAT64 address
64:ff9b:1::/48    a local NAT64 address
::/8              an unspecified, loopback, mapped or compatible address
100::/64          a discarded address
2001::/23         an address of protocols (Teredo among them)
2001:db8::/32     an address of documentation
2002::/16         a 6to4 address
3fff::/20         an address of documentation
5f00::/16         a segment routing address
fc00::/7          a private address
fe80::/10         a link-local address
fec0::/10         a site-local address
ff00::/8          a multicast address
`)

func readSpecials(table string) (all []special) {
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		network, what, _ := strings.Cut(line, " ")
		all = append(all, special{netip.MustParsePrefix(network), strings.TrimSpace(what)})
	}
	return all
}

// Special says what a network holds that belongs to a machine and its platform, not to a neighbour: loopback, link-local,
// metadata. "" for another, and for none.
func Special(network netip.Prefix) string {
	for _, s := range specials {
		if network.IsValid() && s.network.Overlaps(network) && (strings.Contains(s.what, "loopback") || strings.Contains(s.what, "metadata") || strings.Contains(s.what, "link-local")) {
			return s.what
		}
	}
	return ""
}

// whatIs says what keeps an address from being public; "" when it is. Only global unicast IPv6 (2000::/3) is.
func whatIs(ip netip.Addr) string {
	if ip.Zone() != "" {
		return "an address with a zone"
	}
	ip = ip.Unmap()
	for _, s := range specials {
		if s.network.Contains(ip) {
			return s.what
		}
	}
	if !ip.IsValid() || ip.Is6() && ip.As16()[0]>>5 != 1 {
		return "no global address"
	}
	return ""
}
