package screen

import (
	"fmt"
	"strings"
)

// macro is a string with %{VARIABLE.key} in it.
type macro struct {
	constant string
	parts    []part // nil: the constant alone
}

type part struct {
	text string // also what stands for a value that is not there
	v    variable
	key  string
	slot int // of TX
}

// macro reads a string.
func (c *compiler) macro(s string) (macro, error) {
	if !strings.Contains(s, "%{") {
		return macro{constant: s}, nil
	}
	var m macro
	for s != "" {
		before, rest, ok := strings.Cut(s, "%{")
		if before != "" {
			m.parts = append(m.parts, part{text: before})
		}
		if !ok {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return m, fmt.Errorf("a macro is not closed in %q", s)
		}
		collection, key, _ := strings.Cut(name, ".")
		v, err := variableOf(strings.ToUpper(collection))
		if err != nil {
			return m, err
		}
		p := part{text: name, v: v, key: strings.ToLower(key)}
		if v == vTX {
			p.slot = c.slot(p.key)
		}
		m.parts = append(m.parts, p)
		s = after
	}
	return m, nil
}

func (m *macro) expand(x *run) string {
	if m.parts == nil {
		return m.constant
	}
	if len(m.parts) == 1 {
		return m.parts[0].expand(x)
	}
	var b strings.Builder
	for i := range m.parts {
		b.WriteString(m.parts[i].expand(x))
	}
	return b.String()
}

func (p *part) expand(x *run) string {
	switch p.v {
	case vNone:
	case vTX:
		if v := x.tx[p.slot]; v.set {
			return v.s
		}
		for _, v := range x.extra { // under a name made while running
			if v.name == p.key {
				return v.value
			}
		}
	case vMatchedVar:
		return x.matched.value
	case vMatchedVarName:
		return x.matchedName()
	default:
		for i := range x.items[p.v] {
			if it := &x.items[p.v][i]; p.key == "" || it.fold == p.key {
				return it.done[0].s
			}
		}
	}
	return p.text
}
