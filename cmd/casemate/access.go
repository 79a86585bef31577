package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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

// accessQuestion asks for an access key.
type accessQuestion struct {
	User   string   `json:"user"`
	Role   string   `json:"role"`
	App    string   `json:"app,omitempty"`
	Grants []string `json:"grants,omitempty"` // narrows what the role may; short form
	TTL    string   `json:"ttl,omitempty"`
}

// madeAccess is the one time that an access key's secret is seen.
type madeAccess struct {
	ID     string     `json:"aws_access_key_id"`
	Secret string     `json:"aws_secret_access_key"`
	Key    access.Key `json:"key"`
}

// cutQuestion names what to end: an access key, a session, or all sessions of a role.
type cutQuestion struct {
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

func (n *node) createAccess(ctx context.Context, l *casemate.Launch, q accessQuestion) (any, error) {
	if err := covers(l, n.judge, "casemate:CreateAccessKey", "access", q.Role); err != nil {
		return nil, err
	}
	if q.Role != authn.RoleOperator && !n.catalog.Snapshot().HasRole(q.Role) || strings.HasPrefix(q.Role, "function/") {
		return nil, &casemate.Error{Code: casemate.NotFound, Field: "role", Message: fmt.Sprintf("there is no role %q", q.Role), Hint: "declare it under roles: in casemate.yaml and deploy"}
	}
	r := access.KeyRequest{User: q.User, Role: q.Role, By: l.Principal.Name()}
	var err error
	if r.Scope, err = scope(n.cfg.Place, keyQuestion{Name: q.User, App: q.App, Grants: q.Grants}); err != nil {
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
	return madeAccess{ID: k.ID, Secret: secret, Key: k}, nil
}

func (n *node) revokeAccess(ctx context.Context, l *casemate.Launch, q cutQuestion) (any, error) {
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

func (a *app) accessCommand() *cobra.Command {
	c := &cobra.Command{Use: "access", Short: "Create, list and revoke AWS access keys, and end sessions",
		Long: `Access keys are for clients outside that sign as AWS's SDKs do: with them, routes and function URLs that take sigv4, and
AWS's services at the address that casemate up prints for AWS_ENDPOINT_URL. Better than a key that lives for months is a
session: a role that trusts an issuer is assumed with a CI job's own token, and nothing is stored.`}
	c.AddCommand(a.accessCreate(), a.accessList(), a.accessRevoke())
	return c
}

func (a *app) accessCreate() *cobra.Command {
	var q accessQuestion
	var out string
	c := &cobra.Command{Use: "create", Short: "Make an access key; its secret is shown once", Args: cobra.NoArgs,
		Long:    "Makes an access key of a user. To rotate, make a second one, change over, revoke the first: a user has room for two.",
		Example: "  casemate access create --role clerk --user till-3\n  casemate access create --role clerk --ttl 24h --out credentials\n  AWS_SHARED_CREDENTIALS_FILE=credentials aws --endpoint-url http://127.0.0.1:4566 sts get-caller-identity",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.User == "" {
				q.User = q.Role
			}
			file, err := keyFile(out)
			if err != nil {
				return err
			}
			var k madeAccess
			if err := a.callOn(cmd.Context(), q.Role, "access.create", q, &k); err != nil {
				file.abandon()
				return err
			}
			profile := "[default]\naws_access_key_id = " + k.ID + "\naws_secret_access_key = " + k.Secret
			if file != nil {
				if err := file.write(profile); err != nil {
					return err
				}
				k.Secret = ""
			}
			return a.show(k, func(w io.Writer) {
				if k.Secret != "" {
					fmt.Fprintln(w, profile)
				}
				fmt.Fprintf(a.errs, "access key %s of %s, role %s, until %s; the secret cannot be shown again\n", k.ID, k.Key.User, k.Key.Role, when(k.Key.Expires))
			})
		}}
	c.Flags().StringVar(&q.Role, "role", "", "role whose grants the key holds (required)")
	c.Flags().StringVar(&q.User, "user", "", "whom it is for; two keys of one user are one caller (default: the role)")
	c.Flags().StringVar(&q.App, "app", "", "app that --grant speaks of")
	c.Flags().StringArrayVar(&q.Grants, "grant", nil, "narrow the key to this, in short form; may be repeated")
	c.Flags().StringVar(&q.TTL, "ttl", "", "lifetime: 24h, 720h (default 90 days, a year at most)")
	c.Flags().StringVarP(&out, "out", "o", "", "write it to this file (mode 0600), as AWS_SHARED_CREDENTIALS_FILE wants it, instead of printing it")
	_ = c.MarkFlagRequired("role")
	return c
}

func (a *app) accessList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List access keys, never their secrets", Args: cobra.NoArgs,
		Example: "  casemate access list", RunE: func(cmd *cobra.Command, _ []string) error {
			var keys []access.Key
			if err := a.call(cmd.Context(), "access.list", nil, &keys); err != nil {
				return err
			}
			return a.show(keys, func(w io.Writer) {
				t := newTable("ID", "USER", "ROLE", "SCOPE", "EXPIRES", "LAST USED", "STATE", "BY")
				for i := range keys {
					k := &keys[i]
					state := "live"
					if !k.Revoked.IsZero() {
						state = "revoked"
					} else if !k.Live(time.Now()) {
						state = "expired"
					}
					t.add(k.ID, k.User, k.Role, scopeText(k.Scope), when(k.Expires), when(k.LastUsed), state, or(k.By, "-"))
				}
				t.print(w)
			})
		}}
}

func (a *app) accessRevoke() *cobra.Command {
	var q cutQuestion
	c := &cobra.Command{Use: "revoke [ID]", Short: "End an access key with its sessions, one session, or all of a role", Args: cobra.MaximumNArgs(1),
		Example: "  casemate access revoke AKIA...\n  casemate access revoke ASIA...\n  casemate access revoke --role deployer",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.ID = args[0]
			}
			if (q.ID == "") == (q.Role == "") {
				return casemate.Errorf(casemate.Invalid, "casemate access list shows them", "name an access key, a session or --role")
			}
			var k access.Key
			if err := a.call(cmd.Context(), "access.revoke", q, &k); err != nil {
				return err
			}
			return a.show(k, func(w io.Writer) {
				switch {
				case q.Role != "":
					fmt.Fprintf(w, "every session of role %s has ended\n", q.Role)
				case k.User == "":
					fmt.Fprintf(w, "session %s has ended\n", q.ID)
				default:
					fmt.Fprintf(w, "revoked %s of %s, with its sessions\n", k.ID, k.User)
				}
			})
		}}
	c.Flags().StringVar(&q.Role, "role", "", "end every session of this role that was assumed up to now")
	return c
}

// accessPosture looks at keys that live long, do everything or are not used.
func (n *node) accessPosture(now time.Time) (fs []finding) {
	for _, k := range n.access.List() {
		what := "access key " + k.ID + " (" + k.User + ")"
		switch {
		case !k.Live(now):
		case k.Role == authn.RoleOperator && k.Scope == nil:
			fs = append(fs, finding{"medium", "weak", what, "it may do everything that an operator may", "casemate access revoke " + k.ID})
		case k.LastUsed.IsZero() && now.Sub(k.Created) > 30*24*time.Hour, !k.LastUsed.IsZero() && now.Sub(k.LastUsed) > 90*24*time.Hour:
			fs = append(fs, finding{"low", "expired", what, "nobody uses it", "casemate access revoke " + k.ID})
		}
	}
	return fs
}
