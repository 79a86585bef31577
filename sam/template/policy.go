package template

import (
	_ "embed"
	"strings"
)

//go:embed policies.txt
var policies string

// PolicyTemplates are the names of SAM's policy templates, sorted.
func PolicyTemplates() []string {
	var names []string
	for line := range strings.Lines(policies) {
		if name := strings.Fields(line); line[0] != '\t' && line[0] != '#' {
			names = append(names, name[0])
		}
	}
	return names
}

// lookup gives the parameters of a policy template and its lines.
func lookup(name string) (parameters []string, lines string, ok bool) {
	rest := policies
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if words := strings.Fields(line); line[0] != '\t' && line[0] != '#' && words[0] == name {
			return words[1:], rest, true
		}
	}
	return nil, "", false
}

// Policy expands a policy template of SAM, an entry {Name: {Parameter: value}} of resolved Policies, to a policy
// document with its Statement. A parameter that the template does not know is left out, as SAM does. What a parameter
// goes into is as unknown and as secret as it is. path is that of the entry.
func (s *Stack) Policy(m Member, path string) (Value, Problems) {
	var found Problems
	wanted, lines, ok := lookup(m.Key)
	if !ok {
		found.Add(m.KeyAt, path, Nearest(m.Key, PolicyTemplates()), "%q is no policy template of SAM", m.Key)
		return Value{}, found
	}
	if m.Value.Kind != Map {
		found.Add(m.Value.At, path, "write {} for none", "the parameters of %s are a mapping, this is %s", m.Key, m.Value.Kind)
		return Value{}, found
	}
	e := &expansion{r: &resolver{t: &Template{}, in: s.in}, at: m.KeyAt, given: map[string]Value{}}
	for _, want := range wanted {
		v, ok := m.Value.Get(want)
		switch {
		case !ok:
			found.Add(m.KeyAt, path, "", "%s needs the parameter %s", m.Key, want)
		case !v.Scalar() && v.Unknown == "":
			found.Add(v.At, path+"/"+want, "", "a text is wanted here, this is %s", v.Kind)
		}
		e.given[want] = v
	}
	if len(found) > 0 {
		return Value{}, found
	}
	return e.mapping(Member{"Statement", m.KeyAt, e.statements(lines)}), nil
}

// expansion is one policy template with its parameters.
type expansion struct {
	r     *resolver
	at    Position
	given map[string]Value
}

// statements reads the lines of one template; the format is explained in the data itself.
func (e *expansion) statements(body string) Value {
	out := e.list()
	for line := range strings.Lines(body) {
		words := strings.Fields(line)
		switch {
		case line[0] != '\t':
			return out
		case strings.HasPrefix(line, "\t\t\t"):
			last := &out.List[len(out.List)-1]
			test := e.mapping(Member{words[1], e.at, e.text(words[2])})
			last.Members = append(last.Members, Member{"Condition", e.at, e.mapping(Member{words[0], e.at, test})})
		case strings.HasPrefix(line, "\t\t"):
			last := &out.List[len(out.List)-1]
			last.Members = append(last.Members, Member{"Resource", e.at, e.each(words)})
		default:
			service := ""
			for i, action := range words {
				if before, _, full := strings.Cut(action, ":"); full {
					service = before
				} else {
					words[i] = service + ":" + action
				}
			}
			allow := Member{"Effect", e.at, Value{Kind: String, Text: "Allow", At: e.at}}
			out.List = append(out.List, e.mapping(allow, Member{"Action", e.at, e.each(words)}))
		}
	}
	return out
}

func (e *expansion) list(of ...Value) Value { return Value{Kind: List, At: e.at, List: of} }

func (e *expansion) mapping(of ...Member) Value { return Value{Kind: Map, At: e.at, Members: of} }

func (e *expansion) each(words []string) Value {
	out := e.list()
	for _, w := range words {
		out.List = append(out.List, e.text(w))
	}
	return out
}

// text writes one text of the data out.
func (e *expansion) text(s string) Value {
	var of []Value
	var b strings.Builder
	add := func(name string) {
		v, ok := e.r.pseudo(name, e.at)
		if !ok {
			v = e.given[name]
		}
		of = append(of, v)
		b.WriteString(v.Text)
	}
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		b.WriteString("arn:")
		add("AWS::Partition")
		service, tail, _ := strings.Cut(rest, ":")
		b.WriteString(":" + service + ":")
		if s = tail; !strings.HasPrefix(tail, ":") {
			add("AWS::Region")
			b.WriteString(":")
			add("AWS::AccountId")
			b.WriteString(":")
		}
	}
	for {
		before, rest, ok := strings.Cut(s, "<")
		b.WriteString(before)
		if !ok {
			return made(e.at, b.String(), of...)
		}
		var name string
		name, s, _ = strings.Cut(rest, ">")
		add(name)
	}
}
