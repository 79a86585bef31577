package browser

import (
	"net/netip"
	"slices"
	"strings"

	"casemate"
)

// Rules are a Browser, compiled. They never change and may be used concurrently.
type Rules struct {
	cors     *cors
	off      bool
	set      []setting // the operator's, in the place of defaults
	lines    []setting // the defaults
	asIs     bool
	readable []string
	noStore  []string
	private  []string
}

// setting is a header that is added where the function says nothing: data to what programs read, page to what may be shown.
type setting struct {
	key        string // canonical
	data, page []string
	tls        bool // only where the connection is TLS, to a name that is not this machine
}

// Year is what Strict-Transport-Security promises, without includeSubDomains: other names are not ours to promise for.
const Year = "max-age=31536000"

// defaults are the security headers that every answer gets (https://owasp.org/www-project-secure-headers/). A page may load
// and run what it did before; only framing by other sites is refused. Data is no page: it may load nothing and be framed by
// nobody.
func defaults() []setting {
	const csp, frame = "Content-Security-Policy", "X-Frame-Options"
	both := func(key, value string) setting {
		return setting{key: key, data: []string{value}, page: []string{value}}
	}
	hsts := both("Strict-Transport-Security", Year)
	hsts.tls = true
	return []setting{
		hsts,
		both("X-Content-Type-Options", "nosniff"),
		both("Referrer-Policy", "strict-origin-when-cross-origin"),
		{key: csp, data: []string{"default-src 'none'; frame-ancestors 'none'"}, page: []string{"frame-ancestors 'self'"}},
		{key: frame, data: []string{"DENY"}, page: []string{"SAMEORIGIN"}},
		{key: "Cross-Origin-Resource-Policy", data: []string{"same-origin"}},
	}
}

// Compile makes the rules of a Browser; nil gives the default. The error is Check's.
func Compile(b *casemate.Browser) (*Rules, error) {
	r := &Rules{lines: defaults(), noStore: []string{"no-store"}, private: []string{"private, no-cache"}}
	if b == nil {
		return r, nil
	}
	if err := Check(b); err != nil {
		return nil, err
	}
	r.cors, r.off, r.asIs, r.readable = newCORS(b.CORS), b.HeadersOff, b.CookiesAsIs, b.Readable
	for name, value := range b.Set {
		line := []string{value}
		r.set = append(r.set, setting{key: canonical(name), data: line, page: line, tls: name == "strict-transport-security"})
	}
	r.lines = slices.DeleteFunc(r.lines, func(s setting) bool { return slices.Contains(b.Omit, strings.ToLower(s.key)) })
	return r, nil
}

// Context is what the headers of one answer depend on beside the answer.
type Context struct {
	Host   string // that was asked for, without port
	TLS    bool
	Status int
	Known  bool // somebody proved who it is
}

// Headers adds what the function left unsaid.
func (r *Rules) Headers(h map[string][]string, c *Context) {
	if r.off {
		return
	}
	r.keeping(h, c)
	data, strict := isData(h["Content-Type"]), c.TLS && !local(c.Host)
	add := func(s *setting) {
		line := s.page
		if data {
			line = s.data
		}
		if _, said := h[s.key]; !said && line != nil && (!s.tls || strict) {
			h[s.key] = line
		}
	}
	for i := range r.set {
		add(&r.set[i])
	}
	// Who says one of these two has decided about framing: the other would contradict it.
	_, csp := h["Content-Security-Policy"]
	_, frame := h["X-Frame-Options"]
	for i := range r.lines {
		switch s := &r.lines[i]; {
		case s.key == "X-Frame-Options" && csp, s.key == "Content-Security-Policy" && frame:
		default:
			add(s)
		}
	}
}

// keeping says that nobody may keep what was answered to somebody, or an error, unless the function says how: one that can
// be asked whether it is still the same may be kept by who got it.
func (r *Rules) keeping(h map[string][]string, c *Context) {
	if !c.Known && c.Status < 500 {
		return
	}
	if len(h["Cache-Control"]) > 0 || len(h["Expires"]) > 0 {
		return
	}
	if c.Status < 400 && len(h["Etag"])+len(h["Last-Modified"]) > 0 {
		h["Cache-Control"] = r.private
		return
	}
	h["Cache-Control"] = r.noStore
}

// isData reports an answer that programs read: never shown as a page, a picture or a script. What has no type is none.
func isData(contentType []string) bool {
	if len(contentType) == 0 {
		return true
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	media = strings.TrimSpace(media)
	return equal(media, "application/json") || equal(media, "text/plain") || equal(media, "text/csv") || equal(media, "application/x-ndjson") ||
		len(media) > 5 && equal(media[len(media)-5:], "+json")
}

func equal(s, lower string) bool { return len(s) == len(lower) && strings.EqualFold(s, lower) }

// local reports a name of this machine, or an address: browsers keep no promise about addresses, and one about localhost
// would hold for everything that is developed on that machine.
func local(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return true
	}
	if c := host[len(host)-1]; c > '9' && c > 'f' && strings.IndexByte(host, ':') < 0 {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// canonical is a header's name as net/http spells it.
func canonical(lower string) string {
	b, up := []byte(lower), true
	for i, c := range b {
		if up && c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		up = c == '-'
	}
	return string(b)
}
