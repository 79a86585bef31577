package http

import (
	nethttp "net/http"
	"strings"

	"casemate"
)

const (
	sigHeader = "AWS4-"            // how the algorithms of AWS signatures begin
	sigQuery  = "X-Amz-Algorithm=" // of a signature in the query
	sigChunks = "aws-chunked"      // content encoding of a body that is signed in chunks
)

// signed takes the AWS signature of a request, in its Authorization header or its query; nil: there is none. Nothing of it
// is verified here. The one thing that a signature is not over is the connection it came by.
func signed(r *nethttp.Request, t target) *casemate.Signed {
	auth := r.Header["Authorization"]
	if (len(auth) == 0 || !strings.HasPrefix(auth[0], sigHeader)) && !strings.Contains(t.query, sigQuery) {
		return nil
	}
	return casemate.NewSigned(r.Method, t.path, t.query, r.Host, r.Header)
}

// proof is what the caller proves itself with.
func proof(r *nethttp.Request, t target) (casemate.Credential, error) {
	s := signed(r, t)
	if s == nil {
		return credential(r.Header)
	}
	if len(r.Header["X-Api-Key"]) > 0 {
		return casemate.Credential{}, badRequest("x-api-key", "the request is signed and has a key as well", "send one of them")
	}
	return casemate.Credential{Kind: casemate.CredentialAccess, Signed: s}, nil
}

// understood reports whether a content encoding can be taken: one that is decoded later, or chunks that a signature is over.
func understood(encoding, payload string) bool {
	if chunked, rest, _ := strings.Cut(encoding, ","); strings.TrimSpace(chunked) == sigChunks && strings.HasPrefix(payload, "STREAMING-") {
		encoding = strings.TrimSpace(rest)
	}
	switch encoding {
	case "", "identity", "gzip", "deflate":
		return true
	}
	return false
}
