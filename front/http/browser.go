package http

import (
	"context"
	nethttp "net/http"

	"casemate"
	"casemate/browser"
	"casemate/front/conn"
	"casemate/lambda"
)

// Browsers says what routes tell browsers, and hears of the preflights that the Server answers by itself.
type Browsers interface {
	// Route is what a request would come by, with its rules; nil, nil when there is no such route.
	Route(host, method, path string) (*casemate.Route, *browser.Rules)
	Rules(r *casemate.Route) *browser.Rules // of a route that was found; nil: none
	Knock(ctx context.Context, sourceIP string) error
	Tell(p casemate.Preflight)
}

// rules are those of the route that the request came by, or would have come by; the default where there is none.
func (x *exchange) rules() *browser.Rules {
	if x.told != nil {
		return x.told
	}
	x.told = x.s.plain
	if b := x.s.c.Browsers; b != nil {
		if x.match != nil {
			x.told = b.Rules(x.match.Route)
		} else if x.target.path != "" {
			if _, r := b.Route(x.target.host, x.r.Method, x.target.path); r != nil {
				x.told = r
			}
		}
	}
	return x.told
}

// dress adds what browsers are told to an answer, whoever wrote it.
func (x *exchange) dress(status int) {
	h, r := x.w.Header(), x.rules()
	if !x.preflight {
		r.Answer(h, x.r.Header["Origin"])
	}
	r.Headers(h, &browser.Context{Host: x.target.host, TLS: x.secure, Status: status, Known: x.known})
}

// preflights answers a browser that asks whether a page may send something, where the route has CORS: without a credential,
// because browsers send none, and without its function. It counts against its source as everything does. It reports whether it
// did.
func (x *exchange) preflights() bool {
	b := x.s.c.Browsers
	if b == nil || !browser.IsPreflight(x.r.Method, x.r.Header) {
		return false
	}
	route, rules := b.Route(x.target.host, x.r.Header["Access-Control-Request-Method"][0], x.target.path)
	if rules == nil || !rules.CORS() {
		return false
	}
	x.told, x.preflight = rules, true
	from := conn.SourceIP(x.r.RemoteAddr)
	p := casemate.Preflight{Source: from, App: route.App, Route: route.ID}
	err := b.Knock(x.r.Context(), from)
	if err == nil {
		err = rules.Preflight(x.w.Header(), x.r.Header)
	}
	if err == nil {
		b.Tell(p)
		x.write(nethttp.StatusNoContent, "", nil)
		return true
	}
	if p.Rule = casemate.AsError(err).Rule; p.Rule == "" {
		p.Rule = "rate of the source"
	}
	b.Tell(p)
	x.refuse(err)
	return true
}

// cookies has every reader of the request see the same ones.
func (x *exchange) cookies() error {
	lines := x.r.Header["Cookie"]
	if lines == nil {
		return nil
	}
	lines, n := browser.Cookies(lines)
	switch {
	case n > browser.MaxCookies:
		return refuse(nethttp.StatusRequestHeaderFieldsTooLarge, "cookie", "more cookies than browsers keep", "delete the cookies of this site")
	case lines == nil:
		delete(x.r.Header, "Cookie")
	default:
		x.r.Header["Cookie"] = lines
	}
	return nil
}

// decode reads what a function answered as an HTTP response, and hardens its cookies.
func (x *exchange) decode(res *casemate.Result) (*casemate.Answer, error) {
	a, err := x.read(res)
	if err != nil {
		return nil, err
	}
	x.harden(a, res)
	return a, nil
}

// read reads an answer in the shape of its route.
func (x *exchange) read(res *casemate.Result) (*casemate.Answer, error) {
	if x.match != nil && x.match.Route != nil && x.match.Route.Payload != "" {
		return lambda.DecodeREST(x.match.Route.Payload, res.ContentType, res.Payload)
	}
	return lambda.DecodeHTTP(res.ContentType, res.Payload)
}

// maxCookieNotes bounds what one answer's cookies write into its record.
const maxCookieNotes = 8
