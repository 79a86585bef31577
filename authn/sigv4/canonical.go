package sigv4

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate"
)

// canonical is the canonical request.
func (g *Signature) canonical(s *casemate.Signed, hash string) (string, error) {
	path, err := canonicalPath(s.Path, g.Service)
	if err != nil {
		return "", err
	}
	query, err := canonicalQuery(s.Query, g.Presigned)
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

// storage reports whether a service signs paths as S3 does: as they are, once encoded.
func storage(service string) bool {
	return service == "s3" || strings.HasPrefix(service, "s3-") || service == "s3express"
}

// canonicalPath encodes the path as it was sent once more, for every service but S3, which signs it as it is. A path with
// empty or dot segments is refused: signers disagree about it, and so might who routes by it.
func canonicalPath(path, service string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", errors.New("the path does not begin with a slash")
	}
	if storage(service) {
		plain, err := unescape(path)
		return escape(plain, true), err
	}
	if strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../") {
		return "", errors.New("the path is not plain")
	}
	return escape(path, true), nil
}

// canonicalQuery sorts the parameters, each encoded anew; that of a signature in the query is left out. A plus sign is
// refused: it means itself to some, and a space to others.
func canonicalQuery(query string, signed bool) (string, error) {
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
		if signed && name == "X-Amz-Signature" {
			continue
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
