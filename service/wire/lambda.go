package wire

import (
	"encoding/json"
	"strconv"
	"strings"

	"casemate"
)

// What Lambda's errors look like beyond the protocol (https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html and the
// errors of each operation there): whose fault it is, and a message whose case depends on the error.

// lambdaStatus are the errors whose status is not that of their class.
var lambdaStatus = map[string]int{
	"PreconditionFailedException": 412, "RecursiveInvocationException": 400, "UnsupportedMediaTypeException": 415,
	"PolicyLengthExceededException": 400, "CodeStorageExceededException": 400, "ResourceInUseException": 400, "InvalidZipFileException": 502,
	"InvalidRuntimeException": 502,
}

// capital are the errors whose text is a member Message; that of all others is a member message.
var capital = map[string]bool{"AccessDeniedException": true, "ResourceNotFoundException": true, "ServiceException": true, "ResourceInUseException": true,
	"CodeSigningConfigNotFoundException": true, "CodeVerificationFailedException": true, "InvalidCodeSignatureException": true,
	"RecursiveInvocationException": true, "InvalidZipFileException": true, "InvalidRuntimeException": true, "NoPublishedVersionException": true}

// untyped are errors from before the service, which say nothing about whose fault they are.
var untyped = map[string]bool{
	"ValidationException": true, "MissingAuthenticationTokenException": true, "UnrecognizedClientException": true, "InvalidSignatureException": true,
	"ExpiredTokenException": true, "IncompleteSignatureException": true, "AccessDeniedException": true,
}

// lambdaCode are words of other protocols as this service has them.
var lambdaCode = map[string]string{
	"MissingAuthenticationToken": "MissingAuthenticationTokenException", "ExpiredToken": "ExpiredTokenException", "RequestTimeTooSkewed": "InvalidSignatureException",
	"SignatureDoesNotMatch": "InvalidSignatureException", "AccessDenied": "AccessDeniedException", "IncompleteSignature": "IncompleteSignatureException",
	"XAmzContentSHA256Mismatch": "InvalidSignatureException",
}

type lambdaBody struct {
	Type   string `json:",omitempty"`
	Upper  string `json:"Message,omitempty"`
	Lower  string `json:"message,omitempty"`
	Reason string `json:",omitempty"`
}

// Refusal writes an error in the words of the service that was asked.
func (c *Call) Refusal(e *casemate.Error, id string) Reply {
	r := c.Protocol.Refusal(e, c.namespace(), id)
	if c.Service.Name == "lambda" && c.Protocol == restJSON {
		lambdaError(&r, e)
	}
	return r
}

// lambdaError gives a refusal the body and the status that Lambda's errors have.
func lambdaError(r *Reply, e *casemate.Error) {
	code := r.Header["X-Amzn-Errortype"]
	if own, ok := lambdaCode[code]; ok {
		code = own
		r.Header["X-Amzn-Errortype"] = code
	}
	if s := lambdaStatus[code]; s != 0 {
		r.Status = s
	}
	said := lambdaBody{Type: "User", Lower: e.Message}
	if capital[code] {
		said.Upper, said.Lower = e.Message, ""
	}
	switch {
	case untyped[code]:
		said.Type = ""
	case r.Status >= 500:
		said.Type = "Service"
	case code == "TooManyRequestsException":
		if said.Reason = throttle(e.Rule); said.Reason != "" {
			said.Lower = "Rate Exceeded."
		}
	}
	if e.Retry > 0 {
		r.Header["Retry-After"] = strconv.Itoa(e.Retry)
	}
	r.Body, _ = json.Marshal(said) // texts always encode
}

// throttle is Lambda's word for the bound that was reached
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html: ThrottleReason); none for money, which Lambda does not count.
func throttle(rule string) string {
	switch {
	case strings.HasPrefix(rule, "budget"):
		return ""
	case strings.Contains(rule, "concurrency of function "):
		return "ReservedFunctionConcurrentInvocationLimitExceeded"
	case rule == "", strings.HasPrefix(rule, "concurrency"):
		return "ConcurrentInvocationLimitExceeded"
	case strings.Contains(rule, " of function "):
		return "FunctionInvocationRateLimitExceeded"
	}
	return "CallerRateLimitExceeded"
}

// Missing is what Lambda says of a function that is not there, by its ARN.
func Missing(arn string) string {
	if strings.Count(arn, ":") == 6 {
		arn += ":$LATEST"
	}
	return "Function not found: " + arn
}

// Owner is the service whose operations are at such a path, for requests that are signed for none; "": nobody's. Those of
// Lambda begin with the day that they were made.
func Owner(path string) string {
	day, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if len(day) == 10 && day[4] == '-' && day[7] == '-' && strings.Trim(day, "0123456789-") == "" && rest != "" {
		return "lambda"
	}
	return ""
}
