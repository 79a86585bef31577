package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"

	"github.com/mholt/acmez/v3"
	rfc8555 "github.com/mholt/acmez/v3/acme"
)

// alpnProto is the one protocol that a TLS-ALPN-01 validator offers (RFC 8737 section 4).
const alpnProto = acmez.ACMETLS1Protocol

// answers are what a validator is told while a challenge is open. There is one of each kind for a name at most.
type answers struct {
	mu   sync.Mutex
	alpn map[string]*tls.Certificate // by name
	http map[string]answer           // by name
}

type answer struct{ token, text string }

// Challenge gives the configuration for a handshake of a TLS-ALPN-01 validator (RFC 8737), nil for all others, and for one
// that nobody asked for. The connection carries nothing: it is to be closed when the handshake is done.
func (r *Room) Challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if !slices.Equal(hello.SupportedProtos, []string{alpnProto}) {
		return nil
	}
	name, err := CheckName(hello.ServerName)
	if err != nil {
		return nil
	}
	r.answers.mu.Lock()
	c := r.answers.alpn[name]
	r.answers.mu.Unlock()
	if c == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{alpnProto}, Certificates: []tls.Certificate{*c}, SessionTicketsDisabled: true}
}

// KeyAuthorization is the answer to GET /.well-known/acme-challenge/<token> on the host name (RFC 8555 section 8.3), "" for
// what nobody asked for.
func (r *Room) KeyAuthorization(name, token string) string {
	r.answers.mu.Lock()
	defer r.answers.mu.Unlock()
	if a := r.answers.http[name]; a.token == token {
		return a.text
	}
	return ""
}

// solvers are for the challenges that some listener of ours can answer. Each refuses names that were not listed: what an
// authority sends does not widen what is served.
func (r *Room) solvers() map[string]acmez.Solver {
	m := map[string]acmez.Solver{}
	if r.cfg.ALPN {
		m[rfc8555.ChallengeTypeTLSALPN01] = alpnSolver{r}
	}
	if r.cfg.HTTP {
		m[rfc8555.ChallengeTypeHTTP01] = httpSolver{r}
	}
	return m
}

func (r *Room) listed(c *rfc8555.Challenge) error {
	if c.Identifier.Type != "dns" || !r.Serves(c.Identifier.Value) {
		return fmt.Errorf("the authority asks about %.300q, which was not listed", c.Identifier.Value)
	}
	return nil
}

type alpnSolver struct{ r *Room }

// Present implements acmez.Solver.
func (s alpnSolver) Present(_ context.Context, c rfc8555.Challenge) error {
	if err := s.r.listed(&c); err != nil {
		return err
	}
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	a := &s.r.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alpn == nil {
		a.alpn = map[string]*tls.Certificate{}
	}
	a.alpn[c.Identifier.Value] = cert
	return nil
}

// CleanUp implements acmez.Solver.
func (s alpnSolver) CleanUp(_ context.Context, c rfc8555.Challenge) error {
	s.r.answers.mu.Lock()
	defer s.r.answers.mu.Unlock()
	delete(s.r.answers.alpn, c.Identifier.Value)
	return nil
}

type httpSolver struct{ r *Room }

// Present implements acmez.Solver.
func (s httpSolver) Present(_ context.Context, c rfc8555.Challenge) error {
	if err := s.r.listed(&c); err != nil {
		return err
	}
	a := &s.r.answers
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.http == nil {
		a.http = map[string]answer{}
	}
	a.http[c.Identifier.Value] = answer{c.Token, c.KeyAuthorization}
	return nil
}

// CleanUp implements acmez.Solver.
func (s httpSolver) CleanUp(_ context.Context, c rfc8555.Challenge) error {
	s.r.answers.mu.Lock()
	defer s.r.answers.mu.Unlock()
	delete(s.r.answers.http, c.Identifier.Value)
	return nil
}
