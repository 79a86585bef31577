package expand

import (
	"bytes"
	"html"
	"unicode/utf16"
	"unicode/utf8"

	"casemate/shield/text"
)

// unwrap takes one layer off a text: percent encoding, HTML entities, escapes of source code, full-width letters. The code
// is empty when there is none.
func unwrap(v []byte, has Trait) (out []byte, code string) {
	if has&Percent != 0 {
		if out, ok := unpercent(v); ok {
			return out, "url"
		}
	}
	if has&Ampersand != 0 {
		if out, ok := unhtml(v); ok {
			return out, "html"
		}
	}
	if has&Backslash != 0 {
		if out, ok := unescape(v, false); ok {
			return out, "escape"
		}
	}
	if has&High != 0 {
		if out, ok := narrow(v); ok {
			return out, "width"
		}
	}
	return nil, ""
}

// unpercent decodes %41 and %u0041. A plus is a space when the text has no other.
func unpercent(v []byte) ([]byte, bool) {
	i := bytes.IndexByte(v, '%')
	for ; i >= 0 && i < len(v); i++ {
		if v[i] == '%' && percentLen(v[i:]) > 0 {
			break
		}
	}
	if i < 0 || i >= len(v) {
		return nil, false
	}
	plus := bytes.IndexByte(v, ' ') < 0
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); {
		switch n := 0; {
		case v[i] == '%':
			if n = percentLen(v[i:]); n == 0 {
				out, i = append(out, '%'), i+1
				continue
			}
			r, _ := text.Hex(v[i+n/3 : i+n])
			if n == 3 {
				out = append(out, byte(r))
			} else {
				out = utf8.AppendRune(out, r)
			}
			i += n
		case v[i] == '+' && plus:
			out, i = append(out, ' '), i+1
		default:
			out, i = append(out, v[i]), i+1
		}
	}
	return out, true
}

// percentLen is 3 for %41, 6 for %u0041, else 0.
func percentLen(v []byte) int {
	if len(v) >= 3 {
		if _, ok := text.Hex(v[1:3]); ok {
			return 3
		}
	}
	if len(v) >= 6 && v[1]|0x20 == 'u' {
		if _, ok := text.Hex(v[2:6]); ok {
			return 6
		}
	}
	return 0
}

// unhtml decodes character references, those without a semicolon included, as browsers do.
func unhtml(v []byte) ([]byte, bool) {
	for i := bytes.IndexByte(v, '&'); i >= 0 && i+2 < len(v); i++ {
		if v[i] == '&' && (v[i+1] == '#' || v[i+1]|0x20 >= 'a' && v[i+1]|0x20 <= 'z') {
			out := []byte(html.UnescapeString(string(v)))
			return out, !bytes.Equal(out, v)
		}
	}
	return nil, false
}

// unescape decodes \u0041, \u{41}, \x41 and \101; all adds the escapes of one letter, which alone mean little: a Windows
// path is full of them.
func unescape(v []byte, all bool) ([]byte, bool) {
	found := false
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); {
		if v[i] != '\\' || i+1 == len(v) {
			out, i = append(out, v[i]), i+1
			continue
		}
		r, n := escapeOf(v[i:])
		if n > 0 {
			found = true
			if n == 4 {
				out = append(out, byte(r))
			} else {
				if utf16.IsSurrogate(r) {
					if low, m := escapeOf(v[i+n:]); m == 6 {
						if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
							r, n = pair, n+m
						}
					}
				}
				out = utf8.AppendRune(out, r)
			}
			i += n
			continue
		}
		if c := short(v[i+1]); all && c != 0 {
			out, i, found = append(out, c), i+2, true
			continue
		}
		out, i = append(out, v[i]), i+1
	}
	return out, found
}

func short(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case '"', '\\', '/', '\'':
		return c
	}
	return 0
}

// escapeOf reads an escape by number at the start of v; n is its length, 0 when there is none.
func escapeOf(v []byte) (r rune, n int) {
	if len(v) < 4 || v[0] != '\\' {
		return 0, 0
	}
	switch v[1] {
	case 'x':
		if r, ok := text.Hex(v[2:4]); ok {
			return r, 4
		}
	case 'u':
		if v[2] == '{' {
			end := bytes.IndexByte(v[:min(len(v), 10)], '}')
			if r, ok := text.Hex(v[3:max(end, 3)]); ok && end > 3 {
				return r, end + 1
			}
		} else if len(v) >= 6 {
			if r, ok := text.Hex(v[2:6]); ok {
				return r, 6
			}
		}
	case '0', '1', '2', '3':
		if v[2] >= '0' && v[2] <= '7' && v[3] >= '0' && v[3] <= '7' {
			return rune(v[1]-'0')<<6 | rune(v[2]-'0')<<3 | rune(v[3]-'0'), 4
		}
	}
	return 0, 0
}

// narrow turns the full-width forms of ASCII (U+FF01..U+FF5E) into it, as databases and Windows do in silence; text that
// has no ASCII punctuation's counterpart among them is left alone.
func narrow(v []byte) ([]byte, bool) {
	if !bytes.Contains(v, []byte("\xef\xbc")) && !bytes.Contains(v, []byte("\xef\xbd")) {
		return nil, false
	}
	found := false
	out := bytes.Map(func(r rune) rune {
		if r >= 0xff01 && r <= 0xff5e {
			found = true
			return r - 0xff01 + '!'
		}
		return r
	}, v)
	return out, found
}

// wideText decodes UTF-16, with a mark of its order or, where every second byte is zero, without.
func wideText(v []byte) ([]byte, bool) {
	if len(v) < 4 {
		return nil, false
	}
	big := false
	switch {
	case v[0] == 0xff && v[1] == 0xfe:
		v = v[2:]
	case v[0] == 0xfe && v[1] == 0xff:
		v, big = v[2:], true
	default:
		look, odd, even := v[:min(len(v), 64)], 0, 0
		for i, c := range look {
			if c == 0 && i&1 == 1 {
				odd++
			} else if c == 0 {
				even++
			}
		}
		switch want := len(look) * 3 / 8; {
		case odd >= want && even == 0:
		case even >= want && odd == 0:
			big = true
		default:
			return nil, false
		}
	}
	units := make([]uint16, 0, len(v)/2)
	for i := 0; i+1 < len(v); i += 2 {
		u := uint16(v[i]) | uint16(v[i+1])<<8
		if big {
			u = uint16(v[i+1]) | uint16(v[i])<<8
		}
		units = append(units, u)
	}
	return []byte(string(utf16.Decode(units))), true
}
