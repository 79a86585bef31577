package attacks

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"unicode/utf16"
)

// Nesting puts a value inside an encoding, as a layer that some function undoes.
type Nesting struct {
	Name string
	Wrap func(string) string
}

// Nestings are the encodings, from none to several inside each other.
func Nestings() []Nesting {
	return []Nesting{
		{"plain", func(s string) string { return s }},
		{"json", func(s string) string { return `{"v":` + Quote(s) + `}` }},
		{"json*2", func(s string) string { return `{"a":` + Quote(`{"v":`+Quote(s)+`}`) + `}` }},
		{"base64", base64Of},
		{"base64url", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
		{"base64*2", func(s string) string { return base64Of(base64Of(s)) }},
		{"url", url.QueryEscape},
		{"url*2", func(s string) string { return percent(percent(s)) }},
		{"html", entities},
		{"escapes", escapes},
		{"gzip+base64", func(s string) string { return base64Of(gzipped(s)) }},
		{"zlib+base64", func(s string) string { return base64Of(deflated(s)) }},
		{"utf16+base64", func(s string) string { return base64Of(utf16Of(s)) }},
		{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
		{"base64(json(url))", func(s string) string { return base64Of(`{"v":` + Quote(percent(s)) + `}`) }},
		{"form", func(s string) string { return "a=1&v=" + url.QueryEscape(s) }},
		{"multipart+base64", func(s string) string {
			return base64Of("--bOuNd\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n" + s + "\r\n--bOuNd--\r\n")
		}},
		{"xml", func(s string) string { return `<?xml version="1.0"?><o><v>` + html.EscapeString(s) + `</v></o>` }},
		{"jwt", func(s string) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"v":`+Quote(s)+`}`)) + ".c2lnbmF0dXJl"
		}},
	}
}

// Quote is a value as a JSON string.
func Quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func entities(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, "&#%d;", r)
	}
	return b.String()
}

func escapes(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, `\u%04x`, u)
	}
	return b.String()
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // a buffer takes all
	_ = w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // a buffer takes all
	_ = w.Close()
	return b.String()
}

func utf16Of(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}
