package wire

import (
	"encoding/json"
	"testing"

	"casemate"
)

// TestLambdaRefusals: status, type header, whose fault, the case of the message, and what SDKs wait by.
func TestLambdaRefusals(t *testing.T) {
	for _, c := range []struct {
		e      casemate.Error
		status int
		code   string
		body   string
	}{
		{casemate.Error{Code: casemate.NotFound, Message: "gone"}, 404, "ResourceNotFoundException", `{"Type":"User","Message":"gone"}`},
		{casemate.Error{Code: casemate.Conflict, AWS: "PreconditionFailedException", Message: "m"}, 412, "PreconditionFailedException", `{"Type":"User","message":"m"}`},
		{casemate.Error{Code: casemate.Conflict, Message: "m"}, 409, "ResourceConflictException", `{"Type":"User","message":"m"}`},
		{casemate.Error{Code: casemate.Invalid, Message: "m"}, 400, "InvalidParameterValueException", `{"Type":"User","message":"m"}`},
		{casemate.Error{Code: casemate.Invalid, AWS: "ValidationException", Message: "m"}, 400, "ValidationException", `{"message":"m"}`},
		{casemate.Error{Code: casemate.Invalid, AWS: "InvalidRequestContentException", Message: "m"}, 400, "InvalidRequestContentException", `{"Type":"User","message":"m"}`},
		{casemate.Error{Code: casemate.TooLarge, Message: "m"}, 413, "RequestTooLargeException", `{"Type":"User","message":"m"}`},
		{casemate.Error{Code: casemate.Forbidden, Message: "m"}, 403, "AccessDeniedException", `{"Message":"m"}`},
		{casemate.Error{Code: casemate.Forbidden, AWS: "RecursiveInvocationException", Message: "m"}, 400, "RecursiveInvocationException", `{"Type":"User","Message":"m"}`},
		{casemate.Error{Code: casemate.Unauthenticated, AWS: "MissingAuthenticationToken", Message: "m"}, 403, "MissingAuthenticationTokenException", `{"message":"m"}`},
		{casemate.Error{Code: casemate.Unauthenticated, AWS: "RequestTimeTooSkewed", Message: "m"}, 403, "InvalidSignatureException", `{"message":"m"}`},
		{casemate.Error{Code: casemate.Unauthenticated, Message: "m"}, 403, "UnrecognizedClientException", `{"message":"m"}`},
		{casemate.Error{Code: casemate.Fault, Message: "m"}, 500, "ServiceException", `{"Type":"Service","Message":"m"}`},
		{casemate.Error{Code: casemate.Exhausted, Message: "m", Rule: "reserved concurrency of function f", Retry: 60}, 429, "TooManyRequestsException", `{"Type":"User","message":"Rate Exceeded.","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}`},
		{casemate.Error{Code: casemate.Exhausted, Message: "m", Rule: "concurrency of the node", Retry: 1}, 429, "TooManyRequestsException", `{"Type":"User","message":"Rate Exceeded.","Reason":"ConcurrentInvocationLimitExceeded"}`},
		{casemate.Error{Code: casemate.Exhausted, Message: "m", Rule: "rate of function f"}, 429, "TooManyRequestsException", `{"Type":"User","message":"Rate Exceeded.","Reason":"FunctionInvocationRateLimitExceeded"}`},
		{casemate.Error{Code: casemate.Exhausted, Message: "m", Rule: "rate of caller user/till"}, 429, "TooManyRequestsException", `{"Type":"User","message":"Rate Exceeded.","Reason":"CallerRateLimitExceeded"}`},
		{casemate.Error{Code: casemate.Exhausted, Message: "no money", Rule: "budget b"}, 429, "TooManyRequestsException", `{"Type":"User","message":"no money"}`},
	} {
		call := Hear(&casemate.Signed{Method: "POST", Path: "/2015-03-31/functions/f/invocations"}, "lambda")
		r := call.Refusal(&c.e, "id")
		if r.Status != c.status || r.Header["X-Amzn-Errortype"] != c.code || !json.Valid(r.Body) || string(r.Body) != c.body {
			t.Errorf("%+v: %d %v %s", c.e, r.Status, r.Header, r.Body)
		}
		if (r.Header["Retry-After"] != "") != (c.e.Retry > 0) {
			t.Errorf("%+v: Retry-After %q", c.e, r.Header["Retry-After"])
		}
	}
}
