package expand

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"slices"
	"strings"
)

// looksForm reports whether all of v is name=value pairs.
func looksForm(v []byte) bool {
	pairs := 0
	for part := range bytes.SplitSeq(v, []byte("&")) {
		eq := bytes.IndexByte(part, '=')
		if eq <= 0 || eq > 64 || eq == len(part)-1 && pairs == 0 && len(v) == len(part) { // "abc=" is base64 as well
			return false
		}
		for _, c := range part[:eq] {
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("_-.[]$%:"), c) >= 0 {
				continue
			}
			return false
		}
		if rest := part[eq+1:]; len(rest) > 0 && len(bytes.Trim(rest, "=")) == 0 {
			return false
		}
		pairs++
	}
	return pairs > 0
}

// form gives the names and values of an application/x-www-form-urlencoded text.
func (x *Expander) form(v []byte) error {
	for part := range bytes.SplitSeq(v, []byte("&")) {
		name, value, _ := bytes.Cut(part, []byte("="))
		name, value = unform(name), unform(value)
		if err := x.pair(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (x *Expander) pair(name, value []byte) error {
	x.piece.path = append(x.piece.path, step{name: name})
	defer func() { x.piece.path = x.piece.path[:len(x.piece.path)-1] }()
	if Telling(name) {
		if err := x.value(name, Name); err != nil {
			return err
		}
	}
	return x.value(value, Text)
}

func unform(v []byte) []byte {
	if bytes.IndexByte(v, '+') >= 0 {
		v = bytes.ReplaceAll(v, []byte("+"), []byte(" "))
	}
	if out, ok := unpercent(v); ok {
		return out
	}
	return v
}

// Bounds of multipart bodies.
const (
	maxParts       = 1000
	maxBoundary    = 200
	maxPartHeaders = 20
)

// multipart gives the parts of v, their names and the names of their files. It knows the boundary from the first line.
func (x *Expander) multipart(v []byte) (whole bool, err error) {
	line, _, ok := bytes.Cut(v[:min(len(v), maxBoundary)], []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if !ok || len(line) < 3 || !bytes.Contains(bytes.ToLower(v[:min(len(v), 1024)]), []byte("\ncontent-")) {
		return false, nil
	}
	if err := x.enter("multipart", len(v)); err != nil {
		return false, err
	}
	defer x.leave()
	parts := multipart.NewReader(bytes.NewReader(v), string(line[2:]))
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, nil
		case n == maxParts:
			return false, x.beyond("parts", maxParts)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return false, nil
		}
		if err := x.part(part, data); err != nil {
			return false, err
		}
	}
}

func (x *Expander) part(p *multipart.Part, data []byte) error {
	name := []byte(p.FormName())
	x.piece.path = append(x.piece.path, step{name: name})
	defer func() { x.piece.path = x.piece.path[:len(x.piece.path)-1] }()
	if Telling(name) {
		if err := x.value(name, Name); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Header)) {
		for _, line := range p.Header[key] {
			if err := x.header(line); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
	case "base64":
		if out, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(data))); err == nil {
			data = out
		}
	case "quoted-printable":
		if out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(data))); err == nil {
			data = out
		}
	}
	return x.body(data, p.Header.Get("Content-Type"))
}

// header gives the file name that a header line of a part carries, as it stands there: libraries that make it safe are not
// everybody's.
func (x *Expander) header(line string) error {
	_, params, err := mime.ParseMediaType(line)
	if err != nil { // broken on purpose: all of it may be read as a name
		return x.value([]byte(line), File)
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if strings.HasPrefix(key, "filename") {
			if err := x.value([]byte(params[key]), File); err != nil {
				return err
			}
		}
	}
	return nil
}
