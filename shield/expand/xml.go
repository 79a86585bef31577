package expand

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// looksXML reports whether v, which starts with "<", is a document rather than a text with tags: it says so itself, or all
// of it is one element.
func looksXML(v []byte) bool {
	if bytes.HasPrefix(v, []byte("<?xml")) || bytes.HasPrefix(v, []byte("<!DOCTYPE")) || bytes.HasPrefix(v, []byte("<!ENTITY")) {
		return true
	}
	v = bytes.TrimRight(v, " \t\r\n")
	return len(v) > 3 && v[len(v)-1] == '>' && (v[1]|0x20 >= 'a' && v[1]|0x20 <= 'z')
}

// xml gives the texts, attributes and declarations of v; entities other than XML's own five are not resolved, here or
// anywhere. whole is false when v is not well-formed.
func (x *Expander) xml(v []byte) (whole bool, err error) {
	if err := x.enter("xml", 0); err != nil {
		return false, err
	}
	defer x.leave()
	d := xml.NewDecoder(bytes.NewReader(v))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	in, base := nest{}, len(x.piece.path)
	defer func() { x.piece.path = x.piece.path[:base] }()
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return in.depth == 0 && !in.lost, nil
		}
		if err != nil {
			return false, nil
		}
		if err := x.token(t, &in); err != nil {
			return false, err
		}
	}
}

// nest is where in a document its reader is.
type nest struct {
	depth int
	lost  bool // an end had no start: it is not well-formed, and looked at all the same
}

func (x *Expander) token(t xml.Token, in *nest) error {
	switch t := t.(type) {
	case xml.StartElement:
		if in.depth++; in.depth > maxNesting {
			return x.beyond("elements inside each other", maxNesting)
		}
		x.piece.path = append(x.piece.path, step{name: []byte(t.Name.Local)})
		if Telling([]byte(t.Name.Local)) {
			if err := x.value([]byte(t.Name.Local), Name); err != nil {
				return err
			}
		}
		for _, a := range t.Attr {
			x.piece.path = append(x.piece.path, step{name: []byte("@" + a.Name.Local)})
			err := x.value([]byte(a.Value), Text)
			x.piece.path = x.piece.path[:len(x.piece.path)-1]
			if err != nil {
				return err
			}
		}
	case xml.EndElement:
		if in.depth == 0 {
			in.lost = true
			return nil
		}
		in.depth--
		x.piece.path = x.piece.path[:len(x.piece.path)-1]
	case xml.CharData:
		if len(bytes.TrimSpace(t)) > 0 {
			return x.value(bytes.Clone(t), Text)
		}
	case xml.Directive: // what DTDs are made of
		return x.emit(append(append([]byte("<!"), t...), '>'), Text, Traits(t)|Angle)
	case xml.ProcInst:
		if t.Target != "xml" {
			return x.value(bytes.Clone(t.Inst), Text)
		}
	case xml.Comment:
		return x.value(bytes.Clone(t), Text)
	}
	return nil
}
