package pattern

import (
	"strings"
	"testing"

	"casemate"
)

// Lambda checklist: 63
func TestEveryOperator(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{`{"a":["x"]}`, []string{`{"a":"x"}`, `{"a":["y","x"]}`, `{"a":"x","b":1}`}, []string{`{"a":"X"}`, `{}`, `{"a":1}`, `{"a":{"x":1}}`, `{"b":"x"}`, `[]`}},
		{`{"a":[1,true,null,""]}`, []string{`{"a":1}`, `{"a":true}`, `{"a":null}`, `{"a":""}`}, []string{`{"a":1.0}`, `{"a":"1"}`, `{"a":false}`, `{"a":"null"}`, `{}`}},
		{`{"a":[null]}`, []string{`{"a":null}`}, []string{`{"a":""}`, `{}`, `{"a":[]}`}},
		{`{"a":["x"],"b":["y","z"]}`, []string{`{"a":"x","b":"z"}`}, []string{`{"a":"x"}`, `{"a":"x","b":"x"}`}},
		{`{"a":{"b":{"c":["x"]}}}`, []string{`{"a":{"b":{"c":"x"}}}`, `{"a":[{"b":{"c":"y"}},{"b":{"c":"x"}}]}`}, []string{`{"a":{"b":"x"}}`, `{"a":{"c":"x"}}`}},
		{`{"a":[{"prefix":"ab"}]}`, []string{`{"a":"abc"}`, `{"a":"ab"}`, `{"a":["x","abc"]}`}, []string{`{"a":"xab"}`, `{"a":"Ab"}`, `{"a":1}`, `{}`}},
		{`{"a":[{"prefix":{"equals-ignore-case":"ab"}}]}`, []string{`{"a":"ABc"}`}, []string{`{"a":"xab"}`, `{"a":"a"}`}},
		{`{"a":[{"suffix":".png"}]}`, []string{`{"a":"x.png"}`}, []string{`{"a":".pngx"}`, `{"a":"x.PNG"}`}},
		{`{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, []string{`{"a":"x.PNG"}`}, []string{`{"a":"x.jpg"}`}},
		{`{"a":[{"equals-ignore-case":"Alice"}]}`, []string{`{"a":"ALICE"}`}, []string{`{"a":"alic"}`, `{"a":null}`}},
		{`{"a":[{"wildcard":"dir/*.png"}]}`, []string{`{"a":"dir/x.png"}`, `{"a":"dir/.png"}`, `{"a":"dir/a/b.png"}`}, []string{`{"a":"dir/x.pn"}`, `{"a":"xdir/x.png"}`, `{"a":"dir.png"}`}},
		{`{"a":[{"wildcard":"*ab*ab*"}]}`, []string{`{"a":"xababx"}`, `{"a":"abab"}`}, []string{`{"a":"aba"}`, `{"a":"ab"}`}},
		{`{"a":[{"wildcard":"a\\*b\\\\*"}]}`, []string{`{"a":"a*b\\x"}`}, []string{`{"a":"axb\\x"}`}},
		{`{"a":[{"anything-but":"x"}]}`, []string{`{"a":"y"}`, `{"a":1}`, `{"a":null}`, `{"a":["x","y"]}`}, []string{`{"a":"x"}`, `{}`, `{"a":["x"]}`, `{"a":{}}`}},
		{`{"a":[{"anything-but":["x","y"]}]}`, []string{`{"a":"z"}`}, []string{`{"a":"x"}`, `{"a":"y"}`}},
		{`{"a":[{"anything-but":[1,2]}]}`, []string{`{"a":3}`, `{"a":"1"}`}, []string{`{"a":1}`, `{"a":2}`}},
		{`{"a":[{"anything-but":{"prefix":"ab"}}]}`, []string{`{"a":"xab"}`}, []string{`{"a":"abx"}`, `{"a":1}`, `{}`}},
		{`{"a":[{"anything-but":{"prefix":["ab","cd"]}}]}`, []string{`{"a":"x"}`}, []string{`{"a":"abx"}`, `{"a":"cd"}`}},
		{`{"a":[{"anything-but":{"suffix":"ab"}}]}`, []string{`{"a":"abx"}`}, []string{`{"a":"xab"}`}},
		{`{"a":[{"anything-but":{"equals-ignore-case":["ab","cd"]}}]}`, []string{`{"a":"ef"}`}, []string{`{"a":"AB"}`, `{"a":"Cd"}`}},
		{`{"a":[{"anything-but":{"wildcard":"*/x/*"}}]}`, []string{`{"a":"a/y/b"}`}, []string{`{"a":"a/x/b"}`}},
		{`{"a":[{"numeric":[">",0,"<=",5]}]}`, []string{`{"a":5}`, `{"a":0.1}`, `{"a":5e0}`}, []string{`{"a":0}`, `{"a":5.1}`, `{"a":"3"}`, `{}`}},
		{`{"a":[{"numeric":["=",3.0]}]}`, []string{`{"a":3}`, `{"a":3.00}`}, []string{`{"a":4}`}},
		{`{"a":[{"numeric":["<",-1.5]}]}`, []string{`{"a":-2}`}, []string{`{"a":-1.5}`, `{"a":1}`}},
		{`{"a":[{"numeric":[">=",1]}]}`, []string{`{"a":1}`}, []string{`{"a":0}`}},
		{`{"a":[{"cidr":"10.0.0.0/24"}]}`, []string{`{"a":"10.0.0.255"}`}, []string{`{"a":"10.0.1.0"}`, `{"a":"x"}`, `{"a":10}`}},
		{`{"a":[{"cidr":"2001:db8::/32"}]}`, []string{`{"a":"2001:db8::1"}`}, []string{`{"a":"2001:db9::1"}`}},
		{`{"a":[{"exists":true}]}`, []string{`{"a":1}`, `{"a":null}`, `{"a":""}`}, []string{`{}`, `{"a":{"b":1}}`}},
		{`{"a":[{"exists":false}]}`, []string{`{}`, `{"b":1}`}, []string{`{"a":1}`, `{"a":null}`}},
		{`{"a":{"b":[{"exists":false}]}}`, []string{`{}`, `{"a":{}}`, `{"a":{"c":1}}`}, []string{`{"a":{"b":1}}`}},
		{`{"a":["x",{"exists":false}]}`, []string{`{}`, `{"a":"x"}`}, []string{`{"a":"y"}`}},
		{`{"$or":[{"a":["x"]},{"b":{"c":[1]}}]}`, []string{`{"a":"x"}`, `{"b":{"c":1}}`}, []string{`{"a":"y"}`, `{}`}},
		{`{"s":["t"],"$or":[{"a":["x"]},{"$or":[{"b":["y"]},{"c":["z"]}]}]}`, []string{`{"s":"t","c":"z"}`}, []string{`{"a":"x"}`, `{"s":"t"}`}},
		{`{"$or":["x"]}`, []string{`{"$or":"x"}`}, []string{`{"a":"x"}`}},
	} {
		p, err := Parse([]byte(c.pattern))
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for want, events := range map[bool][]string{true: c.yes, false: c.no} {
			for _, e := range events {
				v, err := Decode([]byte(e))
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Match(v); got != want {
					t.Errorf("%s of %s: %v", c.pattern, e, got)
				}
			}
		}
	}
}

// Lambda checklist: 63
func TestInvalidPatternsAreRefused(t *testing.T) {
	for _, p := range []string{
		``, `x`, `[]`, `"a"`, `{}`, `{"a":"x"}`, `{"a":1}`, `{"a":null}`, `{"a":[]}`, `{"a":{}}`, `{"a":[["x"]]}`, `{"a":[{}]}`, `{"a":["x"]} {}`, `{"a":["x"],"a":["y"]}`,
		`{"a":[{"prefix":1}]}`, `{"a":[{"prefix":"a","suffix":"b"}]}`, `{"a":[{"prefix":["a"]}]}`, `{"a":[{"prefix":{"suffix":"a"}}]}`, `{"a":[{"like":"x"}]}`,
		`{"a":[{"equals-ignore-case":1}]}`, `{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":[{"wildcard":"a\\"}]}`, `{"a":[{"wildcard":1}]}`,
		`{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":["x",1]}]}`, `{"a":[{"anything-but":{"numeric":[">",1]}}]}`, `{"a":[{"anything-but":{"prefix":""}}]}`, `{"a":[{"anything-but":[["x"]]}]}`,
		`{"a":[{"anything-but":{"prefix":"a","suffix":"b"}}]}`, `{"a":[{"anything-but":{"prefix":[]}}]}`, `{"a":[{"anything-but":{"prefix":[1]}}]}`,
		`{"a":[{"numeric":[]}]}`, `{"a":[{"numeric":[">"]}]}`, `{"a":[{"numeric":["!=",1]}]}`, `{"a":[{"numeric":[">","1"]}]}`, `{"a":[{"numeric":["<",1,">",0]}]}`, `{"a":[{"numeric":[">",5,"<",5]}]}`,
		`{"a":[{"numeric":[">",6e9]}]}`, `{"a":[{"numeric":">1"}]}`, `{"a":[{"cidr":"10.0.0.0"}]}`, `{"a":[{"cidr":"10.0.0.0/40"}]}`, `{"a":[{"cidr":1}]}`, `{"a":[{"exists":"true"}]}`, `{"a":[{"exists":null}]}`,
		`{"$or":[{"a":["x"]}]}`, `{"$or":[{"a":["x"]},"y"]}`, `{"$or":[{"a":["x"]},{}]}`, `{"$or":[{"a":["x"]},{"b":1}]}`,
		`{"a":["` + strings.Repeat("x", MaxSize) + `"]}`, strings.Repeat(`{"a":`, 100) + `["x"]` + strings.Repeat(`}`, 100),
		`{"a":[` + strings.Repeat("1,", 1500) + `1]}`,
	} {
		if _, err := Parse([]byte(p)); casemate.CodeOf(err) != casemate.Invalid || casemate.AsError(err).Message != "Invalid filter pattern definition." {
			t.Errorf("%.80s: %v", p, err)
		}
	}
}

// What a pattern asks of a message's body decides whether it is taken for JSON or for text.
func TestBodiesAreJSONOrText(t *testing.T) {
	for _, c := range []struct {
		pattern, body string
		want          bool
	}{
		{`{"body":{"a":["x"]}}`, `{"a":"x"}`, true}, {`{"body":{"a":["x"]}}`, `{"a":"y"}`, false}, {`{"body":{"a":["x"]}}`, `x`, false}, {`{"body":{"a":["x"]}}`, `{"a":"x"`, false},
		{`{"body":["x"]}`, `x`, true}, {`{"body":["x"]}`, `"x"`, false}, {`{"body":["{}"]}`, `{}`, false}, {`{"body":[{"prefix":"ord"}]}`, `order 5`, true},
		{`{"body":[{"exists":true}]}`, `{"a":1}`, true}, {`{"body":{"a":[{"exists":false}]}}`, `{"b":1}`, true}, {`{"body":{"a":[{"exists":false}]}}`, `text`, false}, {`{"body":{"a":["x"]}}`, ` [{"a":"x"}]`, true},
		{`{"$or":[{"body":["x"]},{"body":{"a":[1]}}]}`, `{"a":1}`, true}, {`{"$or":[{"body":["x"]},{"body":{"a":[1]}}]}`, `x`, true},
	} {
		p, err := Parse([]byte(c.pattern))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(map[string]any{"body": BodyOf(c.body)}); got != c.want {
			t.Errorf("%s of %s: %v", c.pattern, c.body, got)
		}
	}
	var none *Pattern
	if none.Match(map[string]any{}) || (&Pattern{}).Match(map[string]any{}) {
		t.Error("no pattern matches nothing")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`{"a":[{"wildcard":"*a*"}]}`, `{"a":"bab"}`)
	f.Add(`{"$or":[{"a":[1]},{"b":[{"anything-but":{"prefix":"x"}}]}]}`, `{"b":["y"]}`)
	f.Fuzz(func(t *testing.T, pattern, event string) {
		p, err := Parse([]byte(pattern))
		if err != nil {
			return
		}
		p.Match(map[string]any{"body": BodyOf(event)})
		if v, err := Decode([]byte(event)); err == nil {
			p.Match(v)
		}
	})
}
