package main

import (
	"fmt"
	"strings"

	"casemate"
)

// browserText says in a line what a route tells browsers beyond the default; "" is nothing.
func browserText(b *casemate.Browser) string {
	if b == nil {
		return ""
	}
	var parts []string
	if c := b.CORS; c != nil {
		parts = append(parts, "cors: "+c.String())
	}
	switch {
	case b.HeadersOff:
		parts = append(parts, "headers: off")
	case len(b.Set)+len(b.Omit) > 0:
		parts = append(parts, fmt.Sprintf("headers: %d set, %d left out", len(b.Set), len(b.Omit)))
	}
	switch {
	case b.CookiesAsIs:
		parts = append(parts, "cookies: as-is")
	case len(b.Readable) > 0:
		parts = append(parts, "cookies that scripts read: "+strings.Join(b.Readable, ", "))
	}
	return strings.Join(parts, "; ")
}
