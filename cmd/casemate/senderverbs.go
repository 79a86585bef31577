package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/catalog"
)

// senderState is one webhook or authorizer as it stands.
type senderState struct {
	App    string   `json:"app"`
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // webhook, authorizer
	How    string   `json:"how"`
	Role   string   `json:"role"`
	Routes []string `json:"routes"`
	State  string   `json:"state"` // ready, or what is missing
}

// sendersOf lists the webhooks and authorizers that routes of an app take, each once, in the order of the routes.
func (n *node) sendersOf(ctx context.Context, app *catalog.App) (out []senderState) {
	add := func(s senderState, route string) {
		i := slices.IndexFunc(out, func(o senderState) bool { return o.Kind == s.Kind && o.Name == s.Name })
		if i < 0 {
			i, out = len(out), append(out, s)
		}
		out[i].Routes = append(out[i].Routes, route)
	}
	for i := range app.Routes {
		r := &app.Routes[i]
		if w := r.Auth.Webhook; w != nil {
			add(senderState{App: app.Name, Name: w.Name, Kind: "webhook", Role: w.Role, State: n.hookState(ctx, w),
				How: fmt.Sprintf("%s, within %s, secret %s", w.Scheme, w.Tolerance, strings.Join(w.Secrets, ", "))}, r.ID)
		}
		if x := r.Auth.Authorizer; x != nil {
			memory := "asked every time"
			if x.TTL > 0 {
				memory = "remembered " + x.TTL.String()
			}
			add(senderState{App: app.Name, Name: x.Name, Kind: "authorizer", Role: x.Role, State: "ready", How: fmt.Sprintf("%s %s by function %s, %s", x.Type, x.Format, x.Function, memory)}, r.ID)
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

func (n *node) senders(ctx context.Context) []senderState {
	snap, out := n.catalog.Snapshot(), []senderState{}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		out = append(out, n.sendersOf(ctx, app)...)
	}
	return out
}

// senderPosture tells of webhooks that nobody can sign for, and of those whose requests have no time.
func (n *node) senderPosture() (fs []finding) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	snap := n.catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for _, s := range n.sendersOf(ctx, app) {
			if s.State != "ready" {
				fs = append(fs, finding{"medium", "weak", s.Kind + " " + name + "/" + s.Name, s.State + ", so every request of it is refused", "casemate secret set NAME"})
			}
		}
		seen := map[string]bool{}
		for i := range app.Routes {
			if w := app.Routes[i].Auth.Webhook; w != nil && w.HMAC != nil && w.HMAC.Timestamp == "" && !seen[w.Name] {
				seen[w.Name] = true
				fs = append(fs, finding{"low", "weak", "webhook " + name + "/" + w.Name, "its requests are signed without a time: an old one is known as old for a week only", "timestamp: and signed:, when the sender can"})
			}
		}
	}
	return fs
}

func (a *app) sendersCommand() *cobra.Command {
	return &cobra.Command{Use: "senders", Short: "List webhooks and Lambda authorizers: how they verify, for which routes, and whether they can", Args: cobra.NoArgs,
		Long: `Webhooks are senders that sign what they send (webhooks: in casemate.yaml); authorizers are functions that say who a
caller is (authorizers:). A route takes one as auth: [webhook:NAME] or [authorizer:NAME]. Why a request was refused
stands in its record: casemate audit show REQUEST.`,
		Example: "  casemate senders\n  casemate senders --json | jq '.[] | select(.state != \"ready\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []senderState
			if err := a.call(cmd.Context(), "senders", nil, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				t := newTable("SENDER", "KIND", "HOW", "ROLE", "ROUTES", "STATE")
				for _, s := range list {
					t.add(s.App+"/"+s.Name, s.Kind, s.How, s.Role, strings.Join(s.Routes, ", "), s.State)
				}
				t.print(w)
			})
		}}
}

// takenBy is a credential of a route's auth list as the manifest writes it.
func takenBy(a *casemate.Auth, k casemate.CredentialKind) string {
	switch {
	case k == casemate.CredentialWebhook && a.Webhook != nil:
		return "webhook:" + a.Webhook.Name
	case k == casemate.CredentialAuthorizer && a.Authorizer != nil:
		return "authorizer:" + a.Authorizer.Name
	}
	return string(k)
}
