package template

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxParameter is the longest value of a parameter, in bytes.
const maxParameter = 4096

// Declared gives the parameters of the template with their defaults, in order: what a person may be asked for.
func (t *Template) Declared() []Parameter {
	var out []Parameter
	for _, m := range t.parameters.Members {
		p := Parameter{Name: m.Key, At: m.KeyAt}
		typ, _ := m.Value.Get("Type")
		about, _ := m.Value.Get("Description")
		secret, _ := m.Value.Get("NoEcho")
		p.Type, p.Description, p.NoEcho = typ.Text, about.Text, secret.Text == "true"
		p.Value, p.Default = m.Value.Get("Default")
		p.Value.Secret = p.NoEcho
		out = append(out, p)
	}
	return out
}

func parameterKeys() []string {
	return strings.Fields("Type Default Description AllowedValues AllowedPattern ConstraintDescription NoEcho MinLength " +
		"MaxLength MinValue MaxValue")
}

// parameters gives every parameter its value and checks it. No message shows the value of a NoEcho parameter.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func (r *resolver) parameters() []Parameter {
	r.params = map[string]Value{}
	declared := r.t.Declared()
	var names []string
	for i, m := range r.t.parameters.Members {
		r.path = append(r.path[:0], "Parameters", m.Key)
		p := &declared[i]
		names = append(names, p.Name)
		r.declaration(m)
		p.Value = r.given(p, m.Value)
		p.Value.At = m.KeyAt
		r.params[p.Name] = p.Value
	}
	r.path = append(r.path[:0], "Parameters")
	for _, name := range sortedKeys(r.in.Parameters) {
		if !slices.Contains(names, name) {
			r.problem(Position{r.t.file, 1, 1}, Nearest(name, names), "the template declares no parameter %s", strconv.Quote(name))
		}
	}
	r.path = r.path[:0]
	return declared
}

// declaration checks how a parameter is declared.
func (r *resolver) declaration(m Member) {
	if !logicalID.MatchString(m.Key) {
		r.problem(m.KeyAt, "use letters and digits", "this is no name of a parameter")
	}
	for _, k := range m.Value.Members {
		list := k.Key == "AllowedValues"
		switch {
		case !slices.Contains(parameterKeys(), k.Key):
			r.problem(k.KeyAt, Nearest(k.Key, parameterKeys()), "%s is no key of a parameter", k.Key)
		case list && k.Value.Kind != List, !list && !k.Value.Scalar():
			r.problem(k.Value.At, "", "%s cannot be %s", k.Key, k.Value.Kind)
		case k.Key == "NoEcho" && k.Value.Text != "true" && k.Value.Text != "false":
			r.problem(k.Value.At, "", "true or false is wanted here")
		}
	}
}

// given gives the value of a parameter: what the inputs say, or its default.
func (r *resolver) given(p *Parameter, v Value) Value {
	text, ok := r.in.Parameters[p.Name]
	if !ok && slices.Contains(r.in.Kept, p.Name) {
		return Value{Kind: String, Text: "${" + p.Name + "}", Unknown: "the parameter " + p.Name, Secret: true}
	}
	if p.Default = !ok; ok {
		p.Value = Value{Text: text}
	} else if !p.Value.Scalar() {
		return r.fail(p.At, "give it a value: --parameter-overrides "+p.Name+"=...", "the parameter %s has no value and no default", p.Name)
	}
	text = p.Value.Text
	if len(text) > maxParameter {
		return r.fail(p.At, "", "the value of %s is longer than %d bytes", p.Name, maxParameter)
	}
	typ := p.Type
	if of, ok := strings.CutPrefix(typ, "AWS::SSM::Parameter::Value<"); ok && strings.HasSuffix(of, ">") {
		if typ = of[:len(of)-1]; r.in.Stored == nil && !r.read(p.Name) {
			return Value{Kind: String, Text: p.Name, Unknown: "the stored parameter " + p.Name}
		}
		if r.in.Stored == nil {
			return r.fail(p.At, "use the type String and give the value", "the type %s needs a parameter store, and there is none here", p.Type)
		}
		if text, ok = r.in.Stored(text); !ok {
			return r.fail(p.At, "store it first", "the parameter store has no value for %s", p.Name)
		}
	}
	out, ok := r.typed(p, typ, text)
	if ok {
		r.constrained(p, v, out)
	}
	return out
}

// read reports whether anything but a rule refers to a parameter.
func (r *resolver) read(name string) bool {
	for _, v := range []Value{r.t.conditions, r.t.globals, r.t.res, r.t.output} {
		if v.names(name) {
			return true
		}
	}
	return false
}

// names reports whether something in v refers to name, by Ref or in a text of Fn::Sub.
func (v Value) names(name string) bool {
	for _, m := range v.Members {
		if m.Key == "Ref" && m.Value.Text == name || m.Value.names(name) {
			return true
		}
	}
	return strings.Contains(v.Text, "${"+name+"}") || slices.ContainsFunc(v.List, func(x Value) bool { return x.names(name) })
}

// typed reads the text of a parameter by its type.
func (r *resolver) typed(p *Parameter, typ, text string) (Value, bool) {
	of, list := typ, typ == "CommaDelimitedList"
	if inner, ok := strings.CutPrefix(typ, "List<"); ok && strings.HasSuffix(inner, ">") {
		of, list = inner[:len(inner)-1], true
	}
	switch {
	case of == "String", of == "Number", typ == "CommaDelimitedList":
	case of == "AWS::SSM::Parameter::Name":
	case strings.HasPrefix(of, "AWS::EC2::"), strings.HasPrefix(of, "AWS::Route53::"):
		r.warnings.Add(p.At, strings.Join(r.path, "/"), "", "whether this %s exists is not checked here", of)
	default:
		known := []string{"String", "Number", "List<Number>", "CommaDelimitedList", "AWS::SSM::Parameter::Name", "AWS::SSM::Parameter::Value<String>"}
		return r.fail(p.At, Nearest(p.Type, known), "%s is no type of a parameter", strconv.Quote(p.Type)), false
	}
	out := Value{Kind: String, Text: text, Secret: p.NoEcho}
	if of == "Number" {
		out.Kind = Number
	}
	if list {
		out = Value{Kind: List, Secret: p.NoEcho}
		for _, x := range strings.Split(text, ",") {
			one := Value{Kind: String, Text: strings.TrimSpace(x), Secret: p.NoEcho, At: p.At}
			if of == "Number" {
				one.Kind = Number
			}
			out.List = append(out.List, one)
		}
	}
	return out, true
}

// constrained checks a value, or each of a list, against the constraints of its declaration.
func (r *resolver) constrained(p *Parameter, v, value Value) {
	each := []Value{value}
	if value.Kind == List {
		each = value.List
	}
	said, _ := v.Get("ConstraintDescription")
	for _, x := range each {
		if why := r.violation(v, x); why != "" {
			r.problem(p.At, said.Text, "the value %s of %s %s", x.Quoted(), p.Name, why)
		}
	}
}

// violation says what a value violates, or "". A constraint that cannot be read is violated.
func (r *resolver) violation(v, x Value) string {
	n, err := strconv.ParseFloat(x.Text, 64)
	if x.Kind == Number && (err != nil || len(x.Text) > 64 || !decimal.MatchString(x.Text)) {
		return "is no number"
	}
	for _, c := range v.Members {
		limit, err := strconv.ParseFloat(c.Value.Text, 64)
		bound := strings.HasPrefix(c.Key, "Min") || strings.HasPrefix(c.Key, "Max")
		size := float64(len([]rune(x.Text)))
		if strings.HasSuffix(c.Key, "Value") {
			size = n
		}
		switch {
		case bound && err != nil:
			return "cannot be checked: " + c.Key + " is no number"
		case bound && strings.HasSuffix(c.Key, "Value") && x.Kind != Number:
			return "is no number, and " + c.Key + " is for numbers"
		case bound && c.Key[:3] == "Min" && !(size >= limit), bound && c.Key[:3] == "Max" && !(size <= limit):
			return "is against " + c.Key + " " + c.Value.Text
		case c.Key == "AllowedValues" && !slices.ContainsFunc(c.Value.List, func(a Value) bool { return a.Scalar() && a.Text == x.Text }):
			return "is none of the AllowedValues"
		case c.Key == "AllowedPattern":
			if why := matches(c.Value.Text, x.Text); why != "" {
				return why
			}
		}
	}
	return ""
}

func matches(pattern, s string) string {
	if len(pattern) > maxParameter {
		return "cannot be checked: AllowedPattern is too long"
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return "cannot be checked: AllowedPattern uses what only backtracking engines have, or is wrong"
	}
	if !re.MatchString(s) {
		return "does not match AllowedPattern " + strconv.Quote(pattern)
	}
	return ""
}
