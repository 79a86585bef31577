package diff

import (
	"strings"
	"testing"

	"casemate"
)

// TestPlanSaysWhatPagesMayDo: each change of what browsers are told is in the plan, and marked where it opens something.
func TestPlanSaysWhatPagesMayDo(t *testing.T) {
	cors := func(bend func(*casemate.CORS)) *casemate.Browser {
		c := &casemate.CORS{Origins: []string{"https://a.test"}, Methods: []string{"GET"}}
		bend(c)
		return &casemate.Browser{CORS: c}
	}
	plain := cors(func(*casemate.CORS) {})
	for name, c := range map[string]struct {
		was, is *casemate.Browser
		wider   bool
		says    string
	}{
		"new":             {nil, plain, true, "GET from https://a.test"},
		"gone":            {plain, nil, false, "no cors any more"},
		"another origin":  {plain, cors(func(c *casemate.CORS) { c.Origins = append(c.Origins, "https://b.test") }), true, "https://b.test"},
		"fewer origins":   {cors(func(c *casemate.CORS) { c.Origins = append(c.Origins, "https://b.test") }), plain, false, "instead of"},
		"credentials":     {plain, cors(func(c *casemate.CORS) { c.Credentials = true }), true, "with credentials"},
		"no credentials":  {cors(func(c *casemate.CORS) { c.Credentials = true }), plain, false, "instead of"},
		"private network": {plain, cors(func(c *casemate.CORS) { c.Private = true }), true, "private network"},
		"headers off":     {nil, &casemate.Browser{HeadersOff: true}, true, "no security header"},
		"headers on":      {&casemate.Browser{HeadersOff: true}, nil, false, "security headers are added"},
		"one left out":    {nil, &casemate.Browser{Omit: []string{"x-frame-options"}}, true, "without x-frame-options"},
		"cookies as is":   {nil, &casemate.Browser{CookiesAsIs: true}, true, "pass as they are"},
		"readable":        {nil, &casemate.Browser{Readable: []string{"theme"}}, true, "scripts read theme"},
		"not readable":    {&casemate.Browser{Readable: []string{"theme"}}, nil, false, "scripts read none"},
	} {
		x := &comparer{}
		if x.browser("route GET /a", c.was, c.is); len(x.changes) != 1 || x.changes[0].Wider != c.wider || !strings.Contains(x.changes[0].Text, c.says) {
			t.Errorf("%s: %+v", name, x.changes)
		}
	}
	x := &comparer{}
	if x.browser("route GET /a", plain, cors(func(*casemate.CORS) {})); len(x.changes) != 0 {
		t.Error(x.changes)
	}
}
