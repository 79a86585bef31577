package expand

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"unicode/utf8"

	"casemate/shield/text"
)

// binary takes care of what is no text in UTF-8: UTF-16 and compressed data are decoded, the rest is given as Bytes.
func (x *Expander) binary(v []byte, k Kind) (done bool, err error) {
	if out, ok := wideText(v); ok {
		return true, x.decoded("utf16", out, k)
	}
	if bytes.HasPrefix(v, []byte("\xef\xbb\xbf")) {
		return true, x.decoded("bom", v[3:], k)
	}
	if open := packed(v); open != nil {
		return x.unpack(v, open)
	}
	if plausible(v) {
		return false, nil
	}
	if len(v) <= maxRawFlate && x.used.Depth > 0 && x.tries < maxTries {
		x.tries++
		if done, err := x.unpack(v, func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }); done || err != nil {
			return done, err
		}
	}
	return true, x.emit(v, Bytes, Traits(v))
}

// Bounds of deflate without a header, which SAML sends: nothing tells it from noise, so it is tried.
const (
	maxRawFlate = 16 << 10 // bytes
	maxTries    = 16       // of one event
)

func packed(v []byte) func(io.Reader) (io.Reader, error) {
	if len(v) < 6 {
		return nil
	}
	switch {
	case v[0] == 0x1f && v[1] == 0x8b && v[2] == 8:
		return func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case v[0]&0x8f == 0x08 && v[0] <= 0x78 && v[1]&0x20 == 0 && (int(v[0])<<8|int(v[1]))%31 == 0 && !plausible(v):
		return func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
	}
	return nil
}

// unpack decompresses within the bound of decoded bytes: one byte more is too much. What is damaged gives what it gave
// until then.
func (x *Expander) unpack(v []byte, open func(io.Reader) (io.Reader, error)) (done bool, err error) {
	r, err := open(bytes.NewReader(v))
	if err != nil {
		return false, nil
	}
	left := x.max.Bytes - x.used.Bytes
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(left)+1))
	switch {
	case n > int64(left):
		return false, x.beyond("decoded bytes", x.max.Bytes)
	case n == 0 || err != nil && !plausible(out.Bytes()) && !known(out.Bytes()):
		return false, nil
	}
	return true, x.decoded("gzip", out.Bytes(), Text)
}

// plausible reports whether v reads as text, with some bytes that do not: decoders that skip those are common.
func plausible(v []byte) bool {
	look := v[:min(len(v), 512)]
	good := 0
	for i := 0; i < len(look); {
		r, n := utf8.DecodeRune(look[i:])
		if r >= ' ' && r != 0x7f && (r != utf8.RuneError || n > 1) || r == '\n' || r == '\r' || r == '\t' {
			good += n
		}
		i += n
	}
	return good*10 >= len(look)*7
}

// Bounds of what is taken for base64.
const (
	minBase64  = 4  // letters of a whole value
	minToken   = 20 // letters of a part of one
	maxTokens  = 256
	shortBytes = 8 // below, what is decoded has to be ASCII to be taken for text: short words are base64 as well
	minHex     = 6
)

// base64 decodes v where it is base64 as a whole, or parts of it that are.
func (x *Expander) base64(v []byte, k Kind, has Trait) error {
	if len(v) < minBase64 || k == Name && len(v) < minToken {
		return nil
	}
	if out, ok := hexText(v, has); ok {
		return x.decoded("hex", out, k)
	}
	if has&^(Slash|Star|Equals|Minus|Under|Line|Space) == 0 {
		if out, ok := unbase64(v, has&Space == 0 && len(v) <= maxRawFlate && x.tries < maxTries && k == Text); ok {
			return x.decoded("base64", out, k)
		}
	}
	if err := x.sloppy(v, k, has); err != nil {
		return err
	}
	return x.tokens(v, k)
}

// tokens decodes the parts of a value that are base64: what follows "Basic ", what is in a JWT, a data URL.
func (x *Expander) tokens(v []byte, k Kind) error {
	for n, i := 0, 0; i < len(v) && n < maxTokens; {
		start := i
		for i < len(v) && base64Value[v[i]] < 64 {
			i++
		}
		if i-start >= minToken && (start > 0 || i < len(v)) {
			n++
			if out, ok := unbase64(v[start:i], false); ok {
				if err := x.decoded("base64", out, k); err != nil {
					return err
				}
			}
		}
		i++
	}
	return nil
}

// sloppy decodes base64 that somebody strewed other bytes into: Node and Python skip those.
func (x *Expander) sloppy(v []byte, k Kind, has Trait) error {
	if len(v) < minToken || has&Space != 0 || has&^(Slash|Star|Equals|Minus|Under|Line) == 0 {
		return nil
	}
	good := 0
	for _, c := range v {
		if base64Value[c] < 64 {
			good++
		}
	}
	if good*8 < len(v)*7 || good == len(v) {
		return nil
	}
	if out, ok := unbase64(v, false); ok {
		return x.decoded("base64", out, k)
	}
	return nil
}

// unbase64 decodes either alphabet, padded or not, and skips what is in neither. ok is false unless what comes out reads as
// text, starts as something known, or could be deflate where that is wanted.
func unbase64(v []byte, deflate bool) (out []byte, ok bool) {
	var look [48]byte
	n := decode64(look[:], v)
	if n < 3 || n < shortBytes && !printable7(look[:n]) {
		return nil, false
	}
	if !plausible(look[:n]) && !known(look[:n]) && !(deflate && n >= 16 && look[0]&6 != 6 && look[0]&6 != 0) {
		if _, wide := wideText(look[:n]); !wide {
			return nil, false
		}
	}
	out = make([]byte, base64.RawStdEncoding.DecodedLen(len(v))+3)
	return out[:decode64(out, v)], true
}

func printable7(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c > '~' {
			return false
		}
	}
	return true
}

// decode64 fills out from v, as far as it goes.
func decode64(out, v []byte) (n int) {
	var acc uint32
	bits := 0
	for _, c := range v {
		d := base64Value[c]
		if d >= 64 {
			if c == ' ' { // a plus that went through a form
				d = 62
			} else {
				continue
			}
		}
		acc = acc<<6 | uint32(d)
		if bits += 6; bits >= 8 {
			bits -= 8
			if n == len(out) {
				return n
			}
			out[n] = byte(acc >> bits)
			n++
		}
	}
	return n
}

// base64Value is data: the six bits of a letter, 64 for what is none.
var base64Value = func() *[256]byte {
	t := new([256]byte)
	for i := range t {
		t[i] = 64
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := range len(letters) {
		t[letters[i]] = byte(i)
	}
	t['+'], t['-'], t['/'], t['_'] = 62, 62, 63, 63
	return t
}()

// known reports whether v starts as something that has to be looked at although it is no text.
func known(v []byte) bool {
	if packed(v) != nil {
		return true
	}
	for _, magic := range [...]string{"\xac\xed\x00\x05", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05", "\x04\x08", "\x00\x01\x00\x00\x00\xff\xff\xff\xff", "\xff\x01"} {
		if bytes.HasPrefix(v, []byte(magic)) {
			return true
		}
	}
	return false
}

// hexText decodes a value that is nothing but hexadecimal digits and reads as text.
func hexText(v []byte, has Trait) ([]byte, bool) {
	if has != 0 || len(v) < minHex {
		return nil, false
	}
	if v[0] == '0' && v[1]|0x20 == 'x' {
		v = v[2:]
	}
	if len(v)%2 != 0 {
		return nil, false
	}
	for _, c := range v[:min(len(v), 16)] {
		if _, ok := text.Hex([]byte{c}); !ok {
			return nil, false
		}
	}
	out := make([]byte, len(v)/2)
	for i := range out {
		r, ok := text.Hex(v[2*i : 2*i+2])
		if !ok {
			return nil, false
		}
		out[i] = byte(r)
	}
	return out, plausible(out) && len(out) > 0
}
