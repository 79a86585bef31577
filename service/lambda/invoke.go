// Package lambda is the part of AWS Lambda's API that functions call: Invoke
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html). An invocation is an event of its own, admitted like
// one that comes from outside; this package only reads requests and writes answers.
package lambda

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"casemate"
)

// Bounds of Lambda: of a client context, and of an event that is queued.
const (
	maxContext = 3583 // base64
	maxAsync   = 1 << 20
)

// The words of the API.
const (
	prefix     = "/2015-03-31/functions/"
	suffix     = "/invocations"
	action     = "lambda:InvokeFunction"
	codeName   = "InvalidParameterValueException"
	codeBody   = "InvalidRequestContentException"
	typeSync   = "RequestResponse"
	typeAsync  = "Event"
	typeDryRun = "DryRun"
)

// Event makes the event of an Invoke; nil for every other operation of Lambda.
func Event(place casemate.Place, s *casemate.Signed, body []byte) (*casemate.Event, error) {
	raw, ok := strings.CutPrefix(s.Path, prefix)
	if raw, ok = cutSuffix(raw, ok); !ok || s.Method != "POST" {
		return nil, nil
	}
	name, err := url.PathUnescape(raw)
	if err != nil || name == "" || strings.Contains(name, "/") {
		return nil, invalid(codeName, "the function's name is malformed")
	}
	if name, err = qualify(name, s.Query); err != nil {
		return nil, err
	}
	e := &casemate.Event{Target: casemate.Target{Function: name}, Action: action, Resource: name, ContentType: "application/json", Payload: body,
		Tenant: header(s, "x-amz-tenant-id")}
	if !strings.HasPrefix(name, "arn:") {
		e.Resource = place.FunctionARN(name)
	}
	switch header(s, "x-amz-invocation-type") {
	case "", typeSync:
	case typeAsync:
		e.Async = true
	case typeDryRun:
		e.DryRun = true
	default:
		return nil, invalid(codeName, "there is no such invocation type")
	}
	switch {
	case len(body) == 0:
		e.Payload = []byte("{}")
	case !json.Valid(body):
		return nil, invalid(codeBody, "Could not parse request body into json")
	case e.Async && len(body) > maxAsync:
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "an event to be queued is larger than %d bytes", maxAsync)
	}
	e.ClientContext, err = clientContext(header(s, "x-amz-client-context"))
	return e, err
}

func cutSuffix(s string, ok bool) (string, bool) {
	rest, cut := strings.CutSuffix(s, suffix)
	return rest, ok && cut
}

// qualify adds the qualifier of the query to the name. Two that differ are refused, as Lambda does.
func qualify(name, query string) (string, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", invalid(codeName, "the query is malformed")
	}
	qualifier := q.Get("Qualifier")
	if qualifier == "" {
		return name, nil
	}
	parts := 1 // of a name without a qualifier
	if strings.HasPrefix(name, "arn:") {
		parts = 7
	}
	switch fields := strings.Split(name, ":"); {
	case len(fields) == parts:
		return name + ":" + qualifier, nil
	case len(fields) == parts+1 && fields[parts] == qualifier:
		return name, nil
	}
	return "", invalid(codeName, "the qualifier is not the one in the function's name")
}

// clientContext decodes X-Amz-Client-Context.
func clientContext(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(text) > maxContext || !json.Valid(b) {
		return "", invalid(codeBody, "Client context must be a valid Base64-encoded JSON object.")
	}
	return string(b), nil
}

// Answer says what became of an Invoke. A function that failed is an answer, too: its error is the body.
func Answer(s *casemate.Signed, res *casemate.Result) (status int, head map[string]string, body []byte) {
	switch header(s, "x-amz-invocation-type") {
	case typeAsync:
		return 202, nil, nil
	case typeDryRun:
		return 204, nil, nil
	}
	head = map[string]string{"Content-Type": "application/json", "X-Amz-Executed-Version": res.Executed}
	if res.Failure != casemate.FailureNone {
		head["X-Amz-Function-Error"] = string(casemate.FailureHandled) // Lambda has this one word for all of them
	}
	if header(s, "x-amz-log-type") == "Tail" {
		head["X-Amz-Log-Result"] = base64.StdEncoding.EncodeToString(res.Tail)
	}
	if body = res.Payload; len(body) == 0 {
		body = []byte("null")
	}
	return 200, head, body
}

func header(s *casemate.Signed, name string) string {
	if v := s.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func invalid(code, message string) error {
	return &casemate.Error{Code: casemate.Invalid, Message: message, AWS: code}
}
