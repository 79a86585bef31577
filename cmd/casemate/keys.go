package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/authn"
	"casemate/node"
)

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Create, list and revoke API keys"}
	c.AddCommand(a.keysCreate(), a.keysList(), a.keysRevoke())
	return c
}

func (a *app) keysCreate() *cobra.Command {
	var q node.KeyQuestion
	var out string
	c := &cobra.Command{Use: "create", Short: "Make a key; its secret is shown once", Args: cobra.NoArgs,
		Example: "  casemate keys create --role clerk --name till-3\n  casemate keys create --role clerk --grant 'call GET /orders/{id}' --app orders --ttl 24h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var k node.MadeKey
			if q.Name == "" {
				q.Name = q.Role
			}
			file, err := keyFile(out)
			if err != nil {
				return err
			}
			if err := a.callOn(cmd.Context(), q.Role, "keys.create", q, &k); err != nil {
				file.abandon()
				return err
			}
			if file != nil {
				if err := file.write(k.Secret); err != nil {
					return err
				}
				k.Secret = ""
			}
			return a.show(k, func(w io.Writer) {
				if k.Secret != "" {
					fmt.Fprintln(w, k.Secret)
				}
				fmt.Fprintf(a.errs, "key %s of role %s, until %s; the secret is not kept and cannot be shown again\n", k.Key.ID, k.Key.Role, when(k.Key.Expires))
			})
		}}
	c.Flags().StringVar(&q.Role, "role", "", "role whose grants the key holds (required)")
	c.Flags().StringVar(&q.Name, "name", "", "name for lists and records (default: the role)")
	c.Flags().StringVar(&q.Plan, "plan", "", "usage plan that bounds the key: its rate, concurrency, daily and monthly quota (default: the role's, if it names one)")
	c.Flags().StringVar(&q.App, "app", "", "app that --grant speaks of")
	c.Flags().StringArrayVar(&q.Grants, "grant", nil, "narrow the key to this, in short form; may be repeated")
	c.Flags().StringVar(&q.TTL, "ttl", "", "lifetime: 24h, 720h (default 90 days)")
	c.Flags().StringVar(&q.Reason, "reason", "", "why it may live longer than a year")
	c.Flags().StringVarP(&out, "out", "o", "", "write the secret to this file (mode 0600) instead of printing it")
	_ = c.MarkFlagRequired("role")
	return c
}

// newKeyFile is made before the key: a secret that cannot be written is lost, and the key is there nevertheless.
type newKeyFile struct{ f *os.File }

// keyFile makes the file; none without a name. One that is there may be the only copy of another key, or open to others.
func keyFile(name string) (*newKeyFile, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, &casemate.Error{Code: casemate.Conflict, Field: "--out", Message: name + " exists, and nothing is overwritten", Hint: "choose another name, or remove it first", Err: err}
	case err != nil:
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--out", Message: name + " cannot be made", Hint: "name a file in a folder that you may write to", Err: err}
	}
	return &newKeyFile{f}, nil
}

func (k *newKeyFile) write(secret string) error {
	_, err := k.f.WriteString(secret + "\n")
	if err := errors.Join(err, k.f.Close()); err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	return nil
}

// abandon takes the empty file away again.
func (k *newKeyFile) abandon() {
	if k != nil {
		_ = k.f.Close() // nothing was written
		_ = os.Remove(k.f.Name())
	}
}

func (a *app) keysList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List keys, never their secrets", Args: cobra.NoArgs,
		Example: "  casemate keys list", RunE: func(cmd *cobra.Command, _ []string) error {
			var keys []authn.Key
			if err := a.call(cmd.Context(), "keys.list", nil, &keys); err != nil {
				return err
			}
			return a.show(keys, func(w io.Writer) {
				t := newTable("ID", "NAME", "ROLE", "SCOPE", "EXPIRES", "LAST USED", "STATE", "BY", "PLAN")
				for i := range keys {
					k := &keys[i]
					t.add(k.ID, k.Name, k.Role, scopeText(k.Scope), when(k.Expires), when(k.LastUsed), keyState(k), or(k.By, "-"), or(k.Plan, "-"))
				}
				t.print(w)
			})
		}}
}

func keyState(k *authn.Key) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked"
	case !k.Live(time.Now()):
		return "expired"
	}
	return "live"
}

func scopeText(s []casemate.Statement) string {
	if s == nil {
		return "all of the role"
	}
	var parts []string
	for i := range s {
		parts = append(parts, strings.Join(s[i].Action, ","))
	}
	return strings.Join(parts, " ")
}

func (a *app) keysRevoke() *cobra.Command {
	return &cobra.Command{Use: "revoke ID", Short: "End a key; the next request with it is refused", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var k authn.Key
		if err := a.call(cmd.Context(), "keys.revoke", node.IDQuestion{ID: args[0]}, &k); err != nil {
			return err
		}
		return a.show(k, func(w io.Writer) { fmt.Fprintf(w, "revoked %s (%s)\n", k.ID, k.Name) })
	}}
}
