package deployment

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// Target is a deployment that attacks are run against. It must be the attacker's own.
type Target struct {
	Base    string // http://host:port
	TLSBase string // https://host:port; "": none
	Roots   *x509.CertPool
	Region  string

	Values       map[string]string // of placeholders: "key:ann", "object:bob"
	Issuers      map[string]*Issuer
	Access       map[string]AccessKey
	Senders      map[string]Sender
	Certificates map[string]tls.Certificate
	// Effects gives a counter of what happened: runs of a function, changes of an object, money spent.
	Effects func(ctx context.Context, name string) (int64, error)
	// Known says which counters there are.
	Known func(name string) bool
	// Quiet returns once nothing is queued; may be nil where nothing is.
	Quiet func(ctx context.Context) error
}

// Issuer signs tokens that the target trusts, or does not.
type Issuer struct {
	Alg    string // RS256, ES256 or EdDSA
	KID    string
	Key    crypto.Signer
	Public []byte         // its public key in PEM, as an attacker finds it
	Claims map[string]any // of an honest token

	once  sync.Once
	other crypto.Signer // a key of the same kind that is nobody's
	err   error
}

// AccessKey signs AWS requests.
type AccessKey struct{ ID, Secret, Session string }

// Sender is whose webhooks the target takes.
type Sender struct{ Scheme, Secret string }

// lacks says what of needs the target does not have.
func (t *Target) lacks(needs []string) []string {
	var out []string
	for _, need := range needs {
		kind, name, _ := strings.Cut(need, ":")
		var has bool
		switch kind {
		case "issuer":
			_, has = t.Issuers[name]
		case "access":
			_, has = t.Access[name]
		case "sender":
			_, has = t.Senders[name]
		case "certificate":
			_, has = t.Certificates[name]
		case "effect":
			has = t.Known(name)
		default:
			_, has = t.Values[need]
		}
		if !has {
			out = append(out, need)
		}
	}
	return out
}

// fill puts values where placeholders stand. {{repeat:N:TEXT}} is TEXT N times (percent-encoded where
// it holds braces), {{count}} the number of the sending,
// {{random}} something new each time, {{run}} something new for each run of an attack or flow.
func (t *Target) fill(text string, local map[string]string) (string, error) {
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		name := strings.Trim(m, "{}")
		if rest, ok := strings.CutPrefix(name, "repeat:"); ok {
			var n int
			count, what, _ := strings.Cut(rest, ":")
			if _, err := fmt.Sscan(count, &n); err != nil {
				failed = fmt.Errorf("%s: %w", m, err)
			}
			what, err := url.PathUnescape(what)
			if err != nil {
				failed = fmt.Errorf("%s: %w", m, err)
			}
			return strings.Repeat(what, n)
		}
		if v, ok := local[name]; ok {
			return v
		}
		v, ok := t.Values[name]
		if !ok {
			failed = fmt.Errorf("the target has no %s", name)
		}
		return v
	})
	return out, failed
}
