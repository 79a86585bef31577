package expand

import (
	"bytes"
	"encoding/base64"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
)

// Bounds of multipart bodies.
const (
	maxParts     = 1000
	maxPartLines = 1000 // of headers
	maxBoundary  = 200
)

// declared is the boundary that a content type names, as lenient readers find it too, or "".
func declared(media string) string {
	if _, params, err := mime.ParseMediaType(media); err == nil {
		return params["boundary"]
	}
	_, rest, _ := strings.Cut(strings.ToLower(media), "boundary=")
	rest = media[len(media)-len(rest):]
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		rest, _, _ = strings.Cut(quoted, `"`)
	}
	rest, _, _ = strings.Cut(rest, ";")
	return strings.TrimSpace(rest)
}

// shown is the boundary that v begins with, where it looks like a form, or "".
func shown(v []byte) string {
	line, _, ok := bytes.Cut(v[:min(len(v), maxBoundary)], []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if !ok || len(line) < 3 || !bytes.Contains(bytes.ToLower(v[:min(len(v), 1024)]), []byte("\ncontent-")) {
		return ""
	}
	return string(line[2:])
}

// multipart gives the parts of v, their names and the names of their files, and what stands before, between and behind them: readers
// differ about where a form begins and ends, and nothing of it goes unseen.
func (x *Expander) multipart(v []byte, boundary string) error {
	if err := x.enter("multipart", len(v)); err != nil {
		return err
	}
	defer x.leave()
	for n, inside := 0, false; ; n++ {
		if n == maxParts {
			return x.beyond("parts", maxParts)
		}
		segment, rest, more, last := cutBoundary(v, boundary)
		if err := x.segment(segment, inside); err != nil || !more {
			return err
		}
		v, inside = rest, !last
	}
}

// cutBoundary cuts v at the next line that is the boundary alone. last says that the line closes the form.
func cutBoundary(v []byte, boundary string) (segment, rest []byte, more, last bool) {
	mark := []byte("--" + boundary)
	for from := 0; ; {
		at := bytes.Index(v[from:], mark)
		if at < 0 {
			return v, nil, false, false
		}
		at += from
		from = at + len(mark)
		if at > 0 && v[at-1] != '\n' { // asked first: what follows is read once for each line, not for each mark
			continue
		}
		tail, next, _ := bytes.Cut(v[from:], []byte("\n"))
		tail, last = bytes.CutPrefix(tail, []byte("--"))
		if len(bytes.TrimSpace(tail)) == 0 {
			return bytes.TrimSuffix(bytes.TrimSuffix(v[:at], []byte("\n")), []byte("\r")), next, true, last
		}
	}
}

// segment is what stands between two boundaries: a part, or inside a form what is none.
func (x *Expander) segment(v []byte, inside bool) error {
	if !inside {
		if len(bytes.TrimSpace(v)) == 0 {
			return nil
		}
		return x.value(v, Text)
	}
	head, body := []byte(nil), v
	if rest, ok := bytes.CutPrefix(bytes.TrimPrefix(v, []byte("\r")), []byte("\n")); ok {
		body = rest
	} else if at, n := blankLine(v); at >= 0 {
		head, body = v[:at], v[at+n:]
	}
	if bytes.Count(head, []byte("\n")) > maxPartLines {
		return x.beyond("header lines of a part", maxPartLines)
	}
	return x.part(fields(head), body)
}

// blankLine is where headers end, whoever ends lines how, and the length of what ends them.
func blankLine(v []byte) (at, n int) {
	for from := 0; ; {
		i := bytes.IndexByte(v[from:], '\n')
		if i < 0 {
			return -1, 0
		}
		at, from = from+i, from+i+1
		switch rest := v[from:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return at, 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return at, 3
		}
	}
}

// fields are header lines by their names in lower case, folded ones in one.
func fields(head []byte) map[string][]string {
	out := map[string][]string{}
	flat := strings.NewReplacer("\r\n ", " ", "\r\n\t", " ", "\n ", " ", "\n\t", " ").Replace(string(head))
	for line := range strings.SplitSeq(flat, "\n") {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		out[name] = append(out[name], strings.TrimSpace(value))
	}
	return out
}

func (x *Expander) part(h map[string][]string, data []byte) error {
	var name string
	if lines := h["content-disposition"]; len(lines) > 0 {
		_, params, _ := mime.ParseMediaType(lines[0])
		name = params["name"]
	}
	x.piece.path = append(x.piece.path, step{name: []byte(name)})
	defer func() { x.piece.path = x.piece.path[:len(x.piece.path)-1] }()
	if Telling([]byte(name)) {
		if err := x.value([]byte(name), Name); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, line := range h[key] {
			if err := x.header(key, line); err != nil {
				return err
			}
		}
	}
	encoding, media := "", ""
	if lines := h["content-transfer-encoding"]; len(lines) > 0 {
		encoding = strings.ToLower(lines[0])
	}
	if lines := h["content-type"]; len(lines) > 0 {
		media = lines[0]
	}
	switch encoding {
	case "base64":
		if out, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(data))); err == nil {
			data = out
		}
	case "quoted-printable":
		if out, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(data))); err == nil {
			data = out
		}
	}
	return x.body(data, media)
}

// header gives the file name that a header line of a part carries, as it stands there: libraries that make it safe are not
// everybody's. A header that forms have no use for is a value like others.
func (x *Expander) header(key, line string) error {
	switch key {
	case "content-disposition", "content-type", "content-transfer-encoding", "content-length", "":
	default:
		return x.value([]byte(line), Text)
	}
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
