package expand

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"casemate"

	"pgregory.net/rapid"
)

type got struct {
	where, value string
	kind         Kind
}

func pieces(t testing.TB, b Bounds, f casemate.Field, media string) ([]got, error) {
	t.Helper()
	var out []got
	err := New(b).Expand(f, media, func(p *Piece) error {
		out = append(out, got{p.Where(), string(p.Value), p.Kind})
		return nil
	})
	return out, err
}

func has(list []got, value string) bool {
	for _, g := range list {
		if g.value == value {
			return true
		}
	}
	return false
}

const evil = `' UNION SELECT password FROM users--`

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func wide(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}

func unicodeEscaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

func TestEveryWayInIsSeen(t *testing.T) {
	form := "--xYz\r\nContent-Disposition: form-data; name=\"up\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n" + evil + "\r\n--xYz--\r\n"
	for name, tc := range map[string]struct{ body, media, where string }{
		"plain":            {evil, "", ""},
		"json":             {`{"a":[1,{"b":` + quoted(evil) + `}]}`, "application/json", "/a/1/b"},
		"json in a string": {`{"a":` + quoted(`{"q":`+quoted(evil)+`}`) + `}`, "", "/a:json/q"},
		"base64":           {`{"data":"` + b64(evil) + `"}`, "", "/data:base64"},
		"base64url, bare":  {base64.RawURLEncoding.EncodeToString([]byte(evil)), "", ":base64"},
		"base64, strewn":   {strings.Join(strings.SplitAfterN(b64(evil), "", 6), "."), "", ":base64"},
		"base64 of json":   {`{"data":"` + b64(`{"sql":`+quoted(evil)+`}`) + `"}`, "", "/data:base64:json/sql"},
		"base64 in text":   {"Basic " + b64(evil), "", ":base64"},
		"data url":         {"data:text/plain;base64," + b64(evil), "", ":base64"},
		"hex":              {hex.EncodeToString([]byte(evil)), "", ":hex"},
		"percent":          {percent(evil), "", ":url"},
		"percent twice":    {percent(percent(evil)), "", ":url:url"},
		"percent u":        {strings.ReplaceAll(evil, "'", "%u0027"), "", ":url"},
		"entities":         {strings.ReplaceAll(html.EscapeString(evil), "S", "&#x53;"), "", ":html"},
		"escapes":          {unicodeEscaped(evil), "", ":escape"},
		"escapes x":        {strings.ReplaceAll(evil, "'", `\x27`), "", ":escape"},
		"gzip":             {zipped(evil), "", ":gzip"},
		"base64 of gzip":   {b64(zipped(evil)), "", ":base64:gzip"},
		"saml":             {b64(deflated("<Response>" + strings.Repeat("<a>x</a>", 20) + "<n>" + evil + "</n></Response>")), "", ":base64:gzip:xml/Response/n"},
		"utf-16 in base64": {b64(wide(evil)), "", ":base64:utf16"},
		"byte order mark":  {"\xef\xbb\xbf{\"a\":" + quoted(evil) + "}", "", ":bom:json/a"},
		"form":             {"a=b&c=" + url.QueryEscape(evil), "application/x-www-form-urlencoded", "/c"},
		"form, unsaid":     {"a=b&c=" + url.QueryEscape(evil), "", "/c"},
		"multipart":        {form, "multipart/form-data; boundary=xYz", ":multipart/up"},
		"multipart, b64":   {`{"body":"` + b64(form) + `"}`, "", "/body:base64:multipart/up"},
		"xml":              {`<?xml version="1.0"?><o id="1"><q>` + html.EscapeString(evil) + `</q></o>`, "application/xml", ":xml/o/q"},
		"xml attribute":    {`<o q="` + html.EscapeString(evil) + `"/>`, "text/xml", ":xml/o/@q"},
		"cdata":            {`<o><![CDATA[` + evil + `]]></o>`, "application/soap+xml", ":xml/o"},
		"full width":       {strings.ReplaceAll(evil, "'", "＇"), "", ":width"},
		"broken json":      {`{"a":` + quoted(evil) + `,}`, "", "/a"},
		"jwt":              {"Bearer " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":`+quoted(evil)+`}`)) + ".e30.c2ln", "", ":base64:json/kid"},
		"kitchen sink":     {`{"Records":[{"body":` + quoted(`{"Message":`+quoted(b64(zipped(percent(evil))))+`}`) + `}]}`, "", "/Records/0/body:json/Message:base64:gzip:url"},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := pieces(t, Bounds{}, casemate.Field{In: "body", Value: []byte(tc.body)}, tc.media)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range list {
				if g.value == evil && g.where == tc.where {
					return
				}
			}
			t.Errorf("not seen at %q: %q", tc.where, list)
		})
	}
}

func TestNamesAndFileNames(t *testing.T) {
	body := "--b\r\nContent-Disposition: form-data; name=\"a'b\"; filename=\"../../etc/passwd\"\r\n\r\nx\r\n--b--\r\n"
	list, err := pieces(t, Bounds{}, casemate.Field{In: "body", Value: []byte(body)}, "")
	if err != nil || !has(list, "../../etc/passwd") || !has(list, "a'b") {
		t.Errorf("%q, %v", list, err)
	}
	list, err = pieces(t, Bounds{}, casemate.Field{In: "body", Value: []byte(`{"user":{"$ne":1,"plain":2,"__proto__":{}}}`)}, "")
	if err != nil || len(list) != 2 || list[0] != (got{"/user/$ne", "$ne", Name}) || list[1] != (got{"/user/__proto__", "__proto__", Name}) {
		t.Errorf("%q, %v", list, err)
	}
	var above string
	_ = New(Bounds{}).Expand(casemate.Field{Value: []byte(`{"constructor":{"prototype":{}}}`)}, "", func(p *Piece) error {
		above = string(p.Above)
		return nil
	})
	if above != "constructor" {
		t.Errorf("above %q", above)
	}
}

func TestWhatIsPlainStaysAsItIs(t *testing.T) {
	for _, v := range []string{"O'Neil", "100% sure", "a & b", `C:\users\new`, "2026-01-02T03:04:05Z", "hello world, how are you?", "日本語のテキスト、です。", "🎉 party",
		"550e8400-e29b-41d4-a716-446655440000", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "internationalization", "d2f1ab0000000000000000000000000000000000000000000000000000000fff",
		"/static/images/products/large/hero", "[x] done", "{name}", "- item\n- item"} {
		list, err := pieces(t, Bounds{}, casemate.Field{In: "body", Value: []byte(v)}, "")
		if err != nil || len(list) != 1 || list[0].value != v {
			t.Errorf("%q gives %q, %v", v, list, err)
		}
	}
}

func TestBoundsHold(t *testing.T) {
	nested := evil
	for range 12 {
		nested = b64(nested + " and some more text")
	}
	bomb := zipped(strings.Repeat("0", 20<<20))
	for name, v := range map[string]string{"depth": nested, "bomb": bomb, "bomb in base64": b64(bomb), "brackets": strings.Repeat("[", 100), "elements": strings.Repeat("<a>", 100)} {
		_, err := pieces(t, Bounds{}, casemate.Field{In: "body", Value: []byte(v)}, map[bool]string{true: "text/xml"}[name == "elements"])
		e := (*casemate.Error)(nil)
		if !errors.As(err, &e) || e.Code != casemate.TooLarge || !strings.HasPrefix(e.Rule, RuleBounds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	if err := New(Bounds{}).Expand(casemate.Field{Value: []byte(`["a","b"]`)}, "", func(*Piece) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped with %v", err)
	}
}

// What is given out is bounded whatever comes in, and equal for equal input.
func TestBoundsAndDeterminism(t *testing.T) {
	b := Bounds{Depth: 4, Pieces: 50, Bytes: 4000, Work: 8000}
	layers := []func(string) string{quoted, b64, percent, zipped, html.EscapeString, unicodeEscaped, func(s string) string { return `{"a":` + quoted(s) + `}` },
		func(s string) string { return "[" + quoted(s) + "," + quoted(s) + "]" }}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.String(), rapid.Just(evil)).Draw(t, "v")
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(layers)-1), 0, 6).Draw(t, "layers") {
			v = layers[i](v)
		}
		run := func() (out string, n, bytes int) {
			x := New(b)
			err := x.Expand(casemate.Field{In: "body", Value: []byte(v)}, "", func(p *Piece) error {
				n++
				if p.Depth > b.Depth {
					t.Fatalf("depth %d", p.Depth)
				}
				out += fmt.Sprintf("%s %d %q\n", p.Where(), p.Kind, p.Value)
				return nil
			})
			return out + fmt.Sprint(err), n, x.used.Bytes
		}
		one, n, _ := run()
		if two, _, _ := run(); one != two {
			t.Fatalf("differ:\n%s\n%s", one, two)
		}
		if n > b.Pieces {
			t.Fatalf("%d pieces", n)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{evil, `{"a":"b"}`, b64(evil), percent(evil), zipped(evil), "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--", "<a b='c'>&lt;</a>", `"\u0027"`} {
		f.Add([]byte(s), "")
	}
	f.Add([]byte("a=b&c=d"), "application/x-www-form-urlencoded")
	f.Add([]byte("<a/>"), "text/xml")
	f.Fuzz(func(t *testing.T, v []byte, media string) {
		b := Bounds{Depth: 6, Pieces: 2000, Bytes: 1 << 20, Work: 4 << 20}
		n := 0
		before := bytes.Clone(v)
		_ = New(b).Expand(casemate.Field{In: "body", Value: v}, media, func(p *Piece) error {
			n++
			if p.Depth > b.Depth || n > b.Pieces {
				t.Fatalf("piece %d at depth %d", n, p.Depth)
			}
			_ = p.Where()
			return nil
		})
		if !bytes.Equal(v, before) {
			t.Fatal("the value was changed")
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	for name, v := range map[string]string{"word": "hello", "json90": `{"name":"Jane Doe","quantity":3,"price":12.5,"note":"please ring twice","id":"a1b2c3d4"}`,
		"text8k": strings.Repeat("The quick brown fox jumps over the lazy dog. ", 180)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = New(Bounds{}).Expand(casemate.Field{In: "body", Value: []byte(v)}, "", func(*Piece) error { return nil })
			}
		})
	}
}
