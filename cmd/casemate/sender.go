package main

import (
	"context"
	"fmt"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/authn/authorizer"
	"casemate/authn/certificate"
	"casemate/authn/webhook"
	"casemate/catalog"
	"casemate/policy"
	"casemate/secret"
)

// openSenders opens what only a route makes sense of: the signatures of webhooks, and what authorizers read.
func (n *node) openSenders(ctx context.Context) error {
	hooks, err := webhook.Open(ctx, webhook.Config{Store: n.store, Secrets: hookSecrets{n.secrets, n.cfg.Place.Account}, Place: n.cfg.Place, Clock: time.Now, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.onClose(hooks.Close)
	askers, err := authorizer.New(authorizer.Config{Parse: policy.Parse, Place: n.cfg.Place, Clock: time.Now,
		Handler: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) { return n.gate.Handle(ctx, e) }}) // nobody asks before there is a gate
	if err != nil {
		return err
	}
	n.who = &authn.Routed{Identity: n.identity, Webhooks: hooks, Authorizers: askers, Certificates: certificate.New(n.cfg.Place, time.Now)}
	return nil
}

// takesCertificates reports whether any route takes TLS client certificates: only then are peers asked for one.
func takesCertificates(s *catalog.Snapshot) bool {
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for i := range app.Routes {
			if app.Routes[i].Auth.Certificate != nil {
				return true
			}
		}
	}
	return false
}

// hookSecrets opens what senders sign with, from the secret room.
type hookSecrets struct {
	room    *secret.Room
	account string
}

// rotationGrace is how long the value before the current one is taken after a rotation, as senders need it to change over;
// Stripe has the same (https://docs.stripe.com/webhooks#roll-endpoint-secrets).
const rotationGrace = 24 * time.Hour

// item finds a secret that has a current value and is not to be deleted.
func (s hookSecrets) item(ctx context.Context, name string) (*secret.Item, *secret.Version, error) {
	it, err := s.room.Get(ctx, secret.ID{Account: s.account, Kind: secret.KindSecret, Name: name})
	if err != nil && casemate.CodeOf(err) != casemate.NotFound {
		return nil, nil, err
	}
	if err == nil && it.Marked.IsZero() {
		if v := it.Staged("AWSCURRENT"); v != nil {
			return it, v, nil
		}
	}
	return nil, nil, casemate.Errorf(casemate.NotFound, "casemate secret set "+name, "its secret %s is not there", name)
}

// there is nil when a secret can verify something.
func (s hookSecrets) there(ctx context.Context, name string) error {
	_, v, err := s.item(ctx, name)
	if err == nil && v.Size < webhook.MinSecret {
		err = casemate.Errorf(casemate.Invalid, "casemate secret set "+name, "its secret %s is shorter than %d bytes", name, webhook.MinSecret)
	}
	return err
}

// Open implements webhook.Secrets.
func (s hookSecrets) Open(ctx context.Context, name string, use func(values [][]byte)) error {
	it, now, err := s.item(ctx, name)
	if err != nil {
		return err
	}
	versions := []string{now.ID}
	if before := it.Staged("AWSPREVIOUS"); before != nil && before.ID != now.ID && time.Since(now.Created) < rotationGrace {
		versions = append(versions, before.ID)
	}
	var values [][]byte
	for _, v := range versions {
		text, err := s.room.Reveal(ctx, it, v)
		if err != nil {
			return fmt.Errorf("opening secret %s: %w", name, err)
		}
		defer text.Wipe()
		values = append(values, text.Expose())
	}
	s.room.Touch(ctx, it)
	use(values)
	return nil
}
