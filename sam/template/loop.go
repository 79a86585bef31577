package template

import (
	"strings"
)

// expand writes out the Fn::ForEach loops of the template. Without the language extensions a loop is a problem.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-foreach.html
func (r *resolver) expand() {
	t := *r.t
	r.t = &t
	for _, section := range []struct {
		name string
		v    *Value
	}{{"Conditions", &t.conditions}, {"Resources", &t.res}, {"Outputs", &t.output}} {
		for _, m := range section.v.Members {
			if forEach(m.Key) && !t.uses(LanguageExtensions) {
				r.found.Add(m.KeyAt, section.name+"/"+m.Key, "add Transform: "+LanguageExtensions, "loops need the language extensions")
			}
		}
		if t.uses(LanguageExtensions) {
			r.path = append(r.path[:0], section.name)
			*section.v = r.loops(*section.v, nil)
		}
	}
	r.path = r.path[:0]
	if t.uses(LanguageExtensions) && !r.spent {
		s := &shape{t: &t, found: r.found}
		s.dependent()
		r.found = s.found
	}
}

// item is what an identifier of a loop stands for.
type item struct{ name, text string }

// loops writes v out with the items of the loops around it put in.
func (r *resolver) loops(v Value, items []item) Value {
	if r.steps++; r.steps > maxSteps {
		if !r.spent {
			r.spent = true
			r.problem(v.At, "make the lists smaller", "writing out the loops takes more than %d steps", maxSteps)
		}
		return v
	}
	v.Text = r.replaced(v.Text, items, v.At)
	if v.Kind == List {
		list := make([]Value, len(v.List))
		for i, x := range v.List {
			list[i] = r.loops(x, items)
		}
		v.List = list
		return v
	}
	if len(v.Members) == 1 && v.Members[0].Key == "Ref" {
		for _, x := range items {
			if v.Members[0].Value.Text == x.name {
				return Value{Kind: String, Text: x.text, At: v.At}
			}
		}
	}
	var out []Member
	seen := map[string]bool{}
	for _, m := range v.Members {
		written := []Member{{r.replaced(m.Key, items, m.KeyAt), m.KeyAt, m.Value}}
		if forEach(m.Key) {
			written = r.loop(m, items)
		} else {
			written[0].Value = r.loops(m.Value, items)
		}
		for _, w := range written {
			if seen[w.Key] && !r.spent {
				r.problem(w.KeyAt, "put the identifier into the key", "the loop writes the key %q a second time", w.Key)
			}
			seen[w.Key] = true
		}
		out = append(out, written...)
	}
	v.Members = out
	return v
}

// loop writes one loop out: [identifier, collection, {key: value}].
func (r *resolver) loop(m Member, items []item) []Member {
	r.down(m.Key)
	defer r.up(1)
	args, ok := r.args(m.Value, 3, 3)
	if !ok {
		return nil
	}
	name, body := args[0].Text, args[2]
	if args[0].Kind != String || !logicalID.MatchString(name) || body.Kind != Map || len(body.Members) == 0 {
		r.problem(m.KeyAt, "", "a loop is an identifier, a list and a mapping")
		return nil
	}
	r.deciding = true
	list := r.known(r.scalars(r.loops(args[1], items)))
	r.deciding = false
	var out []Member
	for _, x := range list.List {
		if x = r.known(x); x.Secret {
			r.problem(args[1].At, "use a parameter that is no secret", "a loop over a NoEcho parameter would show its value")
			return nil
		}
		inner := append(append([]item(nil), items...), item{name, x.Text})
		out = append(out, r.loops(body, inner).Members...)
	}
	return out
}

// replaced puts the items into a text: ${Name} as it is, &{Name} with letters and digits only.
func (r *resolver) replaced(s string, items []item, at Position) string {
	for _, x := range items {
		if strings.Contains(s, "${"+x.name+"}") || strings.Contains(s, "&{"+x.name+"}") {
			if !r.room(at, len(s)+strings.Count(s, "{"+x.name+"}")*len(x.text)) {
				return ""
			}
			s = strings.ReplaceAll(s, "${"+x.name+"}", x.text)
			s = strings.ReplaceAll(s, "&{"+x.name+"}", strings.Map(alphanumeric, x.text))
		}
	}
	return s
}

// alphanumeric drops what is no letter or digit of ASCII.
func alphanumeric(c rune) rune {
	if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return c
	}
	return -1
}
