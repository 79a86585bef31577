package schema

import (
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"casemate"
	"casemate/shield/text"
)

// gatherer finds the texts that schemas leave free in a value that they took. It decides as a node does, and knows the
// choices as well: what a value has taken holds for it.
type gatherer struct {
	in, name string
	plain    bool // the place has a name of its own, and no pointer below
	free     []casemate.Field
	at       []string
	left     int  // parts of values that may still be held to choices; without, what is below is free
	over     bool // more is free than is told one by one
}

// maxFree bounds how many values are told one by one. Of a text with more all of it is free.
const maxFree = 10_000

// affords reports whether v may be held to another choice, and takes what that costs.
func (g *gatherer) affords(v any) bool {
	g.left -= 8
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if g.left <= 0 || !g.affords(x) {
				return false
			}
		}
	case map[string]any:
		for _, x := range v {
			if g.left <= 0 || !g.affords(x) {
				return false
			}
		}
	}
	return g.left > 0
}

// together adds s, and what else holds for v in place with it, to all.
func (g *gatherer) together(all []*jsonschema.Schema, s *jsonschema.Schema, v any) []*jsonschema.Schema {
	if s == nil || slices.Contains(all, s) {
		return all
	}
	all = g.together(append(all, s), s.Ref, v)
	for _, sub := range s.AllOf {
		all = g.together(all, sub, v)
	}
	for _, list := range [...][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
		for _, sub := range list {
			if g.affords(v) && sub.Validate(v) == nil {
				all = g.together(all, sub, v)
			}
		}
	}
	if s.If != nil && g.affords(v) {
		if s.If.Validate(v) == nil {
			all = g.together(all, s.Then, v)
		} else {
			all = g.together(all, s.Else, v)
		}
	}
	if m, ok := v.(map[string]any); ok {
		for name, sub := range s.DependentSchemas {
			if _, there := m[name]; there {
				all = g.together(all, sub, v)
			}
		}
	}
	return all
}

func (g *gatherer) value(list []*jsonschema.Schema, v any) {
	var all []*jsonschema.Schema
	for _, s := range list {
		all = g.together(all, s, v)
	}
	switch v := v.(type) {
	case string:
		if !slices.ContainsFunc(all, closes) {
			g.leave(v)
		}
	case []any:
		for i, x := range v {
			var sub []*jsonschema.Schema
			for _, s := range all {
				if i < len(s.PrefixItems) {
					sub = append(sub, s.PrefixItems[i])
				} else if s.Items2020 != nil {
					sub = append(sub, s.Items2020)
				}
			}
			g.down(strconv.Itoa(i), sub, x)
		}
	case map[string]any:
		for name, x := range v {
			g.member(all, name, x)
		}
	}
}

func (g *gatherer) member(all []*jsonschema.Schema, name string, v any) {
	var sub []*jsonschema.Schema
	named := false
	for _, s := range all {
		p, ok := s.Properties[name]
		named = named || slices.Contains(s.Required, name)
		if ok {
			named, sub = true, append(sub, p)
		}
		for re, p := range s.PatternProperties {
			if re.MatchString(name) {
				ok, sub = true, append(sub, p)
			}
		}
		if more, is := s.AdditionalProperties.(*jsonschema.Schema); is && !ok {
			sub = append(sub, more)
		}
	}
	g.at = append(g.at, name)
	if !named && !g.closedName(all, name) {
		g.leave(name)
	}
	g.at = g.at[:len(g.at)-1]
	g.down(name, sub, v)
}

// closedName reports whether the names that the caller chooses are harmless.
func (g *gatherer) closedName(all []*jsonschema.Schema, name string) bool {
	for _, s := range all {
		for re := range s.PatternProperties {
			if p, ok := re.(*pattern); ok && p.closed && re.MatchString(name) {
				return true
			}
		}
		if s.PropertyNames != nil && slices.ContainsFunc(g.together(nil, s.PropertyNames, name), closes) {
			return true
		}
	}
	return false
}

func (g *gatherer) down(tok string, sub []*jsonschema.Schema, v any) {
	g.at = append(g.at, tok)
	g.value(sub, v)
	g.at = g.at[:len(g.at)-1]
}

func (g *gatherer) leave(value string) {
	if g.over = len(g.free) >= maxFree; g.over {
		return
	}
	name := g.name
	if !g.plain {
		name += text.Pointer(g.at)
	}
	g.free = append(g.free, casemate.Field{In: g.in, Name: name, Value: []byte(value)})
}
