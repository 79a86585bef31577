// Package route matches HTTP paths as API Gateway's HTTP APIs do, on one canonical form of the path, so that what is
// matched and decided on is one path, however a client spells it.
package route

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"casemate"
)

// Bounds of a path, so that matching one has a bound too.
const (
	maxPath     = 8 << 10
	maxSegments = 64
)

// reserved are the platform's own paths: no route may be declared there and no wildcard reaches them (a trigger that
// shadows a platform path took over logins elsewhere, GHSA-vchh-r53j-8mpw).
var reserved = [...]string{"/.casemate", "/.well-known/casemate"}

// Reserved reports whether a path is the platform's own.
func Reserved(path string) bool {
	for _, r := range reserved {
		if strings.HasPrefix(path, r) {
			return true
		}
	}
	return false
}

// Parse reads an API Gateway route key: "POST /orders/{id}", "ANY /files/{path+}" or "$default"
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html). The path must be in the
// canonical form that requests are brought to, so that what is declared can match.
func Parse(key string) (method, path string, err error) {
	if key == "$default" {
		return "ANY", key, nil
	}
	const hint = `write it as "POST /orders/{id}", "ANY /files/{path+}" or "$default"`
	method, path, ok := strings.Cut(key, " ")
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY":
	default:
		return "", "", casemate.Errorf(casemate.Invalid, hint, "%q does not start with an HTTP method", key)
	}
	if !ok || !strings.HasPrefix(path, "/") {
		return "", "", casemate.Errorf(casemate.Invalid, hint, "%q has no path", key)
	}
	names := map[string]bool{}
	segs := segments(path)
	plain := make([]string, len(segs))
	for i, s := range segs {
		plain[i] = s
		if !strings.ContainsAny(s, "{}") {
			continue
		}
		name, greedy, ok := param(s)
		if !ok || greedy && i < len(segs)-1 {
			return "", "", casemate.Errorf(casemate.Invalid, hint, "%q: a parameter is a whole segment, and {name+} the last", key)
		}
		if names[name] {
			return "", "", casemate.Errorf(casemate.Invalid, hint, "%q: the parameter %s stands here twice", key, name)
		}
		names[name], plain[i] = true, "x"
	}
	want := "/" + strings.Join(plain, "/")
	got, err := Canonical(want)
	if err != nil || got != want || len(segs) > 0 && segs[len(segs)-1] == "" {
		return "", "", casemate.Errorf(casemate.Invalid, "no empty or dot segments, no trailing slash, nothing to escape",
			"%q is not a path in its canonical form", key)
	}
	if Reserved(path) {
		return "", "", casemate.Errorf(casemate.Invalid, "choose a path outside /.casemate and /.well-known/casemate",
			"%q is reserved for the platform", key)
	}
	return method, path, nil
}

// Shape is a path with its parameters' names taken out: two routes of one method and shape match the same requests.
func Shape(path string) string {
	segs := segments(path)
	for i, s := range segs {
		if _, greedy, ok := param(s); greedy {
			segs[i] = "{+}"
		} else if ok {
			segs[i] = "{}"
		}
	}
	return "/" + strings.Join(segs, "/")
}

// param reads "{name}" and "{name+}".
func param(seg string) (name string, greedy, ok bool) {
	if len(seg) < 3 || seg[0] != '{' || seg[len(seg)-1] != '}' {
		return "", false, false
	}
	name = seg[1 : len(seg)-1]
	name, greedy = strings.CutSuffix(name, "+")
	for _, c := range []byte(name) {
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "", false, false
		}
	}
	return name, greedy, name != ""
}

// segments splits a path that starts with "/"; "/" itself has none.
func segments(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

// Canonical brings a raw request path to the one form that is matched, decided on and recorded: escapes of what may stand in
// a segment as it is decoded (pchar, RFC 3986 section 3.3), all others escaped, in upper case (section 6.2.2). So what a function
// gets as one parameter is one path here: "/users/a%40b" is not a way round a Deny on "/users/a@b". An escaped slash stays
// inside its segment.
// Empty and dot segments, backslashes, control characters and bytes that are not UTF-8 are refused in any spelling,
// because the function behind might read them as another path than the policy did. A trailing slash stays.
func Canonical(path string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", casemate.Errorf(casemate.Invalid, "send the path in its plain form", "the path %s", why)
	}
	if len(path) > maxPath {
		return refuse("is too long")
	}
	if path == "" || path[0] != '/' {
		return refuse(`does not start with "/"`)
	}
	out, err := unescape(path)
	if err != "" {
		return refuse(err)
	}
	segs := segments(out)
	if len(segs) > maxSegments {
		return refuse("has too many segments")
	}
	for i, s := range segs {
		switch {
		case s == "" && i < len(segs)-1:
			return refuse("has an empty segment")
		case s == "." || s == "..":
			return refuse("has a dot segment")
		case strings.IndexByte(s, '%') >= 0:
			if d, err := url.PathUnescape(s); err != nil || !utf8.ValidString(d) {
				return refuse("is not UTF-8")
			}
		}
	}
	return out, nil
}

// unescape normalises escapes; the second result says why it cannot.
func unescape(path string) (string, string) {
	plain, why := look(path)
	if plain || why != "" {
		return path, why
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) || unhex(path[i+1]) < 0 || unhex(path[i+2]) < 0 {
				return "", "has a broken escape"
			}
			c = byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
			i += 2
			if c < ' ' || c == 0x7f {
				return "", "has a control character"
			}
			b = spell(b, c, inSegment(c))
			continue
		}
		b = spell(b, c, c == '/' || inSegment(c)) // RFC 3986 has the others escaped; who sends one bare means the same
	}
	return string(b), ""
}

// spell adds c as it is, or escaped.
func spell(b []byte, c byte, bare bool) []byte {
	if bare {
		return append(b, c)
	}
	return append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
}

// look says whether a path is in its one spelling already, and what forbids it.
func look(path string) (plain bool, why string) {
	plain = true
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c <= ' ' || c == 0x7f || c == '\\' || c == '?' || c == '#':
			return false, "has a character that must be escaped"
		case c >= 0x80:
			return false, "has bytes that must be escaped"
		case c != '/' && !inSegment(c):
			plain = false
		}
	}
	return plain, ""
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// inSegment reports pchar, what a segment may hold unescaped.
func inSegment(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

// Params gives the parameters of a canonical path that matched a pattern, decoded segment by segment; nil when the
// pattern has none.
func Params(pattern, path string) map[string]string {
	if strings.IndexByte(pattern, '{') < 0 {
		return nil
	}
	segs, out := segments(path), map[string]string{}
	for i, p := range segments(pattern) {
		name, greedy, ok := param(p)
		if !ok || i >= len(segs) {
			continue
		}
		end := i + 1
		if greedy {
			end = len(segs)
		}
		parts := make([]string, 0, end-i)
		for _, s := range segs[i:end] {
			d, err := url.PathUnescape(s)
			if err != nil {
				d = s
			}
			parts = append(parts, d)
		}
		out[name] = strings.Join(parts, "/")
	}
	return out
}
