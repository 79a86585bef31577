package aws

import (
	"net/http"
	"strings"
	"testing"

	"casemate"
)

// TestLargeBodies: code is taken by the operation that takes it and by no other, unsigned by none, and few at once; the place of one
// is given back however it ends.
func TestLargeBodies(t *testing.T) {
	d := newDesk(t)
	const bound = maxBody + 2<<20
	d.c.Operations["lambda.CreateFunction"] = &casemate.Operation{Service: "lambda", Name: "CreateFunction", Action: "lambda:CreateFunction", Body: bound,
		Resource: func(casemate.Place, []byte) (string, error) { return "arn:f", nil }}
	large := `{"Code":"` + strings.Repeat("a", maxBody+1<<20) + `"}`
	signed := []string{"Authorization", authorization("lambda")}
	for range maxLarge + 1 {
		if w := d.ask("POST", "/2015-03-31/functions", large, signed...); w.Code != http.StatusCreated || len(d.last(t).Payload) != len(large) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	before := len(d.events)
	d.ask("POST", "/2015-03-31/functions", large) // who signs nothing speaks to STS, within its bound
	for what, path := range map[string]string{"another operation": "/2015-03-31/functions/f/versions", "more than the operation takes": "/2015-03-31/functions"} {
		body := large
		if path == "/2015-03-31/functions" {
			body = `{"Code":"` + strings.Repeat("a", bound) + `"}`
		}
		if w := d.ask("POST", path, body, signed...); w.Code != http.StatusRequestEntityTooLarge || w.Header().Get("X-Amzn-Errortype") != "RequestTooLargeException" {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	if len(d.events) != before || len(d.large) != 0 {
		t.Errorf("%d events more, %d places taken", len(d.events)-before, len(d.large))
	}
}

// TestHeavyBodiesAreBoundedTogether: who has many large ones in memory shuts out other large ones, and nothing small.
func TestHeavyBodiesAreBoundedTogether(t *testing.T) {
	d := newDesk(t)
	ask := func(n int) int {
		return d.ask("POST", "/", strings.Repeat("a", n), "Authorization", authorization("kms"), "X-Amz-Target", "T.Echo").Code
	}
	for _, x := range []struct {
		held  int64
		n     int
		taken bool
	}{{0, light + 1, true}, {heavy - light - 1, light + 1, true}, {heavy - light, light + 1, false}, {heavy, light, true}} {
		d.weight.Store(x.held)
		before := len(d.events)
		if code := ask(x.n); (len(d.events) > before) != x.taken || (code == http.StatusServiceUnavailable) == x.taken {
			t.Errorf("%+v: %d", x, code)
		}
		if n := d.weight.Load(); n != x.held {
			t.Errorf("%+v: %d bytes are counted afterwards", x, n)
		}
	}
}
