package casemate

import "context"

// Handler takes an event through the corridor and gives its result. It is the one function type of the product: fronts
// call it, decorations wrap it. A refusal is an *Error; a function's own failure is a Result with Failure set and a nil
// error. The record is closed when it returns.
type Handler func(ctx context.Context, e *Event) (*Result, error)

// Runner runs one admitted event: a sandboxed function, or a built-in one. It must return by l.Deadline, must not keep
// l.Payload afterwards, and reports what the run used even when it fails.
type Runner func(ctx context.Context, l *Launch) (*Result, error)
