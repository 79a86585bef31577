package openapi

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/shield/schema"
)

// checker holds one request to the parameters of an operation.
type checker struct {
	op   *Operation
	x    *casemate.Exchange
	free []casemate.Field
	room [16]pair
}

// pair is one parameter of a query as it was sent.
type pair struct {
	name, raw string // decoded; as sent
	used      bool
}

func (c *checker) parameters() error {
	o := c.op
	for _, p := range o.path {
		raw, there := c.x.Params[p.name]
		if !there {
			return p.missing()
		}
		if err := c.take(p, raw, func(s string) (string, bool) { return s, true }); err != nil {
			return err
		}
	}
	if len(c.x.Params) > len(o.path) {
		c.others()
	}
	if c.x.Query != "" || len(o.query) > 0 || o.form != nil {
		if err := c.query(); err != nil {
			return err
		}
	}
	for _, p := range o.header {
		if err := c.header(p); err != nil {
			return err
		}
	}
	if len(o.cookie) > 0 {
		return c.cookies()
	}
	return nil
}

// others gives what is in the path of the route and not in that of the operation.
func (c *checker) others() {
	for name, value := range c.x.Params {
		if !slices.ContainsFunc(c.op.path, func(p *param) bool { return p.name == name }) {
			c.free = append(c.free, casemate.Field{In: "path", Name: name, Value: []byte(value)})
		}
	}
}

// query holds every pair of the query to its parameter. One that no parameter takes is refused.
func (c *checker) query() error {
	pairs, err := c.pairs()
	if err != nil {
		return err
	}
	for _, p := range c.op.query {
		if err := c.named(p, pairs); err != nil {
			return err
		}
	}
	if p := c.op.form; p != nil {
		return c.rest(p, pairs)
	}
	for i := range pairs {
		if !pairs[i].used {
			name := printable(pairs[i].name)
			return &casemate.Error{Code: casemate.Invalid, Field: name, Rule: "unknown parameter", Message: "the contract has no query parameter " + name,
				Hint: "leave it out, or describe it in the document"}
		}
	}
	return nil
}

func (c *checker) pairs() ([]pair, error) {
	out := c.room[:0]
	for part := range strings.SplitSeq(c.x.Query, "&") {
		if part == "" {
			continue
		}
		name, raw, _ := strings.Cut(part, "=")
		name, ok := unescape(name)
		if !ok {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "query", Rule: "percent-encoding", Message: "a name in the query is not well encoded", Hint: "encode it as RFC 3986 says"}
		}
		out = append(out, pair{name: name, raw: raw})
	}
	return out, nil
}

// unescape undoes the encoding of a query, where a plus is a space.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	out, err := url.QueryUnescape(s)
	return out, err == nil && utf8.ValidString(out)
}

// named takes the pairs that belong to a parameter.
func (c *checker) named(p *param, pairs []pair) error {
	switch {
	case p.style == "deepObject":
		return c.deep(p, pairs)
	case p.style == "form" && p.explode && p.shape.IsObject():
		return c.rest(p, pairs)
	}
	var raws []string
	many := p.explode && p.shape.IsArray()
	for i := range pairs {
		if pairs[i].name != p.name {
			continue
		}
		if pairs[i].used = true; len(raws) > 0 && !many {
			return p.broken("once", "send it once")
		}
		raws = append(raws, pairs[i].raw)
	}
	switch {
	case len(raws) == 0 && p.required:
		return p.missing()
	case len(raws) == 0, raws[0] == "" && len(raws) == 1 && p.allowEmpty:
		return nil
	case many:
		return c.items(p, raws, unescape)
	}
	return c.take(p, raws[0], unescape)
}

// rest makes an object of pairs: of those that have a name in the schema, or of all that are left where it is open.
func (c *checker) rest(p *param, pairs []pair) error {
	object := map[string]any{}
	for i := range pairs {
		q := &pairs[i]
		if q.used || !p.shape.Names(q.name) && !p.shape.Open() {
			continue
		}
		q.used = true
		if err := c.property(p, object, q.name, q.raw, true, unescape); err != nil {
			return err
		}
	}
	return c.object(p, object)
}

// deep makes an object of pairs like color[red]=100.
func (c *checker) deep(p *param, pairs []pair) error {
	object := map[string]any{}
	for i := range pairs {
		name, ok := strings.CutPrefix(pairs[i].name, p.name+"[")
		if !ok {
			continue
		}
		pairs[i].used = true
		name, ok = strings.CutSuffix(name, "]")
		if !ok || strings.ContainsAny(name, "[]") {
			return p.broken("one level of brackets", "write it as "+p.name+"[name]=value")
		}
		if err := c.property(p, object, name, pairs[i].raw, true, unescape); err != nil {
			return err
		}
	}
	return c.object(p, object)
}

func (c *checker) object(p *param, object map[string]any) error {
	if len(object) == 0 {
		if p.required {
			return p.missing()
		}
		return nil
	}
	return c.value(p, object)
}

// property adds one to an object. Several of one name are the items of an array.
func (c *checker) property(p *param, object map[string]any, name, raw string, many bool, decode func(string) (string, bool)) error {
	s, ok := decode(raw)
	if !ok {
		return p.broken("percent-encoding", "encode it as RFC 3986 says")
	}
	shape := p.shape.Property(name)
	if shape == nil {
		shape = &schema.Shape{Most: -1}
	}
	have, there := object[name]
	switch {
	case many && shape.IsArray():
		list, _ := have.([]any)
		v, _ := shape.Items().Scalar(s)
		object[name] = append(list, v)
	case there:
		return p.broken("unique names", "send each name once")
	default:
		object[name], _ = shape.Scalar(s)
	}
	return nil
}

func (c *checker) header(p *param) error {
	var lines []string
	if c.x.Header != nil {
		lines = c.x.Header(p.name)
	}
	switch {
	case len(lines) == 0 && p.required:
		return p.missing()
	case len(lines) == 0:
		return nil
	case len(lines) > 1 && !p.shape.IsArray():
		return p.broken("once", "send it once")
	}
	line := lines[0]
	if len(lines) > 1 {
		line = strings.Join(lines, ",")
	}
	if !utf8.ValidString(line) {
		return p.broken("valid UTF-8", "encode it")
	}
	return c.take(p, line, func(s string) (string, bool) { return strings.Trim(s, " \t"), true })
}

// cookies holds the cookies that the document names to their schemas; others are the caller's.
func (c *checker) cookies() error {
	var lines []string
	if c.x.Header != nil {
		lines = c.x.Header("Cookie")
	}
	found := map[string]string{}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			name, raw, ok := strings.Cut(strings.Trim(part, " \t"), "=")
			if !ok {
				continue
			}
			if _, twice := found[name]; twice && c.cookie(name) != nil {
				return c.cookie(name).broken("once", "send it once")
			}
			found[name] = raw
		}
	}
	for _, p := range c.op.cookie {
		raw, ok := found[p.name]
		if !ok {
			if p.required {
				return p.missing()
			}
			continue
		}
		if len(raw) >= 2 && raw[0] == '"' && raw[len(raw)-1] == '"' {
			raw = raw[1 : len(raw)-1]
		}
		err := c.take(p, raw, func(s string) (string, bool) {
			out, err := url.PathUnescape(s)
			return out, err == nil && utf8.ValidString(out)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) cookie(name string) *param {
	for _, p := range c.op.cookie {
		if p.name == name {
			return p
		}
	}
	return nil
}

// take reads one parameter that is written as a whole.
func (c *checker) take(p *param, raw string, decode func(string) (string, bool)) error {
	if p.style == "content" {
		s, ok := decode(raw)
		if !ok {
			return p.broken("percent-encoding", "encode it as RFC 3986 says")
		}
		if !p.json {
			return c.value(p, s)
		}
		free, err := p.schema.JSON(schema.Place{What: p.place.What, In: p.in, Name: p.name}, c.op.name, []byte(s))
		c.free = append(c.free, free...)
		return err
	}
	raw, sep, ok := p.unwrap(raw)
	if !ok {
		return p.broken("style "+p.style, "write it as style "+p.style+" says")
	}
	switch {
	case p.shape.IsObject():
		return c.members(p, split(raw, sep), decode)
	case p.shape.IsArray():
		return c.items(p, split(raw, sep), decode)
	}
	s, ok := decode(raw)
	if !ok {
		return p.broken("percent-encoding", "encode it as RFC 3986 says")
	}
	return c.scalar(p, s)
}

func split(raw, sep string) []string {
	if raw == "" {
		return nil
	}
	if sep == "%20" || sep == "%7C" { // as it may be written either way
		raw = strings.NewReplacer("+", "%20", "|", "%7C", "%7c", "%7C").Replace(raw)
	}
	return strings.Split(raw, sep)
}

// unwrap takes off what a style puts around a value, and says what parts its items.
func (p *param) unwrap(raw string) (rest, sep string, ok bool) {
	switch p.style {
	case "label":
		rest, ok = strings.CutPrefix(raw, ".")
		if p.explode {
			return rest, ".", ok
		}
		return rest, ",", ok
	case "matrix":
		rest, ok = strings.CutPrefix(raw, ";")
		if p.explode && p.shape.IsObject() {
			return rest, ";", ok
		}
		if rest, ok = strings.CutPrefix(rest, p.name+"="); p.explode && p.shape.IsArray() {
			return strings.ReplaceAll(rest, ";"+p.name+"=", ";"), ";", ok
		}
		return rest, ",", ok
	case "spaceDelimited":
		return raw, "%20", true
	case "pipeDelimited":
		return raw, "%7C", true
	}
	return raw, ",", true
}

// items makes an array.
func (c *checker) items(p *param, raws []string, decode func(string) (string, bool)) error {
	list := make([]any, 0, len(raws))
	for _, raw := range raws {
		s, ok := decode(raw)
		if !ok {
			return p.broken("percent-encoding", "encode it as RFC 3986 says")
		}
		v, _ := p.shape.Items().Scalar(s)
		list = append(list, v)
	}
	return c.value(p, list)
}

// members makes an object of "name,value" pairs, or of "name=value" where it is exploded.
func (c *checker) members(p *param, raws []string, decode func(string) (string, bool)) error {
	object := map[string]any{}
	for i := 0; i < len(raws); i++ {
		name, raw, ok := strings.Cut(raws[i], "=")
		if !p.explode {
			if i++; i >= len(raws) {
				return p.broken("style "+p.style, "write names and values in turn")
			}
			name, raw, ok = raws[i-1], raws[i], true
		}
		name, fine := decode(name)
		if !ok || !fine {
			return p.broken("style "+p.style, "write it as style "+p.style+" says")
		}
		if err := c.property(p, object, name, raw, false, decode); err != nil {
			return err
		}
	}
	return c.value(p, object)
}

// scalar holds one text to the schema, as a number or word first where it can be one.
func (c *checker) scalar(p *param, s string) error {
	v, second := p.shape.Scalar(s)
	free, err := p.schema.Value(p.place, c.op.name, v)
	if err != nil && second != nil {
		free, err = p.schema.Value(p.place, c.op.name, second)
	}
	c.free = append(c.free, free...)
	return err
}

func (c *checker) value(p *param, v any) error {
	free, err := p.schema.Value(p.place, c.op.name, v)
	c.free = append(c.free, free...)
	return err
}
