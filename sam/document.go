package sam

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"casemate/sam/template"
)

// Document is a casemate manifest as JSON (which is YAML), and where each of its values comes from: by JSON pointer.
type Document struct {
	Data  []byte
	Marks map[string]template.Position
}

// At is where ptr comes from, or the closest thing around it.
func (d *Document) At(ptr string) template.Position {
	for {
		if at, ok := d.Marks[ptr]; ok || ptr == "" {
			return at
		}
		ptr = ptr[:strings.LastIndexByte(ptr, '/')]
	}
}

// text, number, list and mapping make values of the manifest, each with the place that it comes from.
func text(at template.Position, s string) template.Value {
	return template.Value{Kind: template.String, Text: s, At: at}
}

func number(at template.Position, n int) template.Value {
	return template.Value{Kind: template.Number, Text: strconv.Itoa(n), At: at}
}

func texts(at template.Position, list ...string) template.Value {
	v := template.Value{Kind: template.List, At: at}
	for _, s := range list {
		v.List = append(v.List, text(at, s))
	}
	return v
}

func mapping(at template.Position) *template.Value {
	return &template.Value{Kind: template.Map, At: at}
}

// set puts a member into a mapping, in the place of one of the same name.
func set(v *template.Value, key string, x template.Value) {
	for i := range v.Members {
		if v.Members[i].Key == key {
			v.Members[i].Value, v.Members[i].KeyAt = x, x.At
			return
		}
	}
	v.Members = append(v.Members, template.Member{Key: key, KeyAt: x.At, Value: x})
}

// add appends to the list under key, which is made when it is not there.
func add(v *template.Value, key string, x ...template.Value) {
	if len(x) == 0 {
		return
	}
	was, _ := v.Get(key)
	list := template.Value{Kind: template.List, At: x[0].At, List: append(append([]template.Value{}, was.List...), x...)}
	if len(was.List) > 0 {
		list.At = was.At
	}
	set(v, key, list)
}

// appended are the keys of a manifest whose lists are added to by Metadata, instead of replaced.
var appended = map[string]bool{"grants": true, "statements": true, "guardrails": true, "budgets": true, "jwt": true}

// merge lays over onto v: mappings member by member, what grants is added, anything else is replaced.
func merge(v *template.Value, over template.Value) {
	for _, m := range over.Members {
		was, ok := v.Get(m.Key)
		switch {
		case ok && was.Kind == template.Map && m.Value.Kind == template.Map:
			next := template.Value{Kind: template.Map, At: was.At, Members: append([]template.Member{}, was.Members...)}
			merge(&next, m.Value)
			set(v, m.Key, next)
		case ok && appended[m.Key] && was.Kind == template.List && m.Value.Kind == template.List:
			add(v, m.Key, m.Value.List...)
		default:
			set(v, m.Key, m.Value)
		}
	}
}

// encode writes a manifest value as JSON and notes where everything comes from.
func (d *Document) encode(v template.Value, ptr string) error {
	d.Marks[ptr] = v.At
	switch v.Kind {
	case template.Map:
		d.Data = append(d.Data, '{')
		for i, m := range v.Members {
			if i > 0 {
				d.Data = append(d.Data, ',')
			}
			at := ptr + "/" + strings.ReplaceAll(strings.ReplaceAll(m.Key, "~", "~0"), "/", "~1")
			if err := d.scalar(m.Key); err != nil {
				return err
			}
			d.Data = append(d.Data, ':', ' ')
			if err := d.encode(m.Value, at); err != nil {
				return err
			}
			if m.KeyAt.Line > 0 {
				d.Marks[at] = m.KeyAt
			}
		}
		d.Data = append(d.Data, '}')
	case template.List:
		d.Data = append(d.Data, '[')
		for i, x := range v.List {
			if i > 0 {
				d.Data = append(d.Data, ',')
			}
			if err := d.encode(x, ptr+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		d.Data = append(d.Data, ']')
	case template.Bool: // the manifest has no booleans, and its words "on" and "off" need no quotes there
		if w := v.Written; w != "" && !strings.EqualFold(w, v.Text) {
			return d.scalar(w)
		}
		d.Data = append(d.Data, v.Text...)
	case template.Number:
		if !json.Valid([]byte(v.Text)) {
			return d.scalar(v.Text)
		}
		d.Data = append(d.Data, v.Text...)
	case template.Null:
		d.Data = append(d.Data, "null"...)
	default:
		return d.scalar(v.Text)
	}
	return nil
}

func (d *Document) scalar(s string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	d.Data = append(d.Data, b...)
	return nil
}
