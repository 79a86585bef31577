package transform

import "unicode/utf8"

// cmdLine takes out what shells ignore and squeezes what they treat alike.
func cmdLine(s string) string {
	out := make([]byte, 0, len(s))
	space := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '"', '\'', '\\', '^':
		case ' ', ',', ';', '\t', '\r', '\n':
			if !space {
				out = append(out, ' ')
			}
			space = true
		case '/', '(':
			if space {
				out = out[:len(out)-1]
			}
			out = append(out, c)
			space = false
		default:
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			out = append(out, c)
			space = false
		}
	}
	return string(out)
}

// compressWhitespace makes one blank of every run of white space, the lone byte 0xA0 included.
func compressWhitespace(s string) string {
	out := make([]byte, 0, len(s))
	in := false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !latinSpace(r) && s[i] != 0xA0 {
			in = false
			out = append(out, s[i:i+size]...)
		} else if !in {
			in = true
			out = append(out, ' ')
		}
		i += size
	}
	return string(out)
}

func latinSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0x85, 0xA0:
		return true
	}
	return false
}

// replaceComments puts a blank in the place of every /*...*/, ended or not.
func replaceComments(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '/' || i+1 >= len(s) || s[i+1] != '*' {
			out = append(out, s[i])
			i++
			continue
		}
		i += 2
		for i < len(s) && (s[i] != '*' || i+1 >= len(s) || s[i+1] != '/') {
			i++
		}
		i = min(i+2, len(s))
		out = append(out, ' ')
	}
	return string(out)
}

// removeCommentsChar takes out the marks of comments, not what they hold.
func removeCommentsChar(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case has(rest, "/*"), has(rest, "*/"):
			i += 2
		case has(rest, "<!--"):
			i += 4
		case has(rest, "-->"):
			i += 3
		case has(rest, "--"):
			i += 2
		case s[i] == '#':
			i++
		default:
			out = append(out, s[i])
			i++
		}
	}
	return string(out)
}

func has(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }
