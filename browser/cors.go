package browser

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// methods are those that "*" stands for. OPTIONS is not one of them: asking is what a preflight does.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// maxAsked bounds the Access-Control-Request-Headers that are looked at, in bytes.
const maxAsked = 4 << 10

// cors is a CORS, compiled: the values of its headers stand ready. Slices that go into header maps are never appended to.
type cors struct {
	origins     origins
	star        []string // Access-Control-Allow-Origin where every origin may read
	allowed     map[string]bool
	any         bool // headers
	names       map[string]bool
	private     bool
	credentials []string // nil: none
	expose      []string // nil: none
	methods     []string
	headers     []string
	age         []string // nil: as the browser likes
	yes         []string
	vary        []string
	varyAll     []string
}

func newCORS(c *casemate.CORS) *cors {
	if c == nil {
		return nil
	}
	x := &cors{origins: newOrigins(c.Origins), allowed: map[string]bool{}, names: map[string]bool{}, private: c.Private, yes: []string{"true"},
		vary: []string{"Origin"}, varyAll: []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"}}
	if x.origins.any {
		x.star = []string{"*"}
	}
	list := c.Methods
	if slices.Contains(list, "*") {
		list = methods[:]
	}
	for _, m := range list {
		x.allowed[m] = true
	}
	x.methods = []string{strings.Join(list, ", ")}
	for _, h := range c.Headers {
		x.any = x.any || h == "*"
		x.names[strings.ToLower(h)] = true
	}
	if len(c.Headers) > 0 {
		x.headers = []string{strings.Join(c.Headers, ", ")}
	}
	if len(c.Expose) > 0 {
		x.expose = []string{strings.Join(c.Expose, ", ")}
	}
	if c.Credentials {
		x.credentials = x.yes
	}
	if c.MaxAge > 0 {
		x.age = []string{strconv.FormatInt(int64(c.MaxAge/time.Second), 10)}
	}
	return x
}

// allows gives what Access-Control-Allow-Origin says to the sender of these Origin lines, nil when it may not read. More than
// one line is nobody's origin.
func (x *cors) allows(origin []string) []string {
	if len(origin) != 1 || !x.origins.has(origin[0]) {
		return nil
	}
	if x.star != nil {
		return x.star
	}
	return origin[:1:1]
}

// Drops reports a header of the function, by its lower-case name, that does not leave: what it says about origins where the
// route speaks for it, and what only tells about its insides.
func (r *Rules) Drops(name string) bool {
	switch name[0] {
	case 'a':
		return r.cors != nil && strings.HasPrefix(name, "access-control-")
	case 'x', 's':
		return !r.off && (name == "x-powered-by" || name == "x-aspnet-version" || name == "x-aspnetmvc-version" || name == "server")
	}
	return false
}

// Answer puts what a page of another origin may do with an answer into its headers, which hold nothing that Drops; origin are
// the Origin lines of the request. A route without CORS leaves h as it is.
func (r *Rules) Answer(h map[string][]string, origin []string) {
	x := r.cors
	if x == nil {
		return
	}
	vary(h, x.vary)
	allow := x.allows(origin)
	if allow == nil {
		return
	}
	h["Access-Control-Allow-Origin"] = allow
	if x.credentials != nil {
		h["Access-Control-Allow-Credentials"] = x.credentials
	}
	if x.expose != nil {
		h["Access-Control-Expose-Headers"] = x.expose
	}
}

// vary has caches keep answers to different origins apart.
func vary(h map[string][]string, line []string) {
	have := h["Vary"]
	if len(have) == 0 {
		h["Vary"] = line
		return
	}
	for _, v := range have {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.EqualFold(part, "Origin") {
				return
			}
		}
	}
	h["Vary"] = []string{strings.Join(have, ", ") + ", Origin"}
}

// IsPreflight reports a question of a browser, whether a page may send something: an OPTIONS request that names the method
// (https://fetch.spec.whatwg.org/#cors-preflight-fetch).
func IsPreflight(method string, h map[string][]string) bool {
	return method == "OPTIONS" && len(h["Origin"]) > 0 && len(h["Access-Control-Request-Method"]) > 0
}

// CORS reports whether a preflight gets an answer here.
func (r *Rules) CORS() bool { return r.cors != nil }

// Allows reports whether pages of the origin in these Origin lines may read answers.
func (r *Rules) Allows(origin []string) bool { return r.cors != nil && r.cors.allows(origin) != nil }

// Preflight answers the request headers asked in the answer's headers h. The error, Forbidden with the Rule that refused, says
// what is not allowed; then h allows nothing.
func (r *Rules) Preflight(h, asked map[string][]string) error {
	x := r.cors
	h["Vary"] = x.varyAll
	no := func(rule, hint, format string, args ...any) error {
		return &casemate.Error{Code: casemate.Forbidden, Rule: rule, Message: casemate.Errorf(casemate.Forbidden, "", format, args...).Message, Hint: hint}
	}
	allow := x.allows(asked["Origin"])
	if allow == nil {
		return no("cors/origin", "cors: origins: of the route names who may", "pages of this origin may not call this")
	}
	method := asked["Access-Control-Request-Method"]
	if len(method) != 1 || !x.allowed[method[0]] {
		return no("cors/method", "cors: methods: of the route names them", "pages of other origins may not send this method")
	}
	lines := asked["Access-Control-Request-Headers"]
	for _, line := range lines {
		if len(lines) > 1 || len(line) > maxAsked || !x.headersIn(line) {
			return no("cors/header", "cors: headers: of the route names them", "pages of other origins may not send these headers")
		}
	}
	if len(asked["Access-Control-Request-Private-Network"]) > 0 {
		if !x.private {
			return no("cors/private-network", "cors: private_network: allow, where public pages should reach it", "public pages may not reach into this network")
		}
		h["Access-Control-Allow-Private-Network"] = x.yes
	}
	h["Access-Control-Allow-Origin"], h["Access-Control-Allow-Methods"] = allow, x.methods
	switch {
	case x.any && len(lines) == 1:
		h["Access-Control-Allow-Headers"] = lines // every name in it is a token; "*" would not hold for Authorization
	case x.headers != nil:
		h["Access-Control-Allow-Headers"] = x.headers
	}
	if x.credentials != nil {
		h["Access-Control-Allow-Credentials"] = x.credentials
	}
	if x.age != nil {
		h["Access-Control-Max-Age"] = x.age
	}
	return nil
}

// headersIn reports whether a page may send all of the headers that a line names.
func (x *cors) headersIn(line string) bool {
	for name := range strings.SplitSeq(line, ",") {
		if name = strings.Trim(name, " \t"); name == "" {
			continue
		}
		if !token(name) || !x.any && !x.names[name] && !x.names[strings.ToLower(name)] {
			return false
		}
	}
	return true
}

// token reports a name of RFC 9110 section 5.6.2.
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
