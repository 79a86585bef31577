package entry

import "strings"

// leastToken is the shortest run taken for a credential: a key's public id alone stays readable.
const leastToken = 30

// Redact blanks what looks like a credential in a text of the record: Casemate keys ("ck_…_…") and JSON Web Tokens
// ("eyJ…"). Records hold none by construction; a path or a reason written by somebody else might.
func Redact(s string) string {
	if len(s) < leastToken {
		return s
	}
	for _, mark := range [...]string{"ck_", "eyJ"} {
		for from := 0; ; {
			i := strings.Index(s[from:], mark)
			if i < 0 {
				break
			}
			i += from
			end := i
			for end < len(s) && tokenByte(s[end]) {
				end++
			}
			if end-i >= leastToken {
				s = s[:i] + "[redacted]" + s[end:]
				end = i + len("[redacted]")
			}
			from = end
		}
	}
	return s
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// ValidID reports whether id may name a record: 1 to 128 bytes that need no escape anywhere.
func ValidID(id string) bool {
	for i := range len(id) {
		if !tokenByte(id[i]) && id[i] != '#' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}
