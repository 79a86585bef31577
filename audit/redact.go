package audit

import "bytes"

// redact blanks what looks like a credential in an encoded record: Casemate keys ("ck_…_…") and JSON Web Tokens
// ("eyJ…"). Records hold none by construction; a path or a reason written by somebody else might. The replaced runs
// have no character that JSON escapes, so the text stays valid.
func redact(b []byte) []byte {
	for _, mark := range [...]struct {
		prefix string
		least  int // shorter runs are no credential: a key's public id alone stays readable
	}{{"ck_", 40}, {"eyJ", 30}} {
		for from := 0; ; {
			i := bytes.Index(b[from:], []byte(mark.prefix))
			if i < 0 {
				break
			}
			i += from
			end := i
			for end < len(b) && tokenByte(b[end]) {
				end++
			}
			if end-i >= mark.least {
				tail := append([]byte(nil), b[end:]...)
				b = append(append(b[:i], "[redacted]"...), tail...)
				end = i + len("[redacted]")
			}
			from = max(end, i+1)
		}
	}
	return b
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}
