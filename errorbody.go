package casemate

// ErrorBody is an Error as a caller reads it in JSON, the same on every front of our own. It has no cause.
type ErrorBody struct {
	Message   string `json:"message"`
	Code      Code   `json:"code"`
	Field     string `json:"field,omitempty"`
	Rule      string `json:"rule,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Retry     int    `json:"retry,omitempty"` // seconds
	RequestID string `json:"requestId,omitempty"`
}

// Body is what the caller of request id may see of e.
func (e *Error) Body(id string) ErrorBody {
	return ErrorBody{Message: e.Message, Code: e.Code, Field: e.Field, Rule: e.Rule, Hint: e.Hint, Retry: e.Retry, RequestID: id}
}

// Err is the error that a client makes of a body it received, so that codes and exit statuses hold across a wire.
func (b ErrorBody) Err() *Error {
	return &Error{Code: b.Code, Message: b.Message, Field: b.Field, Rule: b.Rule, Hint: b.Hint, Retry: b.Retry}
}
