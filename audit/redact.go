package audit

import "strings"

// leastToken is the shortest run taken for a credential: a key's public id alone stays readable.
const leastToken = 30

// redact blanks what looks like a credential in a text of the record: Casemate keys ("ck_…_…") and JSON Web Tokens
// ("eyJ…"). Records hold none by construction; a path or a reason written by somebody else might.
func redact(s string) string {
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
