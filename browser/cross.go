package browser

import (
	"strings"

	"casemate"
)

// Ambient reports whether a route takes what a browser sends by itself, whatever page made it: a TLS client certificate,
// or what an authorizer finds in a cookie or in the name and password that the browser remembers.
func Ambient(a *casemate.Auth) bool { return a.Certificate != nil || a.Authorizer != nil }

// Forged reports a request that may change something and that a page of another site had a browser send: the rule of
// net/http.CrossOriginProtection. Sec-Fetch-Site is the browser's word; where it is missing, Origin has to name the host that
// was asked, on whatever port: an event does not know its own, and cookies do not tell ports apart either. A request with neither is from no browser, or from the same site. Pages that the route's CORS allows may.
func (r *Rules) Forged(method, host string, header func(string) []string) bool {
	if method == "GET" || method == "HEAD" || method == "OPTIONS" {
		return false
	}
	origin, site := header("Origin"), header("Sec-Fetch-Site")
	if len(site) == 1 && (site[0] == "same-origin" || site[0] == "none") {
		return false
	}
	if len(site) == 0 {
		if len(origin) == 0 || len(origin) == 1 && sameHost(origin[0], host) {
			return false
		}
	}
	return !r.Allows(origin)
}

// sameHost reports an origin of host, over HTTP or TLS, with any port.
func sameHost(origin, host string) bool {
	rest, ok := strings.CutPrefix(origin, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(origin, "http://"); !ok {
			return false
		}
	}
	if port, ok := strings.CutPrefix(strings.TrimPrefix(rest, "["), host); ok && host != "" {
		port = strings.TrimPrefix(port, "]")
		return port == "" || port[0] == ':' && strings.Trim(port[1:], "0123456789") == ""
	}
	return false
}
