package lambda

import "strings"

// dropRequest says which request headers, in lower case, a function does not get:
//   - those of one connection, which end here (RFC 9110 section 7.6.1), and the framing that we decoded;
//   - the caller's credentials: a function that can read them can use them elsewhere. Claims come in the authorizer. Those that mean
//     nothing to the platform (HTTPRequest.Own) it gets all the same;
//   - what only the platform may say: forwarding, trace and x-amzn headers, which we write ourselves;
//   - names with an underscore, which CGI-style frameworks cannot tell from the same name with a dash, and "proxy",
//     which they turn into a setting (CVE-2016-5385).
func dropRequest(name string) bool {
	switch name {
	case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host",
		"content-length", "content-encoding", "authorization", "x-api-key", "x-amz-security-token",
		"forwarded", "x-real-ip", "proxy", "http2-settings":
		return true
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "x-forwarded-") ||
		strings.HasPrefix(name, "x-amzn-") || strings.IndexByte(name, '_') >= 0
}

// dropResponse says which response headers, in lower case, are the platform's to write: framing, the connection and
// the identity of the request.
func dropResponse(name string) bool {
	switch name {
	case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "date", "server",
		"x-request-id", "traceparent", "tracestate", "alt-svc":
		return true
	}
	return strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "x-amzn-")
}

// headerName reports whether s is a token (RFC 9110 section 5.6.2).
func headerName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// headerValue reports whether s cannot end its own line: no control character but the tab (RFC 9110 section 5.5).
func headerValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}
