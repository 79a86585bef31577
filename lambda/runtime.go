package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Paths and headers of the Lambda Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) and the Extensions API.
const (
	RuntimePrefix   = "/2018-06-01/"
	ExtensionPrefix = "/2020-01-01/extension/"
	TelemetryPath   = "/2022-07-01/telemetry"
	LogsPath        = "/2020-08-15/logs"

	HeaderRequestID     = "Lambda-Runtime-Aws-Request-Id"
	HeaderDeadline      = "Lambda-Runtime-Deadline-Ms"
	HeaderARN           = "Lambda-Runtime-Invoked-Function-Arn"
	HeaderTrace         = "Lambda-Runtime-Trace-Id"
	HeaderClientContext = "Lambda-Runtime-Client-Context"
	HeaderCognito       = "Lambda-Runtime-Cognito-Identity"
	HeaderTenant        = "Lambda-Runtime-Aws-Tenant-Id"
	HeaderErrorType     = "Lambda-Runtime-Function-Error-Type"
	HeaderErrorBody     = "Lambda-Runtime-Function-Error-Body" // trailer of a streamed answer: base64 JSON
	HeaderResponseMode  = "Lambda-Runtime-Function-Response-Mode"

	ExtensionName    = "Lambda-Extension-Name"
	ExtensionID      = "Lambda-Extension-Identifier"
	ExtensionFeature = "Lambda-Extension-Accept-Feature"
	ExtensionEventID = "Lambda-Extension-Event-Identifier"

	TypeErrorCause = "application/vnd.aws.lambda.error.cause+json"
)

// MaxResponse is the largest buffered answer, in bytes: 6 MiB and 100 bytes.
const MaxResponse = 6<<20 + 100

// maxErrorType bounds an error type that a function names; the longest of AWS's own has 40 characters.
const maxErrorType = 128

// ErrorBody is what the caller of a failed function sees when the platform, not the function, made it.
type ErrorBody struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// JSON writes the body in AWS's key order. It cannot fail: both fields are strings.
func (b ErrorBody) JSON() []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(b) // two strings always encode
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

const timedOut = "Sandbox.Timedout"

// TimedOut is the body for a run killed after limit; AWS prints seconds with two decimals.
func TimedOut(id string, limit time.Duration) ErrorBody {
	secs := strconv.FormatFloat(limit.Seconds(), 'f', 2, 64)
	return ErrorBody{timedOut, "RequestId: " + id + " Error: Task timed out after " + secs + " seconds"}
}

// Exited is the body for a runtime process that ended during a run. how is "exit status 3" or "signal: killed";
// empty means it ended with status 0, for which AWS has its own words.
func Exited(id, how string) ErrorBody {
	msg := "RequestId: " + id + " Error: Runtime exited without providing a reason"
	if how != "" {
		msg = "RequestId: " + id + " Error: Runtime exited with error: " + how
	}
	return ErrorBody{"Runtime.ExitError", msg}
}

// TooLarge is the body the caller gets for an answer past limit bytes.
func TooLarge(limit int64) ErrorBody {
	return ErrorBody{"Function.ResponseSizeTooLarge",
		"Response payload size exceeded maximum allowed payload size (" + strconv.FormatInt(limit, 10) + " bytes)."}
}

// NoEntrypoint is the body for code that has no bootstrap to run, or one that is not executable (why is then set).
func NoEntrypoint(id, why string) ErrorBody {
	if why == "" {
		why = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
	}
	return ErrorBody{"Runtime.InvalidEntrypoint", "RequestId: " + id + " Error: " + why}
}

// NormalErrorType keeps an error type of the form Runtime.Name or Function.Name and replaces every other one, as the
// platform does: the type is a function's word and ends in records and headers.
func NormalErrorType(s string) string {
	prefix, name, ok := strings.Cut(s, ".")
	known := ok && (prefix == "Runtime" || prefix == "Function")
	if known && len(s) <= maxErrorType && len(name) > 1 && name[0] >= 'A' && name[0] <= 'Z' && letters(name) {
		return s
	}
	if strings.HasPrefix(s, "Function.") {
		return "Function.Unknown"
	}
	return "Runtime.Unknown"
}

func letters(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// TrailerError reads the error that a streaming function declares in its trailers after the body had begun. ok is
// false when there is none. A body that is not base64 JSON is replaced by one that names the type alone.
func TrailerError(errType, errBody string) (body []byte, ok bool) {
	if errType == "" && errBody == "" {
		return nil, false
	}
	raw, err := base64.StdEncoding.DecodeString(errBody)
	if err == nil && json.Valid(raw) {
		return raw, true
	}
	return ErrorBody{NormalErrorType(errType), "the function failed while it was writing its answer"}.JSON(), true
}

// ErrorDocument turns what a runtime posted as an error into the caller's body: JSON passes unchanged, but for the
// error-cause envelope, whose cause is for tracing only; anything else is replaced by the type alone.
func ErrorDocument(errType, contentType string, body []byte) []byte {
	if !json.Valid(body) {
		return ErrorBody{NormalErrorType(errType), "the function reported an error that is not JSON"}.JSON()
	}
	if contentType != TypeErrorCause {
		return body
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return body
	}
	delete(m, "errorCause")
	out, err := json.Marshal(m)
	if err != nil {
		return body
	}
	return out
}
