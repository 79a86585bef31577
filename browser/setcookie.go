package browser

import (
	"slices"
	"strings"
)

// maxPair is the most that browsers keep of a cookie: its name and value, in bytes
// (https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html#section-5.6).
const maxPair = 4096

// crumb is what matters of one Set-Cookie line. Of an attribute that is there twice, the last one counts, as in browsers.
type crumb struct {
	name             string
	secure, httpOnly bool
	same             string // "", "Strict", "Lax", "None", or "?" for anything else
	path, domain     string
	hasPath          bool
	twice            bool // an attribute that we look at is there more than once
}

// SetCookies hardens the Set-Cookie lines of an answer as the route says; tls and url say that it goes over TLS, and that it
// comes from a function URL. Lines that every browser would refuse, or read in two ways, are left out: notes says which, by
// name. The list that comes back is a new one where anything changed.
//
// A cookie is for requests alone (HttpOnly) and goes to this site's own pages alone (SameSite=Lax) unless it says otherwise;
// over TLS it never goes without (Secure). One that any site may send has to be Secure, and names that promise something
// (__Host-, __Secure-) are held to it.
func (r *Rules) SetCookies(list []string, tls, url bool) (out, notes []string) {
	if r.asIs {
		return list, nil
	}
	out = list
	for i, line := range list {
		now, note := r.harden(line, tls, url)
		if note != "" {
			notes = append(notes, note)
		}
		if now == line {
			continue
		}
		if len(out) == len(list) && &out[0] == &list[0] {
			out = slices.Clone(list)
		}
		out[i] = now
	}
	if len(notes) > 0 {
		out = slices.DeleteFunc(slices.Clone(out), func(s string) bool { return s == "" })
	}
	return out, notes
}

// harden gives the line that leaves, "" when none does, and what the record says of it.
func (r *Rules) harden(line string, tls, url bool) (out, note string) {
	c, why := readCookie(line)
	host, secure := prefix(c.name, "__host-") || prefix(c.name, "__host-http-"), prefix(c.name, "__secure-") || prefix(c.name, "__http-")
	switch {
	case why != "":
	case host && c.domain != "":
		why = "a __Host- cookie has no Domain"
	case host && c.hasPath && c.path != "/":
		why = "a __Host- cookie has Path=/"
	}
	if why != "" {
		return "", "cookie " + shown(c.name) + " was not set: " + why
	}
	if url && c.domain != "" {
		note = "cookie " + shown(c.name) + ": its Domain was taken out: the hosts beside a function URL are other functions"
	}
	want := c
	want.secure = c.secure || tls || host || secure || c.same == "None"
	want.httpOnly = c.httpOnly || !slices.Contains(r.readable, c.name)
	if c.same == "" || c.same == "?" {
		want.same = "Lax"
	}
	if want == c && note == "" && !c.twice && (!host || c.hasPath) {
		return line, ""
	}
	return want.write(line, note != "", host && !c.hasPath), note
}

// write spells the cookie anew: what we do not look at stays, in its order.
func (c *crumb) write(line string, noDomain, root bool) string {
	pair, rest, _ := strings.Cut(line, ";")
	var b strings.Builder
	b.Grow(len(line) + 64)
	b.WriteString(strings.Trim(pair, " \t"))
	for part := range strings.SplitSeq(rest, ";") {
		part = strings.Trim(part, " \t")
		key, _, _ := strings.Cut(part, "=")
		key = strings.Trim(key, " \t")
		if part == "" || equal(key, "secure") || equal(key, "httponly") || equal(key, "samesite") || noDomain && equal(key, "domain") {
			continue
		}
		b.WriteString("; ")
		b.WriteString(part)
	}
	if root {
		b.WriteString("; Path=/")
	}
	if c.secure {
		b.WriteString("; Secure")
	}
	if c.httpOnly {
		b.WriteString("; HttpOnly")
	}
	b.WriteString("; SameSite=")
	b.WriteString(c.same)
	return b.String()
}

// readCookie takes a Set-Cookie line apart as browsers do (the draft above, section 5.6); why says what is wrong with it.
func readCookie(line string) (c crumb, why string) {
	pair, rest, more := strings.Cut(line, ";")
	name, value, ok := strings.Cut(pair, "=")
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	c.name = name
	switch {
	case !ok || name == "":
		return c, "it has no name"
	case !token(name):
		return c, "its name is no token"
	case len(name)+len(value) > maxPair:
		return c, "it is larger than 4096 bytes"
	case !plain(line):
		return c, "it holds a control character"
	case value != "" && value[0] == '"' && (len(value) < 2 || value[len(value)-1] != '"'):
		return c, "its value opens a quote and does not close it"
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ";")
		key, v, _ := strings.Cut(part, "=")
		c.attribute(strings.Trim(key, " \t"), strings.Trim(v, " \t"))
	}
	return c, ""
}

func (c *crumb) attribute(key, value string) {
	switch {
	case equal(key, "secure"):
		c.twice, c.secure = c.twice || c.secure, true
	case equal(key, "httponly"):
		c.twice, c.httpOnly = c.twice || c.httpOnly, true
	case equal(key, "path"):
		c.path, c.hasPath = value, true
		if value == "" || value[0] != '/' {
			c.path, c.hasPath = "", false // browsers take the request's own folder
		}
	case equal(key, "domain"):
		c.domain = value
	case equal(key, "samesite"):
		c.twice = c.twice || c.same != ""
		switch {
		case equal(value, "strict"):
			c.same = "Strict"
		case equal(value, "lax"):
			c.same = "Lax"
		case equal(value, "none"):
			c.same = "None"
		default:
			c.same = "?"
		}
	}
}

// prefix compares as browsers do: in any case.
func prefix(name, lower string) bool {
	return len(name) >= len(lower) && strings.EqualFold(name[:len(lower)], lower)
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// shown is a name for the record: short, and without what a line could be broken with.
func shown(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	if name == "" || !token(name) {
		return "without a plain name"
	}
	return name
}
