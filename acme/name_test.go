package acme

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	rfc8555 "github.com/mholt/acmez/v3/acme"

	"casemate"
	"casemate/internal/casetest/authority"
	"casemate/store"
)

func TestNames(t *testing.T) {
	for given, want := range map[string]string{"shop.example.com": "shop.example.com", "Shop.Example.COM.": "shop.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example", "a.b": "a.b"} {
		if got, err := CheckName(given); err != nil || got != want {
			t.Errorf("%q gives %q, %v", given, got, err)
		}
	}
	for _, bad := range []string{"", ".", "localhost", "*.example.com", "bücher.example", "127.0.0.1", "[::1]", "0x7f.1", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "a.example:443",
		"a.example/", "a.example\x00", strings.Repeat("a", 64) + ".example", strings.Repeat("abcdefg.", 32) + "example", "shop.example..", "ſhop.example"} {
		if got, err := CheckName(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := func() Config {
		return Config{Store: store.Memory(time.Now), Names: []string{"shop.example.com"}, Agreed: true, ALPN: true, Clock: time.Now}
	}
	for what, c := range map[string]struct {
		change func(*Config)
		field  string
	}{
		"no name":         {func(c *Config) { c.Names = nil }, "--acme-domain"},
		"many names":      {func(c *Config) { c.Names = make([]string, maxNames+1) }, "--acme-domain"},
		"a name twice":    {func(c *Config) { c.Names = append(c.Names, c.Names[0]) }, "--acme-domain"},
		"not normal":      {func(c *Config) { c.Names[0] = "Shop.example.com" }, "--acme-domain"},
		"nobody agreed":   {func(c *Config) { c.Agreed = false }, "--acme-agree"},
		"no listener":     {func(c *Config) { c.ALPN = false }, "--acme-domain"},
		"http":            {func(c *Config) { c.Directory = "http://authority.example/dir" }, "--acme-ca"},
		"http by name":    {func(c *Config) { c.Directory = "http://localhost.evil.example/dir" }, "--acme-ca"},
		"a file":          {func(c *Config) { c.Directory = "file:///dir" }, "--acme-ca"},
		"with a password": {func(c *Config) { c.Directory = "https://a:b@authority.example/dir" }, "--acme-ca"},
		"two addresses":   {func(c *Config) { c.Email = "a@b.example,c@d.example" }, "--acme-email"},
		"headers":         {func(c *Config) { c.Email = "a@b.example?cc=x@y.example" }, "--acme-email"},
		"a name with it":  {func(c *Config) { c.Email = "Ada <a@b.example>" }, "--acme-email"},
	} {
		conf := good()
		c.change(&conf)
		_, err := Open(t.Context(), conf)
		if e := casemate.AsError(err); err == nil || e.Code != casemate.Invalid || e.Field != c.field || e.Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := good()
	if _, err := Open(t.Context(), c); err != nil {
		t.Errorf("what the others are changed from: %v", err)
	}
}

// TestAuthorityLeadsNowhereElse: URLs in an authority's answers are its own affair as long as they are https; answers end.
func TestAuthorityLeadsNowhereElse(t *testing.T) {
	long := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = w.Write(make([]byte, maxAnswer))
		}
	}))
	defer long.Close()
	c := client(nil)
	defer c.CloseIdleConnections()
	a, err := c.Get(long.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, buf := 0, make([]byte, 1<<16)
	for {
		k, err := a.Body.Read(buf)
		n += k
		if err != nil {
			break
		}
	}
	a.Body.Close()
	if n != maxAnswer {
		t.Errorf("%d bytes of an endless answer", n)
	}
	for _, to := range []string{"http://authority.example/", "http://169.254.169.254/latest", "http://127.0.0.1.evil.example/", "ftp://127.0.0.1/"} {
		if _, err := c.Get(to); err == nil || !strings.Contains(err.Error(), "not https") {
			t.Errorf("%s: %v", to, err)
		}
	}
	for text, want := range map[string]bool{"https://x/": true, "http://127.0.0.1:1/": true, "http://[::1]:1/": true, "http://localhost/": true, "http://10.0.0.1/": false, "http://localhost.evil/": false} {
		u, err := url.Parse(text)
		if err != nil || confidential(u) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}

func TestPauses(t *testing.T) {
	limited, refused, down := error(rfc8555.Problem{Type: rfc8555.ProblemTypeRateLimited}), error(rfc8555.Problem{Type: rfc8555.ProblemTypeDNS}), errors.New("no route")
	for _, c := range []struct {
		err  error
		n    int
		want time.Duration
	}{{down, 1, time.Minute}, {down, 3, 4 * time.Minute}, {refused, 1, 15 * time.Minute}, {refused, 2, 30 * time.Minute}, {limited, 1, time.Hour}, {limited, 4, 8 * time.Hour},
		{down, 1 << 40, maxPause}, {refused, 20, maxPause}, {limited, 20, maxPause}} {
		if got := pause(c.err, c.n); got < c.want || got > c.want*11/10 {
			t.Errorf("%v, %d times: %s", c.err, c.n, got)
		}
	}
}

// FuzzEAB: what is no binding is refused, and no error repeats what was in it.
func FuzzEAB(f *testing.F) {
	key := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	f.Add([]byte(`{"key_id":"kid-1","mac_key":"` + key + `"}`))
	f.Add([]byte(`{"key_id":"kid-1","mac_key":"c2hvcnQ"}`))
	f.Add([]byte(`{"key_id":"a\u0000b","mac_key":"` + key + `"}{}`))
	f.Add([]byte(`{"key_id":"k","mac_key":"SECRETSECRETSECRET+/"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEAB(text)
		if err != nil {
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error tells: %v", err)
			}
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(e.MACKey)
		if err != nil || len(raw) < 16 || e.KeyID == "" {
			t.Errorf("%q was taken: %v", text, err)
		}
	})
}

// TestOpenChallenges: what is answered is the one question that was announced, until it is over.
func TestOpenChallenges(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, func(c *Config) { c.HTTP = true }, name, "www.example.com")
	mine := rfc8555.Challenge{Identifier: rfc8555.Identifier{Type: "dns", Value: name}, Token: "tok", KeyAuthorization: "tok.print"}
	other := mine
	other.Identifier.Value = "other.example.com"
	address := rfc8555.Challenge{Identifier: rfc8555.Identifier{Type: "ip", Value: "127.0.0.1"}, Token: "tok", KeyAuthorization: "tok.print"}
	for _, s := range r.solvers() {
		if s.Present(t.Context(), other) == nil || s.Present(t.Context(), address) == nil {
			t.Errorf("%T answers for what was not listed", s)
		}
		if err := s.Present(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.KeyAuthorization(name, "tok"); got != "tok.print" {
		t.Errorf("%q", got)
	}
	if r.KeyAuthorization(name, "tokx") != "" || r.KeyAuthorization(name, "") != "" || r.KeyAuthorization("www.example.com", "tok") != "" {
		t.Error("another question is answered")
	}
	if _, err := n.tls.shows(t, name, alpnProto); err != nil {
		t.Error(err)
	}
	for what, protos := range map[string][]string{name: {"http/1.1", alpnProto}, "www.example.com": {alpnProto}} { // RFC 8737 section 3: that one protocol alone
		if _, err := n.tls.shows(t, what, protos...); err == nil {
			t.Errorf("%s with %v is answered", what, protos)
		}
	}
	for _, s := range r.solvers() {
		if err := s.CleanUp(t.Context(), mine); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.tls.shows(t, name, alpnProto); err == nil || r.KeyAuthorization(name, "tok") != "" {
		t.Error("a challenge that is over is answered")
	}
}
