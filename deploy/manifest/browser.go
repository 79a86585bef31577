package manifest

import (
	"strings"
	"time"

	"casemate"
	"casemate/browser"
)

// CORS says which pages of other origins may call a route and read its answers: the settings of AWS's function URLs and HTTP APIs.
type CORS struct {
	Origins     []string `key:"origins" need:"" like:"^[^\\s]{1,253}$" doc:"Pages of these may: \"https://app.example.com\", \"https://*.example.com\" for every name one label below, or \"*\" alone."`
	Methods     []string `key:"methods" one:"GET HEAD POST PUT PATCH DELETE *" doc:"Methods that they may send (default: the route's own; GET, HEAD and POST where it takes any)."`
	Headers     []string `key:"headers" like:"^[^\\s,;:]{1,128}$" doc:"Headers that they may send, besides what every page may: content-type, x-api-key, authorization."`
	Expose      []string `key:"expose" like:"^[^\\s,;:]{1,128}$" doc:"Headers of answers that they may read, besides what every page may."`
	Credentials string   `key:"credentials" one:"allow refuse" doc:"Whether browsers send what they keep for the route: cookies, certificates (default refuse)."`
	MaxAge      Duration `key:"max_age" min:"1s" max:"24h" doc:"How long a browser may remember what it was told (default: as it likes)."`
	Private     string   `key:"private_network" one:"allow refuse" doc:"Whether public pages may reach the route in a private network (default refuse)."`
}

// Headers are the security headers of a route's answers.
type Headers struct {
	Mode string            `key:"mode" one:"default off" doc:"default: what the function left unsaid is added. off: answers pass as the function made them."`
	Set  map[string]string `key:"set" like:"^[a-z0-9][a-z0-9-]{0,127}$" doc:"Headers in the place of the defaults, and others, where the function says nothing."`
	Omit []string          `key:"omit" like:"^[a-z0-9][a-z0-9-]{0,127}$" doc:"Defaults that are left out."`
}

// Cookies says what becomes of the cookies that a route's function sets.
type Cookies struct {
	Mode     string   `key:"mode" one:"harden as-is" doc:"harden: Secure over TLS, HttpOnly and SameSite=Lax are added where they are missing, and what browsers would refuse is left out (default). as-is: they pass."`
	Readable []string `key:"readable" like:"^[^\\s;,=]{1,128}$" doc:"Names of cookies that scripts of the page may read: they get no HttpOnly."`
}

// Browser is what the route tells browsers; nil is the default. method is the route's own, ANY where it takes any.
func (r *Route) Browser(method string) *casemate.Browser {
	if r.CORS == nil && r.Headers == nil && r.Cookies == nil {
		return nil
	}
	b := &casemate.Browser{}
	if c := r.CORS; c != nil {
		b.CORS = &casemate.CORS{Origins: c.Origins, Methods: c.Methods, Headers: lower(c.Headers), Expose: lower(c.Expose), Credentials: c.Credentials == "allow",
			MaxAge: time.Duration(c.MaxAge), Private: c.Private == "allow"}
		switch {
		case len(c.Methods) > 0:
		case method == "ANY":
			b.CORS.Methods = []string{"GET", "HEAD", "POST"}
		default:
			b.CORS.Methods = []string{method}
		}
	}
	if h := r.Headers; h != nil {
		b.HeadersOff, b.Set, b.Omit = h.Mode == "off", h.Set, h.Omit
	}
	if c := r.Cookies; c != nil {
		b.CookiesAsIs, b.Readable = c.Mode == "as-is", c.Readable
	}
	return b
}

func lower(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, strings.ToLower(s))
	}
	return out
}

// browser checks what a route tells browsers.
func (c *checker) browser(ptr, method string, r *Route) {
	b := r.Browser(method)
	if b == nil || b.CORS != nil && (len(b.CORS.Origins) == 0 || b.CORS.MaxAge > 24*time.Hour) {
		return // nothing said, or said by the types
	}
	if method == "OPTIONS" && r.CORS != nil {
		c.bad(ptr+"/cors", "give cors to the routes that pages call", "a route of OPTIONS is asked by no page: preflights are answered for the others")
		return
	}
	if err := browser.Check(b); err != nil {
		e := casemate.AsError(err)
		c.bad(ptr+"/"+e.Field, e.Hint, "%s", e.Message)
		return
	}
	if x := b.CORS; x != nil {
		for _, m := range x.Methods {
			if method != "ANY" && m != method && m != "*" {
				c.bad(ptr+"/cors/methods", "leave it out; the route of "+m+" has its own cors", "the route takes %s alone", method)
			}
		}
		for _, o := range x.Origins {
			if host, plain := strings.CutPrefix(o, "http://"); plain && x.Credentials && !strings.HasPrefix(host, "localhost") && !strings.HasPrefix(host, "127.0.0.1") {
				c.warn(ptr+"/cors/origins", "https://"+host, "whoever is on the way to %s can write its pages, and act in its visitors' names", o)
			}
			if strings.Contains(o, "*.") && x.Credentials {
				c.warn(ptr+"/cors/origins", "name the origins", "whoever has a name that %s matches can act in its visitors' names", o)
			}
		}
		if x.Private {
			c.warn(ptr+"/cors/private_network", "", "public pages may reach into the network that this node is in")
		}
	}
	if b.HeadersOff {
		c.warn(ptr+"/headers/mode", "omit: leaves single ones out", "no security header is added to answers")
	}
	if b.CookiesAsIs {
		c.warn(ptr+"/cookies/mode", "readable: names those that scripts need", "cookies pass as they are")
	}
}
