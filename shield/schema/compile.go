package schema

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The two forms of a document inside the compiler: closed is what is checked, plain is what stands under a negation or a
// condition, where closing would turn round.
const (
	closedURL = "mem:///closed"
	plainURL  = "mem:///plain"
	rootURL   = "mem:///root"
)

// Side says on whose way a value is. A property that is readOnly must not be in what is sent to a function, one that is
// writeOnly not in what it answers.
type Side uint8

// The sides; the zero Side takes both.
const (
	Neither Side = iota
	Request
	Answer
)

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	lib  *jsonschema.Schema
	fast *node // nil: what the schema says is not decided over the bytes alone
	hard bool  // what a value takes is counted first
}

// Compile compiles the schemas at ptrs, all of one side, in their order. Every object that names properties is closed, at the
// outermost schema of its place, so that allOf and $ref still compose. References never leave the document; patterns are
// RE2. An error names the place.
func (d *Document) Compile(dialect Dialect, side Side, ptrs ...string) ([]*Schema, error) {
	closed, plain := copyOf(d.Root).(map[string]any), copyOf(d.Root).(map[string]any)
	c := &closer{doc: d, dialect: dialect, side: side, closed: closed, plain: plain, words: keywords(), done: map[string]bool{}, linked: map[string]int{}, lonely: map[string]int{}}
	tops, err := c.roots(ptrs)
	if err != nil {
		return nil, err
	}
	lib := jsonschema.NewCompiler()
	lib.DefaultDraft(jsonschema.Draft2020)
	lib.UseLoader(noLoader{})
	lib.UseRegexpEngine(newPattern)
	lib.AssertFormat()
	for _, f := range formats() {
		lib.RegisterFormat(f)
	}
	if err := lib.AddResource(closedURL, any(closed)); err != nil {
		return nil, fmt.Errorf("compiling: %w", err)
	}
	if err := lib.AddResource(plainURL, any(plain)); err != nil {
		return nil, fmt.Errorf("compiling: %w", err)
	}
	out := make([]*Schema, len(tops))
	for i, top := range tops {
		if out[i], err = assemble(lib, fmt.Sprintf("%s%d", rootURL, i), top); err != nil {
			return nil, fmt.Errorf("compiling %s: %w", d.Place(ptrs[i]), err)
		}
	}
	return out, nil
}

func assemble(lib *jsonschema.Compiler, url string, top map[string]any) (*Schema, error) {
	if len(top) == 1 { // a reference alone is what it refers to
		url = top["$ref"].(string)
	} else if err := lib.AddResource(url, top); err != nil {
		return nil, err
	}
	s, err := lib.Compile(url)
	if err != nil {
		return nil, err
	}
	return &Schema{lib: s, hard: hard(s), fast: direct(s)}, nil
}

// noLoader refuses to fetch: a contract is the document that was deployed and nothing else.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside the document", url)
}
