package attacks

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"casemate"
)

// Source puts a value into an event, where senders of its kind can. ok is false where it cannot stand there.
type Source struct {
	Name string
	Make func(value string) (m *casemate.Match, e *casemate.Event, body []byte, ok bool)
}

// Sources are the places, of every kind of event.
func Sources() []Source {
	return []Source{
		{"http body", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), &casemate.Event{Source: casemate.SourceHTTP, ContentType: "application/json"}, []byte(`{"id":7,"note":` + Quote(v) + `}`), true
		}},
		{"http object", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			if !json.Valid([]byte(v)) || v[0] != '{' && v[0] != '[' {
				return nil, nil, nil, false
			}
			return route(nil), &casemate.Event{Source: casemate.SourceHTTP, ContentType: "application/json"}, []byte(`{"id":7,"note":` + v + `}`), true
		}},
		{"query", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), &casemate.Event{Source: casemate.SourceHTTP, Query: "id=7&q=" + url.QueryEscape(v)}, nil, true
		}},
		{"path", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(map[string]string{"name": v}), &casemate.Event{Source: casemate.SourceHTTP, Target: casemate.Target{Path: "/x/" + url.PathEscape(v)}}, nil, true
		}},
		{"header", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), &casemate.Event{Source: casemate.SourceHTTP, Headers: line("X-Note", v)}, nil, !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
		}},
		{"cookie", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), &casemate.Event{Source: casemate.SourceHTTP, Headers: line("Cookie", "a=b; note="+url.QueryEscape(v))}, nil, true
		}},
		{"sqs", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), invoke(), []byte(`{"Records":[{"messageId":"1","body":` + Quote(v) + `,"eventSource":"aws:sqs"}]}`), true
		}},
		{"sns in sqs", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), invoke(), []byte(`{"Records":[{"body":` + Quote(`{"Type":"Notification","Message":`+Quote(v)+`}`) + `,"eventSource":"aws:sqs"}]}`), true
		}},
		{"kinesis", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), invoke(), []byte(`{"Records":[{"kinesis":{"data":"` + base64.StdEncoding.EncodeToString([]byte(v)) + `"},"eventSource":"aws:kinesis"}]}`), true
		}},
		{"object key", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), invoke(), []byte(`{"Records":[{"eventSource":"aws:s3","s3":{"object":{"key":"` + url.QueryEscape(v) + `"}}}]}`), len(v) <= 1024
		}},
		{"table change", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), invoke(), []byte(`{"Records":[{"eventName":"INSERT","dynamodb":{"NewImage":{"note":{"S":` + Quote(v) + `}}}}]}`), true
		}},
		{"attribute", func(v string) (*casemate.Match, *casemate.Event, []byte, bool) {
			return route(nil), &casemate.Event{Source: "queue", Fields: []casemate.Field{{In: "attribute", Name: "note", Value: []byte(v)}}}, nil, true
		}},
	}
}

func route(params map[string]string) *casemate.Match {
	return &casemate.Match{Version: &casemate.Version{Runtime: "wasm", App: "shop", Function: "f"}, Params: params,
		Route: &casemate.Route{ID: "POST /x", App: "shop", Method: "POST", Path: "/x"}}
}

func invoke() *casemate.Event {
	return &casemate.Event{Source: casemate.SourceAsync, ContentType: "application/json", Target: casemate.Target{Function: "f"}}
}

func line(name, value string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) { yield(name, value) }
}
