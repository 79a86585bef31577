package condition

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
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
	patterns []Pattern // of the policy's values, for the check that their variables resolve
}

// newTest builds the test of an operator, named without set prefix and IfExists. negated operators hold when none fits.
func newTest(operator string, values []string) (test, bool, error) {
	base, negated := positive(operator)
	var t test
	var err error
	switch base {
	case "StringEquals":
		t, err = textTest(values, false, (*Pattern).Match)
	case "StringEqualsIgnoreCase":
		t, err = textTest(values, false, (*Pattern).matchFold)
	case "StringLike":
		t, err = textTest(values, true, (*Pattern).Match)
	case "ArnEquals", "ArnLike": // AWS gives both the same meaning, wildcards in both
		t, err = arnTest(values)
	case "Bool":
		t, err = typedTest(values, parseBool, parseBool, func(got, want bool) bool { return got == want })
	case "BinaryEquals":
		t, err = typedTest(values, parseBinary, parseBinary, bytes.Equal)
	case "IpAddress":
		t, err = typedTest(values, parseAddress, parsePrefix, func(got netip.Addr, want netip.Prefix) bool { return want.Contains(got) })
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

// parseAll reads the values of a policy, once, when it is compiled.
func parseAll[W any](values []string, parse func(string) (W, error)) ([]W, error) {
	wants := make([]W, len(values))
	for i, v := range values {
		w, err := parse(v)
		if err != nil {
			return nil, fmt.Errorf("value %q %w", v, err)
		}
		wants[i] = w
	}
	return wants, nil
}

// anyOf holds when one pattern fits. Unresolved variables were looked for before (Condition.Holds); one that turns up all
// the same is never taken for an answer.
func anyOf[P any](ps []P, fits func(p *P, e *Env, got string) (ok, resolved bool)) func(*Env, string) Outcome {
	return func(e *Env, got string) Outcome {
		for i := range ps {
			if ok, resolved := fits(&ps[i], e, got); !resolved {
				return Unknown
			} else if ok {
				return Yes
			}
		}
		return No
	}
}

// textTest compares texts; wild says whether * and ? of the policy are wildcards.
func textTest(values []string, wild bool, fits func(*Pattern, *Env, string) (ok, resolved bool)) (test, error) {
	ps, err := parseAll(values, func(v string) (Pattern, error) { return Parse(v, wild) })
	return test{anyOf(ps, fits), ps}, err
}

// matchFold compares whole strings under Unicode case folding, variables put in first.
func (p *Pattern) matchFold(e *Env, s string) (ok, resolved bool) {
	es, resolved := e.resolve(p.elements, inText)
	var b strings.Builder
	for _, el := range es {
		b.WriteString(el.text)
	}
	return strings.EqualFold(b.String(), s), resolved
}

// arnTest compares ARNs part by part.
func arnTest(values []string) (test, error) {
	ps, err := parseAll(values, ParseARN)
	t := test{fits: anyOf(ps, (*ARNPattern).Match)}
	for i := range ps {
		t.patterns = append(append(t.patterns, ps[i].head[:]...), ps[i].tail)
	}
	return t, err
}

// typedTest compares as a type. A value of the request that does not read as that type is Unknown.
func typedTest[G, W any](values []string, got func(string) (G, error), want func(string) (W, error), fits func(G, W) bool) (test, error) {
	wants, err := parseAll(values, want)
	return test{fits: func(_ *Env, text string) Outcome {
		g, err := got(text)
		if err != nil {
			return Unknown
		}
		return truth(slices.ContainsFunc(wants, func(w W) bool { return fits(g, w) }))
	}}, err
}

// orderTest is the two families with an order.
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
		return typedTest(values, parseDecimal, parseDecimal, func(a, b decimal) bool { return holds(a.compare(b)) })
	}
	return typedTest(values, parseDate, parseDate, func(a, b time.Time) bool { return holds(a.Compare(b)) })
}

// relationOf reads the end of the operator's name as a relation on cmp's result.
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

// parseBinary is strict: two spellings of the same bytes would make BinaryEquals depend on padding.
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

// parseAddress reads an address of a request. A front may see an IPv4 caller as ::ffff:192.0.2.1: that is the same caller.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && a.Zone() != "" {
		err = fmt.Errorf("has a zone")
	}
	return a.Unmap(), err
}

// parsePrefix reads a range, or one address as a range of itself. Host bits are masked off, as AWS does.
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
