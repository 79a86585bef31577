package node

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/authn/access"
	"casemate/catalog"
	"casemate/gate"
)

func (n *node) openAccess(ctx context.Context) (err error) {
	n.access, err = access.Open(ctx, access.Config{Store: n.store, Vault: n.secrets.Vault(n.cfg.Place.Account), Place: n.cfg.Place, Clock: time.Now, Log: n.cfg.Log,
		Role: func(name string) bool { return n.catalog.Snapshot().HasRole(name) }, Stands: n.stands})
	if err != nil {
		return err
	}
	n.onClose(n.access.Close)
	return nil
}

// stands says whether what a session came from still holds, where it is no access key and no other session.
func (n *node) stands(origin string) bool {
	kind, what, _ := strings.Cut(origin, "/")
	switch kind {
	case "key":
		return slices.ContainsFunc(n.identity.ListKeys(), func(k authn.Key) bool { return k.ID == what && k.Live(time.Now()) })
	case "issuer":
		what, _, _ = strings.Cut(what, "/")
		name, err := url.QueryUnescape(what)
		return err == nil && slices.ContainsFunc(n.catalog.Snapshot().Issuers(), func(i casemate.Issuer) bool { return i.Issuer == name })
	case "run":
		return n.identity.HasSandbox(what)
	}
	return false
}

// cutRoles ends the sessions of roles that a deploy took away, or that trust nobody any more: none comes back with a role of
// the same name.
func (n *node) cutRoles(s *catalog.Snapshot) {
	now := map[string]bool{}
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for role := range app.Roles {
			if len(app.Roles[role].Trust) > 0 { // the others nobody assumes
				now[role] = true
			}
		}
	}
	for role := range n.roles {
		if !now[role] {
			if err := n.access.CutRole(context.Background(), role); err != nil {
				n.cfg.Log.Error("sessions of a role that is gone", "role", role, "err", err)
			}
		}
	}
	n.roles = now
}

// accessed is an Identity that knows what the platform's own access keys and sessions sign, beside what next knows.
type accessed struct {
	gate.Identity
	access *access.Room
}

// Verify implements gate.Identity.
func (a accessed) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	switch c := &e.Credential; c.Kind {
	case casemate.CredentialAccess:
		if m == nil || m.Route == nil || slices.Contains(m.Route.Auth.Kinds, casemate.CredentialAccess) {
			return a.access.Verify(ctx, e, m)
		}
	case casemate.CredentialSigned:
		if p, mine, err := a.access.Inside(ctx, e); mine {
			return p, err
		}
	case casemate.CredentialRun:
		if c.As != nil && c.Secret == "" && (c.As.Kind == casemate.KindAccess || c.As.Kind == casemate.KindSession) {
			return a.access.Still(c.As)
		}
	}
	return a.Identity.Verify(ctx, e, m)
}

// AccessQuestion asks for an access key.
type AccessQuestion struct {
	User   string   `json:"user"`
	Role   string   `json:"role"`
	App    string   `json:"app,omitempty"`
	Grants []string `json:"grants,omitempty"` // narrows what the role may; short form
	TTL    string   `json:"ttl,omitempty"`
}

// MadeAccess is the one time that an access key's secret is seen.
type MadeAccess struct {
	ID     string     `json:"aws_access_key_id"`
	Secret string     `json:"aws_secret_access_key"`
	Key    access.Key `json:"key"`
}

// CutQuestion names what to end: an access key, a session, or all sessions of a role.
type CutQuestion struct {
	ID   string `json:"id,omitempty"`
	Role string `json:"role,omitempty"`
}

func (n *node) accessBuiltins() map[string]builtin {
	return map[string]builtin{
		"access.create": named(question("casemate:CreateAccessKey", "access", n.createAccess)),
		"access.list": question("casemate:ListAccessKeys", "access", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return n.access.List(), nil
		}),
		"access.revoke": named(question("casemate:RevokeAccessKey", "access", n.revokeAccess)),
	}
}

func (n *node) createAccess(ctx context.Context, l *casemate.Launch, q AccessQuestion) (any, error) {
	if err := covers(l, n.judge, "casemate:CreateAccessKey", "access", q.Role); err != nil {
		return nil, err
	}
	if q.Role != authn.RoleOperator && !n.catalog.Snapshot().HasRole(q.Role) || strings.HasPrefix(q.Role, "function/") {
		return nil, &casemate.Error{Code: casemate.NotFound, Field: "role", Message: fmt.Sprintf("there is no role %q", q.Role), Hint: "declare it under roles: in casemate.yaml and deploy"}
	}
	r := access.KeyRequest{User: q.User, Role: q.Role, By: l.Principal.Name()}
	var err error
	if r.Scope, err = scope(n.cfg.Place, KeyQuestion{Name: q.User, App: q.App, Grants: q.Grants}); err != nil {
		return nil, err
	}
	if q.TTL != "" {
		if r.TTL, err = time.ParseDuration(q.TTL); err != nil || r.TTL <= 0 {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "ttl", Message: "not a positive duration in h, m or s", Hint: "24h is a day, 720h are 30 days"}
		}
	}
	secret, k, err := n.access.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	return MadeAccess{ID: k.ID, Secret: secret, Key: k}, nil
}

func (n *node) revokeAccess(ctx context.Context, l *casemate.Launch, q CutQuestion) (any, error) {
	role := q.Role
	for _, k := range n.access.List() {
		if k.ID == q.ID {
			role = k.Role
		}
	}
	if err := covers(l, n.judge, "casemate:RevokeAccessKey", "access", role); err != nil {
		return nil, err
	}
	switch {
	case (q.ID == "") == (q.Role == ""):
		return nil, casemate.Errorf(casemate.Invalid, "name an access key, a session or --role", "name one thing to revoke")
	case q.Role != "":
		return q, n.access.CutRole(ctx, q.Role)
	case strings.HasPrefix(q.ID, "ASIA"):
		return q, n.access.CutSession(ctx, q.ID)
	}
	return n.access.Revoke(ctx, q.ID)
}

// accessPosture looks at keys that live long, do everything or are not used.
func (n *node) accessPosture(now time.Time) (fs []Finding) {
	for _, k := range n.access.List() {
		what := "access key " + k.ID + " (" + k.User + ")"
		switch {
		case !k.Live(now):
		case k.Role == authn.RoleOperator && k.Scope == nil:
			fs = append(fs, Finding{"medium", "weak", what, "it may do everything that an operator may", "casemate access revoke " + k.ID})
		case k.LastUsed.IsZero() && now.Sub(k.Created) > 30*24*time.Hour, !k.LastUsed.IsZero() && now.Sub(k.LastUsed) > 90*24*time.Hour:
			fs = append(fs, Finding{"low", "expired", what, "nobody uses it", "casemate access revoke " + k.ID})
		}
	}
	return fs
}
