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
