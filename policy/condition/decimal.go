package condition

import (
	"cmp"
	"fmt"
	"strings"
)

// decimal is an exact number: digits only, no leading or trailing zeros. Floating point would hold two different large
// numbers for equal.
type decimal struct {
	negative        bool
	whole, fraction string
}

const maxDigits = 64

// parseDecimal reads [+-]digits[.digits]. Exponents, hexadecimal, infinities and the like are errors.
func parseDecimal(s string) (decimal, error) {
	var d decimal
	digits := s
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		d.negative, digits = s[0] == '-', s[1:]
	}
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || len(digits) > maxDigits || !allDigits(whole) || !allDigits(fraction) {
		return decimal{}, fmt.Errorf("is not a number like 42 or -1.5")
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if d.whole == "" && d.fraction == "" {
		d.negative = false
	}
	return d, nil
}

// allDigits is true of the empty text.
func allDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// compare is -1, 0 or 1. Without leading zeros the longer whole part is the larger, and fractions compare as text.
func (d decimal) compare(o decimal) int {
	if d.negative != o.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(d.whole), len(o.whole)), cmp.Compare(d.whole, o.whole), cmp.Compare(d.fraction, o.fraction))
	if d.negative {
		return -c
	}
	return c
}
