package infer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Document writes what was seen of operations as an OpenAPI 3.1 document: a tree of maps, lists, texts and numbers. loose
// names the places that it leaves free, and why.
func Document(title string, ops []*Operation) (doc map[string]any, loose []string) {
	paths := map[string]any{}
	for _, o := range ops {
		o.begin()
		w := &writer{at: o.Method + " " + o.Path}
		path := strings.ReplaceAll(o.Path, "+}", "}")
		item, _ := paths[path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[path] = item
		}
		item[strings.ToLower(o.Method)] = w.operation(o)
		loose = append(loose, w.loose...)
	}
	return map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": title, "version": "1", "description": "Learned from traffic. Read it before you rely on it."}, "paths": paths}, loose
}

// writer writes one operation.
type writer struct {
	at    string
	loose []string
}

func (w *writer) free(place, format string, args ...any) {
	w.loose = append(w.loose, w.at+" "+place+": "+fmt.Sprintf(format, args...))
}

func (w *writer) operation(o *Operation) map[string]any {
	op := map[string]any{"x-learned-requests": o.Requests}
	if params := w.parameters(o); len(params) > 0 {
		op["parameters"] = params
	}
	if len(o.bodies) > 0 || o.otherBody {
		content := map[string]any{}
		for _, media := range slices.Sorted(maps.Keys(o.bodies)) {
			if c := o.bodies[media]; !c.broken {
				content[media] = w.content("body "+media, c)
			}
		}
		if o.otherBody {
			w.free("body", "there were more media types than are learned: any is taken")
			content["*/*"] = map[string]any{}
		}
		op["requestBody"] = map[string]any{"required": o.bodiless == 0, "content": content}
	}
	if o.untyped {
		w.free("body", "some requests named no content type: they will be refused")
	}
	if responses := w.answers(o); len(responses) > 0 {
		op["responses"] = responses
	} else {
		w.free("answers", "none was seen: answers are not checked")
	}
	return op
}

// answers writes what was answered, by status.
func (w *writer) answers(o *Operation) map[string]any {
	responses := map[string]any{}
	for _, code := range slices.Sorted(maps.Keys(o.answers)) {
		a := o.answers[code]
		r := map[string]any{"description": fmt.Sprintf("seen %d times", a.seen)}
		content := map[string]any{}
		for _, media := range slices.Sorted(maps.Keys(a.media)) {
			if c := a.media[media]; !c.broken {
				content[media] = w.content(fmt.Sprintf("answer %d %s", code, media), c)
			}
		}
		switch {
		case a.unheld, a.bodiless > 0 && len(content) > 0:
			w.free(fmt.Sprintf("answer %d", code), "its content is not held to anything")
		default:
			r["content"] = content
		}
		responses[statusOf(code)] = r
	}
	if o.otherStatus {
		w.free("answers", "there were more statuses than are learned: any is taken")
		responses["default"] = map[string]any{"description": "others"}
	}
	return responses
}

func (w *writer) parameters(o *Operation) (out []any) {
	for _, key := range slices.Sorted(maps.Keys(o.path)) {
		out = append(out, map[string]any{"name": key, "in": "path", "required": true, "schema": w.texts("path "+key, o.path[key])})
	}
	for _, key := range slices.Sorted(maps.Keys(o.query)) {
		p := o.query[key]
		schema := w.texts("query "+key, p.shape)
		if p.many {
			schema = map[string]any{"type": "array", "items": schema}
		}
		out = append(out, map[string]any{"name": key, "in": "query", "required": p.seen == o.Requests && p.seen >= enough, "schema": schema})
	}
	if o.openQuery {
		w.free("query", "names differ from request to request: any is taken")
		out = append(out, map[string]any{"name": "others", "in": "query", "schema": map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "array"}}})
	}
	return out
}

// content writes a body.
func (w *writer) content(place string, c *content) map[string]any {
	switch {
	case c.shape != nil && c.forms:
		return map[string]any{"schema": w.form(place, c.shape)}
	case c.shape != nil:
		return map[string]any{"schema": w.schema(place, c.shape)}
	}
	w.free(place, "its content is text or bytes")
	return map[string]any{"schema": map[string]any{"type": "string", "format": "binary", "maxLength": roof(c.maxLen)}}
}

// roof is a bound with room above what was seen.
func roof(n int) int {
	for r := 16; ; r *= 2 {
		if r >= 2*n {
			return r
		}
	}
}

// schema writes a shape.
func (w *writer) schema(place string, s *shape) map[string]any {
	if s.open || s.seen == 0 {
		w.free(place, "nothing is known of it")
		return map[string]any{}
	}
	m, types := map[string]any{}, []any{}
	add := func(n int, kind string) {
		if n > 0 {
			types = append(types, kind)
		}
	}
	add(s.nulls, "null")
	add(s.bools, "boolean")
	add(s.texts, "string")
	add(s.arrays, "array")
	add(s.objects, "object")
	if s.fracs > 0 {
		types = append(types, "number")
	} else {
		add(s.ints, "integer")
	}
	if m["type"] = types; len(types) == 1 {
		m["type"] = types[0]
	}
	if n := s.ints + s.fracs; n >= enough && !s.negative {
		m["minimum"] = 0
	}
	if s.texts > 0 {
		w.text(place, s, m)
	}
	if s.arrays > 0 {
		m["maxItems"] = roof(s.maxItems)
		m["items"] = map[string]any{}
		if s.items.seen > 0 {
			m["items"] = w.schema(place+"/*", s.items)
		}
	}
	if s.objects > 0 {
		w.object(place, s, m)
	}
	return m
}

// text adds what texts have in common.
func (w *writer) text(place string, s *shape, m map[string]any) {
	if list := s.list(); list != nil {
		m["enum"] = list
		for _, one := range [...]struct {
			n    int
			many []any
		}{{s.nulls, []any{nil}}, {s.bools, []any{true, false}}} {
			if one.n > 0 {
				m["enum"] = append(m["enum"].([]any), one.many...)
			}
		}
		return
	}
	m["maxLength"] = roof(s.maxLen)
	if s.texts >= often {
		for _, f := range [...]struct {
			bit  uint16
			name string
		}{{isUUID, "uuid"}, {isTime, "date-time"}, {isDate, "date"}, {isIPv4, "ipv4"}, {isEmail, "email"}} {
			if s.formats&f.bit != 0 {
				m["format"] = f.name
				return
			}
		}
	}
	if s.texts >= enough && s.classes != 0 && s.classes&other == 0 {
		m["pattern"] = "^[" + alphabet(s.classes) + "]*$"
		return
	}
	if s.texts < enough {
		w.free(place, "free text; %d values are too few to say more", s.texts)
		return
	}
	w.free(place, "free text")
}

func alphabet(classes uint8) string {
	var b strings.Builder
	for _, c := range [...]struct {
		bit  uint8
		text string
	}{{lower, "a-z"}, {upper, "A-Z"}, {digit, "0-9"}, {underscore, "_"}, {colon, ":"}, {dash, "-"}} {
		if classes&c.bit != 0 {
			b.WriteString(c.text)
		}
	}
	return b.String()
}

// list is the words that the texts are, where they are few and each was seen often, and nothing but words, null and
// booleans was there.
func (s *shape) list() (out []any) {
	if s.texts < enough || !s.wordy || s.ints+s.fracs+s.arrays+s.objects > 0 {
		return nil
	}
	for _, v := range slices.Sorted(maps.Keys(s.words)) {
		if s.words[v] < often {
			return nil
		}
		out = append(out, v)
	}
	return out
}

func (w *writer) object(place string, s *shape, m map[string]any) {
	props, required := map[string]any{}, []any{}
	for _, key := range slices.Sorted(maps.Keys(s.props)) {
		p := s.props[key]
		props[key] = w.schema(place+"/"+key, p.shape)
		if p.seen == s.objects && s.objects >= often {
			required = append(required, key)
		}
	}
	if m["properties"] = props; len(required) > 0 {
		m["required"] = required
	}
	if s.others != nil {
		w.free(place, "a map: its names are not known")
		m["additionalProperties"] = w.schema(place+"/*", s.others)
	}
}

// texts writes the shape of a parameter: texts, which may all be numbers or words of JSON.
func (w *writer) texts(place string, s *shape) map[string]any {
	if !s.open && s.texts >= often {
		switch {
		case s.formats&isNumber != 0 && s.classes&other == 0:
			return map[string]any{"type": "integer"}
		case s.formats&isNumber != 0:
			return map[string]any{"type": "number"}
		case s.formats&isBool != 0:
			return map[string]any{"type": "boolean"}
		}
	}
	return w.schema(place, s)
}

// form writes a form: its values are texts, its lists were sent several times.
func (w *writer) form(place string, s *shape) map[string]any {
	m := w.schema(place, s)
	props, _ := m["properties"].(map[string]any)
	for key, p := range s.props {
		if p.shape.open || p.shape.arrays == 0 {
			continue
		}
		items := w.schema(place+"/"+key, p.shape.items)
		if p.shape.texts > 0 { // once in some requests, several times in others
			items = map[string]any{"type": "string"}
		}
		props[key] = map[string]any{"type": "array", "items": items}
	}
	return m
}
