package template

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds of resolving: what a template can make us visit and write.
const (
	maxSteps = 200_000
	maxText  = 8 << 20 // bytes of text that functions make, in all
)

// invalid stands in Unknown for what has a problem already: it is not reported again.
const invalid = "what could not be resolved"

// resolver resolves one template once.
type resolver struct {
	t         *Template
	in        Inputs
	found     Problems
	warnings  Problems
	path      []string
	params    map[string]Value
	decisions map[string]*decision
	resources map[string]*declared

	deps     map[string]bool // of the resource at hand; true: needed before it can be made
	soft     bool            // what is resolved now is applied after the resource is there
	deciding bool            // in a condition or a rule, where resources and exports are out of reach
	ruling   bool            // in a rule

	imports map[string]bool // names that were asked for

	steps, bytes int
	spent        bool
}

// declared is one resource as it is written.
type declared struct {
	Member
	typ   string
	here  bool            // its condition holds
	needs map[string]bool // other resources; true: needed before it can be made
}

// Resolve decides the conditions with the inputs and evaluates every function. The Stack is nil exactly when there are
// problems; an error inside a condition is a problem and never false. A Template may be resolved many times, and at
// once.
func (t *Template) Resolve(in Inputs) (*Stack, Problems) {
	s := &Stack{Description: t.Description, Transform: t.Transform, Metadata: t.Metadata, in: in}
	r := &resolver{t: t, in: in, imports: map[string]bool{}}
	s.Parameters = r.prepare()
	if len(r.found) == 0 {
		resources := r.all()
		s.Outputs = r.outputs()
		if len(r.found) == 0 {
			s.Resources = r.sorted(resources)
		}
	}
	if len(r.found) > 0 {
		r.found.sort()
		return nil, r.found
	}
	r.warnings.sort()
	s.Warnings, s.Imports = r.warnings, sortedKeys(r.imports)
	return s, nil
}

// prepare checks the template and decides what its values depend on.
func (r *resolver) prepare() []Parameter {
	r.resources, r.decisions = map[string]*declared{}, map[string]*decision{}
	parameters := r.parameters()
	r.expand()
	r.declare()
	r.references()
	r.mappings()
	r.decideAll()
	r.rules()
	if len(r.found) == 0 {
		r.place()
	}
	return parameters
}

// problem notes one at the path at hand.
func (r *resolver) problem(at Position, hint, format string, args ...any) {
	r.found.Add(at, strings.Join(r.path, "/"), hint, format, args...)
}

// fail notes a problem and gives the value that stands for it.
func (r *resolver) fail(at Position, hint, format string, args ...any) Value {
	r.problem(at, hint, format, args...)
	return Value{At: at, Unknown: invalid}
}

func (r *resolver) down(keys ...string) { r.path = append(r.path, keys...) }

func (r *resolver) up(n int) { r.path = r.path[:len(r.path)-n] }

// room counts n bytes of text that are about to be made and reports whether they may be.
func (r *resolver) room(at Position, n int) bool {
	if r.bytes += n; r.bytes > maxText && !r.spent {
		r.spent = true
		r.problem(at, "make the template smaller", "the functions of this template make more than %d bytes of text", maxText)
	}
	return !r.spent
}

// value resolves v. It reports false for AWS::NoValue: the member or element that holds it is left out.
func (r *resolver) value(v Value) (Value, bool) {
	if r.steps++; r.steps > maxSteps && !r.spent {
		r.spent = true
		r.problem(v.At, "make the template smaller", "resolving this template takes more than %d steps", maxSteps)
	}
	if r.spent {
		return Value{At: v.At, Unknown: invalid}, true
	}
	switch v.Kind {
	case Null:
		if v.Unknown == "" {
			v = r.fail(v.At, "give a value or leave the key out", "nothing stands here, and CloudFormation takes no null")
		}
	case String:
		if name := dynamic(v.Text); name != "" && v.Unknown == "" {
			v.Unknown = name
		}
	case List:
		return r.list(v), true
	case Map:
		if name, arg, ok := r.function(v); ok {
			out, kept := r.call(name, arg)
			if out.Scalar() || out.Kind == Null {
				out.At = v.At // the place where the value is used
			}
			return out, kept
		}
		return r.members(v), true
	}
	return v, true
}

func (r *resolver) list(v Value) Value {
	out := Value{Kind: List, At: v.At, List: make([]Value, 0, len(v.List))}
	for i, x := range v.List {
		r.down(strconv.Itoa(i))
		if y, ok := r.value(x); ok {
			out.List = append(out.List, y)
		}
		r.up(1)
	}
	return out
}

func (r *resolver) members(v Value) Value {
	out := Value{Kind: Map, At: v.At, Members: make([]Member, 0, len(v.Members))}
	for _, m := range v.Members {
		r.down(m.Key)
		if y, ok := r.value(m.Value); ok {
			out.Members = append(out.Members, Member{m.Key, m.KeyAt, y})
		}
		r.up(1)
	}
	return out
}

// dynamic gives the first dynamic reference of a text, which CloudFormation replaces at deployment.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
func dynamic(s string) string {
	_, rest, ok := strings.Cut(s, "{{resolve:")
	name, _, closed := strings.Cut(rest, "}}")
	if !ok || !closed || len(name) > 512 {
		return ""
	}
	return "{{resolve:" + name + "}}"
}

// declare lists the resources by their ids.
func (r *resolver) declare() {
	for _, m := range r.t.res.Members {
		typ, _ := m.Value.Get("Type")
		r.resources[m.Key] = &declared{Member: m, typ: typ.Text}
	}
}

// place decides which resources are there.
func (r *resolver) place() {
	for _, m := range r.t.res.Members {
		r.resources[m.Key].here = r.holds(m)
	}
}

// holds decides the Condition attribute of a resource or an output.
func (r *resolver) holds(m Member) bool {
	c, ok := m.Value.Get("Condition")
	return !ok || r.decide(c.Text, c.At)
}

// all resolves the resources whose condition holds, in the order of the file.
func (r *resolver) all() []Resource {
	merge := r.globals()
	var out []Resource
	for _, m := range r.t.res.Members {
		if d := r.resources[m.Key]; d.here {
			r.path = append(r.path[:0], "Resources", m.Key)
			r.deps = map[string]bool{}
			x := r.resource(d, merge)
			x.DependsOn = r.needs(d)
			out = append(out, x)
		}
	}
	r.path, r.deps = r.path[:0], nil
	return out
}

// after are the properties that SAM turns into resources made after the one that names them, such as permissions.
func after(typ, property string) bool {
	return (typ == "AWS::Serverless::Function" || typ == "AWS::Serverless::StateMachine") &&
		slices.Contains([]string{"Events", "DeploymentPreference", "EventInvokeConfig", "FunctionUrlConfig"}, property)
}

func (r *resolver) resource(d *declared, merge func(*declared) Value) Resource {
	at, _ := d.Value.Get("Type")
	x := Resource{ID: d.Key, Type: d.typ, TypeAt: at.At, At: d.KeyAt}
	x.Properties = Value{Kind: Map, At: d.Value.At}
	if p := merge(d); p.Kind != Null {
		r.down("Properties")
		x.Properties = r.properties(d, p)
		r.up(1)
	}
	for _, m := range d.Value.Members {
		r.down(m.Key)
		switch m.Key {
		case "Metadata":
			x.Metadata, _ = r.value(m.Value)
		case "Connectors":
			r.soft = true
			x.Connectors, _ = r.value(m.Value)
			r.soft = false
		case "DeletionPolicy":
			x.DeletionPolicy = r.keep(m.Value, "Delete", "Retain", "RetainExceptOnCreate", "Snapshot")
		case "UpdateReplacePolicy":
			x.UpdateReplacePolicy = r.keep(m.Value, "Delete", "Retain", "Snapshot")
		case "UpdatePolicy", "CreationPolicy":
			r.warnings.Add(m.KeyAt, strings.Join(r.path, "/"), "", "%s has no effect here", m.Key)
		}
		r.up(1)
	}
	return x
}

// properties resolves the properties of a resource member by member, because some count as made after it.
func (r *resolver) properties(d *declared, p Value) Value {
	if _, _, call := r.function(p); call || p.Kind != Map {
		v, ok := r.value(p)
		if !ok {
			return Value{Kind: Map, At: p.At}
		}
		if v.Kind != Map && v.Unknown != invalid {
			r.problem(p.At, "", "properties are a mapping, this is %s", v.Kind)
		}
		return v
	}
	out := Value{Kind: Map, At: p.At}
	for _, m := range p.Members {
		r.soft = after(d.typ, m.Key)
		r.down(m.Key)
		if v, ok := r.value(m.Value); ok {
			out.Members = append(out.Members, Member{m.Key, m.KeyAt, v})
		}
		r.up(1)
	}
	r.soft = false
	return out
}

// keep reads a policy of keeping a resource.
func (r *resolver) keep(v Value, words ...string) string {
	if _, _, call := r.function(v); call && !r.t.uses(LanguageExtensions) {
		r.problem(v.At, "add Transform: "+LanguageExtensions, "a function may stand here only with language extensions")
		return ""
	}
	x, ok := r.value(v)
	if ok && (x.Kind != String || !slices.Contains(words, x.Text)) && x.Unknown != invalid {
		r.problem(v.At, Nearest(x.Text, words), "one of %s is wanted here, this is %s", strings.Join(words, ", "), x.Quoted())
	}
	return x.Text
}

// outputs resolves the outputs whose condition holds.
func (r *resolver) outputs() []Output {
	var out []Output
	exported := map[string]bool{}
	for _, m := range r.t.output.Members {
		r.path = append(r.path[:0], "Outputs", m.Key)
		if !logicalID.MatchString(m.Key) {
			r.problem(m.KeyAt, "use letters and digits", "this is no name of an output")
		}
		if !r.holds(m) {
			continue
		}
		o := r.output(m)
		if o.Export != "" && exported[o.Export] {
			r.problem(m.KeyAt, "", "a second output exports %q", o.Export)
		}
		exported[o.Export] = true
		out = append(out, o)
	}
	r.path = r.path[:0]
	return out
}

func (r *resolver) output(m Member) Output {
	o := Output{Name: m.Key, At: m.KeyAt}
	has := false
	for _, f := range m.Value.Members {
		r.down(f.Key)
		switch f.Key {
		case "Value":
			o.Value, has = r.value(f.Value)
			if has && !o.Value.Scalar() && o.Value.Unknown == "" {
				r.problem(f.Value.At, "join it to one text", "an output is a text, this is %s", o.Value.Kind)
			}
		case "Description":
			o.Description = f.Value.Text
		case "Export":
			name, ok := f.Value.Get("Name")
			if !ok {
				r.problem(f.Value.At, "", "an export has a Name")
				break
			}
			x := r.scalar(name)
			if o.Export = x.Text; x.Unknown != "" && x.Unknown != invalid || x.Kind == String && x.Text == "" {
				r.problem(f.Value.At, "", "the name of an export is known before deployment")
			}
		case "Condition":
		default:
			r.problem(f.KeyAt, Nearest(f.Key, []string{"Value", "Description", "Export", "Condition"}), "this is no key of an output")
		}
		r.up(1)
	}
	if !has {
		r.problem(m.KeyAt, "", "the output has no Value")
	}
	return o
}
