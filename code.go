package casemate

import (
	"errors"
	"fmt"
	"time"
)

// Code classifies an error once, at the boundary where it becomes visible. The zero Code is Fault: an error that nobody
// classified is our own mistake and never the caller's.
type Code uint8

// The codes. Each maps to an HTTP status, an AWS error type and a process exit code in one table below.
const (
	Fault           Code = iota // our own failure
	Invalid                     // the request is malformed or breaks its contract
	Unauthenticated             // no credential, or one that does not verify
	Forbidden                   // a verified principal that may not
	NotFound                    // no such route, function, version, key, record
	Conflict                    // the state moved under the writer, or a duplicate
	Exhausted                   // a rate, concurrency, quota or budget ran out; retry later
	Timeout                     // the deadline passed while the function ran
	Unavailable                 // cannot serve now: starting, stopping, disk full, wall missing
	TooLarge                    // a size bound was passed
	FunctionFailed              // the function itself failed: crash, unhandled error, killed for memory
)

type mapping struct {
	name string
	http int
	aws  string
	exit int
}

var mappings = [...]mapping{
	Fault:           {"Fault", 500, "ServiceException", 70},
	Invalid:         {"Invalid", 400, "InvalidParameterValueException", 65},
	Unauthenticated: {"Unauthenticated", 401, "UnrecognizedClientException", 77},
	Forbidden:       {"Forbidden", 403, "AccessDeniedException", 77},
	NotFound:        {"NotFound", 404, "ResourceNotFoundException", 66},
	Conflict:        {"Conflict", 409, "ResourceConflictException", 73},
	Exhausted:       {"Exhausted", 429, "TooManyRequestsException", 75},
	Timeout:         {"Timeout", 504, "Sandbox.Timedout", 75},
	Unavailable:     {"Unavailable", 503, "ServiceUnavailableException", 69},
	TooLarge:        {"TooLarge", 413, "RequestTooLargeException", 65},
	FunctionFailed:  {"FunctionFailed", 502, "Unhandled", 1},
}

func (c Code) row() mapping {
	if int(c) < len(mappings) {
		return mappings[c]
	}
	return mappings[Fault]
}

// String is the code's name, stable: it is part of the record and of every JSON answer.
func (c Code) String() string { return c.row().name }

// HTTP is the status that a front answers with.
func (c Code) HTTP() int { return c.row().http }

// AWS is the error type that AWS clients expect in x-amzn-ErrorType.
func (c Code) AWS() string { return c.row().aws }

// Exit is the exit status of the command line, after sysexits(3) where one fits.
func (c Code) Exit() int { return c.row().exit }

// MarshalText writes the name.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name; an unknown one is an error, never a default.
func (c *Code) UnmarshalText(b []byte) error {
	for i := range mappings {
		if mappings[i].name == string(b) {
			*c = Code(i)
			return nil
		}
	}
	return fmt.Errorf("unknown code %q", b)
}

// Codes lists every code, for tables and their tests.
func Codes() []Code {
	cs := make([]Code, len(mappings))
	for i := range cs {
		cs[i] = Code(i)
	}
	return cs
}

// Error is what a caller may see: a code, one sentence, the field it is about and what to do. Message and Hint never
// carry a secret, a body, a path of the host or a stack trace. Err is the cause, for the operator's record only.
type Error struct {
	Code    Code
	Message string
	Field   string // JSON pointer, manifest path, header or flag; empty when there is none
	Rule    string // the rule or statement that decided, when there is one
	Hint    string // what a person can do about it
	AWS     string // error code of the AWS service whose operation it is: "ResourceNotFoundException"; empty: the code's own
	Retry   int    // seconds to wait, for Exhausted and Unavailable; 0 when unknown
	Err     error

	// Shut is how long nothing whatsoever of this caller is let in, by its own limits; 0 when that is not known, or others may send
	// the same credential. Caller is its Principal.Name then. Neither leaves.
	Shut   time.Duration
	Caller string
}

// Errorf makes an Error whose cause is wrapped when the format has a %w. The message is for the caller.
func Errorf(c Code, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: c, Message: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// Error is the message with its field in front.
func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the coded error in err's chain. An error without one becomes a Fault that tells the caller nothing.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Fault, Message: "internal error", Hint: "give the request id to the operator", Err: err}
}

// CodeOf is AsError(err).Code; of no error it is the zero Code, so that it may be asked before err is looked at.
func CodeOf(err error) Code {
	if err == nil {
		return Fault
	}
	return AsError(err).Code
}
