// Package wire is how AWS's services and their SDKs speak: which protocol a request is in, what it asks for, and what an
// answer or a refusal looks like in it (https://smithy.io/2.0/aws/protocols/index.html). It is pure; the doors that hear
// requests, inside sandboxes and outside, share it.
package wire

import (
	_ "embed"
	"strings"

	"casemate"
)

// Protocol is how a service and its SDKs speak.
type Protocol string

const (
	json10    Protocol = "json-1.0"
	json11    Protocol = "json-1.1"
	jsonQuery Protocol = "json-1.0-query" // JSON, with the error codes of the query protocol in a header beside
	query     Protocol = "query"
	ec2       Protocol = "ec2"
	restJSON  Protocol = "rest-json"
	restXML   Protocol = "rest-xml"
	s3        Protocol = "s3" // REST and XML, with an error document of its own
	cbor      Protocol = "cbor"
)

func (p Protocol) json() bool { return strings.HasPrefix(string(p), "json-") }

// Known is what is known of a service.
type Known struct {
	Name     string // in the signature's scope
	Protocol Protocol
	Prefix   string // of its IAM actions
}

//go:embed services.txt
var services string

// Lookup finds a service by its name in a signature's scope. One that is not in the list is taken for a REST service.
func Lookup(name string) Known {
	for line := range strings.Lines(services) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == name {
			return Known{f[0], Protocol(f[1]), f[2]}
		}
	}
	return Known{Name: name, Protocol: restJSON, Prefix: name}
}

// Speaks refines a service's protocol by what the request shows: SDKs move from one to another with their versions.
func (k Known) Speaks(s *casemate.Signed) Protocol {
	header := func(name string) string {
		if v := s.Header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	contentType, target := header("content-type"), header("x-amz-target")
	switch {
	case header("smithy-protocol") == "rpc-v2-cbor":
		return cbor
	case k.Protocol.json() && s.Form():
		return query // older clients name a target as well
	case k.Protocol == jsonQuery && target == "" && strings.Contains("&"+s.Query, "&Action="):
		return query // a GET, which may be signed in its query
	case target != "" && k.Protocol.json():
		return k.Protocol
	case target != "" && contentType == "application/x-amz-json-1.0":
		return json10
	case target != "" && contentType == "application/x-amz-json-1.1":
		return json11
	}
	return k.Protocol
}

// status is what a refusal is answered with: the JSON protocols know 400 and 500 alone.
func (p Protocol) status(c casemate.Code) int {
	switch {
	case p.json() && c.HTTP() < 500:
		return 400
	case c == casemate.Unauthenticated:
		return 403
	case p == query && c == casemate.Exhausted, p == ec2 && c == casemate.Exhausted:
		return 400
	}
	return c.HTTP()
}

// code is the word for a refusal in this protocol.
func (p Protocol) code(e *casemate.Error) string {
	if e.AWS != "" {
		return e.AWS
	}
	switch p {
	case restJSON:
		return e.Code.AWS()
	case query, restXML, s3, ec2:
		return p.plain(e.Code)
	}
	switch e.Code {
	case casemate.Invalid:
		return "ValidationException"
	case casemate.Exhausted:
		return "ThrottlingException"
	case casemate.Fault:
		return "InternalServerError"
	}
	return e.Code.AWS()
}

// plain are the codes of the older protocols, which do not end in Exception.
func (p Protocol) plain(c casemate.Code) string {
	switch c {
	case casemate.Forbidden:
		if p == ec2 {
			return "UnauthorizedOperation"
		}
		return "AccessDenied"
	case casemate.Unauthenticated:
		switch p {
		case ec2:
			return "AuthFailure"
		case s3:
			return "InvalidAccessKeyId"
		}
		return "InvalidClientTokenId"
	case casemate.Invalid:
		return "ValidationError"
	case casemate.Exhausted:
		return "Throttling"
	case casemate.NotFound:
		return "ResourceNotFound"
	case casemate.TooLarge:
		return "RequestEntityTooLarge"
	case casemate.Unavailable, casemate.Timeout:
		return "ServiceUnavailable"
	}
	return "InternalFailure"
}
