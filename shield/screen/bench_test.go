package screen

import (
	"strings"
	"testing"

	"casemate"
)

// requests are the three that promise P4 names.
func requests() map[string]*Request {
	header := []casemate.HeaderLine{{Name: "Host", Value: "api.example.com"}, {Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{Name: "Accept", Value: "application/json"}}
	post := func(kind, body string) *Request {
		return &Request{Method: "POST", URI: "/orders", Protocol: "HTTP/1.1", RemoteAddr: "127.0.0.1", Body: []byte(body),
			Header: append([]casemate.HeaderLine{{Name: "Content-Type", Value: kind}, {Name: "Content-Length", Value: "90"}}, header...)}
	}
	prose := strings.Repeat("The order was placed on Monday, and we were told that it would be here by Friday; it isn't. Could you please look into it? ", 70)[:8192]
	return map[string]*Request{
		"get":  {Method: "GET", URI: "/orders/17?page=2&sort=date", Protocol: "HTTP/1.1", Header: header, RemoteAddr: "127.0.0.1"},
		"json": post("application/json", `{"customer":"c-4711","item":"blue kettle","count":2,"note":"please leave it at the door"}  `),
		"text": post("application/json", `{"note":"`+prose+`"}`),
	}
}

func BenchmarkRequest(b *testing.B) {
	e, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	w := reference(b, 1, nil, "On")
	for _, name := range []string{"get", "json", "text"} {
		q := requests()[name]
		b.Run(name+"/casemate", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Request(q, Options{})
			}
		})
		b.Run(name+"/coraza", func(b *testing.B) {
			for b.Loop() {
				asked(w, q, false)
			}
		})
	}
}

func BenchmarkFields(b *testing.B) {
	e, err := New(Config{Attacks: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, fields := range map[string][]casemate.Field{
		"json":  {{In: "body", Name: "/note", Value: []byte("please leave it at the door")}, {In: "body", Name: "/item", Value: []byte("blue kettle")}},
		"query": {{In: "query", Name: "page", Value: []byte("2")}, {In: "query", Name: "sort", Value: []byte("date")}, {In: "path", Value: []byte("/orders/17")}},
		"text":  {{In: "body", Name: "/note", Value: []byte(requests()["text"].Body[9:8201])}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Fields(fields, Options{})
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Config{}); err != nil {
			b.Fatal(err)
		}
	}
}
