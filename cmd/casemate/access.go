package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/authn/access"
	"casemate/node"
)

func (a *app) accessCommand() *cobra.Command {
	c := &cobra.Command{Use: "access", Short: "Create, list and revoke AWS access keys, and end sessions",
		Long: `Access keys are for clients outside that sign as AWS's SDKs do: with them, routes and function URLs that take sigv4, and
AWS's services at the address that casemate up prints for AWS_ENDPOINT_URL. Better than a key that lives for months is a
session: a role that trusts an issuer is assumed with a CI job's own token, and nothing is stored.`}
	c.AddCommand(a.accessCreate(), a.accessList(), a.accessRevoke())
	return c
}

func (a *app) accessCreate() *cobra.Command {
	var q node.AccessQuestion
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
			var k node.MadeAccess
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
	var q node.CutQuestion
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
