// Package lambda is AWS Lambda's API (https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html). Invoke and its
// older sister are events of their own, admitted like ones that come from outside; this package only reads such requests and
// writes answers.
package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"casemate"
)

// Bounds of Lambda (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html): of an event that is answered,
// of one that is queued, of one that is queued in the older way, of a client context, and of the log beside an answer.
const (
	maxSync    = 6 << 20
	maxAsync   = 1 << 20
	maxLegacy  = 256 << 10
	maxContext = 3583 // base64
	maxTail    = 4 << 10
)

// The words of the API.
const (
	prefix       = "/2015-03-31/functions/"
	suffix       = "/invocations"
	legacyPrefix = "/2014-11-13/functions/"
	legacySuffix = "/invoke-async"
	action       = "lambda:InvokeFunction"
	codeName     = "InvalidParameterValueException"
	codeBody     = "InvalidRequestContentException"
	codeModel    = "ValidationException"
	codeMissing  = "ResourceNotFoundException"
	codeLarge    = "RequestTooLargeException"
	typeSync     = "RequestResponse"
	typeAsync    = "Event"
	typeDryRun   = "DryRun"
)

// invocation is an Invoke as it was asked for.
type invocation struct {
	raw     string // the function, decoded
	bad     bool   // it could not be
	named   named
	kind    string // of invocation
	signed  *casemate.Signed
	payload []byte
	legacy  bool
	streams bool // its answer is to come in frames
}

// Event makes the event of an Invoke; nil for every other operation of Lambda. What is wrong with the request is found out
// later, by its Check: nobody is told who may not call the function.
func Event(place casemate.Place, s *casemate.Signed, body []byte) (*casemate.Event, error) {
	in := invocation{signed: s, payload: body, kind: header(s, "x-amz-invocation-type")}
	raw, ok := between(s.Path, prefix, suffix)
	if !ok {
		raw, ok = between(s.Path, streamPrefix, streamSuffix)
		in.streams = ok
	}
	if !ok {
		if raw, in.legacy = between(strings.TrimSuffix(s.Path, "/"), legacyPrefix, legacySuffix); !in.legacy {
			return nil, nil
		}
		in.kind = typeAsync
	}
	if s.Method != "POST" || raw == "" {
		return nil, nil
	}
	var err error
	if in.raw, err = url.PathUnescape(raw); err != nil {
		in.raw, in.bad = raw, true
	}
	wrong := in.name()
	e := &casemate.Event{Action: action, ContentType: "application/json", Payload: body, Async: in.kind == typeAsync && !in.streams, DryRun: in.kind == typeDryRun,
		Tenant: header(s, "x-amz-tenant-id")}
	if e.Async {
		e.IdempotencyKey = strings.Join(s.Header["idempotency-key"], ",")
	}
	e.Target.Function, e.Resource = in.named.target(), in.named.arn(place)
	if wrong == nil {
		wrong = in.named.elsewhere(place)
	}
	switch {
	case wrong == nil:
	case in.named.name == "":
		e.Target.Function, e.Resource = "?", place.FunctionARN("?") // it is no function, whatever it looks like
	case !in.named.here(place):
		e.Target.Function = in.named.arn(in.named.place(place))
		e.Resource = e.Target.Function
	}
	if len(body) == 0 {
		e.Payload = []byte("{}")
	}
	text := header(s, "x-amz-client-context")
	if context, err := base64.StdEncoding.DecodeString(text); err == nil && len(text) <= maxContext {
		e.ClientContext = string(context)
	}
	e.Check = func() error {
		if wrong != nil {
			return wrong
		}
		return in.check()
	}
	return e, nil
}

func between(path, prefix, suffix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, suffix)
}

// name finds out which function is meant.
func (in *invocation) name() error {
	var v violations
	var ok bool
	in.named, ok = parseName(in.raw)
	v.must(ok && !in.bad, "functionName", in.raw, pattern(namePattern))
	v.must(len(in.raw) <= nameMost, "functionName", in.raw, atMost(nameMost))
	q, err := url.ParseQuery(in.signed.Query)
	if err != nil {
		in.named = named{}
		return invalid(codeName, "The query is malformed.")
	}
	qualifier := q.Get("Qualifier")
	if q.Has("Qualifier") && !in.legacy {
		v.must(qualifier == latest || qualifier == latest+".PUBLISHED" || made(qualifier, letters+digits+"-_$"), "qualifier", qualifier, pattern(qualifierPattern))
		v.must(len(qualifier) <= qualifierMost, "qualifier", qualifier, atMost(qualifierMost))
	}
	if err := v.err(); err != nil {
		in.named = named{}
		return err
	}
	return in.named.qualify(qualifier)
}

// check is what is wrong with the rest of the request: its headers first, then its body.
func (in *invocation) check() error {
	var v violations
	s := in.signed
	switch {
	case in.kind == "", in.kind == typeSync, in.kind == typeDryRun, in.kind == typeAsync && !in.streams:
	case in.streams:
		v.must(false, "invocationType", in.kind, oneOf("RequestResponse, DryRun"))
	default:
		v.must(false, "invocationType", in.kind, oneOf("Event, RequestResponse, DryRun"))
	}
	tail, tenant := header(s, "x-amz-log-type"), header(s, "x-amz-tenant-id")
	v.must(tail == "" || tail == "None" || tail == "Tail", "logType", tail, oneOf("None, Tail"))
	v.must(tenant == "" || made(tenant, letters+digits+"._:/=+-@ "), "tenantId", tenant, pattern(tenantPattern))
	v.must(len(tenant) <= tenantMost, "tenantId", tenant, atMost(tenantMost))
	if err := v.err(); err != nil {
		return err
	}
	if header(s, "x-amz-durable-execution-name") != "" {
		return invalid(codeName, "Durable executions are not provided: remove the DurableExecutionName parameter.")
	}
	if len(s.Header["idempotency-key"]) > 0 && in.kind != typeAsync && in.kind != typeDryRun {
		return invalid(codeName, "Idempotency-Key is for the invocation type Event alone.")
	}
	limit, kind := maxSync, typeSync
	switch {
	case in.legacy:
		limit, kind = maxLegacy, typeAsync
	case in.kind == typeAsync:
		limit, kind = maxAsync, typeAsync
	}
	if n := len(in.payload); n > limit {
		return &casemate.Error{Code: casemate.TooLarge, AWS: codeLarge,
			Message: strconv.Itoa(n) + " byte payload is too large for the " + kind + " invocation type (limit " + strconv.Itoa(limit) + " bytes)"}
	}
	if err := wellFormed(in.payload); err != nil {
		return err
	}
	return clientContext(header(s, "x-amz-client-context"))
}

// wellFormed says where a body stops being JSON. What stands there is the caller's own, and not repeated.
func wellFormed(body []byte) error {
	if len(body) == 0 || json.Valid(body) {
		return nil
	}
	const text = "Could not parse request body into json: Could not parse payload into json: "
	var v json.RawMessage
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, &v); !errors.As(err, &syntax) {
		return invalid(codeBody, text+"it is no JSON")
	}
	at := int(min(syntax.Offset, int64(len(body))))
	before := string(body[:at])
	line := 1 + strings.Count(before, "\n")
	column := at - (strings.LastIndexByte(before, '\n') + 1)
	what := "Unexpected character"
	if strings.Contains(syntax.Error(), "unexpected end") {
		what = "Unexpected end-of-input"
	}
	return invalid(codeBody, text+what+" at line: "+strconv.Itoa(line)+", column: "+strconv.Itoa(column))
}

// clientContext looks at X-Amz-Client-Context.
func clientContext(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxContext {
		return invalid(codeBody, "Client context must be less than or equal to "+strconv.Itoa(maxContext)+" bytes")
	}
	if b, err := base64.StdEncoding.DecodeString(text); err != nil || !json.Valid(b) {
		return invalid(codeBody, "Client context must be a valid Base64-encoded JSON object.")
	}
	return nil
}

// Answer says what became of an Invoke. A function that failed is an answer, too: its error is the body.
func Answer(s *casemate.Signed, res *casemate.Result) (status int, head map[string]string, body []byte) {
	if Streams(s) {
		return framed(s, res)
	}
	raw, ok := between(s.Path, prefix, suffix)
	if !ok {
		raw, _ = between(s.Path, streamPrefix, streamSuffix)
	}
	switch kind := header(s, "x-amz-invocation-type"); {
	case raw == "", kind == typeAsync: // the older way has no other
		return 202, nil, nil
	case kind == typeDryRun:
		return 204, nil, nil
	}
	head = map[string]string{"Content-Type": "application/json", "X-Amz-Executed-Version": executed(raw, s.Query, res)}
	if res.Failure != casemate.FailureNone {
		head["X-Amz-Function-Error"] = string(casemate.FailureHandled) // Lambda has this one word for all of them
	}
	if header(s, "x-amz-log-type") == "Tail" {
		head["X-Amz-Log-Result"] = base64.StdEncoding.EncodeToString(res.Tail[max(0, len(res.Tail)-maxTail):])
	}
	if body = res.Payload; len(body) == 0 {
		body = []byte("null")
	}
	return 200, head, body
}

// executed is the version that ran: by its number where the request named a version or an alias.
func executed(raw, query string, res *casemate.Result) string {
	name, _ := url.PathUnescape(raw) // it ran, so it is well formed
	n, _ := parseName(name)
	q, _ := url.ParseQuery(query)
	if asked := n.qualifier + q.Get("Qualifier"); asked == "" || strings.HasPrefix(asked, latest) {
		return latest
	}
	return res.Executed
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
