package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"casemate"
	"casemate/shield"
)

// decoder fills the manifest types from a node tree, strictly: a key that no type has, a value of another type and a
// number out of bounds are problems, and reading goes on to find the next one.
type decoder struct {
	found *Problems
	marks map[string]Mark
}

// textual is a scalar with a notation of its own.
type textual interface {
	parse(text string) error
}

// nodal is a value that reads its own node.
type nodal interface {
	decode(d *decoder, n *yaml.Node, ptr string)
}

// Escape makes one token of a JSON pointer (RFC 6901).
func Escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func mark(n *yaml.Node) Mark { return Mark{max(n.Line, 1), max(n.Column, 1)} }

// kind is how a person calls the type of a node.
func kind(n *yaml.Node) string {
	words := map[string]string{"!!map": "a mapping", "!!seq": "a list", "!!str": "a text", "!!int": "a number",
		"!!float": "a number", "!!bool": "a boolean", "!!null": "nothing", "!!timestamp": "a date"}
	return words[n.ShortTag()]
}

func (d *decoder) wrong(n *yaml.Node, ptr, want, hint string) {
	d.found.Add(mark(n), ptr, hint, "%s is wanted here, this is %s", want, kind(n))
}

// value decodes n into v, whose tags come from the field that holds it.
func (d *decoder) value(n *yaml.Node, v reflect.Value, tag reflect.StructTag, ptr string) {
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		v.Set(p)
		v = p.Elem()
	}
	if x, ok := v.Addr().Interface().(nodal); ok {
		x.decode(d, n, ptr)
		return
	}
	if x, ok := v.Addr().Interface().(textual); ok {
		d.text(n, x, v, tag, ptr)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.fields(n, v, ptr)
	case reflect.Map:
		d.entries(n, v, tag, ptr)
	case reflect.Slice:
		d.items(n, v, tag, ptr)
	case reflect.Int:
		d.count(n, v, tag, ptr)
	default:
		d.word(n, v, tag, ptr)
	}
}

// pairs calls f for each entry of a mapping; anything else is a problem.
func (d *decoder) pairs(n *yaml.Node, ptr string, f func(key, val *yaml.Node, ptr string)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, ptr, "a mapping", "")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at := ptr + "/" + Escape(n.Content[i].Value)
		d.marks[at] = mark(n.Content[i])
		f(n.Content[i], n.Content[i+1], at)
	}
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, ptr string) {
	t := v.Type()
	seen := map[string]bool{}
	d.pairs(n, ptr, func(key, val *yaml.Node, at string) {
		seen[key.Value] = true
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("key") == key.Value && f.IsExported() {
				d.value(val, v.Field(i), f.Tag, at)
				return
			}
		}
		d.found.Add(mark(key), at, meant(key.Value, keysOf(t)), "there is no key %q here", key.Value)
	})
	for i := range t.NumField() {
		f := t.Field(i)
		if _, need := f.Tag.Lookup("need"); need && !seen[f.Tag.Get("key")] && n.Kind == yaml.MappingNode {
			d.found.Add(mark(n), ptr, f.Tag.Get("doc"), "the key %q is missing", f.Tag.Get("key"))
		}
	}
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("key"); k != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

func (d *decoder) entries(n *yaml.Node, v reflect.Value, tag reflect.StructTag, ptr string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, ptr, func(key, val *yaml.Node, at string) {
		if like := tag.Get("like"); like != "" && !matches(like, key.Value) {
			d.found.Add(mark(key), at, "", "%q is no name here: it must match %s", key.Value, like)
		}
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(val, e, "", at)
		v.SetMapIndex(reflect.ValueOf(key.Value), e)
	})
}

func (d *decoder) items(n *yaml.Node, v reflect.Value, tag reflect.StructTag, ptr string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, ptr, "a list", "put it in [ ]")
		return
	}
	if len(n.Content) == 0 {
		d.found.Add(mark(n), ptr, "leave the key out", "an empty list says nothing")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		at := ptr + "/" + strconv.Itoa(i)
		d.marks[at] = mark(c)
		d.value(c, v.Index(i), tag, at)
	}
}

func (d *decoder) count(n *yaml.Node, v reflect.Value, tag reflect.StructTag, ptr string) {
	if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" {
		d.wrong(n, ptr, "a whole number", "")
		return
	}
	i, err := strconv.Atoi(n.Value)
	low, _ := strconv.Atoi(tag.Get("min"))
	high, _ := strconv.Atoi(tag.Get("max"))
	if err != nil || i < low || i > high {
		d.found.Add(mark(n), ptr, "", "must be a whole number from %d to %d", low, high)
		return
	}
	v.SetInt(int64(i))
}

func (d *decoder) text(n *yaml.Node, x textual, v reflect.Value, tag reflect.StructTag, ptr string) {
	if n.ShortTag() != "!!str" {
		d.wrong(n, ptr, "a text with a unit", tag.Get("doc"))
		return
	}
	if err := x.parse(n.Value); err != nil {
		d.found.Add(mark(n), ptr, casemate.AsError(err).Hint, "%s", err)
		return
	}
	for _, side := range [...]string{"min", "max"} {
		bound := reflect.New(v.Type())
		b, ok := bound.Interface().(textual)
		if limit := tag.Get(side); !ok || limit == "" || b.parse(limit) != nil {
			continue
		}
		if over := v.Int() > bound.Elem().Int(); v.Int() != bound.Elem().Int() && over == (side == "max") {
			d.found.Add(mark(n), ptr, "", "must be from %s to %s", tag.Get("min"), tag.Get("max"))
			return
		}
	}
}

func (d *decoder) word(n *yaml.Node, v reflect.Value, tag reflect.StructTag, ptr string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
			hint = "put it in quotes: " + strconv.Quote(n.Value)
		}
		d.wrong(n, ptr, "a text", hint)
		return
	}
	switch one, like := strings.Fields(tag.Get("one")), tag.Get("like"); {
	case strings.ContainsRune(n.Value, 0):
		d.found.Add(mark(n), ptr, "", "a text must not hold a NUL character")
	case len(one) > 0 && !slices.Contains(one, n.Value):
		d.found.Add(mark(n), ptr, meant(n.Value, one), "%q is none of %s", n.Value, strings.Join(one, ", "))
	case like != "" && !matches(like, n.Value):
		v.SetString(n.Value) // what stands here is wrong, but it is not missing
		d.found.Add(mark(n), ptr, tag.Get("doc"), "%q must match %s", n.Value, like)
	case n.Value == "":
		d.found.Add(mark(n), ptr, "leave the key out", "an empty text says nothing")
	default:
		v.SetString(n.Value)
	}
}

func matches(like, s string) bool {
	re, err := regexp.Compile(like)
	return err == nil && re.MatchString(s)
}

// decode keeps a statement as JSON; its meaning is the policy room's.
func (s *Statement) decode(d *decoder, n *yaml.Node, ptr string) {
	s.Mark = mark(n)
	if n.Kind != yaml.MappingNode {
		d.wrong(n, ptr, "an IAM statement", `{Effect: Allow, Action: "lambda:InvokeFunction", Resource: "arn:..."}`)
		return
	}
	v, err := shield.Plain(n)
	if err == nil {
		s.JSON, err = json.Marshal(v)
	}
	if err != nil {
		d.found.Add(s.Mark, ptr, "", "reading the statement: %s", err)
	}
}

// decode reads [key, jwt] or {none: {reason, expires}}.
func (a *RouteAuth) decode(d *decoder, n *yaml.Node, ptr string) {
	const hint = "auth: [key, jwt], or auth: {none: {reason: \"why everybody may\", expires: 2027-01-31}}"
	switch n.Kind {
	case yaml.SequenceNode:
		d.items(n, reflect.ValueOf(&a.Kinds).Elem(), credentials, ptr)
	case yaml.MappingNode:
		var open struct {
			None struct {
				Reason  string `key:"reason" need:"" doc:"why anybody may call this"`
				Expires Date   `key:"expires" need:"" doc:"day on which the route closes, at most a year ahead: 2027-01-31"`
			} `key:"none" need:"" doc:"an open route needs {none: {reason, expires}}"`
		}
		before := len(d.found.List)
		d.value(n, reflect.ValueOf(&open).Elem(), "", ptr)
		if len(d.found.List) == before && !d.found.full() {
			a.None = &casemate.Exception{Reason: open.None.Reason, Expires: open.None.Expires.Time}
		}
	default:
		if n.Value == "none" {
			d.found.Add(mark(n), ptr, hint, "an open route needs a reason and an end")
			return
		}
		d.wrong(n, ptr, "a list of credentials", hint)
	}
}

// decode takes a YAML date or a text: 2027-01-31 or RFC 3339 with a time.
func (t *Date) decode(d *decoder, n *yaml.Node, ptr string) {
	if err := t.parse(n.Value); err != nil || n.Kind != yaml.ScalarNode {
		d.found.Add(mark(n), ptr, "write it as 2027-01-31", "%s", fmt.Sprintf("%q is no date", n.Value))
	}
}
