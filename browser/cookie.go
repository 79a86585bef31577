package browser

import "strings"

// MaxCookies is how many cookies one request may have; browsers keep about 180 for a site.
const MaxCookies = 256

// Cookies brings the Cookie lines of a request to one that every reader takes apart in the same way, and counts its cookies.
// Readers disagree about quotes that hold a semicolon, about "$Version" (RFC 2965, obsolete), about names with blanks or other
// scripts around them and about what has no name: such parts are left out, so that a contract, a screen and the function see
// the same cookies. A name that is there twice stays twice: browsers send it so for cookies of two paths, the closest first.
// Where nothing is wrong, lines comes back as it is.
func Cookies(lines []string) (out []string, n int) {
	clean := len(lines) == 1
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if n++; !cookie(strings.Trim(part, " \t")) {
				clean = false
			}
		}
	}
	if clean || len(lines) == 0 {
		return lines, n
	}
	var b strings.Builder
	n = 0
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.Trim(part, " \t"); !cookie(part) {
				continue
			}
			if n++; n > 1 {
				b.WriteString("; ")
			}
			b.WriteString(part)
		}
	}
	if n == 0 {
		return nil, 0
	}
	return []string{b.String()}, n
}

// cookie reports "name=value" that is one cookie to everybody.
func cookie(part string) bool {
	name, value, ok := strings.Cut(part, "=")
	if !ok || !token(name) || name[0] == '$' || !plain(value) {
		return false
	}
	quotes := strings.Count(value, `"`)
	if quotes == 0 {
		return true
	}
	// A quote inside a value that does not begin with one is a character like others (JSON is kept so).
	if value[0] != '"' {
		return true
	}
	return len(value) > 1 && value[len(value)-1] == '"' && quotes == 2 && !strings.HasSuffix(value, `\"`)
}
