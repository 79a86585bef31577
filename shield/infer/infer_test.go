package infer

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"casemate"
	"casemate/shield/openapi"
	"casemate/shield/schema"
	"casemate/shield/text"
)

// compile writes what was seen and reads it as a contract.
func compile(t failer, o *Operation) (*openapi.Operation, string, []string) {
	doc, loose := Document("t", []*Operation{o})
	data, err := text.WriteYAML(doc)
	if err != nil {
		t.Fatalf("%v", err)
	}
	d, err := schema.Read(data)
	if err != nil {
		t.Fatalf("%s\n%v", data, err)
	}
	c, err := openapi.Compile(d, o.Method+" "+o.Path, "learned")
	if err != nil {
		t.Fatalf("%s\n%v", data, err)
	}
	return c.(*openapi.Operation), string(data), loose
}

type failer interface {
	Fatalf(format string, args ...any)
}

func jsonValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0, 1:
		return fmt.Sprintf("%q", rapid.SampledFrom([]string{"up", "down", "", "b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1+01:00", "1.2.3.4", "a.b@c.de", "a b'c", "7", "1.5", "true", "héé", "A-1:2_3", strings.Repeat("x", 40)}).Draw(t, "text"))
	case 2:
		return rapid.SampledFrom([]string{"0", "7", "-3", "1.0", "1.5", "1e3", "123456789012345678901234567890"}).Draw(t, "number")
	case 3, 4:
		return rapid.SampledFrom([]string{"null", "true", "false", "{}", "[]"}).Draw(t, "word")
	case 5:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			items = append(items, jsonValue(t, depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	var members []string
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"state", "kind", "customer", "a b", "id77777", "$ref", "x"}), 0, 4, rapid.ID[string]).Draw(t, "names") {
		members = append(members, fmt.Sprintf("%q:%s", name, jsonValue(t, depth-1)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func exchange(t *rapid.T) *casemate.Exchange {
	x := &casemate.Exchange{Params: map[string]string{"id": rapid.SampledFrom([]string{"7", "8", "x", "b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"}).Draw(t, "id")}}
	for range rapid.IntRange(0, 3).Draw(t, "params") {
		x.Query += "&" + rapid.SampledFrom([]string{"page", "sort", "tags[]", "q", "flag"}).Draw(t, "name") + "=" + url.QueryEscape(rapid.SampledFrom([]string{"1", "2.5", "up", "", "true", "a b"}).Draw(t, "value"))
	}
	switch rapid.IntRange(0, 3).Draw(t, "body") {
	case 0, 1:
		x.ContentType, x.Body = "application/json; charset=utf-8", []byte(jsonValue(t, 3))
	case 2:
		x.ContentType = rapid.SampledFrom([]string{"text/plain", "image/png", "application/xml", "text/plain; charset=latin1"}).Draw(t, "type")
		x.Body = []byte(rapid.SampledFrom([]string{"hello", "\xff\xfe"}).Draw(t, "bytes"))
	}
	if rapid.Bool().Draw(t, "form") {
		x.ContentType, x.Body = typeForm, []byte(rapid.SampledFrom([]string{"a=1&b=2", "a=1&a=2", "a=x", "a%20b=1&a%20b=2"}).Draw(t, "form"))
	}
	return x
}

// TestLearnedContractTakesWhatItSaw: requests and answers, however odd.
func TestLearnedContractTakesWhatItSaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &Operation{Method: "POST", Path: "/x/{id}"}
		var requests []*casemate.Exchange
		var given []*casemate.Answer
		for range rapid.IntRange(1, 4).Draw(t, "different") {
			x := exchange(t)
			a := &casemate.Answer{Status: rapid.SampledFrom([]int{200, 201, 204, 404}).Draw(t, "status")}
			if a.Status != 204 && rapid.Bool().Draw(t, "answered") {
				y := exchange(t)
				a.Body, a.Header = y.Body, []casemate.HeaderLine{{Name: "content-type", Value: y.ContentType}}
			}
			requests, given = append(requests, x), append(given, a)
			for range rapid.SampledFrom([]int{1, 6, 25}).Draw(t, "times") {
				o.Request(x)
				o.Answer(a)
			}
		}
		c, doc, _ := compile(t, o)
		for i, x := range requests {
			if _, err := c.Check(x); err != nil {
				t.Fatalf("%s\nrefuses %+v %q: %v", doc, x, x.Body, err)
			}
			if err := c.Answer(given[i]); err != nil {
				t.Fatalf("%s\nrefuses the answer %+v %q: %v", doc, given[i], given[i].Body, err)
			}
		}
	})
}

// TestLearnedContractIsNarrow: it refuses what was not seen, and holds no value that is not a choice.
func TestLearnedContractIsNarrow(t *testing.T) {
	o := &Operation{Method: "POST", Path: "/orders"}
	send := func(body, query string) *casemate.Exchange {
		return &casemate.Exchange{ContentType: "application/json", Body: []byte(body), Query: query}
	}
	for i := range 30 {
		o.Request(send(fmt.Sprintf(`{"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a0%02d","customer":"hunter%d","state":%q,"quantity":%d,"note":"it's %d"}`, i, i%2, []string{"open", "shut"}[i%2], i, i), fmt.Sprintf("page=%d", i)))
		o.Answer(&casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}, Body: []byte(`{"token":"s3cr3tvalue","ok":true}`)})
	}
	c, doc, loose := compile(t, o)
	for _, secret := range []string{"hunter", "s3cr3t", "it's", "b0b1"} {
		if strings.Contains(doc, secret) {
			t.Errorf("%s is in\n%s", secret, doc)
		}
	}
	const id = `"id":"b0b1f7c2-5a53-4a0e-9d3b-0c0f5be0a001"`
	for body, ok := range map[string]bool{
		`{` + id + `,"customer":"x","state":"open","quantity":3,"note":"y"}`:              true,
		`{` + id + `,"customer":"x","state":"ajar","quantity":3,"note":"y"}`:              false,
		`{` + id + `,"customer":"x","state":"open","quantity":-1,"note":"y"}`:             false,
		`{` + id + `,"customer":"x","state":"open","quantity":3,"note":"y","admin":true}`: false,
		`{"id":"1 or 1","customer":"x","state":"open","quantity":3,"note":"y"}`:           false,
		`{` + id + `,"customer":"x","state":"open","quantity":3}`:                         false,
		`{` + id + `,"customer":"x' or 1","state":"open","quantity":3,"note":"y"}`:        false,
	} {
		if _, err := c.Check(send(body, "page=1")); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, query := range []string{"page=x", "page=1&admin=1", "page=1&page=2"} {
		if _, err := c.Check(send(`{`+id+`,"customer":"x","state":"open","quantity":3,"note":"y"}`, query)); err == nil {
			t.Errorf("took the query %s", query)
		}
	}
	if all := strings.Join(loose, "\n"); !strings.Contains(all, "body application/json/note: free text") || strings.Contains(all, "/state") {
		t.Errorf("loose: %s", all)
	}
}

func FuzzLearn(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[1,{"b":"c"}]}`), "a=1&b[]=2")
	f.Add(typeForm, []byte("a=1&a=%ff"), "%zz")
	f.Fuzz(func(t *testing.T, contentType string, body []byte, query string) {
		o := &Operation{Method: "POST", Path: "/x"}
		x := &casemate.Exchange{ContentType: contentType, Body: body, Query: query}
		o.Request(x)
		o.Answer(&casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: contentType}}, Body: body})
		_, _, _ = compile(t, o)
	})
}
