package leak

import "bytes"

// numbers finds card numbers (ISO/IEC 7812: an issuer's range and a true check digit) and IBANs (ISO 13616) in body. before
// is the byte in front of it, 0 when there is none.
func numbers(body []byte, before byte, act Act, f *finder) {
	for i := 0; i < len(body); i++ {
		c := body[i]
		if i > 0 {
			before = body[i-1]
		}
		if isDigit(before) || isLetter(before) || before == '.' || before == '-' {
			continue
		}
		switch {
		case c >= '2' && c <= '6':
			if end := card(body[i:]); end > 0 {
				f.hit("card", i, i+end, act)
				if act == Mask && bare(body, i, i+end) {
					f.edits[len(f.edits)-1].with = `"` + mask + `"`
				}
				i += end - 1
			}
		case c >= 'A' && c <= 'Z':
			if end := iban(body[i:]); end > 0 {
				f.hit("iban", i, i+end, act)
				i += end - 1
			}
		}
	}
}

// bare reports whether a number stands as one in JSON, where a text has to have quotes.
func bare(body []byte, from, to int) bool {
	if !looksJSON(body) && from > 0 {
		return false
	}
	before, after := bytes.TrimRight(body[:from], " \t\r\n"), bytes.TrimLeft(body[to:], " \t\r\n")
	return (len(before) == 0 || bytes.IndexByte([]byte(":,["), before[len(before)-1]) >= 0) && (len(after) == 0 || bytes.IndexByte([]byte(",]}"), after[0]) >= 0) &&
		bytes.Count(body[:from], []byte(`"`))%2 == 0
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// card gives the length of the card number at the start of v: digits in one, or in groups of four (or 4-6-5) by one kind of
// separator.
func card(v []byte) int {
	var digits [19]byte
	n, i, gap := 0, 0, byte(0)
	for ; i < len(v) && n < len(digits); i++ {
		switch c := v[i]; {
		case isDigit(c):
			digits[n] = c - '0'
			n++
			continue
		case (c == ' ' || c == '-') && n >= 4 && (gap == 0 || gap == c) && i+1 < len(v) && isDigit(v[i+1]) && (n%4 == 0 || n == 10):
			gap = c
			continue
		}
		break
	}
	for i > 0 && !isDigit(v[i-1]) {
		i--
	}
	if n < 14 || i < len(v) && (isDigit(v[i]) || isLetter(v[i])) || !issued(digits[:n]) || !luhn(digits[:n]) {
		return 0
	}
	return i
}

// issued reports whether an issuer has numbers that start like this.
func issued(d []byte) bool {
	two, four := int(d[0])*10+int(d[1]), int(d[0])*1000+int(d[1])*100+int(d[2])*10+int(d[3])
	switch n := len(d); {
	case d[0] == 4:
		return n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34, two == 37:
		return n == 15
	case four >= 3528 && four <= 3589, four == 6011, two == 65, two == 62:
		return n == 16
	case two == 36, two == 38, two == 30:
		return n == 14
	}
	return false
}

func luhn(d []byte) bool {
	sum, same := 0, true
	for i := range d {
		n := int(d[len(d)-1-i])
		same = same && d[i] == d[0]
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0 && !same
}

// iban gives the length of the account number at the start of v.
func iban(v []byte) int {
	if len(v) < 15 || v[1] < 'A' || v[1] > 'Z' || !isDigit(v[2]) || !isDigit(v[3]) {
		return 0
	}
	var clean []byte
	i := 0
	for ; i < len(v) && len(clean) < 34; i++ {
		c := v[i]
		if isDigit(c) || c >= 'A' && c <= 'Z' {
			clean = append(clean, c)
			continue
		}
		if c == ' ' && len(clean)%4 == 0 && i+1 < len(v) && (isDigit(v[i+1]) || v[i+1] >= 'A' && v[i+1] <= 'Z') {
			continue
		}
		break
	}
	if len(clean) < 15 || bytes.Count(clean, []byte("0")) == len(clean)-4 {
		return 0
	}
	rest := 0
	for _, c := range append(bytes.Clone(clean[4:]), clean[:4]...) {
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return i
}
