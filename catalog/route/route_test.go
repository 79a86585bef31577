package route

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"casemate"
)

func TestParse(t *testing.T) {
	for _, k := range []string{"GET /", "POST /orders", "ANY /a/{id}/b", "GET /files/{path+}", "$default", "GET /{p+}", "GET /a.b/c-d_e~f", "GET /a%2Fb", "GET /@x:y"} {
		if _, _, err := Parse(k); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	for _, k := range []string{"", "GET", "GET orders", "get /x", "FOO /x", "GET  /x", "GET /x/", "GET //x", "GET /x//y", "GET /../x",
		"GET /./x", "GET /%2e%2e/x", "GET /%61", "GET /%2f", "GET /x y", "GET /x?y", "GET /x#y", `GET /a\b`, "GET /é", "GET /%zz", "GET /%00",
		"GET /{a}/{a}", "GET /{a+}/b", "GET /x{a}", "GET /{a}y", "GET /{}", "GET /{+}", "GET /{a b}", "GET /a}", "GET /{a", "GET /%ff", "CONNECT /x",
		"GET /" + strings.Repeat("a/", 70) + "a", "GET /" + strings.Repeat("a", 9000)} {
		if _, _, err := Parse(k); casemate.CodeOf(err) != casemate.Invalid || err == nil {
			t.Errorf("%q: %v", k, err)
		}
	}
}

// A trigger path that shadows a platform path, or climbs into one, took over logins in another platform.
func TestGHSA_vchh_r53j_8mpw_ReservedPaths(t *testing.T) {
	for _, k := range []string{"GET /.casemate", "GET /.casemate/login", "ANY /.casemate/{p+}", "GET /.casematex", "GET /.well-known/casemate",
		"POST /.well-known/casemate/keys", "GET /a/../.casemate", "GET /%2ecasemate", "GET /.%63asemate/x", "GET /./.casemate"} {
		if _, _, err := Parse(k); err == nil {
			t.Errorf("%s may be declared", k)
		}
	}
	if _, _, err := Parse("GET /.well-known/security.txt"); err != nil {
		t.Error(err)
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{"/": "/", "/a/b": "/a/b", "/a/": "/a/", "/%61%2d": "/a-", "/a%2fb": "/a%2Fb", "/%e2%82%ac": "/%E2%82%AC",
		"/a+b,c;d=e": "/a+b,c;d=e", "/%2Ecasemate": "/.casemate", "/...": "/...", "/a%40b%2B%3a%2A": "/a@b+:*", "/a@b": "/a@b",
		"/{x}|": "/%7Bx%7D%7C", "/%7bx%7D%7c": "/%7Bx%7D%7C", "/%5c": "/%5C"} {
		if got, err := Canonical(in); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "//", "/a//b", "/..", "/a/../b", "/a/.", "/%2e%2E/b", "/.%2e/", "/%", "/%4", "/%gg", "/%00", "/%0a", "/%7f", "/a\x00",
		"/a b", "/a?b", "/\xff", "/%ff", "/a\\b", "/%c0%ae%c0%ae/"} {
		if got, err := Canonical(in); err == nil {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func tableOf(t *testing.T, keys ...string) func(string) (*Bucket, bool) {
	t.Helper()
	lists := map[string][]*casemate.Route{}
	for _, k := range keys {
		host := ""
		if h, rest, ok := strings.Cut(k, "|"); ok {
			host, k = h, rest
		}
		m, p, err := Parse(k)
		if err != nil {
			t.Fatal(err)
		}
		r := &casemate.Route{ID: k, App: "a", Host: host, Method: m, Path: p}
		lists[KeyOf(r)] = append(lists[KeyOf(r)], r)
	}
	all := map[string]*Bucket{}
	for k, l := range lists {
		b, err := NewBucket(l)
		if err != nil {
			t.Fatal(err)
		}
		all[k] = b
	}
	return func(k string) (*Bucket, bool) { b, ok := all[k]; return b, ok }
}

// The order of API Gateway's HTTP APIs, from its documentation and beyond.
func TestFindOrder(t *testing.T) {
	get := tableOf(t, "GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /pets/{a}/{b}/x", "ANY /{proxy+}", "$default",
		"POST /pets/dog", "ANY /pets/dog", "GET /pets/{kind}", "GET /", "GET /deep/{a}/c/{r+}", "GET /deep/b/{r+}")
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/pets/dog/1", "GET /pets/dog/1"},
		{"GET", "/pets/dog/2", "GET /pets/dog/{id}"},
		{"GET", "/pets/cat/1", "GET /pets/{proxy+}"},
		{"GET", "/pets/a/b/x", "ANY /pets/{a}/{b}/x"},
		{"POST", "/test/5", "ANY /{proxy+}"},
		{"POST", "/pets/dog", "POST /pets/dog"},
		{"GET", "/pets/dog", "ANY /pets/dog"},
		{"HEAD", "/pets/dog", "ANY /pets/dog"},
		{"GET", "/pets/cat", "GET /pets/{kind}"},
		{"HEAD", "/pets/cat", "ANY /{proxy+}"},
		{"GET", "/", "GET /"},
		{"HEAD", "/", "$default"},
		{"GET", "/deep/b/c/d", "GET /deep/b/{r+}"},
		{"GET", "/deep/x/c/d", "GET /deep/{a}/c/{r+}"},
		{"GET", "/deep/x/y/d", "ANY /{proxy+}"},
		{"GET", "/pets/", "ANY /{proxy+}"},
		{"GET", "/pets/a/", "GET /pets/{proxy+}"},
	} {
		r := Find(get, "", c.path, c.method)
		if r == nil || r.ID != c.want {
			t.Errorf("%s %s: %+v, want %s", c.method, c.path, r, c.want)
		}
	}
	if r := Find(tableOf(t, "GET /a"), "", "/a", "HEAD"); r != nil {
		t.Error("GET implies HEAD")
	}
	if r := Find(tableOf(t, "x.example|GET /a"), "", "/a", "GET"); r != nil {
		t.Error("a route of one host serves another")
	}
}

func TestParams(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          map[string]string
	}{
		{"/a", "/a", nil},
		{"/a/{id}", "/a/x%2Fy%20z", map[string]string{"id": "x/y z"}},
		{"/{a}/{rest+}", "/1/2/3%2F4/", map[string]string{"a": "1", "rest": "2/3/4/"}},
	} {
		if got := Params(c.pattern, c.path); !maps.Equal(got, c.want) {
			t.Errorf("%s %s: %v", c.pattern, c.path, got)
		}
	}
}

func TestOverlapRefused(t *testing.T) {
	list := func(apps ...string) (out []*casemate.Route) {
		for _, a := range apps {
			app, k, _ := strings.Cut(a, ":")
			m, p, err := Parse(k)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, &casemate.Route{ID: k, App: app, Method: m, Path: p})
		}
		return out
	}
	for _, bad := range [][]string{
		{"a:GET /x/{p}", "a:GET /x/{q}"}, {"a:GET /x", "b:ANY /x"}, {"a:GET /x/{p+}", "b:GET /x/y/z"}, {"a:GET /x/{p}", "b:GET /x/y"},
		{"a:$default", "b:$default"},
	} {
		if _, err := NewBucket(list(bad...)); casemate.CodeOf(err) != casemate.Conflict {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, good := range [][]string{
		{"a:GET /x/{p}", "a:GET /x/y", "a:ANY /x/{q}"}, {"a:GET /x", "b:POST /x"}, {"a:GET /x/{p+}", "b:GET /x"}, {"a:GET /x/{p}", "b:GET /x/y/z"},
	} {
		if _, err := NewBucket(list(good...)); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

// Whatever spelling a client chooses, the canonical form is its own canonical form and decodes to the same segments.
func TestCanonicalIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := "/" + rapid.StringOfN(rapid.SampledFrom([]rune(`ab./%2eEfF0\?;+ é`)), 0, 20, -1).Draw(t, "path")
		checkCanonical(t, in)
	})
}

type failer interface{ Fatalf(string, ...any) }

func checkCanonical(t failer, in string) {
	got, err := Canonical(in)
	if err != nil {
		return
	}
	if again, err := Canonical(got); err != nil || again != got {
		t.Fatalf("%q became %q and then %q, %v", in, got, again, err)
	}
	was, err1 := url.PathUnescape(in)
	is, err2 := url.PathUnescape(got)
	if err1 != nil || err2 != nil || was != is {
		t.Fatalf("%q became %q: another path", in, got)
	}
	for _, s := range strings.Split(is, "/") {
		if s == ".." && !strings.Contains(got, "%2F") {
			t.Fatalf("%q climbs", got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("/a%2f..%2f/b")
	f.Add("/%2e/%c0%ae")
	f.Fuzz(func(t *testing.T, in string) { checkCanonical(t, in) })
}

func FuzzParse(f *testing.F) {
	f.Add("GET /a/{b+}")
	f.Fuzz(func(t *testing.T, k string) {
		m, p, err := Parse(k)
		if err != nil || p == "$default" {
			return
		}
		r := &casemate.Route{Method: m, Path: p}
		if b, err := NewBucket([]*casemate.Route{r}); err != nil || b == nil {
			t.Fatal(err)
		}
	})
}
