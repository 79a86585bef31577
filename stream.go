package casemate

import (
	"errors"
	"io"
)

// The ways in which a route gives its answers.
const (
	ResponseBuffered = ""       // when the function has ended
	ResponseStream   = "stream" // while the function makes them, where it does so piece by piece
)

// MaxStreamed is the most that one streamed answer may hold, in bytes, where a function says nothing: Lambda's bound
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const MaxStreamed = 200 << 20

// ErrWhole says that an answer is not taken piece by piece: it has to come whole.
var ErrWhole = errors.New("the answer is wanted whole")

// Opening is how a runtime announces an answer, before its first byte.
type Opening struct {
	ContentType string
	Declared    bool // it said that it makes the answer piece by piece
}

// Streamer is asked once a run, when its answer begins: for the writer that takes it as it is made, nil where it is wanted
// whole. A Write returns when its bytes are on their way: who reads slowly slows the function. After an error of it
// nothing more of the answer is wanted, and the run is over.
type Streamer func(o Opening) io.Writer

// Stream is a front's side of an answer that leaves while it is made. Head, Begin and Write are called by one goroutine at a
// time, in this order, and never after the handler of the event has returned.
type Stream interface {
	// Head reads the head of an answer from what has come of it so far, r.Payload; body is where its body begins in that. A nil
	// Answer without an error asks for more; at the end of the answer that is an error, too. ErrWhole says that such an answer
	// is not streamed. It may add to r.Notes.
	Head(o Opening, r *Result) (a *Answer, body int, err error)
	// Begin sends the head. What fails after it can only be told by cutting the answer short.
	Begin(a *Answer) error
	// Write sends p, and returns when the caller's side took it.
	Write(p []byte) error
	// Abort makes a Begin or Write that is in progress, and every later one, fail at once. It may be called at any time.
	Abort()
}
