package http

import (
	nethttp "net/http"

	"casemate"
	"casemate/front/conn"
)

// said is what the caller reads of e. Names of statements, roles and of what is deployed are for who runs the node: they are told
// on its own machine, and stand in the record. Elsewhere a caller learns that it may not.
func (x *exchange) said(e *casemate.Error) casemate.ErrorBody {
	b := e.Body(x.id)
	if nearby(x.r) {
		return b
	}
	switch e.Code {
	case casemate.Forbidden:
		b.Message, b.Field, b.Rule, b.Hint = "not allowed", "", "", "who runs this service finds the reason by the request id"
	case casemate.NotFound:
		b.Rule, b.Hint = "", ""
	}
	return b
}

// nearby reports whether r was made on this machine, and not handed on by a proxy on it.
func nearby(r *nethttp.Request) bool {
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return conn.Address(r.RemoteAddr).IsLoopback()
}

// accepted is the id of the event that is queued: that of an earlier one with the same idempotency key, where there was one.
func (x *exchange) accepted(res *casemate.Result) string {
	if res.Again == "" {
		return x.id
	}
	h, id := x.w.Header(), []string{res.Again}
	h["X-Amzn-Requestid"], h["X-Request-Id"] = id, id
	return res.Again
}
