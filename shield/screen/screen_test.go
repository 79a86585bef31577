package screen

import (
	"strings"
	"testing"

	"casemate"
	"casemate/shield/screen/transform"

	"github.com/corazawaf/libinjection-go"
	"pgregory.net/rapid"
)

func engine(t testing.TB, c Config) *Engine {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func note(s string) []casemate.Field {
	return []casemate.Field{{In: "body", Name: "/note", Value: []byte(s)}}
}

// TestBudget shows that what costs too much is said, and that the same work gives the same verdict.
func TestBudget(t *testing.T) {
	e := engine(t, Config{Attacks: true})
	long := note(strings.Repeat("a 'quoted' word; and more of them, or not. ", 300) + "1' or '1'='1")
	whole := e.Fields(long, Options{})
	if whole.Spent {
		t.Fatalf("%d bytes are too much for the default budget: %+v", len(long[0].Value), whole.Work)
	}
	for _, budget := range []int{whole.Work / 2, 1} {
		first, again := e.Fields(long, Options{Budget: budget}), e.Fields(long, Options{Budget: budget})
		if !first.Spent || first.Work != again.Work || len(first.Matches) != len(again.Matches) {
			t.Errorf("budget %d: %v and %v units, spent %v", budget, first.Work, again.Work, first.Spent)
		}
	}
	if v := e.Fields(note("hello"), Options{}); v.Spent || v.Work > 4000 {
		t.Errorf("a word costs %d units", v.Work)
	}
}

// TestRunsShareNothing sends an attack and something harmless in turns.
func TestRunsShareNothing(t *testing.T) {
	e := engine(t, Config{Attacks: true})
	for range 20 {
		if v := e.Fields(note("1' UNION SELECT password FROM users--"), Options{}); !v.Blocked {
			t.Fatal("the attack passes")
		}
		if v := e.Fields(note("please leave it at the door"), Options{}); v.Blocked || len(v.Matches) > 0 {
			t.Fatalf("%+v", v)
		}
	}
}

// TestExempt lets one rule pass in one field.
func TestExempt(t *testing.T) {
	e := engine(t, Config{Attacks: true})
	v := e.Fields(note("1 OR 1=1"), Options{Exempt: func(rule int, in, name string) bool { return in == "body" && name == "/note" && rule == 942100 }})
	for _, m := range v.Matches {
		if m.ID == 942100 {
			t.Error("the rule matched")
		}
	}
	if len(e.Fields(note("1 OR 1=1"), Options{}).Matches) == 0 {
		t.Error("nothing matches without the exception")
	}
}

// TestShortcuts holds what is decided without libinjection against libinjection.
func TestShortcuts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.StringMatching(`[a-zA-Z0-9_]{0,24}`).Draw(rt, "word")
		x := text{s: s, bytes: transform.BytesOf(s)}
		if hit, _ := libinjection.IsSQLi(s); hit && oneToken(&x) {
			rt.Fatalf("%q is SQL injection to libinjection", s)
		}
		free := rapid.StringMatching(`[^<=]{0,24}`).Draw(rt, "free")
		if libinjection.IsXSS(free) {
			rt.Fatalf("%q is XSS to libinjection", free)
		}
	})
}

// TestPrefilterMissesNothing asks an engine whose rules are all asked of everything, and one with its prefilter.
func TestPrefilterMissesNothing(t *testing.T) {
	with, without := engine(t, Config{Attacks: true}), engine(t, Config{Attacks: true})
	for _, r := range without.rules {
		r.filtered = false
		for ; r != nil; r = r.next {
			if r.op != nil {
				r.op.need, r.op.lean = nil, nil
			}
		}
	}
	words := []string{"union select", "c'a't", "/etc/passwd", "${x", "<script", "or 1=1", "&&", "; ", "`id`", "b$@ash", "%u0041", "a", "İK", "\u212a", "\\", "(", "sleep(5)", "--", "'", "\"", "ls -la", "eval", " "}
	rapid.Check(t, func(rt *rapid.T) {
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 4).Draw(rt, "words"), "")
		a, b := with.Fields(note(s), Options{}), without.Fields(note(s), Options{})
		if a.Score != b.Score || len(a.Matches) != len(b.Matches) {
			rt.Fatalf("%q: %v with the prefilter, %v without", s, ids(a), ids(b))
		}
	})
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{"", "1 or 1=1", "%u0041%", "\xff\xfe", "\\u{1", "/*!", "&#x", "${", "`"} {
		f.Add(s, s)
	}
	e := engine(f, Config{Paranoia: 4, Attacks: true})
	f.Fuzz(func(_ *testing.T, name, s string) {
		e.Fields([]casemate.Field{{In: "query", Name: name, Value: []byte(s)}, {In: "path", Value: []byte(s)}}, Options{Budget: 1 << 22})
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("/a?b=c", "application/json", `{"a":[1,"x",{}]}`)
	f.Add("/%", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"; filename*=utf-8''b\r\n\r\nc\r\n--x--")
	f.Add("#", "text/xml", "<a b='c'>d</a>")
	e := engine(f, Config{Paranoia: 4, Answers: true})
	f.Fuzz(func(_ *testing.T, uri, kind, body string) {
		e.Request(&Request{Method: "POST", URI: uri, Protocol: "HTTP/1.1", Body: []byte(body), Header: []casemate.HeaderLine{{Name: "Content-Type", Value: kind}, {Name: "Cookie", Value: body}},
			Answer: &casemate.Answer{Status: 200, Body: []byte(body)}}, Options{Budget: 1 << 22})
	})
}
