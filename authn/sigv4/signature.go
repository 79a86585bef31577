// Package sigv4 reads and checks AWS Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html): in the Authorization header,
// in the query, and over the chunks of a body. It is pure, and knows no key: whoever calls says which one a signature must
// be of.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// The words of the algorithm.
const (
	Algorithm  = "AWS4-HMAC-SHA256"
	asymmetric = "AWS4-ECDSA-P256-SHA256" // SigV4A
	end        = "aws4_request"
	timeForm   = "20060102T150405Z"

	headerDate    = "x-amz-date"
	headerToken   = "x-amz-security-token"
	headerPayload = "x-amz-content-sha256"
)

// What may stand in the place of the body's hash (Signature.Claimed).
const (
	Unsigned        = "UNSIGNED-PAYLOAD"
	Chunked         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	ChunkedTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingPrefix = "STREAMING-"
)

// Empty is the SHA-256 of no bytes.
const Empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// MaxExpires is the longest life of a signature in the query
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
const MaxExpires = 7 * 24 * time.Hour

// Signature is what a request says of its signature: well-formed, and not verified.
type Signature struct {
	KeyID, Day, Region, Service string
	At                          time.Time
	Presigned                   bool          // it stands in the query
	Expires                     time.Duration // of one in the query: a second to MaxExpires
	Token                       string        // session token; empty: none was sent
	Claimed                     string        // what the request says of its body's hash; empty: nothing

	names []string // signed headers: lower case, sorted, each once
	mac   [sha256.Size]byte
}

// Read reads a request's signature. It refuses what the algorithm does not need and an attacker may: a signature in two
// places, repeated headers and parameters, headers of AWS's own and a host that are not signed.
func Read(s *casemate.Signed) (*Signature, error) {
	g := &Signature{}
	signed, err := presigned(s.Query)
	if err != nil {
		return nil, err
	}
	switch {
	case signed == nil:
		err = g.fromHeader(s)
	case len(s.Header["authorization"]) > 0:
		return nil, errors.New("the request is signed in two places")
	default:
		err = g.fromQuery(s, signed)
	}
	if err != nil {
		return nil, err
	}
	if claimed := s.Header[headerPayload]; len(claimed) == 1 {
		g.Claimed = claimed[0]
	}
	return g, g.covers(s)
}

func (g *Signature) fromHeader(s *casemate.Signed) error {
	authorization, err := single(s, "authorization")
	if err != nil {
		return err
	}
	algorithm, rest, _ := strings.Cut(authorization, " ")
	if err := known(algorithm); err != nil {
		return err
	}
	seen := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := seen[name]; twice || len(seen) == 3 {
			return errors.New("a parameter of the signature is repeated or unknown")
		}
		seen[name] = value
	}
	if err := g.parameters(seen["Credential"], seen["SignedHeaders"], seen["Signature"]); err != nil {
		return err
	}
	date, err := single(s, headerDate)
	if err != nil {
		return err
	}
	if v := s.Header[headerToken]; len(v) > 0 {
		g.Token = v[0]
	}
	if !slices.Contains(g.names, headerDate) {
		return errors.New(headerDate + " must be signed")
	}
	return g.dated(date)
}

// The parameters of a signature in the query, each of which must be there once.
var queryNames = [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"}

const queryToken = "X-Amz-Security-Token"

// presigned gives the parameters of a signature in the query; nil: there is none. Another spelling of one of their names
// is refused: who routes by it might take it for the name itself.
func presigned(query string) (map[string]string, error) {
	if len(query) < len("X-Amz-") {
		return nil, nil
	}
	found := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(strings.ToLower(name), "x-amz-") {
			continue
		}
		for _, n := range append(queryNames[:], queryToken) {
			if !strings.EqualFold(n, name) {
				continue
			}
			if _, twice := found[n]; twice || n != name {
				return nil, fmt.Errorf("the parameter %.40q is repeated or misspelt", name)
			}
			if found[n], err = unescape(value); err != nil {
				return nil, err
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found, nil
}

func (g *Signature) fromQuery(s *casemate.Signed, q map[string]string) error {
	for _, n := range queryNames {
		if q[n] == "" {
			return errors.New("the signature in the query has no " + n)
		}
	}
	if err := known(q["X-Amz-Algorithm"]); err != nil {
		return err
	}
	if len(s.Header[headerDate]) > 0 || len(s.Header[headerToken]) > 0 {
		return errors.New("the signature is in the query, and part of it in the headers")
	}
	if err := g.parameters(q["X-Amz-Credential"], q["X-Amz-SignedHeaders"], q["X-Amz-Signature"]); err != nil {
		return err
	}
	n, err := strconv.Atoi(q["X-Amz-Expires"])
	if err != nil || n < 1 || n > int(MaxExpires/time.Second) || strconv.Itoa(n) != q["X-Amz-Expires"] {
		return plainly("AuthorizationQueryParametersError", "X-Amz-Expires is not between 1 and 604800", "sign for a week at most")
	}
	g.Presigned, g.Expires, g.Token = true, time.Duration(n)*time.Second, q[queryToken]
	return g.dated(q["X-Amz-Date"])
}

func known(algorithm string) error {
	switch algorithm {
	case Algorithm:
		return nil
	case asymmetric:
		return plainly("", "SigV4A signatures are not taken here", "sign with SigV4 for this region")
	}
	return errors.New("the algorithm of the signature is not " + Algorithm)
}

func (g *Signature) dated(date string) (err error) {
	if g.At, err = time.Parse(timeForm, date); err != nil || len(date) != len(timeForm) {
		return errors.New("malformed " + headerDate)
	}
	if !strings.HasPrefix(date, g.Day) {
		return errors.New("the credential's scope is of another day than " + headerDate)
	}
	return nil
}

// parameters reads Credential, SignedHeaders and Signature.
func (g *Signature) parameters(credential, names, mac string) error {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != end || slices.Contains(scope, "") || len(scope[1]) != 8 {
		return errors.New("malformed credential scope")
	}
	g.KeyID, g.Day, g.Region, g.Service = scope[0], scope[1], scope[2], scope[3]
	g.names = strings.Split(names, ";")
	for i, n := range g.names {
		if n == "" || strings.ToLower(n) != n || i > 0 && g.names[i-1] >= n {
			return errors.New("the signed headers are not sorted, lower-case and unique")
		}
	}
	if len(mac) != 2*len(g.mac) || strings.ToLower(mac) != mac {
		return errors.New("malformed signature")
	}
	if _, err := hex.Decode(g.mac[:], []byte(mac)); err != nil {
		return errors.New("malformed signature")
	}
	return nil
}

// covers checks that what steers a request is under its signature: host and all of x-amz-. Some clients do not sign their content
// type; one that would have a target overlooked, and what was signed as JSON read as parameters, is to be signed.
func (g *Signature) covers(s *casemate.Signed) error {
	if !g.Covers("host") {
		return errors.New("host must be signed")
	}
	for name, values := range s.Header {
		steers := name == "host" || name == "content-type" || strings.HasPrefix(name, "x-amz-")
		if steers && len(values) != 1 {
			return fmt.Errorf("header %.40q is repeated", name)
		}
		plain := name == "content-type" && (len(s.Header["x-amz-target"]) == 0 || !s.Form())
		if steers && !plain && !g.Covers(name) {
			return fmt.Errorf("header %.40q is not signed", name)
		}
	}
	return nil
}

// Covers reports whether a header is signed, by its name in lower case.
func (g *Signature) Covers(name string) bool {
	_, found := slices.BinarySearch(g.names, name)
	return found
}

// ID is the signature itself: what two requests that are the same one have in common.
func (g *Signature) ID() [sha256.Size]byte { return g.mac }

// single is a header that must be there exactly once.
func single(s *casemate.Signed, name string) (string, error) {
	v := s.Header[name]
	if len(v) != 1 || v[0] == "" {
		return "", errors.New("the request has no single header " + name)
	}
	return v[0], nil
}

// Streamed reports whether the body is signed in chunks, or in some other way that is not one hash.
func (g *Signature) Streamed() bool { return strings.HasPrefix(g.Claimed, streamingPrefix) }

// Hashed reports whether the request says its body's hash: lower-case hex.
func (g *Signature) Hashed() bool {
	return len(g.Claimed) == 2*sha256.Size && strings.Trim(g.Claimed, "0123456789abcdef") == ""
}

// Key is the key that signs one day's requests to one service in one region. It must be kept like the secret.
func Key(secret, day, region, service string) [sha256.Size]byte {
	var out [sha256.Size]byte
	key := []byte("AWS4" + secret)
	for _, part := range [...]string{day, region, service, end} {
		key = mac(key, part)
	}
	copy(out[:], key)
	return out
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// ErrMismatch says that a signature is not of this request, or of another key: nobody can tell which.
var ErrMismatch = errors.New("the signature is not of this request")

// Verify holds the signature against the request, whose body has the hash given or stands for one of the words above. It
// takes the same time wherever the two differ.
func (g *Signature) Verify(s *casemate.Signed, key [sha256.Size]byte, hash string) error {
	want, err := g.Sum(s, key, hash)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want, g.mac[:]) != 1 {
		return ErrMismatch
	}
	return nil
}

// Sum is the signature that the request should have.
func (g *Signature) Sum(s *casemate.Signed, key [sha256.Size]byte, hash string) ([]byte, error) {
	canonical, err := g.canonical(s, hash)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(canonical))
	return mac(key[:], Algorithm+"\n"+g.scope()+"\n"+hex.EncodeToString(sum[:])), nil
}

// scope is the date and the scope, as they stand in everything that is signed.
func (g *Signature) scope() string {
	return g.At.Format(timeForm) + "\n" + g.Day + "/" + g.Region + "/" + g.Service + "/" + end
}

// plainly is a refusal whose reason the caller may know: it tells nothing about any key.
func plainly(aws, message, hint string) error {
	return &casemate.Error{Code: casemate.Unauthenticated, AWS: aws, Message: message, Hint: hint}
}

// Body gives the hash that the signature is over, of a request whose body was read before, or never will be: it must be
// the one that was signed.
func (g *Signature) Body(s *casemate.Signed) (string, error) {
	switch {
	case g.Claimed == "" && s.Payload == "":
		return "", errors.New("nobody said what the body's hash is")
	case g.Claimed == "" || g.Claimed == s.Payload:
		return s.Payload, nil
	case s.Payload == "":
		return g.Claimed, nil // nothing will read the body
	case g.Streamed():
		return "", plainly("", "bodies that are signed in chunks are not taken here", "send the body in one piece, with its SHA-256")
	case g.Claimed == Unsigned:
		return "", plainly("", "the body must be signed here", "send its SHA-256 as "+headerPayload)
	}
	return "", errors.New("the body is not the one that was signed")
}

// For checks that the signature is of this region. Some services sign for us-east-1 wherever they are called from.
func (g *Signature) For(region string) error {
	if g.Region == region || g.Region == "us-east-1" && global(g.Service) {
		return nil
	}
	return plainly("", "the request is signed for another region", "this is "+region)
}

func global(service string) bool {
	switch service {
	case "budgets", "ce", "cloudfront", "globalaccelerator", "health", "iam", "organizations", "route53", "sts", "support":
		return true
	}
	return false
}

// Current checks that a signature is of now: made within skew of it, or in a query that has not expired.
func (g *Signature) Current(now time.Time, skew time.Duration) error {
	switch {
	case g.At.Sub(now) > skew, !g.Presigned && now.Sub(g.At) > skew:
		return plainly("RequestTimeTooSkewed", "the signature is not of now", "set the clock right and sign each request anew")
	case g.Presigned && now.Sub(g.At) >= g.Expires:
		return plainly("AccessDenied", "the signature in the query has expired", "sign the request anew")
	}
	return nil
}
