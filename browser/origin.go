package browser

import (
	"net/netip"
	"strconv"
	"strings"

	"casemate"
)

// Bounds of what CORS settings hold: those of function URLs
// (https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html).
const (
	maxOrigins = 100
	maxOrigin  = 253
)

// origins is a set of origins. It compares bytes: a browser writes an origin in one way only
// (https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin), and whatever is spelled otherwise
// was not written by one.
type origins struct {
	any   bool
	exact map[string]bool
	below []suffix
}

// suffix stands for "https://*.example.com:8443": head is "https://", tail ".example.com:8443".
type suffix struct{ head, tail string }

// has reports whether a request's Origin is in the set.
func (o *origins) has(origin string) bool {
	if o.exact[origin] {
		return true
	}
	for _, s := range o.below {
		if len(origin) > len(s.head)+len(s.tail) && strings.HasPrefix(origin, s.head) && strings.HasSuffix(origin, s.tail) &&
			label(origin[len(s.head):len(origin)-len(s.tail)]) {
			return true
		}
	}
	return o.any && origin != ""
}

// newOrigins reads a list that CheckOrigin found nothing wrong with.
func newOrigins(list []string) origins {
	o := origins{exact: make(map[string]bool, len(list))}
	for _, text := range list {
		head, tail, wild := strings.Cut(text, "*")
		switch {
		case text == "*":
			o.any = true
		case wild:
			o.below = append(o.below, suffix{head, tail})
		default:
			o.exact[text] = true
		}
	}
	return o
}

// CheckOrigin refuses what no browser would send as an Origin, and patterns wider than one label: an *casemate.Error of code
// Invalid.
func CheckOrigin(text string) error {
	bad := func(hint, format string, args ...any) error {
		return casemate.Errorf(casemate.Invalid, hint, "origin %.260q "+format, append([]any{text}, args...)...)
	}
	const like = `write it as a browser does: "https://app.example.com", "http://localhost:3000"`
	if text == "*" {
		return nil
	}
	if text == "null" {
		return bad("name the origin that the page has when it is served from a host", "is every sandboxed frame and local file, also an attacker's")
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || len(text) > maxOrigin || !schemeName(scheme) {
		return bad(like, "is no origin: scheme://host, with a port where it is not the usual one")
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, port = rest[:i], rest[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return bad(like, "has a port that is none")
		}
		if scheme == "https" && n == 443 || scheme == "http" && n == 80 {
			return bad("leave the port out", "has the usual port, which browsers do not send")
		}
	}
	if tail, wild := strings.CutPrefix(host, "*."); wild {
		if scheme != "https" {
			return bad("https://*.example.com", "is a pattern, and only https origins can be named by one")
		}
		if host = tail; !strings.Contains(tail, ".") {
			return bad("https://*.example.com", "is a pattern for a whole top-level domain")
		}
	}
	if hostName(host) || scheme != "https" && scheme != "http" && label(host) {
		return nil
	}
	return bad(like+"; other scripts in Punycode (xn--...), without path, user or final dot", "has a host that is none")
}

func schemeName(s string) bool {
	if s == "" || s == "null" || s == "file" || s == "data" || s == "blob" || s == "javascript" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '+' && c != '.') {
			return false
		}
	}
	return true
}

// hostName reports a host as browsers write it: lower-case labels, an IPv4 address, an IPv6 address in brackets.
func hostName(s string) bool {
	if in, ok := strings.CutPrefix(s, "["); ok {
		in, ok = strings.CutSuffix(in, "]")
		a, err := netip.ParseAddr(in)
		return ok && err == nil && a.Is6() && a.Zone() == "" && a.String() == in
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last != "" && strings.Trim(last, "0123456789") == "" { // browsers take every such host for an IPv4 address
		a, err := netip.ParseAddr(s)
		return err == nil && a.String() == s
	}
	for part := range strings.SplitSeq(s, ".") {
		if !label(part) {
			return false
		}
	}
	return len(s) <= maxOrigin
}

// label reports one label of a host name, as browsers write it (an underscore is no part of host names, and in use).
func label(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && (c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}
