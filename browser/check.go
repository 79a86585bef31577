package browser

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Bounds of a Browser.
const (
	maxNames   = 100 // of headers, in one list
	maxName    = 128 // bytes of one
	maxSet     = 32  // headers that are set
	maxValue   = 4096
	maxMaxAge  = 24 * time.Hour // AWS's bound
	maxCookies = 32             // names of readable cookies
)

// Check refuses a Browser that cannot hold or says too much: an *casemate.Error of code Invalid whose Field is the part of the
// manifest that it is about ("cors/origins/0", "headers/set/x-frame-options").
func Check(b *casemate.Browser) error {
	if c := b.CORS; c != nil {
		if err := checkCORS(c); err != nil {
			return err
		}
	}
	if b.HeadersOff && len(b.Set)+len(b.Omit) > 0 {
		return wrong("headers/mode", "leave mode out, or set and omit", "headers are off, and some are set")
	}
	if len(b.Set) > maxSet {
		return wrong("headers/set", "", "more than %d headers", maxSet)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Set)) {
		if err := checkSet(name, b.Set[name]); err != nil {
			return err
		}
	}
	known := defaults()
	for i, name := range b.Omit {
		if !slices.ContainsFunc(known, func(s setting) bool { return strings.ToLower(s.key) == name }) {
			return wrong("headers/omit/"+strconv.Itoa(i), "docs/browsers.md lists them", "%q is no header that is added", name)
		}
	}
	if b.CookiesAsIs && len(b.Readable) > 0 {
		return wrong("cookies/readable", "leave one of the two out", "cookies pass as they are, and some are named")
	}
	for i, name := range b.Readable {
		if !token(name) || len(name) > maxName || i >= maxCookies {
			return wrong("cookies/readable/"+strconv.Itoa(i), "", "%q is no name of a cookie, or one too many", name)
		}
		if prefix(name, "__http-") || prefix(name, "__host-http-") {
			return wrong("cookies/readable/"+strconv.Itoa(i), "choose another name", "%q promises that no script reads it", name)
		}
	}
	return nil
}

func wrong(field, hint, format string, args ...any) error {
	e := casemate.Errorf(casemate.Invalid, hint, format, args...)
	e.Field = field
	return e
}

func checkCORS(c *casemate.CORS) error {
	if len(c.Origins) == 0 || len(c.Origins) > maxOrigins {
		return wrong("cors/origins", "origins: [https://app.example.com]", "CORS needs 1 to %d origins", maxOrigins)
	}
	for i, o := range c.Origins {
		at := "cors/origins/" + strconv.Itoa(i)
		if err := CheckOrigin(o); err != nil {
			e := casemate.AsError(err)
			return wrong(at, e.Hint, "%s", e.Message)
		}
		if o == "*" && len(c.Origins) > 1 {
			return wrong(at, `origins: ["*"], or the others alone`, "every origin, and more")
		}
		if o == "*" && c.Credentials {
			return wrong("cors/credentials", "name the origins", "every page there is could act as whoever visits it")
		}
		if slices.Index(c.Origins, o) < i {
			return wrong(at, "", "%s stands here twice", o)
		}
	}
	if len(c.Methods) == 0 {
		return wrong("cors/methods", "methods: [GET, POST]", "CORS needs a method")
	}
	for i, m := range c.Methods {
		if m != "*" && !slices.Contains(methods[:], m) || m == "*" && len(c.Methods) > 1 || slices.Index(c.Methods, m) < i {
			return wrong("cors/methods/"+strconv.Itoa(i), `GET, HEAD, POST, PUT, PATCH, DELETE, or "*" alone`, "%q is no method here", m)
		}
	}
	if err := checkNames("cors/headers", c.Headers, c.Credentials); err != nil {
		return err
	}
	if err := checkNames("cors/expose", c.Expose, c.Credentials); err != nil {
		return err
	}
	if c.MaxAge < 0 || c.MaxAge > maxMaxAge || c.MaxAge%time.Second != 0 {
		return wrong("cors/max_age", "10m, 24h at most", "whole seconds up to a day")
	}
	return nil
}

// checkNames checks a list of header names. With credentials "*" is a name like others to browsers, and would allow nothing.
func checkNames(at string, list []string, credentials bool) error {
	for i, name := range list {
		here := at + "/" + strconv.Itoa(i)
		switch {
		case name == "*" && len(list) > 1:
			return wrong(here, `"*" alone, or the names`, "every header, and more")
		case name == "*" && credentials:
			return wrong(here, "name the headers", `with credentials "*" is not every header`)
		case name != "*" && (!token(name) || len(name) > maxName) || len(list) > maxNames:
			return wrong(here, "content-type", "%q is no name of a header, or one too many", name)
		case slices.ContainsFunc(list[:i], func(o string) bool { return strings.EqualFold(o, name) }):
			return wrong(here, "", "%s stands here twice", name)
		}
	}
	return nil
}

// theirs are headers that nobody sets for a whole route: they belong to one answer, or to the platform.
func theirs(name string) bool {
	switch name {
	case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "content-type", "content-encoding", "content-range", "date",
		"server", "set-cookie", "set-cookie2", "location", "x-request-id", "traceparent", "tracestate", "alt-svc", "vary", "etag", "last-modified", "www-authenticate",
		"retry-after", "ratelimit", "ratelimit-policy", "age":
		return true
	}
	return strings.HasPrefix(name, "access-control-") || strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "x-amzn-")
}

// checkSet checks one header that is set, and the value of those that are known: a slip of the pen there switches them off.
func checkSet(name, value string) error {
	at := "headers/set/" + name
	if !token(name) || name != strings.ToLower(name) || len(name) > maxName || theirs(name) {
		hint := "choose another"
		if strings.HasPrefix(name, "access-control-") {
			hint = "cors: of the route says who may read its answers"
		}
		return wrong(at, hint, "%q cannot be set here: it is no lower-case name, or belongs to single answers or to the platform", name)
	}
	if value == "" || len(value) > maxValue || strings.TrimSpace(value) != value {
		return wrong(at, "omit: leaves a default out", "a value of 1 to %d bytes, without blanks around it", maxValue)
	}
	for i := 0; i < len(value); i++ {
		if value[i] < ' ' || value[i] >= 0x7f {
			return wrong(at, "printable ASCII alone", "the value holds a character that no header should")
		}
	}
	one := func(words ...string) error {
		if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, value) }) {
			return nil
		}
		return wrong(at, "one of: "+strings.Join(words, ", "), "browsers do not know the value %q", value)
	}
	switch name {
	case "x-content-type-options":
		return one("nosniff")
	case "x-frame-options":
		return one("DENY", "SAMEORIGIN")
	case "cross-origin-resource-policy":
		return one("same-origin", "same-site", "cross-origin")
	case "cross-origin-opener-policy":
		return one("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none")
	case "cross-origin-embedder-policy":
		return one("require-corp", "credentialless", "unsafe-none")
	case "strict-transport-security":
		return checkStrict(at, value)
	case "referrer-policy":
		last := value[strings.LastIndexByte(value, ',')+1:]
		value = strings.TrimSpace(last)
		return one("no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url")
	}
	return nil
}

// checkStrict checks a Strict-Transport-Security (RFC 6797 section 6.1).
func checkStrict(at, value string) error {
	age := false
	for part := range strings.SplitSeq(value, ";") {
		key, v, has := strings.Cut(strings.TrimSpace(part), "=")
		_, err := strconv.ParseUint(v, 10, 32)
		switch strings.ToLower(key) {
		case "max-age":
			if err != nil || age {
				return wrong(at, Year, "max-age is a number of seconds")
			}
			age = true
		case "includesubdomains", "preload":
			if has {
				return wrong(at, Year+"; includeSubDomains", "%s has no value", key)
			}
		default:
			return wrong(at, Year+"; includeSubDomains", "%q is no part of it", key)
		}
	}
	if !age {
		return wrong(at, Year, "max-age is missing")
	}
	return nil
}
