package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/node"
)

func (a *app) sendersCommand() *cobra.Command {
	return &cobra.Command{Use: "senders", Short: "List webhooks and Lambda authorizers: how they verify, for which routes, and whether they can", Args: cobra.NoArgs,
		Long: `Webhooks are senders that sign what they send (webhooks: in casemate.yaml); authorizers are functions that say who a
caller is (authorizers:). A route takes one as auth: [webhook:NAME] or [authorizer:NAME]. Why a request was refused
stands in its record: casemate audit show REQUEST.`,
		Example: "  casemate senders\n  casemate senders --json | jq '.[] | select(.state != \"ready\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []node.SenderState
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
