package acme

import (
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"casemate"
)

const nameHint = "a host name of at least two labels, in lower case, other scripts as xn--...; wildcards need challenges in the DNS, which the node cannot write: list the names"

// CheckName gives a name as certificates have it: in lower case, without a dot at its end. What no public certificate can
// be for (one label, an address, a wildcard, letters that are not ASCII) is an error.
func CheckName(name string) (string, error) {
	bad := casemate.Errorf(casemate.Invalid, nameHint, "%.300q is no name that a certificate can be asked for", name)
	name = strings.TrimSuffix(name, ".")
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return "", bad
	}
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", bad
		}
		for _, c := range []byte(label) {
			if c|0x20 < 'a' || c|0x20 > 'z' {
				if (c < '0' || c > '9') && c != '-' {
					return "", bad
				}
			}
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return "", bad // an address, or what some read as one
	}
	return strings.ToLower(name), nil
}

// checkDirectory refuses an authority that somebody on the way could speak for.
func checkDirectory(directory string) error {
	u, err := url.Parse(directory)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || !confidential(u) {
		return &casemate.Error{Code: casemate.Invalid, Field: "--acme-ca", Message: "the authority's directory is no https URL", Hint: DefaultDirectory + "; http is for loopback alone", Err: err}
	}
	return nil
}

// confidential reports whether nobody on the way can read and change what goes to u: https, or a loopback address.
func confidential(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.Unmap().IsLoopback())
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || strings.ContainsAny(email, "?&,%") {
		return &casemate.Error{Code: casemate.Invalid, Field: "--acme-email", Message: "not one bare address", Hint: "ops@example.com"}
	}
	return nil
}
