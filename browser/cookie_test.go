package browser

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"casemate"
)

func TestSetCookies(t *testing.T) {
	hard := rules(t, &casemate.Browser{Readable: []string{"theme", "XSRF-TOKEN"}})
	for _, c := range []struct{ in, plain, tls string }{
		{"a=b", "a=b; HttpOnly; SameSite=Lax", "a=b; Secure; HttpOnly; SameSite=Lax"},
		{"theme=dark; Path=/x; Max-Age=9", "theme=dark; Path=/x; Max-Age=9; SameSite=Lax", "theme=dark; Path=/x; Max-Age=9; Secure; SameSite=Lax"},
		{"XSRF-TOKEN=1; secure; samesite=strict", "XSRF-TOKEN=1; secure; samesite=strict", "XSRF-TOKEN=1; secure; samesite=strict"},
		{"a=b; Secure; HttpOnly; SameSite=Lax", "a=b; Secure; HttpOnly; SameSite=Lax", "a=b; Secure; HttpOnly; SameSite=Lax"},
		{"a=b; SameSite=None", "a=b; Secure; HttpOnly; SameSite=None", "a=b; Secure; HttpOnly; SameSite=None"},
		{"a=b; SameSite=Lax; SameSite=None", "a=b; Secure; HttpOnly; SameSite=None", "a=b; Secure; HttpOnly; SameSite=None"},
		{"a=b; SameSite=Loose; HttpOnly", "a=b; HttpOnly; SameSite=Lax", "a=b; Secure; HttpOnly; SameSite=Lax"},
		{"__Host-a=b", "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax", "__Host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{"__host-a=b; Path=/", "__host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax", "__host-a=b; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{"__Host-a=b; Path=/; Domain=a.test", "", ""},
		{"__HOST-a=b; Path=/x", "", ""},
		{"__Secure-a=b", "__Secure-a=b; Secure; HttpOnly; SameSite=Lax", "__Secure-a=b; Secure; HttpOnly; SameSite=Lax"},
		{"a={\"b\": \"c, d\"}; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "a={\"b\": \"c, d\"}; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; SameSite=Lax",
			"a={\"b\": \"c, d\"}; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure; HttpOnly; SameSite=Lax"},
		{"a=; Max-Age=0", "a=; Max-Age=0; HttpOnly; SameSite=Lax", "a=; Max-Age=0; Secure; HttpOnly; SameSite=Lax"},
		{"a", "", ""}, {"=b", "", ""}, {"", "", ""}, {" =b", "", ""}, {"a b=c", "", ""}, {"a=\"b", "", ""}, {"a=b\r\nSet-Cookie: c=d", "", ""}, {"a=b\x00", "", ""}, {"ä=b", "", ""},
		{"a=" + strings.Repeat("b", 4096), "", ""},
	} {
		for tls, want := range map[bool]string{false: c.plain, true: c.tls} {
			out, notes := hard.SetCookies([]string{c.in}, tls, false)
			if want == "" {
				if len(out) != 0 || len(notes) != 1 || strings.ContainsAny(notes[0], "\r\n\x00") || len(notes[0]) > 200 {
					t.Errorf("%q gives %q, %q", c.in, out, notes)
				}
			} else if len(notes) != 0 || len(out) != 1 || out[0] != want {
				t.Errorf("%q over TLS %v gives %q, %q", c.in, tls, out, notes)
			}
		}
	}
	in := []string{"a", "b=c; HttpOnly; SameSite=Lax", "d=e"}
	out, _ := hard.SetCookies(in, false, false)
	if !slices.Equal(out, []string{"b=c; HttpOnly; SameSite=Lax", "d=e; HttpOnly; SameSite=Lax"}) || in[0] != "a" || in[2] != "d=e" {
		t.Errorf("%q from %q", out, in)
	}
	if out, notes := rules(t, &casemate.Browser{CookiesAsIs: true}).SetCookies(in, true, true); !slices.Equal(out, in) || notes != nil {
		t.Error(out, notes)
	}
}

// A function's URL has neighbours that are other functions, perhaps of other people: no cookie of one goes to all.
func TestCookiesStayWithTheirURL(t *testing.T) {
	out, notes := rules(t, nil).SetCookies([]string{"a=b; Domain=lambda-url.localhost; Path=/"}, true, true)
	if len(out) != 1 || out[0] != "a=b; Path=/; Secure; HttpOnly; SameSite=Lax" || len(notes) != 1 {
		t.Error(out, notes)
	}
	if out, _ := rules(t, nil).SetCookies([]string{"a=b; Domain=shop.test"}, true, false); out[0] != "a=b; Domain=shop.test; Secure; HttpOnly; SameSite=Lax" {
		t.Error(out)
	}
}

// Whatever a function sets, what leaves is one line that says what we say it does, read by another reader.
func FuzzSetCookie(f *testing.F) {
	for _, s := range []string{"a=b; Path=/; SameSite=None", "__Host-a=b;;; Secure=x; httponly", "a=\"b;c\"", "a=b; samesite", "a==; domain=.x; domain="} {
		f.Add(s, true, true)
	}
	r := rules(f, nil)
	f.Fuzz(func(t *testing.T, in string, tls, url bool) {
		out, _ := r.SetCookies([]string{in}, tls, url)
		if len(out) == 0 {
			return
		}
		if again, notes := r.SetCookies(out, tls, url); len(again) != 1 || again[0] != out[0] || notes != nil {
			t.Fatalf("%q became %q and then %q, %q", in, out, again, notes)
		}
		if !plain(out[0]) {
			t.Fatalf("%q", out[0])
		}
		resp := http.Response{Header: http.Header{"Set-Cookie": out}}
		for _, c := range resp.Cookies() {
			if !c.HttpOnly || tls && !c.Secure || c.SameSite == http.SameSiteNoneMode && !c.Secure || c.SameSite == http.SameSiteDefaultMode || url && c.Domain != "" {
				t.Fatalf("%q became %q: %+v", in, out[0], c)
			}
		}
	})
}

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string
		n    int
	}{
		{[]string{"a=b"}, "a=b", 1}, {[]string{"a=b; c=d"}, "a=b; c=d", 2}, {[]string{"a=b;c=d"}, "a=b;c=d", 2},
		{[]string{`a="b"; j={"x":1}; e=; u=ü%20+`}, `a="b"; j={"x":1}; e=; u=ü%20+`, 4},
		{[]string{"a=1; a=2"}, "a=1; a=2", 2}, // of two paths
		{[]string{"a=b", "c=d"}, "a=b; c=d", 2},
		{[]string{"a=b; junk; c=d;"}, "a=b; c=d", 2},
		{[]string{`$Version=1; a="b; admin=1"; $Path=/; c=d`}, `admin=1"; c=d`, 2}, // a reader of RFC 2965 saw one cookie a here
		{[]string{`a="b\"; c=d"`}, `c=d"`, 1}, {[]string{`a="`}, "", 0}, {[]string{`a="b"c"`}, "", 0},
		{[]string{"=v; \u2000__Host-a=b; a\tb=c; ä=b; a,b=c"}, "", 0},
		{[]string{""}, "", 0}, {nil, "", 0},
	} {
		out, n := Cookies(c.in)
		if strings.Join(out, "|") != c.want || n != c.n {
			t.Errorf("%q gives %q, %d", c.in, out, n)
		}
	}
	if _, n := Cookies([]string{strings.Repeat("a=;", 4000)}); n <= MaxCookies {
		t.Error(n)
	}
}

// After Cookies, readers of two kinds agree about what a request holds: net/http's, and one that knows quotes as Python's does.
func FuzzCookies(f *testing.F) {
	f.Add(`a="b; c=d"; $Version=1; e=f`)
	f.Add(`a=b;; =c; d`)
	f.Fuzz(func(t *testing.T, in string) {
		out, n := Cookies([]string{in})
		if len(out) == 0 {
			return
		}
		if again, m := Cookies(out); len(again) != 1 || again[0] != out[0] || m != n {
			t.Fatalf("%q became %q and then %q", in, out, again)
		}
		quoted, parts := false, 1 // a reader that takes a quote at a value's start for the start of a quoted text
		for i := 0; i < len(out[0]); i++ {
			switch c := out[0][i]; {
			case c == '"' && (quoted || i > 0 && out[0][i-1] == '=' && strings.Count(out[0][strings.LastIndexByte(out[0][:i], ';')+1:i], "=") == 1):
				quoted = !quoted
			case c == ';' && quoted:
				t.Fatalf("%q became %q, with a quote over two cookies", in, out[0])
			case c == ';':
				parts++
			}
		}
		if parts != n {
			t.Fatalf("%q became %q: %d parts, %d cookies", in, out[0], parts, n)
		}
	})
}
