package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/authn/device"
	"casemate/authn/operator"
	"casemate/authn/passkey"
	"casemate/front/admin"
	"casemate/service/signin"
)

func (a *app) passkeyCommand() *cobra.Command {
	c := &cobra.Command{Use: "passkey", Short: "List and remove passkeys; they are made in a browser",
		Long: "Passkeys are made and used at the node's sign-in page: https://node:8444/signin (casemate up --admin, --admin-origin)."}
	c.AddCommand(a.passkeyList(), a.passkeyRemove())
	return c
}

func (a *app) passkeyList() *cobra.Command {
	var own bool
	var of string
	c := &cobra.Command{Use: "list", Short: "List passkeys, whose they are, when they were last used", Args: cobra.NoArgs,
		Example: "  casemate operator passkey list\n  casemate --url https://node:8444 operator passkey list --own", RunE: func(cmd *cobra.Command, _ []string) error {
			op, q := "passkey.list-all", any(signin.ListQuestion{Operator: of})
			if own {
				op, q = "passkey.list", nil
			}
			list := []passkey.Passkey{}
			if err := a.call(cmd.Context(), op, q, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				t := newTable("ID", "OPERATOR", "NAME", "HOST", "MADE", "LAST USED", "NOTE")
				for i := range list {
					k, note := &list[i], "-"
					switch {
					case !k.Copied.IsZero():
						note = "COPIED: it opens nothing since " + when(k.Copied)
					case k.Synced:
						note = "on all devices of its owner"
					}
					t.add(k.ID, k.Operator, k.Name, k.Host, when(k.Created), when(k.LastUsed), note)
				}
				t.print(w)
			})
		}}
	c.Flags().BoolVar(&own, "own", false, "only your own, which needs no role")
	c.Flags().StringVar(&of, "operator", "", "only of this operator")
	return c
}

func (a *app) passkeyRemove() *cobra.Command {
	var own bool
	c := &cobra.Command{Use: "remove ID", Short: "Remove a passkey: of an operator, whose sessions end, or with --own of yours", Args: cobra.ExactArgs(1),
		Long:    "Removes a passkey. One of your own takes your password, read from the terminal or standard input, and cannot be your last\nsecond factor.",
		Example: "  casemate operator passkey remove pk_0123456789abcdef01234567", RunE: func(cmd *cobra.Command, args []string) error {
			op, q := "passkey.remove-any", signin.RemoveQuestion{ID: args[0]}
			if own {
				password, err := a.prompt("password", true)
				if err != nil {
					return err
				}
				op, q.Password = "passkey.remove", password
			}
			var r signin.Removed
			if err := a.call(cmd.Context(), op, q, &r); err != nil {
				return err
			}
			return a.show(r, func(w io.Writer) {
				fmt.Fprintf(w, "removed %s (%s) of %s\n", r.Passkey.ID, r.Passkey.Name, r.Passkey.Operator)
			})
		}}
	c.Flags().BoolVar(&own, "own", false, "it is your own, which needs no role")
	return c
}

// loginByBrowser has an operator who is signed in at the node's page approve this command line (RFC 8628).
func (a *app) loginByBrowser(ctx context.Context) error {
	s, err := readSession(a.url)
	if err != nil {
		return err
	}
	pem, err := a.authority(&s)
	if err != nil {
		return err
	}
	c, err := admin.DialSession(a.url, "", pem)
	if err != nil {
		return err
	}
	defer c.Close()
	name, err := os.Hostname()
	if err != nil {
		name = "a machine without a name"
	}
	var code signin.Code
	if err := c.Call(ctx, "signin.code.begin", signin.CodeQuestion{Client: "casemate on " + name[:min(len(name), 40)]}, &code); err != nil {
		return err
	}
	fmt.Fprintf(a.errs, "open %s\nand approve it only if it shows the code %s. Waiting until %s.\n", code.Page, code.Code, when(code.Expires))
	o, err := awaitApproval(ctx, c, &code)
	if err != nil {
		return err
	}
	if s.User != o.Session.Operator {
		s.Device = ""
	}
	s.URL, s.User, s.CA = a.url, o.Session.Operator, string(pem)
	if err := s.keep(openedSession{Token: o.Token, Device: o.Device, Session: o.Session}); err != nil {
		return err
	}
	return a.show(o.Session, func(w io.Writer) {
		fmt.Fprintf(w, "signed in as %s, until %s; roles: %s\n", s.User, when(o.Session.Expires), or(strings.Join(o.Session.Roles, ", "), "none"))
	})
}

// awaitApproval asks as often as the node lets it.
func awaitApproval(ctx context.Context, c *admin.Client, code *signin.Code) (signin.Polled, error) {
	wait := time.Duration(code.Interval) * time.Second
	for {
		t := time.NewTimer(min(max(wait, time.Second), time.Minute))
		select {
		case <-ctx.Done():
			t.Stop()
			return signin.Polled{}, ctx.Err()
		case <-t.C:
		}
		var p signin.Polled
		err := c.Call(ctx, "signin.code.poll", signin.PollQuestion{Device: code.Device}, &p)
		var refused *casemate.Error
		switch {
		case errors.As(err, &refused) && refused.Code == casemate.Exhausted:
			wait = time.Duration(max(refused.Retry, 1)) * time.Second
			continue
		case err != nil:
			return p, err
		case p.State == device.Denied:
			return p, casemate.Errorf(casemate.Forbidden, "start it again if that was a mistake", "the sign-in was denied in the browser")
		case p.State == device.Approved && p.Token != "" && p.Session.Level == operator.LevelFull:
			return p, nil
		}
		wait = time.Duration(p.Wait) * time.Second
	}
}
