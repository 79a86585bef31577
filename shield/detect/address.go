package detect

import (
	"bytes"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// address looks for URLs that lead a server to itself, to its neighbours or to the service that hands out its credentials,
// in any notation that resolvers take. A text that has such an address in it is none, unless it is where markup loads from.
func (l *look) address() {
	v := bytes.TrimSpace(l.Value)
	if len(v) > 16<<10 {
		return
	}
	if rest, ok := scheme(v); ok && !bytes.ContainsAny(v[:min(len(v), 2048)], " \n<>") {
		if !workshop(v, rest) {
			l.target(rest, true)
		}
		return
	}
	if rest, ok := scheme(v); ok && len(v) < 256 {
		if end := bytes.IndexByte(rest, '/'); end > 0 && bytes.IndexByte(rest[:end], '@') > 0 && bytes.IndexByte(rest[:end], '\n') < 0 {
			l.target(bytes.ReplaceAll(rest[:end], []byte(" "), nil), true)
			return
		}
	}
	switch {
	case bytes.HasPrefix(v, []byte("//")):
		l.target(v[2:], false)
	case bytes.Contains(v, []byte("169.254.169.254/")), bytes.Contains(v, []byte("metadata.google.internal/")):
		if !bytes.ContainsAny(v, " \n") || loads(v) {
			l.hit("ssrf-metadata", SSRF, Sure)
		}
	case bytes.Contains(v, []byte("://")):
		l.loaded(v)
	}
}

// scheme cuts the scheme of a URL that servers fetch, as loosely as they read it: "http:/\host" is one.
func scheme(v []byte) (rest []byte, ok bool) {
	i := bytes.IndexByte(v, ':')
	if i < 2 || i > 10 || i+2 >= len(v) {
		return nil, false
	}
	switch strings.ToLower(string(v[:i])) {
	case "http", "https", "ftp", "ws", "wss", "ldap", "ldaps", "tftp", "sftp", "smb", "redis", "mongodb", "gopher", "dict", "feed", "url":
	default:
		return nil, false
	}
	rest = bytes.TrimLeft(v[i+1:], `/\`)
	return rest, len(rest) > 0
}

// workshop reports whether a URL is what programs under development have for an address: plainly localhost or 127.0.0.1, by a
// protocol of the web, at a port that nothing else is known to listen on. They stand in settings of webhooks, sign-ins,
// traces and bug reports. One that asks for what only an attacker wants there is none, nor is one that hides anything.
func workshop(v, rest []byte) bool {
	protocol := strings.ToLower(string(v[:bytes.IndexByte(v, ':')]))
	authority, path, _ := strings.Cut(strings.ToLower(string(rest)), "/")
	name, port, ported := strings.Cut(authority, ":")
	if protocol != "http" && protocol != "https" && protocol != "ws" && protocol != "wss" || !bytes.HasPrefix(v[len(protocol):], []byte("://")) {
		return false
	}
	switch name, _, _ := strings.Cut(name, "?"); {
	case strings.ContainsAny(authority, `@#\%`), name != "localhost" && name != "127.0.0.1", !ported && name != "localhost":
		return false
	}
	if n, err := strconv.Atoi(strings.SplitN(port, "?", 2)[0]); ported && (err != nil || n < 1024 || n > 65535 || serves(n)) {
		return false
	}
	return !inward(path)
}

// serves reports whether a port is that of a store, an orchestrator or another service that trusts whoever reaches it.
func serves(port int) bool {
	switch port {
	case 1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 4194, 4243, 5432, 5601, 5672, 5984, 5985, 6066, 6379, 6443, 7000, 7001, 7077, 7474, 8088, 8125, 8200, 8500, 8600, 8686, 9001, 9042, 9092,
		9200, 9300, 10250, 10255, 10256, 10257, 10259, 11211, 15672, 16379, 26379, 27017, 27018, 50070, 61616:
		return true
	}
	return false
}

// inward reports whether a path asks for what is not for the world: credentials, the metadata of a machine, its files, and
// what administers or debugs a server.
func inward(path string) bool {
	if strings.ContainsAny(path, "%\\") && !strings.Contains(path, "?") || strings.Contains(path, "..") {
		return true
	}
	path, _, _ = strings.Cut(path, "?")
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "meta-data", "user-data", "metadata", "computemetadata", "security-credentials", "credentials", "credential", "secrets", "secret", "admin", "administrator", "manager", "server-status", "server-info", "actuator",
			"heapdump", "jolokia", "pprof", "debug", "console", "phpmyadmin", "cgi-bin", "containers", "_cluster", "_nodes", "_search", "_flushall", "kv", "env", "passwd", "shadow", "shutdown", "internal", "exec":
			return true
		}
		if len(part) > 1 && part[0] == '.' && part != ".well-known" {
			return true
		}
	}
	return false
}

// loads reports whether a metadata address stands where markup or a style sheet loads from.
func loads(v []byte) bool {
	for _, host := range [...]string{"169.254.169.254", "metadata.google.internal"} {
		if i := bytes.Index(v, []byte(host)); i >= 0 {
			before := bytes.TrimRight(v[max(0, i-10):i], "/:")
			for _, p := range [...]string{`"http`, `'http`, `=http`, `(http`, `"https`} {
				if bytes.HasSuffix(before, []byte(p)) {
					return true
				}
			}
		}
	}
	return false
}

// loaded looks at the addresses in attributes of markup.
func (l *look) loaded(v []byte) {
	for n, at := 0, 0; n < 64; n++ {
		i := bytes.Index(v[at:], []byte("://"))
		if i < 0 {
			return
		}
		at += i + 3
		start := at - 3
		for start > 0 && v[start-1]|0x20 >= 'a' && v[start-1]|0x20 <= 'z' {
			start--
		}
		if start < 5 || !attribute(v[max(0, start-8):start]) {
			continue
		}
		end := bytes.IndexAny(v[at:], "\"' )>\n")
		if end < 0 {
			end = len(v) - at
		}
		if host, kind := reach(v[at : at+end]); kind == metadata || kind == disguised && host != "" {
			l.hit("ssrf-metadata", SSRF, Sure)
			return
		}
	}
}

func attribute(before []byte) bool {
	s := strings.ToLower(string(before))
	for _, p := range [...]string{`src="`, `src='`, `src=`, `href="`, `href='`, `url(`, `data="`, `url('`, `url("`, `system "`, `system '`} {
		if strings.HasSuffix(s, p) {
			return true
		}
	}
	return false
}

// target judges where an address leads.
func (l *look) target(rest []byte, whole bool) {
	host, kind := reach(rest)
	switch {
	case kind == metadata:
		l.hit("ssrf-metadata", SSRF, Sure)
	case kind == disguised:
		l.hit("ssrf-disguised", SSRF, Sure)
	case kind == private && whole && !l.ownCallback(host):
		l.hit("ssrf-private", SSRF, Sure)
	}
}

// ownCallback reports whether a loopback address is where the caller itself wants to be sent back to: native programs sign
// in that way (RFC 8252 section 7.3), and pages under development say that they come from there.
func (l *look) ownCallback(host string) bool {
	if l.In == "header" && l.Depth == 0 {
		switch strings.ToLower(l.Last()) {
		case "origin", "referer", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-original-url", "x-real-ip":
			return true
		}
	}
	if host != "localhost" && !strings.HasPrefix(host, "127.") && host != "::1" {
		return false
	}
	last := strings.ToLower(l.Last())
	for _, w := range [...]string{"redirect", "return", "origin", "referer", "referrer"} {
		if strings.Contains(last, w) {
			return true
		}
	}
	return false
}

type reachKind uint8

const (
	public reachKind = iota
	private
	metadata
	disguised // private, and written so that nobody sees it
)

// reach says where the authority at the start of v leads. Where readers of URLs disagree on which part is the host, each
// part counts.
func reach(v []byte) (string, reachKind) {
	authority := v
	if i := bytes.IndexByte(v, '/'); i >= 0 {
		authority = v[:i]
	}
	if len(authority) > 1024 {
		return "", public
	}
	worst, where := public, ""
	parts := strings.FieldsFunc(foldDots(string(authority)), func(r rune) bool { return r == '@' || r == '#' || r == '?' || r == '\\' })
	for i, part := range parts {
		if strings.Contains(part, "=") || i > 0 && bytes.ContainsAny(authority, "?#") && bytes.IndexByte(authority, '@') < 0 {
			continue
		}
		h, k := host(part)
		if k > worst {
			worst, where = k, h
		}
	}
	return where, worst
}

// foldDots writes circled digits and letters, and the other dots of IDNA (RFC 3490 section 3.1), in ASCII.
func foldDots(s string) string {
	if utf8.RuneCountInString(s) == len(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '。' || r == '．' || r == '｡':
			return '.'
		case r >= '①' && r <= '⑨':
			return '1' + r - '①'
		case r == '⓪':
			return '0'
		case r >= 'ⓐ' && r <= 'ⓩ':
			return 'a' + r - 'ⓐ'
		case r >= 0xff01 && r <= 0xff5e:
			return r - 0xff01 + '!'
		}
		return r
	}, s)
}

// host judges one host, with or without a port.
func host(s string) (string, reachKind) {
	name := strings.ToLower(s)
	if strings.HasPrefix(name, "[") {
		name, _, _ = strings.Cut(name[1:], "]")
	} else if _, err := netip.ParseAddr(name); err != nil { // "host:1:2" has readers for either port
		name, _, _ = strings.Cut(name, ":")
	}
	name = strings.TrimRight(name, ".")
	name, _, _ = strings.Cut(name, "%")
	switch name {
	case "":
		return "", public
	case "metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal", "metadata.azure.internal", "metadata.tencentyun.com":
		return name, metadata
	case "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "kubernetes", "kubernetes.default", "host.docker.internal", "gateway.docker.internal":
		return name, private
	case "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "fuf.me", "spoofed.burpcollaborator.net", "localh.st", "yoogle.com":
		return name, disguised
	}
	if addr, plain, ok := number(name); ok {
		return name, judge(addr, plain)
	}
	for _, suffix := range [...]string{".localhost", ".svc", ".svc.cluster.local", ".cluster.local", ".compute.internal", ".ec2.internal", ".internal.cloudapp.net"} {
		if strings.HasSuffix(name, suffix) {
			return name, private
		}
	}
	return name, embedded(name)
}

// embedded judges names of services that resolve to the address that stands in the name.
func embedded(name string) reachKind {
	for _, zone := range [...]string{"nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "rbndr.us", "1u.ms", "rebind.network", "ipq.co"} {
		label, ok := strings.CutSuffix(name, "."+zone)
		if !ok {
			continue
		}
		if zone == "rbndr.us" || zone == "1u.ms" || zone == "rebind.network" || strings.HasSuffix(zone, ".me") || zone == "lacolhost.com" {
			return disguised
		}
		for _, sep := range [...]string{".", "-"} {
			parts := strings.Split(label, sep)
			if len(parts) >= 4 {
				if addr, _, ok := number(strings.Join(parts[len(parts)-4:], ".")); ok && judge(addr, true) != public {
					return disguised
				}
			}
		}
		last := label[strings.LastIndexByte(label, '.')+1:]
		last = last[strings.LastIndexByte(last, '-')+1:]
		if len(last) == 8 {
			if n, err := strconv.ParseUint(last, 16, 32); err == nil && judge(v4(uint32(n)), true) != public {
				return disguised
			}
		}
	}
	return public
}

func v4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// number reads an address as inet_aton does (one to four parts, decimal, octal or hexadecimal, too large ones cut), or as
// IPv6; plain says that it is written as people write it.
func number(s string) (addr netip.Addr, plain, ok bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Is4In6() {
			return a.Unmap(), false, true
		}
		return inner(a)
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return addr, false, false
	}
	var n uint32
	for i, p := range parts {
		v, good := new(big.Int), false
		if p != "" && len(p) <= 40 && strings.Trim(p, "0123456789abcdefx") == "" {
			_, good = v.SetString(octal(p), 0)
		}
		if !good {
			return addr, false, false
		}
		bits := uint(8)
		if i == len(parts)-1 {
			bits = uint(8 * (5 - len(parts)))
		}
		low := uint32(new(big.Int).And(v, big.NewInt(1<<bits-1)).Uint64())
		if i == len(parts)-1 {
			n |= low
		} else {
			n |= low << (24 - 8*uint(i))
		}
	}
	return v4(n), false, true
}

// octal marks C's way to write octal for big.Int: "0177" is, "08" is not taken.
func octal(p string) string {
	if len(p) > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '7' {
		return "0o" + strings.TrimLeft(p[1:], "0") + map[bool]string{true: "0"}[strings.Trim(p, "0") == ""]
	}
	return p
}

// inner looks into IPv6 addresses that carry one of IPv4: NAT64 and 6to4.
func inner(a netip.Addr) (netip.Addr, bool, bool) {
	if !a.Is6() {
		return a, true, true
	}
	b := a.As16()
	switch {
	case b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b:
		return netip.AddrFrom4([4]byte(b[12:])), false, true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), false, true
	case bytes.Equal(b[:12], make([]byte, 12)) && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:])), false, true
	}
	return a, true, true
}

// judge says what an address is; plain tells whether it is written as people write it.
func judge(a netip.Addr, plain bool) reachKind {
	switch a.String() {
	case "169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd20:ce::254":
		return metadata
	}
	if b := a.As16(); a.Is4() && plain && b[12] == 169 && b[13] == 254 && b[14] == 100 { // where a sandbox meets the platform's services: addresses of queues begin so
		return public
	}
	shared := a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xc0 == 64
	if !(a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || shared || a.Is4() && a.As4()[0] == 0) {
		return public
	}
	if !plain {
		return disguised
	}
	return private
}
