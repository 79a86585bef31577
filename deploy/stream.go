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

// within says how long requests may take, where that changes or is not what every route has.
func (c *comparer) within(k string, had bool, was, is *casemate.Route) {
	if from, to := was.Within(), is.Within(); had && from != to || !had && is.Timeout > 0 {
		text := "as long as the function may run"
		if to > 0 {
			text = to.String()
		}
		c.say(KindRoute, "change", k, false, "requests may take %s", text)
	}
}
