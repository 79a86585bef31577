package http

import (
	"encoding/json"
	nethttp "net/http"
	"net/netip"
	"strconv"
	"strings"

	"casemate"
)

// away answers an HTTP/2 request that is sure to be refused, as turn does one of HTTP/1.1: no event is made, no record opened,
// no body read. A connection that goes on all the same is slowed down by its guard.
func (u *unread) away(w nethttp.ResponseWriter, r *nethttp.Request, source string, peer netip.Addr) bool {
	if u == nil {
		return false
	}
	now := u.c.Clock()
	rule, principal := "rate of source "+source, ""
	if u.c.Knock(now, source, peer) <= 0 {
		s, shut := u.closed([]byte(bearer(r.Header)), now.UnixNano())
		if !shut {
			return false
		}
		rule, principal = s.rule, s.principal
	}
	u.tally.Add(casemate.Turned{Source: source, Rule: rule, Principal: principal, Times: 1})
	e := spent(rule)
	text, err := json.Marshal(e.Body(""))
	if err != nil { // strings always encode
		text = []byte("{}")
	}
	h := w.Header()
	h["Cache-Control"], h["Content-Type"], h["Content-Length"] = []string{"no-store"}, []string{typeJSON}, []string{strconv.Itoa(len(text))}
	h["Ratelimit"], h["Retry-After"], h["X-Content-Type-Options"] = []string{spentLimit(e)}, []string{"1"}, []string{"nosniff"}
	w.WriteHeader(nethttp.StatusTooManyRequests)
	_, _ = w.Write(text) // a caller that went away needs none
	return true
}

// bearer is the key or token of a request that has just one, and no other credential; "" when it is not as plain as that.
func bearer(h nethttp.Header) string {
	auth, keys := h["Authorization"], h["X-Api-Key"]
	switch {
	case len(auth) == 0 && len(keys) == 1:
		return keys[0]
	case len(keys) == 0 && len(auth) == 1 && len(auth[0]) > 7 && strings.EqualFold(auth[0][:7], "bearer "):
		return strings.TrimSpace(auth[0][7:])
	}
	return ""
}
