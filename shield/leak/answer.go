package leak

import (
	"bytes"
	"strings"
)

// Body looks at the body of an answer with this status and media type, and gives what may leave: body itself where nothing
// was found. It costs one pass, and for errors some more.
func Body(body []byte, status int, media string, r Rules) ([]byte, Found) {
	var out Found
	if len(body) == 0 {
		return body, out
	}
	f := &finder{}
	if r.Traces != Off && (status >= 400 || suspicious(body)) && textual(media) {
		clean := traces(body, looksJSON(body), status >= 500, f)
		if len(f.order) > 0 {
			body = clean
			out.Notes = append(out.Notes, f.notes("removed")...)
		}
		*f = finder{}
	}
	if r.Secrets != Off {
		secrets(body, 0, r.Secrets, f)
		body = f.apply(body)
	}
	if r.Personal == Mask || r.Personal == Block {
		numbers(body, 0, r.Personal, f)
		body = f.apply(body)
	}
	out.Notes = append(out.Notes, f.notes(map[bool]string{false: "masked", true: "blocked"}[f.block != ""])...)
	out.Blocked = f.block
	return body, out
}

func looksJSON(body []byte) bool {
	head := bytes.TrimLeft(body, " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[' || head[0] == '"')
}

// Value looks at the value of a header line.
func Value(v string, r Rules) (string, Found) {
	if len(v) < 20 || r.Secrets == Off {
		return v, Found{}
	}
	out, found := Body([]byte(v), 200, "", Rules{Secrets: r.Secrets, Personal: Off, Traces: Off})
	if len(found.Notes) == 0 {
		return v, found
	}
	return string(out), found
}

// textual reports whether a body of this type is read by people or programs as text.
func textual(media string) bool {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	for _, p := range [...]string{"image/", "video/", "audio/", "font/", "application/octet-stream", "application/pdf", "application/zip"} {
		if strings.HasPrefix(media, p) {
			return false
		}
	}
	return true
}
