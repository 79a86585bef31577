package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

// The shapes of requests and answers beside payload format 2.0, which is the default.
const (
	PayloadREST = "rest" // of a REST API: AWS_PROXY integrations
	PayloadHTTP = "1.0"  // of an HTTP API whose integration asks for the older format
)

// DefaultStage is the stage of a REST API that names none.
const DefaultStage = "prod"

// EncodeREST writes the event of a REST API's proxy integration, or that of payload format 1.0 when r.Payload says so
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format).
// Maps without a member are null, names of headers are as they were sent, those of ours in their canonical case, and of a header or parameter that comes more than
// once the one value is the last. The headers of dropRequest are left out, an API key's secret too. To a REST API every body of
// valid UTF-8 is text; format 1.0 decides by content type, as EncodeHTTP. The answer is valid JSON whatever the request holds.
func EncodeREST(r *HTTPRequest, body []byte) []byte {
	b := make([]byte, 0, 2560+2*len(r.RawPath)+2*len(r.RawQuery)+len(body)*3/2)
	b = append(b, '{')
	if r.Payload == PayloadHTTP {
		b = append(b, `"version":"1.0",`...)
	}
	b = appendString(append(b, `"resource":`...), r.resource())
	b = appendField(b, "path", r.below())
	b = appendField(b, "httpMethod", r.Method)
	b = appendMaps(b, "headers", "multiValueHeaders", r.lines(body))
	b = appendMaps(b, "queryStringParameters", "multiValueQueryStringParameters", queryPairs(r.RawQuery))
	b = appendMap(b, "pathParameters", mapPairs(r.Params))
	b = append(b, `,"stageVariables":null`...)
	b = r.appendRESTContext(b)
	text := utf8.Valid(body)
	if r.Payload == PayloadHTTP {
		text = textBody(first(r.Header["Content-Type"]), body)
	}
	switch {
	case len(body) == 0:
		return append(b, `,"body":null,"isBase64Encoded":false}`...)
	case text:
		b = appendString(append(b, `,"body":`...), string(body))
		return append(b, `,"isBase64Encoded":false}`...)
	}
	b = base64.StdEncoding.AppendEncode(append(b, `,"body":"`...), body)
	return append(b, `","isBase64Encoded":true}`...)
}

// stage is the stage's name.
func (r *HTTPRequest) stage() string {
	switch {
	case r.Stage != "":
		return r.Stage
	case r.Payload == PayloadREST:
		return DefaultStage
	}
	return DefaultRoute
}

// resource is the route's path as its API declares it: without the stage, if the path names it.
func (r *HTTPRequest) resource() string {
	_, path, ok := strings.Cut(r.RouteKey, " ")
	if !ok {
		return "/{proxy+}"
	}
	if rest, ok := cutStage(path, r.stage()); ok {
		return rest
	}
	return path
}

// below is the path without the stage.
func (r *HTTPRequest) below() string {
	if _, path, ok := strings.Cut(r.RouteKey, " "); ok {
		if _, named := cutStage(path, r.stage()); named {
			rest, _ := cutStage(r.RawPath, r.stage())
			return rest
		}
	}
	return r.RawPath
}

func cutStage(path, stage string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/"+stage)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return path, false
	case rest == "":
		return "/", true
	}
	return rest, true
}

// lines are the headers of the event: those of the caller that it may say, under the names that it sent, and ours.
func (r *HTTPRequest) lines(body []byte) []pair {
	lower, cookies := r.headers(body)
	for i, p := range lower {
		lower[i].name = r.spelled(p.name)
	}
	if len(cookies) > 0 {
		lower = append(lower, pair{r.spelled("cookie"), strings.Join(cookies, "; ")})
	}
	return lower
}

// spelled is how the event spells a header's lower-case name. No caller's header is one of those that we write ourselves.
func (r *HTTPRequest) spelled(lower string) string {
	name := textproto.CanonicalMIMEHeaderKey(lower)
	if r.Spelled == nil || r.drops(lower) {
		return name
	}
	return r.Spelled(name)
}

// appendMaps writes pairs twice: the last value of each name, and all of them.
func appendMaps(b []byte, one, all string, ps []pair) []byte {
	if len(ps) == 0 {
		return append(append(append(append(b, `,"`...), one...), `":null,"`...), all+`":null`...)
	}
	slices.SortStableFunc(ps, func(x, y pair) int { return strings.Compare(x.name, y.name) })
	last := make([]pair, 0, len(ps))
	for i, p := range ps {
		if i+1 == len(ps) || ps[i+1].name != p.name {
			last = append(last, p)
		}
	}
	b = appendMap(b, one, last)
	b = append(appendString(append(b, ','), all), ":{"...)
	for i := 0; i < len(ps); {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, ps[i].name), ":["...)
		for from := i; i < len(ps) && ps[i].name == ps[from].name; i++ {
			if i > from {
				b = append(b, ',')
			}
			b = appendString(b, ps[i].value)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendMap writes an object, or null when it has no member.
func appendMap(b []byte, name string, ps []pair) []byte {
	if len(ps) == 0 {
		return append(append(append(b, `,"`...), name...), `":null`...)
	}
	return appendPairs(b, name, ps, true)
}

// appendRESTContext writes the member requestContext.
func (r *HTTPRequest) appendRESTContext(b []byte) []byte {
	b = appendString(append(b, `,"requestContext":{"accountId":`...), r.Account)
	b = appendField(b, "apiId", r.API)
	b = appendRESTAuthorizer(b, r.Principal, r.Payload == PayloadHTTP)
	b = appendField(b, "deploymentId", r.Revision)
	b = appendField(b, "domainName", r.Domain)
	prefix, _, _ := strings.Cut(r.Domain, ".")
	b = appendField(b, "domainPrefix", prefix)
	b = appendField(b, "extendedRequestId", r.ID)
	b = appendField(b, "httpMethod", r.Method)
	b = r.appendIdentity(b)
	path := r.RawPath
	if r.below() == r.RawPath && r.Payload == PayloadREST {
		path = "/" + r.stage() + path
	}
	b = appendField(b, "path", path)
	b = appendField(b, "protocol", r.Protocol)
	b = appendField(b, "requestId", r.ID)
	at := r.Received.UTC()
	b = append(at.AppendFormat(append(b, `,"requestTime":"`...), "02/Jan/2006:15:04:05 -0700"), '"')
	b = strconv.AppendInt(append(b, `,"requestTimeEpoch":`...), at.UnixMilli(), 10)
	b = appendField(b, "resourceId", r.Method+" "+r.resource())
	b = appendField(b, "resourcePath", r.resource())
	return append(appendField(b, "stage", r.stage()), '}')
}

// appendIdentity writes who calls as far as it is no authorizer's word. Secrets of callers are not handed on.
func (r *HTTPRequest) appendIdentity(b []byte) []byte {
	var key, access, user, arn string
	switch p := r.Principal; {
	case !p.Known() || p.Kind == casemate.KindToken || p.Kind == casemate.KindAuthorizer:
	case p.Kind == casemate.KindKey:
		key = p.ID
	default:
		access, user, arn = p.ID, p.ID, p.ARN
	}
	b = append(b, `,"identity":{"accessKey":`...)
	b = appendNullable(b, access)
	account := ""
	if access != "" {
		account = r.Principal.Account
	}
	b = appendNullable(append(b, `,"accountId":`...), account)
	b = append(b, `,"apiKey":null,"apiKeyId":`...)
	b = appendNullable(b, key)
	b = appendNullable(append(b, `,"caller":`...), user)
	b = append(b, `,"cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null`...)
	b = appendField(b, "sourceIp", r.SourceIP)
	b = appendNullable(append(b, `,"user":`...), user)
	b = appendNullable(append(b, `,"userAgent":`...), r.UserAgent)
	b = appendNullable(append(b, `,"userArn":`...), arn)
	return append(b, '}')
}

func appendNullable(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

// appendRESTAuthorizer writes what an authorizer said: its context beside its principal, or a token's claims.
func appendRESTAuthorizer(b []byte, p *casemate.Principal, scopes bool) []byte {
	switch {
	case !p.Known():
	case p.Kind == casemate.KindAuthorizer:
		_, name, _ := strings.Cut(p.ID, "|") // behind the authorizer's own
		context := slices.DeleteFunc(mapPairs(p.Context), func(x pair) bool { return x.name == "principalId" })
		return append(appendMembers(append(b, `,"authorizer":{`...), append(context, pair{"principalId", name})), '}')
	case p.Kind == casemate.KindToken:
		b = append(appendMembers(append(b, `,"authorizer":{"claims":{`...), mapPairs(p.Claims)), '}')
		if scopes {
			if len(p.Scopes) == 0 {
				return append(b, `,"scopes":null}`...)
			}
			b = appendList(b, "scopes", p.Scopes)
		}
		return append(b, '}')
	}
	return b
}

// DecodeREST reads a function's answer as a REST API does: one object of the known members, everything else is a malformed answer
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format).
// Without a status it is 200, without a content type JSON. Payload format 1.0 takes members that it does not know, and wants the
// status. Errors are as DecodeHTTP's.
func DecodeREST(payloadFormat, contentType string, payload []byte) (*casemate.Answer, error) {
	if HasPrelude(contentType) {
		return decodeStreamed(payload)
	}
	payload = bytes.TrimSpace(payload)
	if !json.Valid(payload) || payload[0] != '{' {
		return nil, errors.New("reading the response: not a JSON object")
	}
	if payloadFormat != PayloadHTTP {
		err := members(payload, func(name string, _ []byte) error {
			if !slices.Contains([]string{"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}, name) {
				return errors.New("reading the response: a member that a REST API does not know")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	p, err := readParts(payload)
	if p.status == nil && payloadFormat != PayloadHTTP {
		p.status = []byte("200")
	}
	if payloadFormat == PayloadHTTP {
		p.cookies = nil
	}
	a, err := p.response(err)
	if err == nil && !slices.ContainsFunc(a.Header, func(h casemate.HeaderLine) bool { return h.Name == "content-type" }) {
		a.Header = append(a.Header, casemate.HeaderLine{Name: "content-type", Value: "application/json"})
	}
	return a, err
}
