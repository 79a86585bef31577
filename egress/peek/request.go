package peek

import (
	"net/netip"
	"strconv"
	"strings"
)

const maxLine = 4 << 10 // of a chunk's size with its extensions, or of a trailer

// request is what decides where a request goes and where it ends.
type request struct {
	host    string // the Host field
	target  string // authority of a target in absolute form
	length  int64
	chunked bool
	socket  bool // asks for a WebSocket
}

// readRequest reads a head without its last empty line (RFC 9112). It takes nothing that another reader could take
// differently.
func readRequest(text string) (r request, err error) {
	lines := strings.Split(text, "\r\n")
	method, version, err := r.readLine(lines[0])
	if err != nil {
		return r, err
	}
	var hosts, lengths, codings int
	for _, line := range lines[1:] {
		name, value, err := readField(line)
		if err != nil {
			return r, err
		}
		switch strings.ToLower(name) {
		case "host":
			r.host = value
			hosts++
		case "content-length":
			lengths++
			if r.length, err = strconv.ParseInt(value, 10, 63); err != nil || strings.Trim(value, "0123456789") != "" {
				return r, ErrFraming
			}
		case "transfer-encoding":
			codings++
			if r.chunked = strings.EqualFold(value, "chunked"); !r.chunked {
				return r, ErrFraming
			}
		case "upgrade":
			r.socket = strings.EqualFold(value, "websocket") && method == "GET"
		}
	}
	switch {
	case hosts != 1 || r.host == "":
		return r, ErrNoHost
	case lengths+codings > 1, r.chunked && version != "HTTP/1.1":
		return r, ErrFraming
	}
	return r, nil
}

// readLine reads a request line: one space between its parts, no more.
func (r *request) readLine(line string) (method, version string, err error) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	switch {
	case version == "HTTP/2.0" && method == "PRI":
		return "", "", ErrPrior
	case method == "" || strings.ContainsFunc(method, func(c rune) bool { return !isToken(byte(min(c, 0xff))) }),
		version != "HTTP/1.1" && version != "HTTP/1.0", target == "" || !visible(target, ""):
		return "", "", ErrRequest
	case strings.EqualFold(method, "CONNECT"):
		return "", "", ErrTunnel
	case target[0] == '/', target == "*" && method == "OPTIONS":
		return method, version, nil
	}
	scheme, after, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "", ErrRequest
	}
	r.target = after
	if end := strings.IndexAny(after, `/?#\`); end >= 0 {
		r.target = after[:end]
	}
	if r.target == "" {
		return "", "", ErrNoHost
	}
	return method, version, nil
}

// readField reads one field of a head or a trailer.
func readField(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsFunc(name, func(c rune) bool { return !isToken(byte(min(c, 0xff))) }) || !visible(value, " \t") {
		return "", "", ErrRequest
	}
	return name, strings.Trim(value, " \t"), nil
}

// visible reports that s holds no control character and no white space but what is named.
func visible(s, space string) bool {
	for i := range len(s) {
		if c := s[i]; (c <= ' ' || c == 0x7f) && strings.IndexByte(space, c) < 0 {
			return false
		}
	}
	return true
}

// isToken reports a byte of a token (RFC 9110, section 5.6.2).
func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// chunkSize reads the line before a chunk; extensions are passed on unread.
func chunkSize(line string) (int64, error) {
	size, ext, _ := strings.Cut(line, ";")
	size = strings.TrimRight(size, " \t")
	n, err := strconv.ParseInt(size, 16, 56)
	if err != nil || strings.Trim(size, "0123456789abcdefABCDEF") != "" || !visible(ext, " \t") {
		return 0, ErrFraming
	}
	return n, nil
}

// Authority takes a host and the port behind it apart: "api.example.com:8080", "[::1]:80". The host is canonical; port is
// 0 when none is said. User names, and what is neither a name nor an address, are refused.
func Authority(text string) (host string, port uint16, ok bool) {
	host = text
	if at := strings.LastIndexByte(text, ':'); at >= 0 && !strings.HasSuffix(text, "]") {
		n, err := strconv.ParseUint(text[at+1:], 10, 16)
		if err != nil || n == 0 || text[at+1] == '0' || text[at+1] == '+' {
			return "", 0, false
		}
		host, port = text[:at], uint16(n)
	}
	if inner, is := strings.CutPrefix(host, "["); is {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || ip.Zone() != "" || !ip.Is6() || !strings.HasSuffix(host, "]") {
			return "", 0, false
		}
		return ip.String(), port, true
	}
	for i := range len(host) {
		if c := host[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", 0, false
		}
	}
	host = Canonical(host)
	return host, port, host != "" && len(host) <= 253
}
