package template

import (
	"regexp"
	"strings"
)

// part is a piece of the text of Fn::Sub: literal text, or a name to be replaced.
type part struct{ literal, name string }

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// subParts takes the text of Fn::Sub apart; ${!X} is the literal ${X}. The message is "" when the text is right.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-sub.html
func subParts(s string) (parts []part, message string) {
	for {
		from := strings.Index(s, "${")
		if from < 0 {
			return append(parts, part{literal: s}), ""
		}
		end := strings.IndexByte(s[from:], '}')
		if end < 0 {
			return nil, "a ${ is never closed"
		}
		name := s[from+2 : from+end]
		parts = append(parts, part{literal: s[:from]})
		if rest, ok := strings.CutPrefix(name, "!"); ok {
			parts = append(parts, part{literal: "${" + rest + "}"})
		} else if subName.MatchString(name) {
			parts = append(parts, part{name: name})
		} else {
			return nil, "a name in ${} has letters, digits, underscores, periods and colons only"
		}
		s = s[from+end+1:]
	}
}

// subArgs gives the text and the variables of Fn::Sub's two forms.
func subArgs(arg Value) (text, vars Value, ok bool) {
	if arg.Kind == List && len(arg.List) == 2 {
		text, vars = arg.List[0], arg.List[1]
		return text, vars, text.Kind == String && vars.Kind == Map
	}
	return arg, Value{}, arg.Kind == String
}

func (r *resolver) sub(arg Value) Value {
	text, vars, ok := subArgs(arg)
	if !ok {
		return r.fail(arg.At, "", "Fn::Sub takes a text, or a list of a text and a mapping")
	}
	parts, message := subParts(text.Text)
	if message != "" {
		return r.fail(text.At, "write ${!name} for a literal ${name}", "%s", message)
	}
	given := map[string]Value{}
	for _, m := range vars.Members {
		r.down(m.Key)
		given[m.Key] = r.scalar(m.Value)
		r.up(1)
	}
	var of []Value
	size := 0
	for i, p := range parts {
		if p.name != "" {
			v, ok := given[p.name]
			if !ok {
				v = r.variable(p.name, text.At)
			}
			of = append(of, v)
			parts[i].literal = v.Text
		}
		size += len(parts[i].literal)
	}
	if !r.room(text.At, size) {
		return Value{At: arg.At, Unknown: invalid}
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range parts {
		b.WriteString(p.literal)
	}
	return made(arg.At, b.String(), of...)
}

// variable gives the value of a name in the text of Fn::Sub that no variable of its own explains: Ref, or Fn::GetAtt
// where there is a period.
func (r *resolver) variable(name string, at Position) Value {
	if r.steps++; r.steps > maxSteps {
		return Value{At: at, Unknown: invalid}
	}
	id, attr, dotted := strings.Cut(name, ".")
	if _, _, sam := r.samName(name); dotted && !sam {
		return r.attributeOf(id, attr, at)
	}
	v := r.named(name, at)
	if !v.Scalar() && v.Unknown == "" {
		return r.fail(at, "use Fn::Join", "%s is %s and cannot stand in a text", name, v.Kind)
	}
	return v
}
