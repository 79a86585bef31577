package diff

import (
	"cmp"
	"slices"
	"strings"

	"casemate"
)

// browser tells what pages of other origins may newly do, and which headers and cookies are handled otherwise.
func (c *comparer) browser(k string, was, is *casemate.Browser) {
	if Text(was) == Text(is) {
		return
	}
	if was == nil {
		was = &casemate.Browser{}
	}
	if is == nil {
		is = &casemate.Browser{}
	}
	switch o, n := was.CORS, is.CORS; {
	case Text(o) == Text(n):
	case n == nil:
		c.say(KindPermission, "remove", k, false, "pages of other origins are answered as its function says: no cors any more")
	case o == nil:
		c.say(KindPermission, "add", k, true, "pages may call it and read its answers: %s", n)
	default:
		c.say(KindPermission, "change", k, opens(o, n), "pages may call it and read its answers: %s, instead of %s", n, o)
	}
	if was.HeadersOff != is.HeadersOff || Text(was.Set) != Text(is.Set) || Text(was.Omit) != Text(is.Omit) {
		text := "security headers are added"
		if is.HeadersOff {
			text = "no security header is added"
		} else {
			for _, name := range union(is.Set, nil) {
				text += ", " + name + ": " + is.Set[name]
			}
			if len(is.Omit) > 0 {
				text += ", without " + strings.Join(is.Omit, ", ")
			}
		}
		c.say(KindRoute, "change", k, is.HeadersOff && !was.HeadersOff || len(is.Omit) > len(was.Omit), "%s", text)
	}
	if was.CookiesAsIs != is.CookiesAsIs || !slices.Equal(was.Readable, is.Readable) {
		text := "cookies are hardened; scripts read " + cmp.Or(strings.Join(is.Readable, ", "), "none")
		if is.CookiesAsIs {
			text = "cookies pass as they are"
		}
		more := slices.ContainsFunc(is.Readable, func(n string) bool { return !slices.Contains(was.Readable, n) })
		c.say(KindRoute, "change", k, !was.CookiesAsIs && (is.CookiesAsIs || more), "%s", text)
	}
}

// opens reports whether a CORS lets a page do what the one before did not.
func opens(was, is *casemate.CORS) bool {
	more := func(old, fresh []string) bool {
		return slices.ContainsFunc(fresh, func(s string) bool { return !slices.Contains(old, s) && !slices.Contains(old, "*") })
	}
	return is.Credentials && !was.Credentials || is.Private && !was.Private || more(was.Origins, is.Origins) || more(was.Methods, is.Methods) ||
		more(was.Headers, is.Headers) || more(was.Expose, is.Expose)
}
