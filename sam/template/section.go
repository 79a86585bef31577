package template

// Global resolves one section of Globals ("Api") by itself: what SAM gives a resource that it makes, and that the
// template therefore does not hold, such as ServerlessRestApi. A section that is not there is a Null value.
func (t *Template) Global(section string, in Inputs) (Value, Problems) {
	r := &resolver{t: t, in: in}
	r.prepare()
	v, ok := t.globals.Get(section)
	if ok && len(r.found) == 0 {
		r.globals()
		r.path = append(r.path[:0], "Globals", section)
		v, _ = r.value(v)
	}
	if len(r.found) > 0 {
		r.found.sort()
		return Value{}, r.found
	}
	return v, nil
}
