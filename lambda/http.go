package lambda

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
)

// DefaultRoute is the route key and the stage of a function URL, and of an HTTP API's catch-all route.
const DefaultRoute = "$default"

// HTTPRequest is one request with what the corridor found out about it: all that a version 2.0 event holds besides the
// body. Strings are as they came off the wire unless a field says otherwise.
type HTTPRequest struct {
	ID                string
	Method, Protocol  string
	RawPath, RawQuery string // still percent-encoded; RawQuery without its "?"
	Host              string // Host header, port included
	Domain            string // the same without port, lower case
	Header            map[string][]string
	Spelled           func(name string) string // how a header's name was sent; nil: canonically
	SourceIP          string
	UserAgent         string
	Secure            bool // came over TLS
	Port              string
	Received          time.Time
	Trace             casemate.Trace

	Account   string
	API       string            // app of a route, id of a function URL
	Payload   string            // PayloadREST or PayloadHTTP for EncodeREST
	Stage     string            // empty: DefaultStage of a REST API, else DefaultRoute
	Revision  string            // of what is deployed
	RouteKey  string            // empty: DefaultRoute
	Params    map[string]string // path parameters, decoded
	Principal *casemate.Principal
	Own       []string // headers, in lower case, with credentials that are the function's own affair: it gets them
}

// EncodeHTTP writes the HTTP API event of payload format 2.0, which is also the function URL event
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html). Names of
// headers are lower case, repeated headers and parameters are joined by commas, cookies stand apart. The headers of
// dropRequest are left out; content-length is that of body, because body is the decoded one. A body whose content type
// is not text, or that is no valid UTF-8, is base64. The answer is valid JSON whatever the request holds.
func EncodeHTTP(r *HTTPRequest, body []byte) []byte {
	route := r.RouteKey
	if route == "" {
		route = DefaultRoute
	} else if method, _, ok := strings.Cut(route, " "); ok && r.Stage != "" {
		route = method + " " + r.resource()
	}
	b := make([]byte, 0, 1536+len(r.RawPath)+len(r.RawQuery)+len(body)*3/2)
	b = appendField(append(b, `{"version":"2.0"`...), "routeKey", route)
	b = appendField(b, "rawPath", r.RawPath)
	b = appendField(b, "rawQueryString", r.RawQuery)
	headers, cookies := r.headers(body)
	b = appendList(b, "cookies", cookies)
	b = appendPairs(b, "headers", headers, true)
	b = appendPairs(b, "queryStringParameters", queryPairs(r.RawQuery), false)
	b = appendContext(append(b, `,"requestContext":{"accountId":`...), r, route)
	b = appendPairs(b, "pathParameters", mapPairs(r.Params), false)
	if len(body) == 0 {
		return append(b, `,"isBase64Encoded":false}`...)
	}
	if textBody(first(r.Header["Content-Type"]), body) {
		b = appendString(append(b, `,"body":`...), string(body))
		return append(b, `,"isBase64Encoded":false}`...)
	}
	b = base64.StdEncoding.AppendEncode(append(b, `,"body":"`...), body)
	return append(b, `","isBase64Encoded":true}`...)
}

// appendContext writes requestContext from the value of accountId to the closing brace.
func appendContext(b []byte, r *HTTPRequest, route string) []byte {
	b = appendString(b, r.Account)
	b = appendField(b, "apiId", r.API)
	b = appendAuthorizer(b, r.Principal)
	b = appendField(b, "domainName", r.Domain)
	prefix, _, _ := strings.Cut(r.Domain, ".")
	b = appendField(b, "domainPrefix", prefix)
	b = appendString(append(b, `,"http":{"method":`...), r.Method)
	b = appendField(b, "path", r.RawPath)
	b = appendField(b, "protocol", r.Protocol)
	b = appendField(b, "sourceIp", r.SourceIP)
	b = append(appendField(b, "userAgent", r.UserAgent), '}')
	b = appendField(b, "requestId", r.ID)
	b = appendField(b, "routeKey", route)
	b = appendField(b, "stage", r.stage())
	at := r.Received.UTC()
	b = append(at.AppendFormat(append(b, `,"time":"`...), "02/Jan/2006:15:04:05 -0700"), '"')
	b = strconv.AppendInt(append(b, `,"timeEpoch":`...), at.UnixMilli(), 10)
	return append(b, '}')
}

// appendAuthorizer tells the function who calls, in the forms that its libraries know: jwt for a token, lambda with its
// context for whom an authorizer named, iam for everybody else. An anonymous caller has no authorizer.
func appendAuthorizer(b []byte, p *casemate.Principal) []byte {
	if !p.Known() {
		return b
	}
	if p.Kind == casemate.KindToken {
		b = append(b, `,"authorizer":{"jwt":{"claims":{`...)
		b = append(appendMembers(b, mapPairs(p.Claims)), '}')
		if len(p.Scopes) == 0 {
			return append(b, `,"scopes":null}}`...)
		}
		return append(appendList(b, "scopes", p.Scopes), "}}"...)
	}
	if p.Kind == casemate.KindAuthorizer {
		return append(appendMembers(append(b, `,"authorizer":{"lambda":{`...), mapPairs(p.Context)), "}}"...)
	}
	b = appendString(append(b, `,"authorizer":{"iam":{"accessKey":`...), p.ID)
	b = appendField(b, "accountId", p.Account)
	b = appendField(b, "callerId", p.ID)
	b = append(b, `,"cognitoIdentity":null,"principalOrgId":null`...)
	b = appendField(b, "userArn", p.ARN)
	return append(appendField(b, "userId", p.ID), "}}"...)
}

// headers gives the headers of the event, sorted, and the cookies taken out of them. The forwarding headers are ours:
// what a caller says about where it comes from is not evidence.
func (r *HTTPRequest) headers(body []byte) (headers []pair, cookies []string) {
	headers = make([]pair, 0, len(r.Header)+6)
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if lower == "cookie" {
			cookies = append(cookies, splitCookies(values)...)
			continue
		}
		if r.drops(lower) {
			continue
		}
		for _, v := range values {
			headers = append(headers, pair{lower, v})
		}
	}
	proto := "http"
	if r.Secure {
		proto = "https"
	}
	headers = append(headers, pair{"host", r.Host}, pair{"x-forwarded-for", r.SourceIP},
		pair{"x-forwarded-port", r.Port}, pair{"x-forwarded-proto", proto})
	if len(body) > 0 {
		headers = append(headers, pair{"content-length", strconv.Itoa(len(body))})
	}
	if x := TraceHeader(r.Trace.TraceID, r.Trace.SpanID, r.Trace.Sampled); x != "" {
		headers = append(headers, pair{"x-amzn-trace-id", x})
	}
	return headers, cookies
}

// drops says which headers of this request its function does not get.
func (r *HTTPRequest) drops(lower string) bool {
	return dropRequest(lower) && !((lower == "authorization" || lower == "x-api-key") && slices.Contains(r.Own, lower))
}

func splitCookies(values []string) []string {
	var cookies []string
	for _, v := range values {
		for c := range strings.SplitSeq(v, ";") {
			if c = strings.TrimSpace(c); c != "" {
				cookies = append(cookies, c)
			}
		}
	}
	return cookies
}

// queryPairs decodes a query string. Only "&" separates. A part that does not decode is left as it came.
func queryPairs(raw string) []pair {
	if raw == "" {
		return nil
	}
	ps := make([]pair, 0, 1+strings.Count(raw, "&"))
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		ps = append(ps, pair{unescape(k), unescape(v)})
	}
	return ps
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// textBody says whether a body goes into the event as a string, as API Gateway decides it: by content type, a form
// counting as binary. Without a content type the bytes themselves decide.
func textBody(contentType string, body []byte) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	text := media == "" || strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+json") ||
		strings.HasSuffix(media, "+xml") || slices.Contains([]string{"application/json", "application/xml", "application/javascript"}, media)
	return text && utf8.Valid(body)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

type pair struct{ name, value string }

func mapPairs(m map[string]string) []pair {
	ps := make([]pair, 0, len(m))
	for k, v := range m {
		ps = append(ps, pair{k, v})
	}
	return ps
}

// appendPairs writes an object, one member for each name; an empty one is left out unless always.
func appendPairs(b []byte, name string, ps []pair, always bool) []byte {
	if len(ps) == 0 && !always {
		return b
	}
	b = append(appendString(append(b, ','), name), ":{"...)
	return append(appendMembers(b, ps), '}')
}

// appendMembers sorts ps by name and joins the values of one name by commas, in the order they came.
func appendMembers(b []byte, ps []pair) []byte {
	slices.SortStableFunc(ps, func(x, y pair) int { return strings.Compare(x.name, y.name) })
	for i := 0; i < len(ps); {
		j := i + 1
		for j < len(ps) && ps[j].name == ps[i].name {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, ps[i].name), ':')
		value := ps[i].value
		if j > i+1 {
			value = joinValues(ps[i:j])
		}
		b = appendString(b, value)
		i = j
	}
	return b
}

func joinValues(ps []pair) string {
	values := make([]string, len(ps))
	for i, p := range ps {
		values[i] = p.value
	}
	return strings.Join(values, ",")
}

func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(appendString(append(b, ','), name), ":["...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return append(b, ']')
}

func appendField(b []byte, name, value string) []byte {
	return appendString(append(appendString(append(b, ','), name), ':'), value)
}

// appendString writes a JSON string. What is not UTF-8 becomes U+FFFD, as encoding/json has it.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0 // of what is not written yet
	for i := 0; i < len(s); {
		c, size := s[i], 1
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c >= utf8.RuneSelf:
			b = append(b, `\ufffd`...)
		case c < 0x20 && c != '\n' && c != '\r' && c != '\t':
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < 0x20:
			b = append(b, '\\', "tn..r"[c-'\t'])
		default:
			b = append(b, '\\', c)
		}
		i += size
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
