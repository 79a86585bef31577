package transform

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// hexByte is the value of two hexadecimal digits.
func hexByte(a, b byte) (byte, bool) {
	x, y := nibble(a), nibble(b)
	return x<<4 | y&15, x < 16 && y < 16
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

func isHex(c byte) bool   { return nibble(c) < 16 }
func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// urlDecode undoes %XX and +; what is no escape stays as it is.
func urlDecode(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b, _ := hexByte(s[i+1], s[i+2])
			out = append(out, b)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// urlDecodeUni undoes %uXXXX as well: the best ASCII fit where there is one, else the low byte.
func urlDecodeUni(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			out = append(out, ' ')
		case c != '%':
			out = append(out, c)
		case i+1 < len(s) && s[i+1]|0x20 == 'u':
			if i+5 < len(s) && isHex(s[i+2]) && isHex(s[i+3]) && isHex(s[i+4]) && isHex(s[i+5]) {
				hi, _ := hexByte(s[i+2], s[i+3])
				lo, _ := hexByte(s[i+4], s[i+5])
				out = append(out, fit(hi, lo))
				i += 5
				continue
			}
			out = append(out, c, s[i+1])
			i++
		case i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b, _ := hexByte(s[i+1], s[i+2])
			out = append(out, b)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// fit is the byte that a 16-bit code becomes.
func fit(hi, lo byte) byte {
	if b := bestFit(rune(hi)<<8 | rune(lo)); b != 0 {
		return b
	}
	return lo
}

// jsDecode undoes the escapes of a JavaScript string, keeping only the low byte of a code point.
func jsDecode(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			out = append(out, s[i])
			i++
			continue
		}
		n, b := jsEscape(s[i:])
		out = append(out, b)
		i += n
	}
	return string(out)
}

// jsEscape reads the escape at the start of s, which has at least two bytes.
func jsEscape(s string) (n int, b byte) {
	switch {
	case s[1] == 'u' && bracedHex(s) > 0:
		digits := bracedHex(s)
		code, _ := strconv.ParseUint(s[3:3+digits], 16, 32)
		if b = byte(code); code >= 0xff01 && code <= 0xff5e {
			b += 0x20
		}
		return digits + 4, b
	case s[1] == 'u' && len(s) > 5 && isHex(s[2]) && isHex(s[3]) && isHex(s[4]) && isHex(s[5]):
		b, _ = hexByte(s[4], s[5])
		if b > 0 && b < 0x5f && s[2]|0x20 == 'f' && s[3]|0x20 == 'f' {
			b += 0x20
		}
		return 6, b
	case s[1] == 'x' && len(s) > 3 && isHex(s[2]) && isHex(s[3]):
		b, _ = hexByte(s[2], s[3])
		return 4, b
	case isOctal(s[1]):
		n = 2
		for n < len(s) && n < 4 && isOctal(s[n]) {
			n++
		}
		if n == 4 && s[1] > '3' { // more than a byte
			n = 3
		}
		code, _ := strconv.ParseUint(s[1:n], 8, 8)
		return n, byte(code)
	}
	if i := strings.IndexByte("abfnrtv", s[1]); i >= 0 {
		return 2, "\a\b\f\n\r\t\v"[i]
	}
	return 2, s[1]
}

// bracedHex is how many digits \u{...} at the start of s has, or 0.
func bracedHex(s string) int {
	if len(s) < 5 || s[2] != '{' {
		return 0
	}
	n := 0
	for n < 6 && 3+n < len(s) && isHex(s[3+n]) {
		n++
	}
	if n == 0 || 3+n >= len(s) || s[3+n] != '}' {
		return 0
	}
	return n
}

// cssDecode undoes the escapes of CSS: https://www.w3.org/TR/css-syntax-3/#consume-escaped-code-point
func cssDecode(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i++; i >= len(s) {
			break
		}
		n := 0
		for n < 6 && i+n < len(s) && isHex(s[i+n]) {
			n++
		}
		switch {
		case n > 0:
			code, _ := strconv.ParseUint(s[i:i+n], 16, 32)
			if code == 0 {
				code = utf8.RuneError
			}
			if code >= 0xff01 && code <= 0xff5e {
				code -= 0xfee0
			}
			out = utf8.AppendRune(out, rune(code))
			if i+n < len(s) && strings.IndexByte(" \f\n\t\r\v", s[i+n]) >= 0 {
				n++
			}
			i += n - 1
		case s[i] != '\n':
			out = append(out, s[i])
		}
	}
	return string(out)
}

// escapeSeqDecode undoes the escapes of ANSI C.
func escapeSeqDecode(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			out = append(out, s[i])
			i++
			continue
		}
		c := s[i+1]
		k := strings.IndexByte(`abfnrtv\?'"`, c)
		switch {
		case k >= 0:
			out = append(out, "\a\b\f\n\r\t\v\\?'\""[k])
			i += 2
		case (c == 'x' || c == 'X') && i+3 < len(s) && isHex(s[i+2]) && isHex(s[i+3]):
			b, _ := hexByte(s[i+2], s[i+3])
			out = append(out, b)
			i += 4
		case isOctal(c):
			n := 2
			for n < 4 && i+n < len(s) && isOctal(s[i+n]) {
				n++
			}
			code, _ := strconv.ParseUint(s[i+1:i+n], 8, 16)
			out = append(out, byte(code))
			i += n
		default:
			out = append(out, c)
			i += 2
		}
	}
	return string(out)
}

// base64Decode decodes up to the first byte outside the alphabet; line ends are passed over.
func base64Decode(s string) string {
	out := make([]byte, 0, len(s)*3/4)
	n, x := 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\r' || c == '\n' {
			continue
		}
		v, ok := base64Digit(c)
		if !ok {
			break
		}
		x = x<<6 | v
		if n++; n == 4 {
			out = append(out, byte(x>>16), byte(x>>8), byte(x))
			n, x = 0, 0
		}
	}
	switch n {
	case 2:
		out = append(out, byte(x<<12>>16))
	case 3:
		out = append(out, byte(x<<6>>16), byte(x<<6>>8))
	}
	return string(out)
}

func base64Digit(c byte) (int, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return int(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}

// utf8toUnicode writes what is not ASCII as %uXXXX.
func utf8toUnicode(s string) string {
	out := make([]byte, 0, len(s)+16)
	for _, c := range s {
		if c < utf8.RuneSelf {
			out = append(out, byte(c))
			continue
		}
		out = append(out, "%u"...)
		if c < 0x1000 {
			out = append(out, '0')
		}
		if c < 0x100 {
			out = append(out, '0')
		}
		out = strconv.AppendUint(out, uint64(c), 16)
	}
	return string(out)
}
