package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"casemate"
)

// AnyName is the SAN rule that takes every certificate of the authority.
const AnyName = "any"

// Authority reads the certificates of an authority from PEM. Another kind of block, a key above all, is an error.
func Authority(text string) (*x509.CertPool, error) {
	pool, rest, n := x509.NewCertPool(), []byte(text), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("reading the authority: it holds something that is no certificate; a key has no business here")
		}
		x, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("reading the authority: a certificate cannot be read")
		}
		if !x.IsCA {
			return nil, errors.New("reading the authority: " + x.Subject.String() + " may not sign others; pin it instead")
		}
		pool.AddCert(x)
		n++
	}
	if n == 0 || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("reading the authority: certificates in PEM are wanted")
	}
	return pool, nil
}

// named gives the name that the rule takes the certificate by, or, where pins alone say, the beginning of its key's digest.
func named(c *casemate.Certificate, leaf *x509.Certificate) (string, error) {
	all := names(leaf)
	for _, rule := range c.SAN {
		if rule == AnyName {
			if len(all) > 0 {
				return all[0], nil
			}
			return pinned(leaf), nil
		}
		for _, name := range all {
			if matches(rule, name) {
				return name, nil
			}
		}
	}
	if len(c.SAN) == 0 && len(c.Pins) > 0 {
		return pinned(leaf), nil
	}
	return "", errors.New("the certificate has no name that the rule takes")
}

func pinned(leaf *x509.Certificate) string {
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// names are the subject alternative names as rules write them. The common name is none (RFC 9525 section 6.3).
func names(leaf *x509.Certificate) (all []string) {
	for _, s := range leaf.DNSNames {
		all = append(all, "dns:"+strings.ToLower(s))
	}
	for _, u := range leaf.URIs {
		all = append(all, "uri:"+u.String())
	}
	for _, s := range leaf.EmailAddresses {
		all = append(all, "email:"+s)
	}
	for _, ip := range leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			all = append(all, "ip:"+a.Unmap().String())
		}
	}
	return all
}

// matches holds a name of a certificate to a rule. A star stands for one whole first label of a DNS name, or, at the end of
// a URI, for whatever follows its last slash that is not a step back. A star in the certificate itself is a text.
func matches(rule, name string) bool {
	kind, want, _ := strings.Cut(rule, ":")
	of, is, _ := strings.Cut(name, ":")
	if kind != of || want == "" || is == "" {
		return false
	}
	switch kind {
	case "dns":
		if domain, star := strings.CutPrefix(want, "*."); star {
			label, rest, ok := strings.Cut(is, ".")
			return ok && label != "" && label != "*" && strings.EqualFold(rest, domain)
		}
		return strings.EqualFold(is, want)
	case "uri":
		if prefix, star := strings.CutSuffix(want, "/*"); star {
			rest, ok := strings.CutPrefix(is, prefix+"/")
			return ok && plainPath(rest)
		}
	}
	return is == want
}

// plainPath reports whether s is a path that means what it says: no empty, dot or escaped segment, no query.
func plainPath(s string) bool {
	if s == "" || strings.ContainsAny(s, "%?#\\") {
		return false
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// Check refuses a rule that takes nobody, or could take more than it says. The error's Field is below the rule.
func Check(c *casemate.Certificate) error {
	if c.CA != "" {
		if _, err := Authority(c.CA); err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "/ca", Message: err.Error(), Hint: "give the certificates of the authority, in PEM"}
		}
	}
	for _, s := range c.SAN {
		if err := CheckName(s); err != nil {
			return &casemate.Error{Code: casemate.Invalid, Field: "/san", Message: s + " is no name of a certificate", Hint: err.Error()}
		}
	}
	if c.CA == "" && len(c.Pins) == 0 || c.CA != "" && len(c.SAN) == 0 {
		return &casemate.Error{Code: casemate.Invalid, Message: "nothing says which certificates are taken", Hint: "ca with san, or pins"}
	}
	return nil
}

// CheckName refuses a SAN rule that could take more than it says, or nothing.
func CheckName(rule string) error {
	kind, want, ok := strings.Cut(rule, ":")
	switch {
	case rule == AnyName:
		return nil
	case !ok || want == "":
		return errors.New(`write it as "dns:*.partner.example", "uri:spiffe://partner/*", "email:..." or "ip:..."; any takes all of the authority's`)
	}
	switch kind {
	case "dns":
		name := strings.TrimPrefix(want, "*.")
		if strings.ContainsAny(name, "*:/ ") || !strings.Contains(name, ".") {
			return errors.New("a DNS name has a star for its whole first label, and two more labels")
		}
	case "uri":
		u, err := url.Parse(strings.TrimSuffix(want, "/*"))
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(strings.TrimSuffix(want, "/*"), "*") {
			return errors.New("a URI has a scheme and a host, and a star only as its last segment")
		}
	case "email":
		if !strings.Contains(want, "@") || strings.Contains(want, "*") {
			return errors.New("an e-mail address is written out")
		}
	case "ip":
		if a, err := netip.ParseAddr(want); err != nil || a.String() != want {
			return errors.New("an IP address is written in its shortest form")
		}
	default:
		return errors.New("dns, uri, email and ip are the kinds of names")
	}
	return nil
}
