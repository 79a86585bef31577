package casemate

import "iter"

// Field is one value of an event that somebody outside wrote, and that no contract closes: what has to be screened.
type Field struct {
	In    string // "body", "query", "header", "cookie", "path", or what a source calls its own: "key", "topic", "attribute"
	Name  string // JSON pointer in a body; the name elsewhere
	Value []byte // as it was sent, decoded as far as its place demands; not to be changed
}

// Exchange is a request as a contract sees it.
type Exchange struct {
	Params      map[string]string          // of the path, decoded
	Query       string                     // as sent, still encoded, without "?"
	Header      func(name string) []string // by name in any case; nil where there are no headers
	Headers     iter.Seq2[string, string]  // every header line; nil where there are none
	ContentType string
	Body        []byte
}

// HeaderLine is one header line of an answer.
type HeaderLine struct{ Name, Value string }

// Answer is what a function wants its caller to get, in the terms of HTTP. Header names are lower case, sorted, at most
// one line each; cookies become Set-Cookie lines. Nothing in it can break or lie about framing.
type Answer struct {
	Status  int // 200..599
	Header  []HeaderLine
	Cookies []string
	Body    []byte
}

// Get is the value of the header line with this lower-case name, or "".
func (a *Answer) Get(name string) string {
	for i := range a.Header {
		if a.Header[i].Name == name {
			return a.Header[i].Value
		}
	}
	return ""
}

// Contract checks requests, and what is answered to them. It is compiled once and safe for concurrent use.
type Contract interface {
	// Check refuses a request with an *Error of code Invalid or TooLarge that names the JSON pointer or the parameter, and
	// the rule. What it gives are the values that the contract leaves as free text: those that have to be screened.
	Check(x *Exchange) ([]Field, error)
	// Answer refuses an answer that the contract does not promise, with an *Error of code FunctionFailed whose message is
	// for the operator.
	Answer(a *Answer) error
}

// Cleaned is an event's body after the shield: what may go on, and what was noted about it.
type Cleaned struct {
	Body  []byte
	Notes []string // rules that matched where a route only tags; for the record. They hold nothing that the caller wrote
}
