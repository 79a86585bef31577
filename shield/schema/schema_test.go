package schema

// compiled compiles a whole document.
func compiled(doc string) (*Schema, error) {
	d, err := Read([]byte(doc))
	if err != nil {
		return nil, err
	}
	s, err := d.Compile(Draft2020, Neither, "")
	if err != nil {
		return nil, err
	}
	return s[0], nil
}
