// Package plain is the one type that plaintext secrets travel in. It refuses every way by which a value gets into a log,
// a record, an error or a trace by accident: printing, formatting and encoding. Who really needs the bytes says Expose,
// and that word is what a reviewer looks for.
package plain

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Hidden is what stands where a value would have been printed.
const Hidden = "[secret]"

// Text is a plaintext. The zero Text is empty. Copies share their bytes, so one Wipe empties all of them. The bytes lie
// behind a function: reflection that skips methods (fmt on an unexported field) follows pointers, but calls nothing.
type Text struct{ box func() *[]byte }

// errHidden names no value: that is its point.
var errHidden = errors.New("a secret is not encoded")

// Take makes a Text of b, which now belongs to it.
func Take(b []byte) Text { return Text{func() *[]byte { return &b }} }

// Expose gives the bytes themselves, not a copy. They must not outlive the Text's Wipe, nor go anywhere but to whom the
// policy said yes.
func (t Text) Expose() []byte {
	if t.box == nil {
		return nil
	}
	return *t.box()
}

// Len is the number of bytes.
func (t Text) Len() int { return len(t.Expose()) }

// Equal compares in constant time.
func (t Text) Equal(u Text) bool { return subtle.ConstantTimeCompare(t.Expose(), u.Expose()) == 1 }

// Wipe overwrites the bytes. What the runtime or a decoder copied before is out of its reach.
func (t Text) Wipe() {
	if t.box != nil {
		clear(*t.box())
		*t.box() = nil
	}
}

// AppendJSON adds the value to dst as a JSON string: the way out to an authorised reader. The value is valid UTF-8, or
// the reader gets U+FFFD for what is not, as encoding/json has it.
func (t Text) AppendJSON(dst []byte) ([]byte, error) {
	quoted, err := json.Marshal(string(t.Expose()))
	if err != nil {
		return dst, errHidden
	}
	dst = append(dst, quoted...)
	clear(quoted)
	return dst, nil
}

// AppendBase64 adds the value to dst as a JSON string of its standard base64.
func (t Text) AppendBase64(dst []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), t.Expose()), '"')
}

// UnmarshalJSON takes a JSON string, the way in. Its errors never quote the input.
func (t *Text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("not a JSON string")
	}
	*t = Take([]byte(s))
	return nil
}

// String hides the value.
func (Text) String() string { return Hidden }

// GoString hides it from %#v.
func (Text) GoString() string { return Hidden }

// Format hides it from every verb and flag.
func (Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Hidden) }

// LogValue hides it from slog.
func (Text) LogValue() slog.Value { return slog.StringValue(Hidden) }

// MarshalJSON refuses.
func (Text) MarshalJSON() ([]byte, error) { return nil, errHidden }

// MarshalText refuses, and with it XML, YAML, flags and map keys.
func (Text) MarshalText() ([]byte, error) { return nil, errHidden }

// MarshalBinary refuses, and with it gob.
func (Text) MarshalBinary() ([]byte, error) { return nil, errHidden }
