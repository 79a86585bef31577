package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate"
)

// The words of AWS Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
const (
	sigAlgorithm  = "AWS4-HMAC-SHA256"
	sigAsymmetric = "AWS4-ECDSA-P256-SHA256" // SigV4A
	sigEnd        = "aws4_request"
	sigTime       = "20060102T150405Z"
	sigSkew       = 5 * time.Minute

	headerDate    = "x-amz-date"
	headerToken   = "x-amz-security-token"
	headerPayload = "x-amz-content-sha256"
)

// signature is the Authorization header of a signed request, well-formed and not verified.
type signature struct {
	keyID, day, region, service string
	at                          time.Time // X-Amz-Date
	names                       []string  // signed headers: lower case, sorted, each once
	mac                         [sha256.Size]byte
}

// readSignature reads what a request says of its signature. It refuses what the algorithm does not need and an attacker
// may: repeated headers, headers that steer the request and are not signed, signatures in the query.
func readSignature(s *casemate.Signed) (signature, error) {
	var g signature
	authorization, err := single(s, "authorization")
	if err != nil {
		return g, err
	}
	algorithm, rest, _ := strings.Cut(authorization, " ")
	switch {
	case algorithm == sigAsymmetric:
		return g, plainly("SigV4A signatures are not taken here", "sign with SigV4 for this region")
	case algorithm != sigAlgorithm:
		return g, errors.New("the algorithm of the signature is not " + sigAlgorithm)
	}
	if err := g.parameters(rest); err != nil {
		return g, err
	}
	date, err := single(s, headerDate)
	if err != nil {
		return g, err
	}
	if g.at, err = time.Parse(sigTime, date); err != nil || len(date) != len(sigTime) {
		return g, errors.New("malformed " + headerDate)
	}
	if !strings.HasPrefix(date, g.day) {
		return g, errors.New("the credential's scope is of another day than " + headerDate)
	}
	return g, g.covers(s)
}

// parameters reads Credential, SignedHeaders and Signature, each exactly once.
func (g *signature) parameters(text string) error {
	seen := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := seen[name]; twice || len(seen) == 3 {
			return errors.New("a parameter of the signature is repeated or unknown")
		}
		seen[name] = value
	}
	scope := strings.Split(seen["Credential"], "/")
	if len(scope) != 5 || scope[4] != sigEnd || slices.Contains(scope, "") || len(scope[1]) != 8 {
		return errors.New("malformed credential scope")
	}
	g.keyID, g.day, g.region, g.service = scope[0], scope[1], scope[2], scope[3]
	g.names = strings.Split(seen["SignedHeaders"], ";")
	for i, n := range g.names {
		if n == "" || strings.ToLower(n) != n || i > 0 && g.names[i-1] >= n {
			return errors.New("the signed headers are not sorted, lower-case and unique")
		}
	}
	if mac := seen["Signature"]; len(mac) != 2*len(g.mac) || strings.ToLower(mac) != mac {
		return errors.New("malformed signature")
	} else if _, err := hex.Decode(g.mac[:], []byte(mac)); err != nil {
		return errors.New("malformed signature")
	}
	return nil
}

// covers checks that everything that steers a request is under its signature: host, content type and all of x-amz-.
func (g *signature) covers(s *casemate.Signed) error {
	if !slices.Contains(g.names, "host") || !slices.Contains(g.names, headerDate) {
		return errors.New("host and " + headerDate + " must be signed")
	}
	for name, values := range s.Header {
		steers := name == "host" || name == "content-type" || strings.HasPrefix(name, "x-amz-")
		if steers && len(values) != 1 {
			return fmt.Errorf("header %.40q is repeated", name)
		}
		if steers && !slices.Contains(g.names, name) {
			return fmt.Errorf("header %.40q is not signed", name)
		}
	}
	return nil
}

// single is a header that must be there exactly once.
func single(s *casemate.Signed, name string) (string, error) {
	v := s.Header[name]
	if len(v) != 1 || v[0] == "" {
		return "", errors.New("the request has no single header " + name)
	}
	return v[0], nil
}

// payload is the last line of the canonical request. A body that was read must be the one that was signed.
func payload(s *casemate.Signed) (string, error) {
	claimed := ""
	if v := s.Header[headerPayload]; len(v) > 0 {
		claimed = v[0]
	}
	switch {
	case claimed == "" && s.Payload == "":
		return "", errors.New("nobody said what the body's hash is")
	case claimed == "" || claimed == s.Payload:
		return s.Payload, nil
	case s.Payload == "":
		return claimed, nil // nothing will read the body
	case strings.HasPrefix(claimed, "STREAMING-"):
		return "", plainly("bodies that are signed in chunks are not taken here", "send the body in one piece, with its SHA-256")
	case claimed == "UNSIGNED-PAYLOAD":
		return "", plainly("the body must be signed here", "send its SHA-256 as "+headerPayload)
	}
	return "", errors.New("the body is not the one that was signed")
}

// sum is the signature that the request should have.
func (g *signature) sum(s *casemate.Signed, secret string) ([]byte, error) {
	canonical, err := g.canonical(s)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(canonical))
	toSign := sigAlgorithm + "\n" + g.at.Format(sigTime) + "\n" + g.day + "/" + g.region + "/" + g.service + "/" + sigEnd + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{g.day, g.region, g.service, sigEnd, toSign} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return key, nil
}

// canonical is the canonical request.
func (g *signature) canonical(s *casemate.Signed) (string, error) {
	path, err := canonicalPath(s.Path, g.service)
	if err != nil {
		return "", err
	}
	query, err := canonicalQuery(s.Query)
	if err != nil {
		return "", err
	}
	hash, err := payload(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(s.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range g.names {
		values, ok := s.Header[name]
		if !ok {
			return "", fmt.Errorf("header %.40q is signed and was not sent", name)
		}
		b.WriteString(name + ":")
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == '\t' }), " "))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n" + strings.Join(g.names, ";") + "\n" + hash)
	return b.String(), nil
}

// canonicalPath encodes the path as it was sent once more, for every service but S3, which signs it as it is. A path with
// empty or dot segments is refused: signers disagree about it, and so might who routes by it.
func canonicalPath(path, service string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", errors.New("the path does not begin with a slash")
	}
	if service == "s3" || strings.HasPrefix(service, "s3-") || service == "s3express" {
		plain, err := unescape(path)
		return escape(plain, true), err
	}
	if strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../") {
		return "", errors.New("the path is not plain")
	}
	return escape(path, true), nil
}

// canonicalQuery sorts the parameters, each encoded anew. A plus sign is refused: it means itself to some, and a space to
// others.
func canonicalQuery(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	var pairs []string
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name)
		if err != nil {
			return "", err
		}
		if value, err = unescape(value); err != nil {
			return "", err
		}
		if strings.Contains(part, "+") {
			return "", errors.New("a plus sign in the query is ambiguous")
		}
		if n := strings.ToLower(name); n == "x-amz-signature" || n == "x-amz-algorithm" || n == "x-amz-credential" {
			return "", plainly("signatures in the query are not taken here", "send the signature as a header")
		}
		pairs = append(pairs, escape(name, false)+"\x00"+escape(value, false))
	}
	slices.Sort(pairs) // by name, then by value: the separator sorts before every character
	return strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "="), nil
}

const hexDigits = "0123456789ABCDEF"

// escape encodes all but the unreserved characters of RFC 3986, and slashes where they are kept.
func escape(s string, slash bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, slash && c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// unescape decodes percent signs, strictly.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("malformed percent encoding")
		}
		raw, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", errors.New("malformed percent encoding")
		}
		b.WriteByte(raw[0])
		i += 2
	}
	return b.String(), nil
}

// plainly is a refusal whose reason the caller may know: it tells nothing about any key.
func plainly(message, hint string) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: message, Hint: hint}
}
