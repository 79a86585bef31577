package sam

import (
	"slices"
	"strings"

	"casemate/sam/template"
)

// cors is what pages of other origins may do with an API.
type cors struct {
	at      template.Position
	origins []string
	methods []string // none: those of the route
	headers []string
	expose  []string
	allow   bool // credentials
	maxAge  string
}

// cors translates the Cors of a REST API, whose texts stand in single quotes, and the CorsConfiguration of an HTTP API
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-api-corsconfiguration.html).
func (t *translator) cors(a *api, v template.Value, path string) cors {
	c := cors{at: v.At}
	switch {
	case v.Kind == template.Bool:
		if v.Text == "true" {
			c.origins = []string{"*"}
		}
		return c
	case v.Scalar():
		c.origins = items(v)
		return c
	}
	for _, m := range v.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "AllowOrigin", "AllowOrigins":
			c.origins = items(m.Value)
		case "AllowMethods":
			c.methods = items(m.Value)
		case "AllowHeaders":
			c.headers = items(m.Value)
		case "ExposeHeaders":
			c.expose = items(m.Value)
		case "AllowCredentials":
			c.allow, _ = v.BoolAt(m.Key, path, &t.found)
		case "MaxAge":
			if c.maxAge = strings.Trim(m.Value.Text, "'"); c.maxAge != "" && c.maxAge != "0" {
				c.maxAge += "s"
			}
		default:
			t.bad(m.KeyAt, at, "", "there is no such property")
		}
	}
	t.note(Honoured, a.typ, v.At, path, "pages of %s may call the routes", strings.Join(c.origins, ", "))
	return c
}

// preflight takes what an integration of type mock answers to OPTIONS as the CORS of the path
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html).
func (t *translator) preflight(a *api, in template.Value, where string, at template.Position, path string) {
	responses, _ := in.Get("responses")
	said := mapping(at)
	for _, r := range responses.Members {
		headers, _ := r.Value.Get("responseParameters")
		for _, h := range headers.Members {
			key := map[string]string{"allow-origin": "AllowOrigin", "allow-methods": "AllowMethods", "allow-headers": "AllowHeaders", "expose-headers": "ExposeHeaders", "max-age": "MaxAge",
				"allow-credentials": "AllowCredentials"}[strings.TrimPrefix(strings.ToLower(h.Key), "method.response.header.access-control-")]
			if key != "" {
				set(said, key, text(h.Value.At, strings.Trim(h.Value.Text, "'")))
			}
		}
	}
	if len(said.Members) == 0 {
		t.note(Ignored, a.typ, at, path, "preflights are answered by Cors")
		return
	}
	if a.preflights == nil {
		a.preflights = map[string]cors{}
	}
	a.preflights[where] = t.cors(a, *said, path)
}

// corsOf is what holds for a route: what its path answers to OPTIONS, else what the API says.
func (a *api) corsOf(w *way) cors {
	_, where, _ := strings.Cut(w.key, " ")
	if c, ok := a.preflights[where]; ok {
		return c
	}
	return a.cors
}

// items reads a list, or a text of items with commas, each perhaps in single quotes.
func items(v template.Value) (out []string) {
	list := v.List
	if v.Scalar() {
		list = []template.Value{v}
	}
	for _, x := range list {
		for s := range strings.SplitSeq(strings.Trim(x.Text, "'"), ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// of is what the manifest says for one route. A route of OPTIONS answers preflights itself, and one whose method is not allowed has
// no pages to answer.
func (c cors) of(w *way) (template.Value, bool) {
	method, _, _ := strings.Cut(w.key, " ")
	every := method == "ANY" || w.key == "$default"
	if len(c.origins) == 0 || method == "OPTIONS" || !every && len(c.methods) > 0 && !slices.Contains(c.methods, method) && !slices.Contains(c.methods, "*") {
		return template.Value{}, false
	}
	v := mapping(c.at)
	set(v, "origins", texts(c.at, c.origins...))
	methods := slices.DeleteFunc(slices.Clone(c.methods), func(m string) bool { return m == "OPTIONS" })
	if every && len(methods) > 0 {
		set(v, "methods", texts(c.at, methods...))
	}
	headers := slices.DeleteFunc(slices.Clone(c.headers), func(h string) bool { return h == "*" && c.allow })
	if len(headers) > 0 {
		set(v, "headers", texts(c.at, headers...))
	}
	if len(c.expose) > 0 {
		set(v, "expose", texts(c.at, c.expose...))
	}
	if c.allow {
		set(v, "credentials", text(c.at, "allow"))
	}
	if c.maxAge != "" && c.maxAge != "0" {
		set(v, "max_age", text(c.at, c.maxAge))
	}
	return *v, true
}
