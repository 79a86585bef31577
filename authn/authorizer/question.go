package authorizer

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/textproto"
	"net/url"
	"strings"

	"casemate"
)

// stage is that of a route; $default where it names none.
func stage(m *casemate.Match) string { return cmp.Or(m.Route.Stage, "$default") }

// question is the event that the function gets, as API Gateway writes it
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html).
func question(e *casemate.Event, m *casemate.Match, a *casemate.Authorizer, sources []string) ([]byte, error) {
	switch {
	case a.Type == "token":
		return json.Marshal(map[string]any{"type": "TOKEN", "methodArn": m.Resource, "authorizationToken": sources[0]})
	case a.Format == "2.0":
		return json.Marshal(second(e, m, sources))
	}
	return json.Marshal(first(e, m, sources))
}

// lines are the headers, by lower-case name, each with its values in their order.
func lines(e *casemate.Event) map[string][]string {
	out := map[string][]string{}
	if e.Headers != nil {
		for name, value := range e.Headers {
			name = strings.ToLower(name)
			out[name] = append(out[name], value)
		}
	}
	return out
}

func joined(values map[string][]string, by string) map[string]string {
	out := make(map[string]string, len(values))
	for name, list := range values {
		out[name] = strings.Join(list, by)
	}
	return out
}

// last is how format 1.0 writes what may come more than once where there is room for one.
func last(values map[string][]string) map[string]string {
	out := make(map[string]string, len(values))
	for name, list := range values {
		out[name] = list[len(list)-1]
	}
	return out
}

func queryOf(e *casemate.Event) map[string][]string {
	q, err := url.ParseQuery(e.Query)
	if err != nil { // the front took it; what does not decode is not handed on
		return map[string][]string{}
	}
	return q
}

func params(m *casemate.Match) map[string]string {
	if m.Params == nil {
		return map[string]string{}
	}
	return maps.Clone(m.Params)
}

// spelled are the headers under the names that the caller sent, as format 1.0 has them.
func spelled(e *casemate.Event) map[string][]string {
	sent := lines(e)
	if e.Spelled == nil {
		return sent
	}
	out := make(map[string][]string, len(sent))
	for name, values := range sent {
		out[e.Spelled(textproto.CanonicalMIMEHeaderKey(name))] = values
	}
	return out
}

func first(e *casemate.Event, m *casemate.Match, sources []string) map[string]any {
	headers, query := spelled(e), queryOf(e)
	identity := strings.Join(sources, ",")
	return map[string]any{
		"version": "1.0", "type": "REQUEST", "methodArn": m.Resource, "identitySource": identity, "authorizationToken": identity,
		"resource": m.Route.Path, "path": e.Target.Path, "httpMethod": e.Target.Method, "headers": last(headers), "multiValueHeaders": headers,
		"queryStringParameters": last(query), "multiValueQueryStringParameters": query, "pathParameters": params(m), "stageVariables": map[string]string{},
		"requestContext": map[string]any{"accountId": account(m), "apiId": m.Route.App, "domainName": e.Target.Host, "httpMethod": e.Target.Method,
			"identity": map[string]any{"sourceIp": e.SourceIP, "userAgent": e.UserAgent}, "path": e.Target.Path, "requestId": e.ID,
			"requestTimeEpoch": e.Received.UnixMilli(), "resourcePath": m.Route.Path, "stage": stage(m)},
	}
}

func second(e *casemate.Event, m *casemate.Match, sources []string) map[string]any {
	headers := lines(e)
	cookies := []string{}
	for _, line := range headers["cookie"] {
		for c := range strings.SplitSeq(line, ";") {
			if c = strings.TrimSpace(c); c != "" {
				cookies = append(cookies, c)
			}
		}
	}
	delete(headers, "cookie")
	prefix, _, _ := strings.Cut(e.Target.Host, ".")
	at := e.Received.UTC()
	return map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": m.Resource, "identitySource": sources, "routeKey": m.Route.ID, "rawPath": e.Target.Path,
		"rawQueryString": e.Query, "cookies": cookies, "headers": joined(headers, ","), "queryStringParameters": joined(queryOf(e), ","),
		"pathParameters": params(m), "stageVariables": map[string]string{},
		"requestContext": map[string]any{"accountId": account(m), "apiId": m.Route.App, "domainName": e.Target.Host, "domainPrefix": prefix,
			"http":      map[string]any{"method": e.Target.Method, "path": e.Target.Path, "sourceIp": e.SourceIP, "userAgent": e.UserAgent},
			"requestId": e.ID, "routeKey": m.Route.ID, "stage": stage(m), "time": at.Format("02/Jan/2006:15:04:05 -0700"), "timeEpoch": at.UnixMilli()},
	}
}

func account(m *casemate.Match) string {
	if m.Version == nil {
		return ""
	}
	return m.Version.Account
}
