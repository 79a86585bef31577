package template

import (
	"fmt"
	"strconv"
	"strings"
)

// Position is a place of a file, line and column counted from 1.
type Position struct {
	File         string
	Line, Column int
}

// String is "file:line:column".
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Kind is the JSON type of a value.
type Kind int

// The kinds of a value. The zero value is a null.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

// String is how a person calls the kind.
func (k Kind) String() string {
	return [...]string{"nothing", "a boolean", "a number", "a text", "a list", "a mapping"}[k]
}

// Value is a value of a template with its place. Values share what is below them: nobody changes one.
type Value struct {
	Kind    Kind
	Text    string   // of a boolean "true" or "false", of a number or a text as it is written, without quotes
	List    []Value  // in order
	Members []Member // in order, each key once
	At      Position
	Written string // of a boolean of YAML: how it is written, "off"

	// Unknown says, when it is not empty, what this value waits for: an attribute that only deployment gives
	// ("Table.Arn"), a dynamic reference. Text then holds that name in place of the value.
	Unknown string
	// Secret is set on every value that a NoEcho parameter went into: no message, log or listing shows its Text.
	Secret bool
}

// Member is an entry of a mapping.
type Member struct {
	Key   string
	KeyAt Position
	Value Value
}

// Get gives the member named key.
func (v Value) Get(key string) (Value, bool) {
	for _, m := range v.Members {
		if m.Key == key {
			return m.Value, true
		}
	}
	return Value{}, false
}

// Scalar reports whether v is a boolean, a number or a text.
func (v Value) Scalar() bool { return v.Kind == Bool || v.Kind == Number || v.Kind == String }

// Quoted is v for a message: what is secret, long or no scalar is not shown.
func (v Value) Quoted() string {
	switch {
	case v.Secret:
		return "****"
	case v.Unknown != "":
		return "the value of " + v.Unknown
	case !v.Scalar():
		return v.Kind.String()
	case len(v.Text) > 80:
		return strconv.Quote(strings.ToValidUTF8(v.Text[:77], "") + "...")
	}
	return strconv.Quote(v.Text)
}

// read gives the member key of v when it is there and known; what only deployment tells is a problem.
func (v Value) read(key, path string, p *Problems) (Value, bool) {
	m, ok := v.Get(key)
	if ok && m.Unknown != "" {
		p.Add(m.At, path+"/"+key, "write the value out", "%s is only known after deployment", m.Unknown)
		return Value{}, false
	}
	return m, ok
}

// StringAt reads a text (a number or a boolean is taken as it is written, as CloudFormation does). It reports false
// when key is absent or wrong; what is wrong is in p. path is that of v.
func (v Value) StringAt(key, path string, p *Problems) (string, bool) {
	m, ok := v.read(key, path, p)
	if ok && !m.Scalar() {
		p.Add(m.At, path+"/"+key, "", "a text is wanted here, this is %s", m.Kind)
		return "", false
	}
	return m.Text, ok
}

// IntAt reads a whole decimal number from low to high; a text of digits is taken as CloudFormation takes it. Otherwise
// as StringAt.
func (v Value) IntAt(key, path string, low, high int, p *Problems) (int, bool) {
	m, ok := v.read(key, path, p)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(m.Text)
	if (m.Kind != Number && m.Kind != String) || err != nil || strconv.Itoa(n) != m.Text {
		p.Add(m.At, path+"/"+key, "", "a whole number is wanted here, this is %s", m.Quoted())
		return 0, false
	}
	if n < low || n > high {
		p.Add(m.At, path+"/"+key, "", "%s is out of bounds: from %d to %d", m.Quoted(), low, high)
		return 0, false
	}
	return n, true
}

// BoolAt reads a boolean; the texts "true" and "false" are taken as CloudFormation takes them. Otherwise as StringAt.
func (v Value) BoolAt(key, path string, p *Problems) (bool, bool) {
	m, ok := v.read(key, path, p)
	if !ok {
		return false, false
	}
	if (m.Kind == Bool || m.Kind == String) && (m.Text == "true" || m.Text == "false") {
		return m.Text == "true", true
	}
	p.Add(m.At, path+"/"+key, "", "true or false is wanted here, this is %s", m.Quoted())
	return false, false
}
