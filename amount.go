package casemate

import (
	"math"
	"strconv"
	"strings"
)

// Unit is one whole unit of the currency.
const Unit Money = 1_000_000_000

// ParseMoney reads a decimal amount, "5", "0.25", to a billionth and no finer: without a sign, an exponent or separators, so
// that no amount is negative, not a number or another one than it looks like.
func ParseMoney(s string) (Money, error) {
	whole, part, dot := strings.Cut(s, ".")
	bad := func(why string) (Money, error) {
		return 0, Errorf(Invalid, `write it as "5" or "0.25"`, "%.40q is no amount of money: %s", s, why)
	}
	if !decimal(whole) || dot && !decimal(part) {
		return bad("digits are wanted, and at most one point between them")
	}
	if part = strings.TrimRight(part, "0"); len(part) > 9 {
		return bad("a billionth is the least there is")
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", 9-len(part)), 10, 64)
	if err != nil {
		return bad("it is larger than any there is")
	}
	return Money(n), nil
}

func decimal(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// String is the decimal form that ParseMoney reads, with at least two decimals.
func (m Money) String() string {
	n, sign := uint64(m), ""
	if m < 0 {
		n, sign = -n, "-"
	}
	frac := strconv.FormatUint(uint64(Unit)+n%uint64(Unit), 10)[1:]
	for len(frac) > 2 && frac[len(frac)-1] == '0' {
		frac = frac[:len(frac)-1]
	}
	return sign + strconv.FormatUint(n/uint64(Unit), 10) + "." + frac
}

// Plus is the sum; ok is false where it cannot be held.
func (m Money) Plus(o Money) (sum Money, ok bool) {
	if o > 0 && m > math.MaxInt64-o || o < 0 && m < math.MinInt64-o {
		return 0, false
	}
	return m + o, true
}

// Float is the amount in whole units, for tables and nothing that is reckoned with.
func (m Money) Float() float64 { return float64(m) / float64(Unit) }
