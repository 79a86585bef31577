package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// SenderState is one webhook or authorizer as it stands.
type SenderState struct {
	App    string   `json:"app"`
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // webhook, authorizer
	How    string   `json:"how"`
	Role   string   `json:"role"`
	Routes []string `json:"routes"`
	State  string   `json:"state"` // ready, or what is missing
}

// sendersOf lists the webhooks and authorizers that routes of an app take, each once, in the order of the routes.
func (n *node) sendersOf(ctx context.Context, app *catalog.App) (out []SenderState) {
	add := func(s SenderState, route string) {
		i := slices.IndexFunc(out, func(o SenderState) bool { return o.Kind == s.Kind && o.Name == s.Name })
		if i < 0 {
			i, out = len(out), append(out, s)
		}
		out[i].Routes = append(out[i].Routes, route)
	}
	for i := range app.Routes {
		r := &app.Routes[i]
		if w := r.Auth.Webhook; w != nil {
			add(SenderState{App: app.Name, Name: w.Name, Kind: "webhook", Role: w.Role, State: n.hookState(ctx, w),
				How: fmt.Sprintf("%s, within %s, secret %s", w.Scheme, w.Tolerance, strings.Join(w.Secrets, ", "))}, r.ID)
		}
		if x := r.Auth.Authorizer; x != nil {
			memory := "asked every time"
			if x.TTL > 0 {
				memory = "remembered " + x.TTL.String()
			}
			add(SenderState{App: app.Name, Name: x.Name, Kind: "authorizer", Role: x.Role, State: "ready", How: fmt.Sprintf("%s %s by function %s, %s", x.Type, x.Format, x.Function, memory)}, r.ID)
		}
	}
	return out
}

// hookState looks whether a webhook has a secret that can verify anything. No value is opened: its length is known.
func (n *node) hookState(ctx context.Context, w *casemate.Webhook) string {
	for _, name := range w.Secrets {
		if err := (hookSecrets{n.secrets, n.cfg.Place.Account}).there(ctx, name); err != nil {
			return casemate.AsError(err).Message
		}
	}
	return "ready"
}

func (n *node) senders(ctx context.Context) []SenderState {
	snap, out := n.catalog.Snapshot(), []SenderState{}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		out = append(out, n.sendersOf(ctx, app)...)
	}
	return out
}

// senderPosture tells of webhooks that nobody can sign for, and of those whose requests have no time.
func (n *node) senderPosture() (fs []Finding) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	snap := n.catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for _, s := range n.sendersOf(ctx, app) {
			if s.State != "ready" {
				fs = append(fs, Finding{"medium", "weak", s.Kind + " " + name + "/" + s.Name, s.State + ", so every request of it is refused", "casemate secret set NAME"})
			}
		}
		seen := map[string]bool{}
		for i := range app.Routes {
			if w := app.Routes[i].Auth.Webhook; w != nil && w.HMAC != nil && w.HMAC.Timestamp == "" && !seen[w.Name] {
				seen[w.Name] = true
				fs = append(fs, Finding{"low", "weak", "webhook " + name + "/" + w.Name, "its requests are signed without a time: an old one is known as old for a week only", "timestamp: and signed:, when the sender can"})
			}
		}
	}
	return fs
}
