package detect

import (
	"strings"
	"testing"
)

// Addresses of programs under development pass wherever they stand; the same host asked for what an attacker wants does not,
// nor any spelling that hides it.
func TestWorkshopAddresses(t *testing.T) {
	for _, v := range []string{"http://localhost:3000", "http://localhost", "http://localhost:8080/api/v1/orders?x=a%20b", "ws://localhost:3000/socket", "http://127.0.0.1:8400/cb?code=1", "https://LOCALHOST:8443/",
		"http://localhost:3000/.well-known/openid-configuration", "http://localhost:5173?tab=1"} {
		for _, name := range []string{"", "url", "note", "redirect_uri"} {
			if rules, _ := judged(t, "body", name, v); strings.Contains(strings.ToLower(v), "localhost") && rules != "" {
				t.Errorf("%q in %q: %s", v, name, rules)
			}
		}
	}
	for _, v := range []string{"http://127.0.0.1", "http://127.0.0.1/", "http://localhost:22", "http://localhost:6379/", "http://127.0.0.1:2375/containers/json", "http://localhost:3000/admin", "http://localhost/server-status",
		"http://localhost:8080/latest/meta-data/", "http://localhost:3000/.env", "http://localhost:3000/.aws/credentials", "http://localhost:3000/..%2fadmin", "http://localhost:3000/%61dmin", "http://x@localhost:3000/", "http://localhost:3000@evil.example/",
		"http://localhost:3000#@169.254.169.254/", "http:/\\localhost:3000", "gopher://localhost:3000/_x", "ftp://localhost:3000/", "http://127.1:3000/", "http://2130706433:3000/", "http://0x7f.1:3000/", "http://[::1]:3000/",
		"http://localhost:99999/", "http://localhost:3000:6379/", "http://10.0.0.5:3000/", "http://169.254.169.254:3000/", "http://metadata.google.internal:3000/", "http://localhost\\@169.254.169.254:3000/"} {
		if rules, sum := judged(t, "body", "note", v); sum < Sure || !strings.Contains(rules, "ssrf") {
			t.Errorf("%q passes: %q", v, rules)
		}
	}
}

func TestFreshStructures(t *testing.T) {
	for v, rule := range map[string]string{"$(</etc/passwd)": "command", "$(< ~/.ssh/id_rsa)": "command", "x%0d%0aLocation:%20http://evil.example": "header-injection", `{"q":{"$text":{"$search":"x"}}}`: "nosql-operator",
		`{"a":{"$bitsAllSet":1}}`: "nosql-operator"} {
		if rules, sum := judged(t, "body", "note", v); sum < Sure || !strings.Contains(rules, rule) {
			t.Errorf("%q passes: %q", v, rules)
		}
	}
	for _, v := range []string{"$(</>)", "$('<div/>')", "Dear all,\r\nLocation: Room 5\r\n", "mailto:a@example.com?body=Line1%0D%0ALine2", `{"$schema":"x","$ref":"#/a"}`} {
		if rules, _ := judged(t, "body", "note", v); rules != "" {
			t.Errorf("%q: %s", v, rules)
		}
	}
}
