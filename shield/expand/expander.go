package expand

import (
	"bytes"
	"fmt"
	"strings"

	"casemate"
)

// Bounds limit what one event may unfold to. A zero field means the default, never "unlimited".
type Bounds struct {
	Depth  int // decodings inside each other
	Pieces int // given out in all
	Bytes  int // that decodings make, in all
	Work   int // bytes looked at, in all
}

// DefaultBounds let the largest body of Lambda through when it is nested as events of a cloud are.
func DefaultBounds() Bounds {
	return Bounds{Depth: 8, Pieces: 100_000, Bytes: 16 << 20, Work: 48 << 20}
}

func (b Bounds) orDefault() Bounds {
	d := DefaultBounds()
	for _, f := range [...]struct{ have, want *int }{{&b.Depth, &d.Depth}, {&b.Pieces, &d.Pieces}, {&b.Bytes, &d.Bytes}, {&b.Work, &d.Work}} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	return b
}

// Expander takes the fields of one event apart; its bounds hold for all of them together. It is not safe for concurrent use.
type Expander struct {
	max   Bounds
	used  Bounds // Depth is the decodings that are open
	tries int    // of deflate
	piece Piece
	give  func(*Piece) error
}

// New makes the expander of one event.
func New(b Bounds) *Expander { return &Expander{max: b.orDefault()} }

// Expand gives every piece of f: the value as it is, where nothing in it stands for something else, and whatever it
// decodes to. media is the content type of a body, or "": it is a hint, forms, XML and multipart are known by their look as
// well. An error of give ends it and is returned as it is; what is beyond the bounds is an *casemate.Error of code
// TooLarge whose Rule starts with RuleBounds.
func (x *Expander) Expand(f casemate.Field, media string, give func(*Piece) error) error {
	x.give = give
	x.piece.In, x.piece.top, x.piece.path = f.In, f.Name, x.piece.path[:0]
	x.used.Depth = 0
	return x.body(f.Value, media)
}

// ExpandName gives the pieces of a parameter's name: Text becomes Name.
func (x *Expander) ExpandName(in, name string, give func(*Piece) error) error {
	if !Telling([]byte(name)) {
		return nil
	}
	x.give = give
	x.piece.In, x.piece.top, x.piece.path = in, name, x.piece.path[:0]
	x.used.Depth = 0
	return x.value([]byte(name), Name)
}

// RuleBounds is what the rule of every refusal for too much starts with.
const RuleBounds = "casemate/bounds"

func (x *Expander) beyond(what string, most int) error {
	return &casemate.Error{Code: casemate.TooLarge, Field: x.piece.Where(), Rule: fmt.Sprintf("%s: %s <= %d", RuleBounds, what, most),
		Message: "the event holds more than can be looked at", Hint: "send less at once, or nest it less deeply"}
}

func (x *Expander) work(n int) error {
	if x.used.Work += n; x.used.Work > x.max.Work {
		return x.beyond("bytes looked at", x.max.Work)
	}
	return nil
}

func (x *Expander) emit(v []byte, k Kind, has Trait) error {
	if x.used.Pieces++; x.used.Pieces > x.max.Pieces {
		return x.beyond("values", x.max.Pieces)
	}
	p := &x.piece
	p.Value, p.Kind, p.Has, p.Depth, p.Above = v, k, has, x.used.Depth, nil
	if k == Name {
		p.Above = p.above()
	}
	return x.give(p)
}

// above is the name of the member that holds the object whose member is being given.
func (p *Piece) above() []byte {
	for i := len(p.path) - 2; i >= 0; i-- {
		if p.path[i].name != nil {
			return p.path[i].name
		}
	}
	return nil
}

// enter goes one decoding down. The value that comes out of it has been made, so it counts.
func (x *Expander) enter(code string, made int) error {
	if x.used.Depth++; x.used.Depth > x.max.Depth {
		return x.beyond("encodings inside each other", x.max.Depth)
	}
	if x.used.Bytes += made; x.used.Bytes > x.max.Bytes {
		return x.beyond("decoded bytes", x.max.Bytes)
	}
	x.piece.path = append(x.piece.path, step{code: code})
	return nil
}

func (x *Expander) leave() {
	x.used.Depth--
	x.piece.path = x.piece.path[:len(x.piece.path)-1]
}

// decoded goes on with what a decoding made.
func (x *Expander) decoded(code string, v []byte, k Kind) error {
	if err := x.enter(code, len(v)); err != nil {
		return err
	}
	defer x.leave()
	return x.value(v, k)
}

// body is a value with a media type, which may say more than its look.
func (x *Expander) body(v []byte, media string) error {
	whole := media
	media, _, _ = strings.Cut(media, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case strings.HasPrefix(media, "multipart/"):
		boundary := declared(whole)
		if boundary == "" {
			break
		}
		if err := x.multipart(v, boundary); err != nil || shown(bytes.TrimLeft(v, " \t\r\n")) == boundary {
			return err
		}
	case media == "application/x-www-form-urlencoded":
		return x.form(v)
	case media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		if err := x.work(len(v)); err != nil {
			return err
		}
		if _, wide := wideText(v); !wide {
			whole, err := x.xml(v)
			if err != nil || whole {
				return err
			}
			return x.layers(v, Text, Traits(v))
		}
	}
	return x.value(v, Text)
}

// cheap are the classes that nothing encoded needs, as long as a value is short.
const cheap = Space | Dot | Minus | Under | Other | At | Colon | Paren | Close

// value looks at one value and at everything that it stands for.
func (x *Expander) value(v []byte, k Kind) error {
	if err := x.work(len(v)); err != nil {
		return err
	}
	has := Traits(v)
	if has&^cheap == 0 && len(v) < minBase64 {
		return x.emit(v, k, has)
	}
	if has&(Control|High) != 0 {
		if done, err := x.binary(v, k); done || err != nil {
			return err
		}
	}
	switch head := bytes.TrimLeft(v, " \t\r\n"); {
	case len(head) == 0:
	case head[0] == '{' || head[0] == '[' || head[0] == '"':
		whole, err := x.json(head)
		if err != nil || whole {
			return err
		}
	case head[0] == '<' && looksXML(head):
		if _, err := x.xml(v); err != nil {
			return err
		}
	case len(head) > 4 && head[0] == '-' && head[1] == '-' && has&Line != 0:
		if boundary := shown(head); boundary != "" {
			return x.multipart(head, boundary)
		}
	case has&Equals != 0 && has&(Space|Line|Control|Quote|Angle) == 0 && looksForm(head):
		if err := x.emit(v, k, has); err != nil {
			return err
		}
		return x.form(head)
	}
	return x.layers(v, k, has)
}

// layers gives the value itself, and goes on with what is left when one layer of encoding is taken off.
func (x *Expander) layers(v []byte, k Kind, has Trait) error {
	if err := x.emit(v, k, has); err != nil {
		return err
	}
	if out, code := unwrap(v, has); code != "" {
		return x.decoded(code, out, k)
	}
	return x.base64(v, k, has)
}
