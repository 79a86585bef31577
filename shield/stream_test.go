package shield

import (
	"iter"
	"maps"
	"strings"
	"testing"

	"casemate"
)

func lines(h map[string]string) iter.Seq2[string, string] { return maps.All(h) }

func TestEverySourceIsLookedAt(t *testing.T) {
	function := &casemate.Match{Version: &casemate.Version{Runtime: "wasm"}}
	for name, e := range map[string]*casemate.Event{
		"body":      {ContentType: "application/json", Payload: []byte(`{"a":{"$ne":1}}`)},
		"nested":    {ContentType: "application/json", Payload: []byte(`{"Records":[{"body":"{\"Message\":\"eyJhIjoie3s3Kjd9fSJ9\"}"}]}`)},
		"query":     {Query: "f=..%2f..%2fetc%2fpasswd"},
		"names":     {Query: "p%5B%24ne%5D=1"},
		"header":    {Headers: lines(map[string]string{"X-Api": "${jndi:ldap://x/a}"})},
		"cookie":    {Headers: lines(map[string]string{"Cookie": "a=b; c=%7B%7B7*7%7D%7D"})},
		"path":      {Target: casemate.Target{Path: "/hosts/8.8.8.8;%20cat%20%2fetc%2fpasswd"}},
		"key":       {Fields: []casemate.Field{{In: "key", Value: []byte("a/../../b")}}},
		"attribute": {Fields: []casemate.Field{{In: "attribute", Name: "url", Value: []byte("http://169.254.169.254/latest")}}},
	} {
		_, err := Cleaner{}.Clean(function, e, e.Payload)
		if casemate.AsError(err) == nil || casemate.AsError(err).Code != casemate.Invalid || !strings.HasPrefix(casemate.AsError(err).Rule, "casemate/") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := (Cleaner{Judge: func(*casemate.Match, *casemate.Event, []casemate.Field, []Found, error) ([]string, error) {
			return nil, nil
		}}).Clean(function, e, e.Payload); err != nil {
			t.Errorf("%s without screening: %v", name, err)
		}
	}
}

func TestCredentialsAreNotLookedAt(t *testing.T) {
	e := &casemate.Event{Headers: lines(map[string]string{"Authorization": "Basic ${jndi:x}"})}
	if _, err := (Cleaner{}).Clean(&casemate.Match{Version: &casemate.Version{Runtime: "wasm"}}, e, nil); err != nil {
		t.Error(err)
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	body := "[" + strings.Repeat(`"a",`, 120_000) + `"a"]`
	e := &casemate.Event{}
	_, err := Cleaner{}.Clean(&casemate.Match{Version: &casemate.Version{Runtime: "wasm"}}, e, []byte(body))
	if c := casemate.AsError(err); c == nil || c.Code != casemate.TooLarge || !strings.HasPrefix(c.Rule, "casemate/bounds") {
		t.Error(err)
	}
}

func BenchmarkPlainEvent(b *testing.B) {
	e := &casemate.Event{Target: casemate.Target{Path: "/hello"}, ContentType: "application/json", Headers: lines(map[string]string{"User-Agent": "curl/8.1", "Accept": "*/*"})}
	m := &casemate.Match{Version: &casemate.Version{Runtime: "wasm"}, Route: &casemate.Route{Path: "/hello"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Cleaner{}).Clean(m, e, nil); err != nil {
			b.Fatal(err)
		}
	}
}
