package deploy

import (
	"strings"

	"casemate"
	"casemate/deploy/manifest"
)

// screenOf is how a route's requests are screened; nothing said is the strictest.
func screenOf(s *manifest.Screen) casemate.Screen {
	var out casemate.Screen
	if s == nil {
		return out
	}
	if s.Mode != "block" {
		out.Mode = s.Mode
	}
	if s.Profile != "casemate" {
		out.Profile = s.Profile
	}
	out.Text = int64(s.Text)
	for _, x := range s.Except {
		out.Except = append(out.Except, casemate.ScreenExcept{Rule: string(x.Rule), Field: x.Field, Exception: casemate.Exception{Reason: x.Reason, Expires: x.Expires.Time}})
	}
	return out
}

// leaksOf is what is done about answers; nothing said, and a default that is said, are the zero Leaks.
func leaksOf(l *manifest.Leaks) casemate.Leaks {
	if l == nil {
		return casemate.Leaks{}
	}
	return casemate.Leaks{Secrets: l.Secrets, Personal: strings.TrimSuffix(l.Personal, "off"), Traces: strings.TrimSuffix(l.Traces, "scrub")}
}
