package pattern

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// matcher is one thing that may stand in a leaf. match gets a string, json.Number, bool, nil or map.
type matcher interface{ match(v any) bool }

// operators are the names that begin a matcher.
var operators = map[string]bool{"prefix": true, "suffix": true, "equals-ignore-case": true, "wildcard": true, "anything-but": true,
	"numeric": true, "cidr": true, "exists": true}

// leafOf compiles what may stand in a leaf.
func leafOf(list []any, at string) ([]matcher, error) {
	if len(list) == 0 {
		return nil, bad(at, "an empty list matches nothing")
	}
	var all []matcher
	for i, v := range list {
		m, err := matcherOf(v, fmt.Sprintf("%s/%d", at, i))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func matcherOf(v any, at string) (matcher, error) {
	switch x := v.(type) {
	case []any:
		return nil, bad(at, "a list in a list")
	case *members:
		if len(x.names) != 1 {
			return nil, bad(at, "a matcher has one operator")
		}
		return operatorOf(x.names[0], x.values[0], at+"/"+x.names[0])
	}
	return exact{v}, nil
}

func operatorOf(name string, v any, at string) (matcher, error) {
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return textOf(name, v, at, true)
	case "anything-but":
		return butOf(v, at)
	case "numeric":
		return numericOf(v, at)
	case "cidr":
		s, ok := v.(string)
		if !ok {
			return nil, bad(at, "a network is text")
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, bad(at, "%q is no network: 10.0.0.0/24", s)
		}
		return cidr{p.Masked()}, nil
	case "exists":
		b, ok := v.(bool)
		if !ok {
			return nil, bad(at, "exists is true or false")
		}
		return exists(b), nil
	}
	return nil, bad(at, "there is no operator %q", name)
}

// exact is a value as it stands. Numbers are compared as they are written, as EventBridge does: 300 is not 300.0.
type exact struct{ want any }

func (e exact) match(v any) bool {
	switch v.(type) {
	case string, json.Number, bool, nil:
		return v == e.want
	}
	return false
}

type exists bool

func (exists) match(any) bool { return false } // matches looks at it itself

type cidr struct{ prefix netip.Prefix }

func (c cidr) match(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && c.prefix.Contains(a)
}

// text compares text in one of the ways that there are.
type text func(s string) bool

func (t text) match(v any) bool {
	s, ok := v.(string)
	return ok && t(s)
}

// textOf makes a text matcher. prefix and suffix take {"equals-ignore-case": "x"} as well, where fold is set.
func textOf(name string, v any, at string, fold bool) (matcher, error) {
	if m, ok := v.(*members); ok && fold && (name == "prefix" || name == "suffix") {
		if len(m.names) != 1 || m.names[0] != "equals-ignore-case" {
			return nil, bad(at, "only equals-ignore-case stands in a %s", name)
		}
		s, ok := m.values[0].(string)
		if !ok || s == "" {
			return nil, bad(at, "text is wanted")
		}
		n := len(s)
		if name == "prefix" {
			return text(func(x string) bool { return len(x) >= n && strings.EqualFold(x[:n], s) }), nil
		}
		return text(func(x string) bool { return len(x) >= n && strings.EqualFold(x[len(x)-n:], s) }), nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, bad(at, "text is wanted")
	}
	switch name {
	case "prefix":
		return text(func(x string) bool { return strings.HasPrefix(x, s) }), nil
	case "suffix":
		return text(func(x string) bool { return strings.HasSuffix(x, s) }), nil
	case "equals-ignore-case":
		return text(func(x string) bool { return strings.EqualFold(x, s) }), nil
	}
	parts, err := wildcardOf(s, at)
	if err != nil {
		return nil, err
	}
	return text(func(x string) bool { return glob(parts, x) }), nil
}

// wildcardOf cuts a wildcard at its stars; \* and \\ are the characters themselves.
func wildcardOf(s, at string) (parts []string, err error) {
	var b strings.Builder
	star := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i == len(s) || s[i] != '*' && s[i] != '\\' {
				return nil, bad(at, `a backslash stands before * or \`)
			}
			b.WriteByte(s[i])
			star = false
		case s[i] == '*':
			if star {
				return nil, bad(at, "two stars stand behind one another")
			}
			star = true
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
			star = false
		}
	}
	return append(parts, b.String()), nil
}

// glob matches parts with anything between them. It takes the first place of each part, which is enough, so that it takes
// linear time for each star.
func glob(parts []string, s string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	s, ok := strings.CutPrefix(s, parts[0])
	last := parts[len(parts)-1]
	if !ok || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[:len(s)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// but is anything of the same sort of value that none of list matches.
type but struct {
	list []matcher
	text bool // only text is looked at
}

func (b but) match(v any) bool {
	switch v.(type) {
	case string:
	case json.Number, bool, nil:
		if b.text {
			return false
		}
	default:
		return false
	}
	for _, m := range b.list {
		if m.match(v) {
			return false
		}
	}
	return true
}

func butOf(v any, at string) (matcher, error) {
	m, ok := v.(*members)
	if !ok {
		list, err := plain(v, at)
		if err != nil {
			return nil, err
		}
		var b but
		for _, x := range list {
			b.list = append(b.list, exact{x})
		}
		return b, nil
	}
	if len(m.names) != 1 {
		return nil, bad(at, "anything-but has one operator")
	}
	name := m.names[0]
	switch name {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
	default:
		return nil, bad(at, "anything-but does not take %q", name)
	}
	values, many := m.values[0].([]any)
	if !many {
		values = []any{m.values[0]}
	}
	if len(values) == 0 {
		return nil, bad(at, "an empty list matches nothing")
	}
	b := but{text: true}
	for _, x := range values {
		if s, ok := x.(string); ok && s == "" {
			return nil, bad(at, "empty text says nothing")
		}
		t, err := textOf(name, x, at, false)
		if err != nil {
			return nil, err
		}
		b.list = append(b.list, t)
	}
	return b, nil
}

// plain is a value, or a list of values of one sort: text or numbers.
func plain(v any, at string) ([]any, error) {
	list, many := v.([]any)
	if !many {
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, bad(at, "an empty list matches nothing")
	}
	sort := ""
	for _, x := range list {
		s := fmt.Sprintf("%T", x)
		switch x.(type) {
		case string, json.Number:
		case bool, nil:
			if many {
				return nil, bad(at, "a list of anything-but holds text or numbers")
			}
		default:
			return nil, bad(at, "anything-but takes values")
		}
		if sort != "" && s != sort {
			return nil, bad(at, "a list of anything-but holds text, or numbers, not both")
		}
		sort = s
	}
	return list, nil
}

// numeric is a range.
type numeric []bound

type bound struct {
	op string
	n  float64
}

// maxNumber is how far numbers may be from zero, as of EventBridge.
const maxNumber = 5e9

func numericOf(v any, at string) (matcher, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, bad(at, `write it as [">", 0] or [">", 0, "<=", 5]`)
	}
	var all numeric
	for i := 0; i < len(list); i += 2 {
		op, _ := list[i].(string)
		n, isNumber := list[i+1].(json.Number)
		f, err := n.Float64()
		switch {
		case op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=":
			return nil, bad(at, "%q compares nothing: = < <= > >=", op)
		case !isNumber || err != nil || math.Abs(f) > maxNumber:
			return nil, bad(at, "a number between -5e9 and 5e9 is wanted")
		}
		all = append(all, bound{op, f})
	}
	if len(all) == 2 {
		low, high := all[0], all[1]
		if low.op[0] != '>' || high.op[0] != '<' {
			return nil, bad(at, `a range goes from below to above: [">", 0, "<=", 5]`)
		}
		if low.n >= high.n {
			return nil, bad(at, "the range is empty")
		}
	}
	return all, nil
}

func (n numeric) match(v any) bool {
	x, ok := v.(json.Number)
	if !ok {
		return false
	}
	f, err := x.Float64()
	if err != nil || math.Abs(f) > maxNumber {
		return false
	}
	for _, b := range n {
		switch {
		case b.op == "=" && f != b.n, b.op == "<" && f >= b.n, b.op == "<=" && f > b.n, b.op == ">" && f <= b.n, b.op == ">=" && f < b.n:
			return false
		}
	}
	return true
}
