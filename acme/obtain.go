package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	weak "math/rand/v2"
	"slices"
	"time"

	"github.com/mholt/acmez/v3"
	rfc8555 "github.com/mholt/acmez/v3/acme"

	"casemate"
)

// Bounds of one attempt, and of what an authority may send.
const (
	obtainTime = 5 * time.Minute
	maxChain   = 64 << 10 // bytes
	askEvery   = 6 * time.Hour
	tryAgain   = time.Minute // between two attempts that an operator asks for
)

// How long after failures: doubled with each, up to maxPause. Authorities bound failed validations to a few an hour; one
// that could not be reached counted nothing.
const (
	pauseDown    = time.Minute
	pauseRefused = 15 * time.Minute
	pauseLimited = time.Hour
	maxPause     = 12 * time.Hour
)

// take gets the turn; give gives it back.
func (r *Room) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Room) give() { <-r.turn }

// round does what is due: it asks when to renew, and obtains.
func (r *Room) round(ctx context.Context) {
	if r.take(ctx) != nil {
		return
	}
	defer r.give()
	for _, name := range slices.Sorted(maps.Keys(r.slots)) {
		s := r.slots[name]
		if ctx.Err() != nil {
			return
		}
		now := r.cfg.Clock()
		if now.Before(s.entry.Load().Next) {
			continue
		}
		c := s.serving.Load()
		due := func() bool { return c == nil || !now.Before(s.entry.Load().renew(c.Leaf)) }
		if !due() && !now.Before(s.entry.Load().Ask) {
			r.ask(ctx, s, c.Leaf)
		}
		if due() {
			_ = r.obtain(ctx, s) // said there
		}
	}
}

// Renew obtains a certificate for name now, whatever is due; "" is every name. freshAccount leaves the account behind that the
// authority does not take any more. An error says what to do about it; the old certificate is served on.
func (r *Room) Renew(ctx context.Context, name string, freshAccount bool) error {
	if name != "" && !r.Serves(name) {
		return &casemate.Error{Code: casemate.NotFound, Field: "name", Message: fmt.Sprintf("%.300q was not listed", name), Hint: "casemate up --acme-domain lists the names"}
	}
	if err := r.take(ctx); err != nil {
		return err
	}
	defer r.give()
	if freshAccount {
		if err := r.dropAccount(ctx); err != nil {
			return err
		}
	}
	var errs []error
	for _, n := range slices.Sorted(maps.Keys(r.slots)) {
		if name != "" && n != name {
			continue
		}
		s, now := r.slots[n], r.cfg.Clock()
		if wait := s.tried.Add(tryAgain).Sub(now); wait > 0 && !s.tried.After(now) {
			errs = append(errs, casemate.Errorf(casemate.Exhausted, "authorities count attempts, and shut out who makes many", "%s was tried a moment ago; wait %s", n, wait.Round(time.Second)))
			continue
		}
		s.tried = now
		errs = append(errs, r.obtain(ctx, s))
	}
	return errors.Join(errs...)
}

// obtain gets one certificate; the caller has the turn. What goes wrong is logged and kept.
func (r *Room) obtain(ctx context.Context, s *slot) error {
	within, cancel := context.WithTimeout(ctx, obtainTime)
	defer cancel()
	r.cfg.Log.Info("asking for a certificate", "name", s.name, "authority", r.cfg.Directory)
	c, err := r.order(within, s)
	if err == nil {
		r.cfg.Log.Info("serving a new TLS certificate", "name", s.name, "until", c.Leaf.NotAfter, "issuer", c.Leaf.Issuer.CommonName)
		return nil
	}
	if ctx.Err() != nil { // the node is stopping, or who asked is gone: that says nothing about the authority
		return ctx.Err()
	}
	refused := told(s.name, r.cfg.Directory, err)
	e := *s.entry.Load()
	e.Failures++
	e.Error = refused.Message
	e.Next = r.cfg.Clock().Add(pause(err, e.Failures))
	if err := r.save(ctx, s, &e); err != nil {
		r.cfg.Log.Error("that a certificate was not obtained is not written down", "name", s.name, "err", err)
	}
	say := []any{"name", s.name, "err", refused.Message, "hint", refused.Hint, "failures", e.Failures, "next", e.Next}
	if old := s.serving.Load(); old != nil {
		say = append(say, "served until", old.Leaf.NotAfter)
	}
	r.cfg.Log.Error("no certificate was obtained", say...)
	return refused
}

// pause is how long to wait after the nth failure in a row, spread a little so that many nodes do not come at once.
func pause(err error, n int) time.Duration {
	base := pauseDown
	var p rfc8555.Problem
	if errors.As(err, &p) {
		base = pauseRefused
		if p.Type == rfc8555.ProblemTypeRateLimited {
			base = pauseLimited
		}
	}
	d := min(base<<min(n-1, 10), maxPause)
	return d + time.Duration(weak.Int64N(int64(d)/10))
}

// order is one order from its account to the stored certificate.
func (r *Room) order(ctx context.Context, s *slot) (*tls.Certificate, error) {
	c := r.talk()
	account, err := r.account(ctx, c)
	if err != nil {
		return nil, err
	}
	chain, key, err := r.issue(ctx, c, account, s)
	var p rfc8555.Problem
	if errors.As(err, &p) && p.Type == rfc8555.ProblemTypeAccountDoesNotExist { // the authority lost it: there is nothing to lose in another
		if err := r.dropAccount(ctx); err != nil {
			return nil, err
		}
		if account, err = r.account(ctx, c); err != nil {
			return nil, err
		}
		chain, key, err = r.issue(ctx, c, account, s)
	}
	if err != nil {
		return nil, err
	}
	defer clear(key)
	got, err := pair(s.name, chain, key)
	if err != nil {
		return nil, fmt.Errorf("the authority sent what cannot be served: %w", err)
	}
	if now := r.cfg.Clock(); !now.Before(got.Leaf.NotAfter) {
		return nil, fmt.Errorf("the authority sent a certificate that ended on %s", got.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return got, r.keep(ctx, s, got, &entry{Chain: chain, Account: account.Location}, key)
}

// issue gives a certificate chain and a key made for it alone, both in PEM.
func (r *Room) issue(ctx context.Context, c *acmez.Client, account rfc8555.Account, s *slot) (chain string, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	csr, err := acmez.NewCSR(key, []string{s.name})
	if err != nil {
		return "", nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return "", nil, err
	}
	dir, err := c.GetDirectory(ctx)
	if err != nil {
		return "", nil, err
	}
	old := s.serving.Load()
	if old != nil && dir.RenewalInfo != "" && len(old.Leaf.AuthorityKeyId) > 0 && s.entry.Load().Account == account.Location {
		params.Replaces = old.Leaf // authorities refuse an order that names another account's (RFC 9773 section 5)
	}
	chains, err := c.ObtainCertificate(ctx, params)
	if err != nil {
		return "", nil, err
	}
	if len(chains) == 0 || len(chains[0].ChainPEM) > maxChain {
		return "", nil, errors.New("the authority sent no chain, or one without an end")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	defer clear(der)
	return string(chains[0].ChainPEM), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ask asks the authority when it wants the certificate renewed (RFC 9773): at once, when it is about to be revoked. No answer
// is no reason for anything.
func (r *Room) ask(ctx context.Context, s *slot, leaf *x509.Certificate) {
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	e := *s.entry.Load()
	e.Ask = r.cfg.Clock().Add(askEvery)
	info, err := r.talk().GetRenewalInfo(within, leaf)
	if w := info.SuggestedWindow; err == nil && (e.Window.Before(w.Start) || e.Window.After(w.End)) { // else the moment drawn before stands
		e.Window = info.SelectedTime
	}
	if err != nil && !errors.Is(err, rfc8555.ErrUnsupported) {
		r.cfg.Log.Warn("the authority does not say when to renew", "name", s.name, "err", short(err.Error()))
	}
	if ctx.Err() != nil {
		return
	}
	if err := r.save(ctx, s, &e); err != nil {
		r.cfg.Log.Error("when to renew a certificate is not written down", "name", s.name, "err", err)
	}
}

func leafOf(chain string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return nil, errors.New("no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
