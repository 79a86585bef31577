package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"casemate"
)

// TestWaysAreWellFormed: the table is read without complaint, so every line is held here, and is found by what it says.
func TestWaysAreWellFormed(t *testing.T) {
	n := 0
	for line := range strings.Lines(ways) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		n++
		f := strings.Fields(line)
		if len(f) < 5 || !Word(f[0], 40) || !Word(f[4], 80) || !strings.HasPrefix(f[3], "/") || strings.HasSuffix(f[3], "/") {
			t.Errorf("line %q", line)
			continue
		}
		path, query, _ := strings.Cut(strings.NewReplacer("{", "", "}", "").Replace(f[3]), "?")
		if w, ok := find(f[0], f[1], path, query); !ok || w.operation != f[4] || strconv.Itoa(w.status) != f[2] || w.status < 200 || w.status > 204 {
			t.Errorf("line %q: %+v", line, w)
		}
		for _, spec := range f[5:] {
			if _, kind, _ := strings.Cut(spec, ":"); !strings.Contains(" n l b ", " "+kind+" ") && kind != "" {
				t.Errorf("line %q: %s", line, spec)
			}
		}
	}
	if n < 60 {
		t.Errorf("%d operations", n)
	}
}

// TestWays: which operation a request is for, and what it asks.
func TestWays(t *testing.T) {
	for _, c := range []struct{ method, path, query, body, operation, question string }{
		{"GET", "/2015-03-31/functions/", "MaxItems=2&Other=x", "", "ListFunctions", `{"MaxItems":2}`},
		{"GET", "/2015-03-31/functions", "Marker=a%3D", "", "ListFunctions", `{"Marker":"a="}`},
		{"GET", "/2015-03-31/functions/price", "Qualifier=%24LATEST", "", "GetFunction", `{"FunctionName":"price","Qualifier":"$LATEST"}`},
		{"GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ar%3Aa%3Afunction%3Aprice", "", "", "GetFunction", `{"FunctionName":"arn:aws:lambda:r:a:function:price"}`},
		{"PUT", "/2015-03-31/functions/price/configuration", "", `{"Timeout":3,"FunctionName":"other"}`, "UpdateFunctionConfiguration", `{"FunctionName":"price","Timeout":3}`},
		{"PUT", "/2015-03-31/functions/price/aliases/live", "", ` {} `, "UpdateAlias", `{"FunctionName":"price","Name":"live"}`},
		{"POST", "/2015-03-31/functions", "", `{"Code":{}}`, "CreateFunction", `{"Code":{}}`},
		{"DELETE", "/2017-03-31/tags/arn:a", "tagKeys=a&tagKeys=b", "", "UntagResource", `{"Resource":"arn:a","TagKeys":["a","b"]}`},
		{"GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x", "", "GetLayerVersionByArn", `{"Arn":"x"}`},
		{"GET", "/2018-10-31/layers", "", "", "ListLayers", `{}`},
		{"GET", "/2015-03-31/functions", "MaxItems=many", "", "ListFunctions", ""},
		{"GET", "/2015-03-31/functions", "Marker=a&Marker=b", "", "ListFunctions", ""},
		{"GET", "/2015-03-31/functions", "%zz", "", "ListFunctions", ""},
		{"GET", "/2015-03-31/functions/%zz", "", "", "GetFunction", ""},
		{"GET", "/2015-03-31/functions/b%FE%B9", "", "", "GetFunction", ""},
		{"DELETE", "/2017-03-31/tags/arn:a", "tagKeys=%E2&tagKeys=%82%AC", "", "UntagResource", ""},
		{"POST", "/2015-03-31/functions", "", `[1]`, "CreateFunction", ""},
		{"POST", "/2015-03-31/functions", "", `{"a":1}{}`, "CreateFunction", ""},
		{"PATCH", "/2015-03-31/functions", "", "", "PATCH", "{}"},
		{"GET", "/2015-03-31/functions//", "", "", "GET", "{}"},
		{"GET", "/2015-03-31/functions/a/b/c", "", "", "GET", "{}"},
		{"GET", "/2015-03-31", "", "", "GET", "{}"},
	} {
		call := Hear(&casemate.Signed{Method: c.method, Path: c.path, Query: c.query}, "lambda")
		call.Body = []byte(c.body)
		if got := call.Operation(); got != c.operation {
			t.Errorf("%s %s: %s", c.method, c.path, got)
		}
		got, err := call.Question()
		if (err != nil) != (c.question == "") {
			t.Errorf("%s %s?%s: %v", c.method, c.path, c.query, err)
			continue
		}
		if bytes.Count(got, []byte(`"FunctionName"`)) > 1 {
			t.Errorf("%s %s: %s", c.method, c.path, got) // the corridor refuses what parsers may read in two ways
		}
		var v any
		_ = json.Unmarshal(got, &v) // nothing where the question is refused
		if again, _ := json.Marshal(v); c.question != "" && string(again) != c.question {
			t.Errorf("%s %s?%s: %s", c.method, c.path, c.query, got)
		}
	}
}

// TestStatusOfAWay: an operation is answered with its own status, and one without content with nothing.
func TestStatusOfAWay(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{{"POST", "/2015-03-31/functions", 201, "{}"}, {"DELETE", "/2015-03-31/functions/f", 204, ""}, {"GET", "/2015-03-31/functions/f", 200, "{}"}, {"GET", "/none", 200, "{}"}} {
		call := Hear(&casemate.Signed{Method: c.method, Path: c.path}, "lambda")
		if r, err := call.Answer("id", nil); err != nil || r.Status != c.status || string(r.Body) != c.body || (r.Header["Content-Type"] == "") != (c.status == 204) {
			t.Errorf("%s %s: %+v, %v", c.method, c.path, r, err)
		}
	}
}

func FuzzWay(f *testing.F) {
	f.Add("GET", "/2015-03-31/functions/a%2Fb", "Qualifier=1", []byte(`{"FunctionName":"x"}`))
	f.Add("GET", "/2015-03-31/functions/b\xfe\xb9", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		call := Hear(&casemate.Signed{Method: method, Path: path, Query: query}, "lambda")
		call.Body = body
		w, ok := call.way()
		question, err := call.Question()
		if !ok || err != nil {
			return
		}
		members, err := w.members(path, query)
		var asked map[string]any
		if err != nil || json.Unmarshal(question, &asked) != nil {
			t.Fatalf("%s %s?%s: %s, %v", method, path, query, question, err)
		}
		for name, want := range members {
			text, is := want.(string)
			if got, _ := asked[name].(string); is && got != text {
				t.Fatalf("%s %s: %s is %q, not %q", method, path, name, got, text)
			}
		}
	})
}

func BenchmarkWay(b *testing.B) {
	call := Hear(&casemate.Signed{Method: "GET", Path: "/2015-03-31/functions/price"}, "lambda")
	for b.Loop() {
		call.way()
	}
}
