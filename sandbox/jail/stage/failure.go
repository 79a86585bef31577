package stage

// failed is an error with what was being done; package fmt would wake up reflection before the dispatch.
type failed struct {
	what string
	err  error
}

func (f *failed) Error() string { return f.what + ": " + f.err.Error() }
func (f *failed) Unwrap() error { return f.err }

func doing(what string, err error) error { return &failed{what, err} }
