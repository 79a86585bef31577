package openapi

import (
	"fmt"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// param is one parameter of an operation.
type param struct {
	name, in   string
	style      string
	explode    bool
	required   bool
	allowEmpty bool
	json       bool // its content is JSON
	schema     *schema.Schema
	shape      *schema.Shape
	place      schema.Place
}

// parameters reads those of the path and of the operation, which replace the former by name and place.
func (r *reader) parameters(item map[string]any, itemAt string, op map[string]any, opAt string) error {
	type key struct{ in, name string }
	found, order := map[key]string{}, []key{}
	for _, level := range [...]struct {
		m  map[string]any
		at string
	}{{item, itemAt}, {op, opAt}} {
		list, ok := level.m["parameters"].([]any)
		if level.m["parameters"] != nil && !ok {
			return fmt.Errorf("%s: parameters is not a list", r.doc.Place(level.at))
		}
		mine := map[key]bool{}
		for i := range list {
			m, at, err := r.doc.Object(fmt.Sprintf("%s/parameters/%d", level.at, i))
			if err != nil {
				return err
			}
			k := key{str(m["in"]), str(m["name"])}
			if k.in == "header" {
				k.name = strings.ToLower(k.name)
			}
			if mine[k] {
				return fmt.Errorf("%s: the parameter stands here a second time", r.doc.Place(at))
			}
			mine[k] = true
			if found[k] == "" {
				order = append(order, k)
			}
			found[k] = at
		}
	}
	for _, k := range order {
		m, at, err := r.doc.Object(found[k])
		if err != nil {
			return err
		}
		if err := r.parameter(m, at); err != nil {
			return fmt.Errorf("%s: %w", r.doc.Place(at), err)
		}
	}
	return r.template(opAt)
}

func str(v any) string { s, _ := v.(string); return s }

// parameter reads one.
func (r *reader) parameter(m map[string]any, at string) error {
	p := &param{name: str(m["name"]), in: str(m["in"]), required: m["required"] == true, allowEmpty: m["allowEmptyValue"] == true}
	if err := known(r.doc, m, at, "name in description required deprecated allowEmptyValue style explode allowReserved schema example examples content"); err != nil {
		return err
	}
	list := map[string]*[]*param{"path": &r.out.path, "query": &r.out.query, "header": &r.out.header, "cookie": &r.out.cookie}[p.in]
	switch {
	case p.name == "" || list == nil:
		return fmt.Errorf("a parameter needs a name, and a place: path, query, header or cookie")
	case p.in == "header" && slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(p.name)):
		r.warn("%s: the header %s is not a parameter: OpenAPI says it elsewhere", r.doc.Place(at), p.name)
		return nil
	case p.in == "path" && !p.required:
		return fmt.Errorf("a parameter of the path must be required: true")
	case p.in != "query" && m["allowEmptyValue"] != nil:
		return fmt.Errorf("allowEmptyValue is for the query alone")
	}
	p.place = schema.Place{What: "the " + map[string]string{"path": "path parameter ", "query": "query parameter ", "header": "header ", "cookie": "cookie "}[p.in] + p.name,
		In: p.in, Name: p.name, Plain: true}
	if err := p.written(m); err != nil {
		return err
	}
	ptr, err := r.valued(p, m, at)
	if err != nil {
		return err
	}
	*list = append(*list, p)
	r.schema(schema.Request, ptr, func(s *schema.Schema) error {
		p.schema, p.shape = s, s.Shape()
		return p.fits()
	})
	return nil
}

// written reads style and explode, with their defaults.
func (p *param) written(m map[string]any) error {
	p.style = map[string]string{"path": "simple", "query": "form", "header": "simple", "cookie": "form"}[p.in]
	if s := str(m["style"]); s != "" {
		p.style = s
	}
	may := map[string][]string{"path": {"simple", "label", "matrix"}, "query": {"form", "spaceDelimited", "pipeDelimited", "deepObject"},
		"header": {"simple"}, "cookie": {"form"}}[p.in]
	if !slices.Contains(may, p.style) {
		return fmt.Errorf("style %q is not for a parameter in %s: take %s", p.style, p.in, strings.Join(may, ", "))
	}
	p.explode = p.style == "form"
	if v, ok := m["explode"].(bool); ok {
		p.explode = v
	}
	return nil
}

// valued says where the schema of a parameter, or of a header of an answer, is.
func (r *reader) valued(p *param, m map[string]any, at string) (ptr string, err error) {
	content, has := m["content"].(map[string]any)
	switch {
	case m["schema"] != nil && !has:
		return at + "/schema", nil
	case !has || m["schema"] != nil || len(content) != 1:
		return "", fmt.Errorf("give a schema, or content of one media type")
	}
	for media := range content {
		kind, err := kindOf(media)
		if err != nil || kind != mediaJSON && kind != mediaText {
			return "", fmt.Errorf("content of %s is not supported in a parameter: take application/json or text/plain", media)
		}
		p.json = kind == mediaJSON
		p.style, p.explode = "content", false
		ptr = at + "/content/" + schema.Escape(media)
	}
	if _, ok := r.doc.Find(ptr + "/schema"); !ok {
		return "", fmt.Errorf("the content has no schema")
	}
	return ptr + "/schema", nil
}

// fits refuses ways of writing that are not defined for what the parameter holds.
func (p *param) fits() error {
	switch {
	case p.style == "content":
		return nil
	case p.style == "deepObject" && !p.shape.IsObject():
		return fmt.Errorf("style deepObject is for objects")
	case (p.style == "spaceDelimited" || p.style == "pipeDelimited") && !p.shape.IsArray() && !p.shape.IsObject():
		return fmt.Errorf("style %s is for arrays and objects", p.style)
	case (p.style == "spaceDelimited" || p.style == "pipeDelimited") && p.explode && p.shape.IsObject():
		return fmt.Errorf("style %s with explode is not defined for objects", p.style)
	case p.in == "cookie" && p.explode && (p.shape.IsArray() || p.shape.IsObject()):
		return fmt.Errorf("a cookie holds arrays and objects with explode: false alone")
	}
	return nil
}

// template holds the names in the path to its parameters.
func (r *reader) template(at string) error {
	rest := r.out.Path
	names := map[string]bool{}
	for {
		_, tail, ok := strings.Cut(rest, "{")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(tail, "}")
		if !ok {
			return fmt.Errorf("%s: the path has a { without }", r.doc.Place(at))
		}
		names[name], rest = true, after
	}
	for _, p := range r.out.path {
		if !names[p.name] {
			return fmt.Errorf("%s: the path has no {%s}", r.doc.Place(at), p.name)
		}
		delete(names, p.name)
	}
	for name := range names {
		return fmt.Errorf("%s: the path parameter %s is not described", r.doc.Place(at), name)
	}
	return nil
}

// arrange finds the parameter of the query that takes what is left, an exploded form of an open object, and looks at the
// names of all.
func (r *reader) arrange() error {
	o := r.out
	for i, p := range o.query {
		if p.style == "form" && p.explode && p.shape.IsObject() && p.shape.Open() {
			if o.form != nil {
				return fmt.Errorf("two parameters take what the query holds besides")
			}
			o.form = p
			o.query = slices.Delete(slices.Clone(o.query), i, i+1)
		}
	}
	return nil
}

// missing refuses a request without something that is required.
func (p *param) missing() error {
	return &casemate.Error{Code: casemate.Invalid, Field: p.name, Rule: "required", Message: p.place.What + " is missing", Hint: "send it"}
}

// broken refuses a parameter that is not written as the contract says.
func (p *param) broken(rule, hint string) error {
	return &casemate.Error{Code: casemate.Invalid, Field: p.name, Rule: rule, Message: p.place.What + " breaks its contract: " + rule, Hint: hint}
}
