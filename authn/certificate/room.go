package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"casemate"
)

// Bounds of what a caller can make us look at and remember.
const (
	maxChain = 6           // certificates in a chain
	maxKept  = 1024        // verdicts kept
	keepFor  = time.Minute // how long a verdict holds before the chain is looked at again
)

// Room verifies client certificates. All methods may be called concurrently.
type Room struct {
	place casemate.Place
	clock func() time.Time

	mu    sync.Mutex
	pools map[[32]byte]*x509.CertPool // by digest of the PEM text
	kept  map[[32]byte]kept           // by digest of rule and chain
}

type kept struct {
	p     *casemate.Principal
	until time.Time
}

// New makes a room that knows nothing yet.
func New(place casemate.Place, clock func() time.Time) *Room {
	return &Room{place: place, clock: clock, pools: map[[32]byte]*x509.CertPool{}, kept: map[[32]byte]kept{}}
}

// Verify says whom the chain verifies as by the rule. The error's text is for the operator alone.
func (r *Room) Verify(c *casemate.Certificate, chain [][]byte) (*casemate.Principal, error) {
	now, key := r.clock(), digest(c, chain)
	r.mu.Lock()
	k, ok := r.kept[key]
	r.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.p, nil
	}
	leaf, err := r.check(c, chain, now)
	if err != nil {
		return nil, err
	}
	name, err := named(c, leaf)
	if err != nil {
		return nil, err
	}
	p := &casemate.Principal{Kind: casemate.KindCertificate, ID: c.ID() + "|" + name, Account: r.place.Account, Role: c.Role,
		ARN: "arn:aws:iam::" + r.place.Account + ":" + c.ID() + "/" + name, Tags: map[string]string{"certificate": c.Name, "name": name}, Expires: leaf.NotAfter}
	r.keep(key, kept{p: p, until: soonest(leaf.NotAfter, now.Add(keepFor))}, now)
	return p, nil
}

// check holds the chain against the authority and the pins.
func (r *Room) check(c *casemate.Certificate, chain [][]byte, now time.Time) (*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("a chain of %d certificates", len(chain))
	}
	all := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		var err error
		if all[i], err = x509.ParseCertificate(der); err != nil {
			return nil, errors.New("a certificate of the chain cannot be read")
		}
	}
	leaf := all[0]
	if len(c.Pins) > 0 {
		sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
		if !slices.Contains(c.Pins, hex.EncodeToString(sum[:])) {
			return nil, errors.New("the certificate's key is not pinned")
		}
	}
	switch {
	case c.CA != "":
		return leaf, r.signed(c, all, now)
	case len(c.Pins) == 0:
		return nil, errors.New("the rule has neither an authority nor a pin")
	}
	return leaf, alone(leaf, now)
}

// signed follows the chain up to the rule's authority (RFC 5280 section 6).
func (r *Room) signed(c *casemate.Certificate, all []*x509.Certificate, now time.Time) error {
	roots, err := r.pool(c.CA)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, x := range all[1:] {
		between.AddCert(x)
	}
	if _, err := all[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fmt.Errorf("following the chain: %w", err)
	}
	return nil
}

// alone checks what is left to check of a pinned certificate that nobody has to have signed.
func alone(leaf *x509.Certificate, now time.Time) error {
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return errors.New("the certificate is not valid now")
	}
	usable := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0
	for _, u := range leaf.ExtKeyUsage {
		usable = usable || u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	}
	if !usable {
		return errors.New("the certificate is not for clients")
	}
	return nil
}

func (r *Room) pool(pem string) (*x509.CertPool, error) {
	key := sha256.Sum256([]byte(pem))
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		return p, nil
	}
	p, err := Authority(pem)
	if err != nil {
		return nil, err
	}
	if len(r.pools) >= maxKept {
		clear(r.pools)
	}
	r.pools[key] = p
	return p, nil
}

// keep remembers a verdict. When there is no place left, all are looked at again: that costs time, and opens nothing.
func (r *Room) keep(key [32]byte, k kept, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= maxKept {
		for at, old := range r.kept {
			if !now.Before(old.until) {
				delete(r.kept, at)
			}
		}
		if len(r.kept) >= maxKept {
			clear(r.kept)
		}
	}
	r.kept[key] = k
}

// digest names a rule and a chain together, each part with its length.
func digest(c *casemate.Certificate, chain [][]byte) (sum [32]byte) {
	h := sha256.New()
	part := func(b []byte) {
		fmt.Fprintf(h, "%d:", len(b)) // a hash takes everything
		h.Write(b)
	}
	part([]byte(c.ID()))
	part([]byte(c.Role))
	part([]byte(c.CA))
	for _, list := range [][]string{c.Pins, c.SAN} {
		fmt.Fprintf(h, "%d;", len(list))
		for _, s := range list {
			part([]byte(s))
		}
	}
	for _, der := range chain {
		part(der)
	}
	h.Sum(sum[:0])
	return sum
}

func soonest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
