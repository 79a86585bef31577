package deploy

import (
	"casemate"
	"casemate/deploy/manifest"
)

// responseOf is how a route or a URL gives its answers.
func responseOf(r *manifest.Route) string {
	if r.Response == "stream" {
		return casemate.ResponseStream
	}
	return casemate.ResponseBuffered
}

// response says how answers leave, where that changes.
func (c *comparer) response(k, was, is string) {
	text := map[string]string{casemate.ResponseBuffered: "when the function has ended", casemate.ResponseStream: "while the function makes them"}
	if was != is {
		c.say(KindRoute, "change", k, false, "answers leave %s", text[is])
	}
}
