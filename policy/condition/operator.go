package condition

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Outcome of a test. Unknown means that it could not be evaluated: an Allow needs yes, a Deny applies unless no.
type Outcome uint8

// The outcomes. The zero value is No.
const (
	No Outcome = iota
	Yes
	Unknown
)

func truth(b bool) Outcome {
	if b {
		return Yes
	}
	return No
}

func (o Outcome) not() Outcome {
	switch o {
	case No:
		return Yes
	case Yes:
		return No
	}
	return Unknown
}

// test says whether one value of the request fits any value of the policy; negation is applied by the condition.
type test struct {
	fits     func(e *Env, got string) Outcome
	patterns []Pattern // those with variables, for the check that all of them resolve
}

// newTest builds the test of an operator, named without set prefix and IfExists. negated operators hold when none fits.
func newTest(operator string, values []string) (test, bool, error) {
	base, negated := positive(operator)
	var t test
	var err error
	switch base {
	case "StringEquals":
		t, err = textTest(values, false)
	case "StringEqualsIgnoreCase":
		t, err = foldTest(values)
	case "StringLike":
		t, err = textTest(values, true)
	case "ArnEquals", "ArnLike":
		t, err = arnTest(values)
	case "Bool":
		t, err = typedTest(values, parseBool, func(a, b bool) bool { return a == b })
	case "BinaryEquals":
		t, err = typedTest(values, parseBinary, bytes.Equal)
	case "IpAddress":
		t, err = addressTest(values)
	default:
		t, err = orderTest(base, values)
	}
	if err == errOperator {
		err = fmt.Errorf("%q is no condition operator", operator)
	}
	return t, negated, err
}

var errOperator = fmt.Errorf("no such operator")

// positive gives the operator that a negated one is the opposite of.
func positive(operator string) (base string, negated bool) {
	switch operator {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike",
		"NumericNotEquals", "DateNotEquals", "NotIpAddress":
		return strings.Replace(operator, "Not", "", 1), true
	}
	return operator, false
}

func textTest(values []string, wild bool) (test, error) {
	var t test
	ps := make([]Pattern, len(values))
	for i, v := range values {
		p, err := Parse(v, wild)
		if err != nil {
			return test{}, fmt.Errorf("value %q %w", v, err)
		}
		ps[i] = p
		if p.dynamic {
			t.patterns = append(t.patterns, p)
		}
	}
	t.fits = func(e *Env, got string) Outcome {
		for i := range ps {
			if ok, resolved := ps[i].Match(e, got); !resolved {
				return Unknown
			} else if ok {
				return Yes
			}
		}
		return No
	}
	return t, nil
}

// foldTest compares whole strings under Unicode case folding, variables put in first.
func foldTest(values []string) (test, error) {
	t, err := textTest(values, false)
	if err != nil {
		return test{}, err
	}
	ps := make([]Pattern, len(values))
	for i, v := range values {
		ps[i], _ = Parse(v, false) // textTest has read it
	}
	t.fits = func(e *Env, got string) Outcome {
		for i := range ps {
			want, resolved := e.text(ps[i])
			if !resolved {
				return Unknown
			}
			if strings.EqualFold(want, got) {
				return Yes
			}
		}
		return No
	}
	return t, nil
}

// text is the value of a pattern without wildcards.
func (e *Env) text(p Pattern) (string, bool) {
	if p.plain {
		return p.text, true
	}
	es, resolved := e.resolve(p.elements)
	var b strings.Builder
	for _, el := range es {
		b.WriteString(el.text)
	}
	return b.String(), resolved
}

// arnTest compares part by part, wildcards in both operators: AWS gives ArnEquals and ArnLike the same meaning.
func arnTest(values []string) (test, error) {
	var t test
	ps := make([]ARNPattern, len(values))
	for i, v := range values {
		p, err := ParseARN(v)
		if err != nil {
			return test{}, fmt.Errorf("value %q %w", v, err)
		}
		ps[i] = p
		t.patterns = append(t.patterns, dynamicParts(p)...)
	}
	t.fits = func(e *Env, got string) Outcome {
		for i := range ps {
			if ok, resolved := ps[i].Match(e, got); !resolved {
				return Unknown
			} else if ok {
				return Yes
			}
		}
		return No
	}
	return t, nil
}

func dynamicParts(a ARNPattern) []Pattern {
	var ps []Pattern
	for _, p := range append(a.head[:], a.tail) {
		if p.dynamic {
			ps = append(ps, p)
		}
	}
	return ps
}

// typedTest reads the policy's values once; a value of the request that does not read as the type is unknown.
func typedTest[T any](values []string, parse func(string) (T, error), fits func(got, want T) bool) (test, error) {
	wants := make([]T, len(values))
	for i, v := range values {
		w, err := parse(v)
		if err != nil {
			return test{}, fmt.Errorf("value %q %w", v, err)
		}
		wants[i] = w
	}
	return test{fits: func(_ *Env, got string) Outcome {
		g, err := parse(got)
		if err != nil {
			return Unknown
		}
		for _, w := range wants {
			if fits(g, w) {
				return Yes
			}
		}
		return No
	}}, nil
}

func orderTest(operator string, values []string) (test, error) {
	relation, numeric := strings.CutPrefix(operator, "Numeric")
	if !numeric {
		var date bool
		if relation, date = strings.CutPrefix(operator, "Date"); !date {
			return test{}, errOperator
		}
	}
	holds, ok := relationOf(relation)
	if !ok {
		return test{}, errOperator
	}
	if numeric {
		return typedTest(values, parseDecimal, func(a, b decimal) bool { return holds(a.compare(b)) })
	}
	return typedTest(values, parseDate, func(a, b time.Time) bool { return holds(a.Compare(b)) })
}

func relationOf(name string) (func(int) bool, bool) {
	switch name {
	case "Equals":
		return func(c int) bool { return c == 0 }, true
	case "LessThan":
		return func(c int) bool { return c < 0 }, true
	case "LessThanEquals":
		return func(c int) bool { return c <= 0 }, true
	case "GreaterThan":
		return func(c int) bool { return c > 0 }, true
	case "GreaterThanEquals":
		return func(c int) bool { return c >= 0 }, true
	}
	return nil, false
}

func parseBool(s string) (bool, error) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, nil
	case strings.EqualFold(s, "false"):
		return false, nil
	}
	return false, fmt.Errorf("is neither true nor false")
}

func parseBinary(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("is not base64")
	}
	return b, nil
}

// parseDate reads the W3C forms of ISO 8601 that AWS takes, and seconds since 1970
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
func parseDate(s string) (time.Time, error) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if d, err := parseDecimal(s); err == nil && d.fraction == "" && len(d.whole) <= 12 {
		var n int64
		for _, c := range d.whole {
			n = n*10 + int64(c-'0')
		}
		if d.negative {
			n = -n
		}
		return time.Unix(n, 0), nil
	}
	return time.Time{}, fmt.Errorf("is neither a date like 2030-01-31T12:00:00Z nor seconds since 1970")
}

func addressTest(values []string) (test, error) {
	wants := make([]netip.Prefix, len(values))
	for i, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return test{}, fmt.Errorf("value %q %w", v, err)
		}
		wants[i] = p
	}
	return test{fits: func(_ *Env, got string) Outcome {
		a, err := netip.ParseAddr(got)
		if err != nil || a.Zone() != "" {
			return Unknown
		}
		for _, w := range wants {
			if w.Contains(a.Unmap()) {
				return Yes
			}
		}
		return No
	}}, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, aerr := netip.ParseAddr(s)
		if aerr != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("is neither an address nor a range like 203.0.113.0/24")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("writes an IPv4 address as IPv6: write it as IPv4")
	}
	return p.Masked(), nil
}
