package http

import (
	nethttp "net/http"
	"strconv"

	"casemate"
)

// allowances tells a caller what its usage plan leaves it: RateLimit-Policy and RateLimit
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/). Who has no plan is told nothing.
func allowances(h nethttp.Header, r *casemate.Reservation) {
	var policy, left []byte
	for i := range r.Left {
		a := &r.Left[i]
		if a.Name == "" {
			continue
		}
		if policy != nil {
			policy, left = append(policy, ", "...), append(left, ", "...)
		}
		policy = append(appendName(policy, a.Name), ";q="...)
		policy = strconv.AppendInt(policy, a.Quota, 10)
		policy = strconv.AppendInt(append(policy, ";w="...), int64(a.Window), 10)
		left = append(appendName(left, a.Name), ";r="...)
		left = strconv.AppendInt(left, a.Left, 10)
		left = strconv.AppendInt(append(left, ";t="...), int64(a.Next), 10)
	}
	if policy != nil {
		h["Ratelimit-Policy"], h["Ratelimit"] = []string{string(policy)}, []string{string(left)}
	}
}

// spentLimit is the RateLimit field of a refusal: the limit that is used up, and until when.
func spentLimit(e *casemate.Error) string {
	b := appendName(nil, e.Rule)
	return string(strconv.AppendInt(append(b, ";r=0;t="...), int64(max(e.Retry, 1)), 10))
}

// appendName writes a string of RFC 9651 section 3.3.3. What such a string cannot hold is left out.
func appendName(b []byte, name string) []byte {
	b = append(b, '"')
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
