package casemate

import (
	"strings"
	"time"
)

// MaxDepth bounds a chain of functions that call functions: the number at which AWS Lambda ends a recursive loop
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html).
const MaxDepth = 16

// Signed is a request with an AWS signature (SigV4) as it was heard: all that the signature is checked against. Nothing
// in it is decoded or trusted yet.
type Signed struct {
	Sandbox string              // whose door heard it; the request itself has no say in this
	Method  string              // as sent
	Path    string              // as sent, still encoded
	Query   string              // as sent, still encoded, without "?"
	Header  map[string][]string // by lower-case name, "host" among them
	Payload string              // lower-case hex SHA-256 of the body; empty: nobody read it, and nobody will
}

// NewSigned is a request as it was heard: path and query as they were sent, header as net/http gives it, without host.
func NewSigned(method, path, query, host string, header map[string][]string) *Signed {
	s := &Signed{Method: method, Path: path, Query: query, Header: make(map[string][]string, len(header)+1)}
	for name, values := range header {
		s.Header[strings.ToLower(name)] = values
	}
	s.Header["host"] = []string{host}
	return s
}

// FormType is the content type of HTML's forms.
const FormType = "application/x-www-form-urlencoded"

// Form reports a body of parameters, as the query protocols have it: a service reads it as those, whatever target is named beside.
func (s *Signed) Form() bool {
	v := s.Header["content-type"]
	return len(v) > 0 && strings.HasPrefix(v[0], FormType)
}

// SandboxKey is the AWS credential of one sandbox: it opens that sandbox's own door, until Expires or until the sandbox
// ends, and nothing else. It never prints its secrets.
type SandboxKey struct {
	Sandbox string // names the sandbox; not told to it
	ID      string // "ASIA..."
	Secret  string
	Token   string
	Expires time.Time

	Principal Principal // whom its signatures verify as
}

// String hides the secrets.
func (k SandboxKey) String() string { return "key " + k.ID }

// GoString hides the secrets from %#v.
func (k SandboxKey) GoString() string { return k.String() }
