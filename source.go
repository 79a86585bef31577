package casemate

import "net/netip"

// SourceOf is what the caller at an address is counted as, in words: an IPv4 address itself, the /64 that one peer can choose
// its IPv6 addresses from (RFC 4291 section 2.5.4). What is no address stays as it is.
func SourceOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
