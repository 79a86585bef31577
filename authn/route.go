package authn

import (
	"context"
	"errors"
	"slices"
	"strings"

	"casemate"
)

// Webhooks verifies what senders signed.
type Webhooks interface {
	// Sent reports whether e carries a signature of w's kind at all.
	Sent(w *casemate.Webhook, e *casemate.Event) bool
	Verify(ctx context.Context, e *casemate.Event, w *casemate.Webhook) (*casemate.Principal, error)
}

// Authorizers asks functions who is calling.
type Authorizers interface {
	Verify(ctx context.Context, e *casemate.Event, m *casemate.Match, a *casemate.Authorizer) (*casemate.Principal, error)
}

// Certificates verifies TLS client certificates, in DER, the leaf first.
type Certificates interface {
	Verify(c *casemate.Certificate, chain [][]byte) (*casemate.Principal, error)
}

// Routed is an Identity that looks at what only a route makes sense of, too: a sender's signature, and whatever an
// authorizer reads, and who holds a TLS client certificate. A nil field refuses those.
type Routed struct {
	*Identity
	Webhooks    Webhooks
	Authorizers Authorizers

	Certificates Certificates
}

// Verify says whose event e is. A credential of a kind that the route takes is looked at as what it is, and by nobody else
// when it does not hold; anything else is for the route's rule about certificates, where one was shown, or for the route's sender or authorizer, when it has one: for the sender where
// there are both and its signature was sent. On an open route a credential that is strange here is nobody's.
// What came beside the credential that holds proves nothing, and is refused where it could.
func (r *Routed) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	if m == nil || m.Route == nil {
		return r.Identity.Verify(ctx, e, m)
	}
	a := &m.Route.Auth
	switch kind := e.Credential.Kind; {
	case kind == casemate.CredentialRun:
		if err := still(a, e.Credential.As); err != nil {
			return refused(nil, err)
		}
	case kind != casemate.CredentialAuthorizer && slices.Contains(a.Kinds, kind):
	case a.Certificate != nil && r.Certificates != nil && len(e.Credential.Chain) > 0:
		return refused(r.Certificates.Verify(a.Certificate, e.Credential.Chain))
	case a.Webhook != nil && r.Webhooks != nil && (a.Authorizer == nil || r.Webhooks.Sent(a.Webhook, e)):
		return refused(r.Webhooks.Verify(ctx, e, a.Webhook))
	case a.Authorizer != nil && r.Authorizers != nil:
		return refused(r.Authorizers.Verify(ctx, r.question(e, a.Authorizer), m, a.Authorizer))
	case a.Anonymous() && r.strange(e):
		return &casemate.Principal{}, nil
	}
	p, err := r.Identity.Verify(ctx, e, m)
	if err == nil {
		err = r.aside(e, a, p)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// still looks at the route again when an event that was accepted by it is run: a sender or an authorizer that was taken
// away takes along what is queued in its name.
func still(a *casemate.Auth, p *casemate.Principal) error {
	switch {
	case p == nil:
	case p.Kind == casemate.KindWebhook && (a.Webhook == nil || a.Webhook.ID() != p.ID || a.Webhook.Role != p.Role):
		return errors.New("the webhook that queued the event is not taken any more")
	case p.Kind == casemate.KindCertificate && (a.Certificate == nil || !strings.HasPrefix(p.ID, a.Certificate.ID()+"|") || a.Certificate.Role != p.Role):
		return errors.New("the certificate that queued the event is not taken any more")
	case p.Kind == casemate.KindAuthorizer && (a.Authorizer == nil || p.Tags[authorizerTag] != a.Authorizer.ID() || a.Authorizer.Role != p.Role):
		return errors.New("the authorizer of who queued the event is not asked any more")
	}
	return nil
}

// authorizerTag is the tag that names who vouched for a principal.
const authorizerTag = "authorizer"
