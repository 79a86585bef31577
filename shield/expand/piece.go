package expand

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

// Kind says what a piece is.
type Kind uint8

// The kinds.
const (
	Text  Kind = iota // a value
	Name              // a member of an object, or a parameter: its name
	File              // a file name that a sender chose
	Bytes             // no text: images, archives, serialised objects
)

// Piece is one value of an event after decoding. It is only good until the function that it was given to returns; its
// Value stays as it is.
type Piece struct {
	In    string // as casemate.Field says it
	Kind  Kind
	Depth int    // decodings that led here
	Value []byte // not to be changed
	Above []byte // of a Name: the name of the member that holds its object; nil at the top
	Has   Trait  // which classes of bytes the value holds
	Odd   bool   // of a Name: its value is an object or array, where text is usual

	top  string
	path []step
}

// step is one way down: a member, an item, or a decoding.
type step struct {
	name []byte // of a member
	item int    // of an array, when name and code are empty
	code string // of a decoding
}

// Bounds of a place's name.
const (
	maxSteps = 16
	maxStep  = 48
)

// Where is the place of the piece: the field's own name, then JSON pointers and decodings, "/items/0/data:base64:json/sql".
// The names in it are the sender's: they are cut and made printable.
func (p *Piece) Where() string {
	var b strings.Builder
	printable(&b, p.top, 4*maxStep)
	for i, s := range p.path {
		switch {
		case i == maxSteps:
			b.WriteString("/...")
			return b.String()
		case s.code != "":
			b.WriteString(":" + s.code)
		case s.name != nil:
			b.WriteByte('/')
			printable(&b, string(s.name), maxStep)
		default:
			b.WriteString("/" + strconv.Itoa(s.item))
		}
	}
	return b.String()
}

// Field is the piece as everything behind it knows it.
func (p *Piece) Field() casemate.Field {
	return casemate.Field{In: p.In, Name: p.Where(), Value: p.Value}
}

func printable(b *strings.Builder, s string, most int) {
	if len(s) > most {
		s = s[:most]
		for len(s) > 0 && !utf8.ValidString(s[len(s)-1:]) {
			s = s[:len(s)-1]
		}
		defer b.WriteString("...")
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
}

// Percent reports whether a percent encoding inside the value was undone last: somebody hid its characters.
func (p *Piece) Percent() bool {
	return len(p.path) > 0 && p.path[len(p.path)-1].code == "url"
}

// Last is the name nearest to the piece: of its member, of its parameter, or of the field itself.
func (p *Piece) Last() string {
	for i := len(p.path) - 1; i >= 0; i-- {
		if p.path[i].name != nil {
			return string(p.path[i].name)
		}
	}
	return p.top
}
