package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/authn/operator"
)

// madeOperator is an operator, and the one time that its drawn password is seen.
type madeOperator struct {
	Operator operator.Operator `json:"operator"`
	Password string            `json:"password,omitempty"`
}

func (a *app) operatorCommand() *cobra.Command {
	c := &cobra.Command{Use: "operator", Short: "Keep the people who run this node from elsewhere, and your own sign-in",
		Long: `Operators sign in to the admin API (casemate up --admin) with a password and a second factor. Each holds any set of roles:
  view     read state, records without bodies, policies     deploy   change what runs
  secrets  write and rotate secrets (reading: no role)      audit    read, verify and export the record
  respond  stop and revoke                                  admin    keep operators, keys, budgets, guardrails
The first one is made on the node's own machine. Nobody hands out a role that is not the own.`}
	c.AddCommand(a.operatorAdd(), a.operatorList(), a.operatorShow(), a.operatorSet(), a.operatorRemove(), a.operatorReset(), a.operatorPassword(), a.operatorTOTP(), a.operatorRecovery(), a.passkeyCommand())
	return c
}

func (a *app) operatorAdd() *cobra.Command {
	var roles []string
	c := &cobra.Command{Use: "add NAME", Short: "Make an operator; its first password is shown once", Args: cobra.ExactArgs(1),
		Long:    "Makes an operator with a password that is drawn and shown once. Whoever has it signs in, enrols a second factor, and\nshould change it then: casemate operator password.",
		Example: "  casemate operator add ada --roles view,audit", RunE: func(cmd *cobra.Command, args []string) error {
			var m madeOperator
			if err := a.callOn(cmd.Context(), args[0], "operator.add", map[string]any{"name": args[0], "roles": roles}, &m); err != nil {
				return err
			}
			return a.showMade(&m)
		}}
	c.Flags().StringSliceVar(&roles, "roles", []string{operator.RoleView}, strings.Join(operator.RoleNames(), ", "))
	return c
}

func (a *app) showMade(m *madeOperator) error {
	return a.show(m, func(w io.Writer) {
		if m.Password != "" {
			fmt.Fprintln(w, m.Password)
		}
		fmt.Fprintf(a.errs, "operator %s, roles: %s\n", m.Operator.Name, or(strings.Join(m.Operator.Roles, ", "), "none"))
		if m.Password != "" {
			fmt.Fprintln(a.errs, "the password cannot be shown again; it is good for enrolling a second factor: casemate login")
		}
	})
}

func (a *app) operatorList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List operators, their roles and factors", Args: cobra.NoArgs, Example: "  casemate operator list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []operator.Operator
			if err := a.call(cmd.Context(), "operator.list", nil, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) { operatorTable(w, list) })
		}}
}

func operatorTable(w io.Writer, list []operator.Operator) {
	t := newTable("NAME", "ROLES", "SECOND FACTORS", "RECOVERY CODES", "LAST SIGN-IN", "SINCE", "BY")
	for i := range list {
		o := &list[i]
		t.add(o.Name, or(strings.Join(o.Roles, ", "), "none"), or(strings.Join(o.Factors, ", "), "none yet"), fmt.Sprint(o.Codes), when(o.Last), when(o.Created), or(o.By, "-"))
	}
	t.print(w)
}

func (a *app) operatorShow() *cobra.Command {
	return &cobra.Command{Use: "show NAME", Short: "Show one operator", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		var o operator.Operator
		if err := a.callOn(cmd.Context(), args[0], "operator.show", map[string]string{"name": args[0]}, &o); err != nil {
			return err
		}
		return a.show(o, func(w io.Writer) { operatorTable(w, []operator.Operator{o}) })
	}}
}

func (a *app) operatorSet() *cobra.Command {
	var roles []string
	c := &cobra.Command{Use: "set NAME --roles ...", Short: "Replace an operator's roles; what is taken away is gone at once", Args: cobra.ExactArgs(1),
		Example: "  casemate operator set ada --roles view,deploy", RunE: func(cmd *cobra.Command, args []string) error {
			var m madeOperator
			if err := a.callOn(cmd.Context(), args[0], "operator.set", map[string]any{"name": args[0], "roles": roles}, &m); err != nil {
				return err
			}
			return a.showMade(&m)
		}}
	c.Flags().StringSliceVar(&roles, "roles", nil, strings.Join(operator.RoleNames(), ", ")+"; '' is none")
	_ = c.MarkFlagRequired("roles")
	return c
}

func (a *app) operatorRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME", Short: "Remove an operator and end its sessions", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		q := map[string]string{"name": args[0]}
		if err := a.callOn(cmd.Context(), args[0], "operator.remove", q, nil); err != nil {
			return err
		}
		return a.show(q, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", args[0]) })
	}}
}

func (a *app) operatorReset() *cobra.Command {
	var password, factors, unlock bool
	c := &cobra.Command{Use: "reset NAME", Short: "Help an operator who cannot sign in", Args: cobra.ExactArgs(1),
		Long:    "Draws a new password, takes the second factors away, or forgets failed guesses. The first two end the operator's\nsessions.",
		Example: "  casemate operator reset ada --factors\n  casemate operator reset ada --unlock", RunE: func(cmd *cobra.Command, args []string) error {
			var m madeOperator
			q := map[string]any{"name": args[0], "password": password, "factors": factors, "unlock": unlock}
			if err := a.callOn(cmd.Context(), args[0], "operator.reset", q, &m); err != nil {
				return err
			}
			return a.showMade(&m)
		}}
	c.Flags().BoolVar(&password, "password", false, "draw a new password, which is shown once")
	c.Flags().BoolVar(&factors, "factors", false, "take all second factors away: one has to be enrolled anew")
	c.Flags().BoolVar(&unlock, "unlock", false, "forget failed guesses")
	return c
}

func (a *app) operatorPassword() *cobra.Command {
	return &cobra.Command{Use: "password", Short: "Change your own password; your other sessions end", Args: cobra.NoArgs,
		Long:    "Asks for the current password and the next one, on the terminal or as two lines of standard input. Twelve characters\nat least, of any kind; not your name, and nothing that is tried first.",
		Example: "  casemate --url https://node:8444 operator password", RunE: func(cmd *cobra.Command, _ []string) error {
			current, err := a.prompt("current password", true)
			if err != nil {
				return err
			}
			next, err := a.prompt("next password", true)
			if err != nil {
				return err
			}
			if a.interactive() {
				again, err := a.prompt("next password again", true)
				if err != nil || again != next {
					return casemate.Errorf(casemate.Invalid, "type it twice", "the two are not the same")
				}
			}
			if err := a.call(cmd.Context(), "own.password", map[string]string{"current": current, "next": next}, nil); err != nil {
				return err
			}
			return a.show(struct{}{}, func(w io.Writer) { fmt.Fprintln(w, "changed; your other sessions have ended") })
		}}
}

func (a *app) operatorTOTP() *cobra.Command {
	var confirm bool
	c := &cobra.Command{Use: "totp", Short: "Enrol an authenticator app as second factor", Args: cobra.NoArgs,
		Long: `Asks for your password, shows the secret for an authenticator app once, as the otpauth:// URI that apps take, and takes the
first code. With standard input that is no terminal these are two steps: totp reads the password, totp --confirm the code.
A new secret replaces the one before once it is confirmed.`,
		Example: "  casemate --url https://node:8444 operator totp", RunE: func(cmd *cobra.Command, _ []string) error {
			if confirm {
				return a.confirmTOTP(cmd.Context())
			}
			password, err := a.prompt("password", true)
			if err != nil {
				return err
			}
			return a.enrolTOTP(cmd.Context(), password)
		}}
	c.Flags().BoolVar(&confirm, "confirm", false, "take the first code of a secret that was shown")
	return c
}

func (a *app) enrolTOTP(ctx context.Context, password string) error {
	var e struct {
		URI string `json:"uri"`
	}
	if err := a.call(ctx, "own.totp", map[string]string{"password": password}, &e); err != nil {
		return err
	}
	if !a.interactive() {
		return a.show(e, func(w io.Writer) { fmt.Fprintln(w, e.URI) })
	}
	fmt.Fprintf(a.errs, "add this to your authenticator app; it is shown once:\n  %s\n", e.URI)
	return a.confirmTOTP(ctx)
}

// enrolledFactor is what came of an enrolment.
type enrolledFactor struct {
	Recovery []string       `json:"recovery_codes"`
	Opened   *openedSession `json:"opened,omitempty"`
}

func (a *app) confirmTOTP(ctx context.Context) error {
	code, err := a.prompt("code", true)
	if err != nil {
		return err
	}
	var e enrolledFactor
	if err := a.call(ctx, "own.totp-confirm", map[string]string{"code": code}, &e); err != nil {
		return err
	}
	return a.showEnrolled(&e)
}

// showEnrolled saves the session that took the place of one that could only enrol, and shows the recovery codes.
func (a *app) showEnrolled(e *enrolledFactor) error {
	if e.Opened != nil {
		s, err := readSession(a.url)
		if err == nil {
			err = s.keep(*e.Opened)
		}
		if err != nil {
			return err
		}
		e.Opened = nil
	}
	return a.show(e, func(w io.Writer) {
		fmt.Fprintln(a.errs, "enrolled. Keep these recovery codes off this machine: each opens one session when the app is lost, and they are not shown again")
		for _, c := range e.Recovery {
			fmt.Fprintln(w, c)
		}
	})
}

func (a *app) operatorRecovery() *cobra.Command {
	return &cobra.Command{Use: "recovery", Short: "Replace your recovery codes; they are shown once",
		Example: "  casemate operator recovery --url https://node.example.com:8444", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := a.prompt("password", true)
			if err != nil {
				return err
			}
			var e enrolledFactor
			if err := a.call(cmd.Context(), "own.recovery", map[string]string{"password": password}, &e); err != nil {
				return err
			}
			return a.show(e, func(w io.Writer) {
				for _, c := range e.Recovery {
					fmt.Fprintln(w, c)
				}
			})
		}}
}

func (a *app) sessionsCommand() *cobra.Command {
	c := &cobra.Command{Use: "sessions", Short: "List and revoke operators' sessions"}
	c.AddCommand(a.sessionsList(), a.sessionsRevoke())
	return c
}

func (a *app) sessionsList() *cobra.Command {
	var own bool
	var of string
	c := &cobra.Command{Use: "list", Short: "List who is signed in, from where, since when", Args: cobra.NoArgs,
		Example: "  casemate sessions list\n  casemate --url https://node:8444 sessions list --own", RunE: func(cmd *cobra.Command, _ []string) error {
			op, q := "session.list", any(map[string]string{"operator": of})
			if own {
				op, q = "session.own", nil
			}
			var list []operator.Session
			if err := a.call(cmd.Context(), op, q, &list); err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				t := newTable("ID", "OPERATOR", "FROM", "SINCE", "LAST USED", "UNTIL", "FACTOR", "NOTE")
				for i := range list {
					s := &list[i]
					note := "-"
					switch {
					case s.Glass != nil:
						note = "BREAK-GLASS until " + when(s.Glass.Until)
					case s.Level == operator.LevelEnrol:
						note = "enrols a second factor"
					case s.By != "":
						note = "approved by " + s.By
					}
					t.add(s.ID, s.Operator, or(s.From, "this machine"), when(s.Created), when(s.LastUsed), when(s.Expires), or(s.Factor, "-"), note)
				}
				t.print(w)
			})
		}}
	c.Flags().BoolVar(&own, "own", false, "only your own")
	c.Flags().StringVar(&of, "operator", "", "only of this operator")
	return c
}

func (a *app) sessionsRevoke() *cobra.Command {
	var of string
	var own bool
	c := &cobra.Command{Use: "revoke [ID]", Short: "End a session, or all of an operator, at once", Args: cobra.MaximumNArgs(1),
		Example: "  casemate sessions revoke abcdefghijkl\n  casemate sessions revoke --operator ada", RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.Join(args, "")
			if (id == "") == (of == "") || own && id == "" {
				return casemate.Errorf(casemate.Invalid, "casemate sessions list shows them", "name one session, or --operator")
			}
			op, q := "session.revoke", map[string]string{"id": id, "operator": of}
			if own {
				op, q = "session.close", map[string]string{"id": id}
			}
			if err := a.call(cmd.Context(), op, q, nil); err != nil {
				return err
			}
			return a.show(q, func(w io.Writer) { fmt.Fprintln(w, "ended") })
		}}
	c.Flags().StringVar(&of, "operator", "", "every session of this operator")
	c.Flags().BoolVar(&own, "own", false, "it is one of your own, which needs no role")
	return c
}

func (a *app) breakGlassCommand() *cobra.Command {
	var q struct {
		Reason string `json:"reason"`
		For    string `json:"for,omitempty"`
	}
	c := &cobra.Command{Use: "break-glass", Short: "Hold all roles for a while, loudly", Args: cobra.NoArgs,
		Long: `Gives your session every role but admin for fifteen minutes, or as long as --for says, an hour at most. It needs a reason, is
an act of its own in the record, marks every record that is made under it, is logged as an error and stands in casemate
posture until it is over.`,
		Example: "  casemate --url https://node:8444 break-glass --reason 'orders are down, nobody with deploy is here'\n  casemate --url https://node:8444 break-glass end",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s operator.Session
			if err := a.call(cmd.Context(), "glass.begin", q, &s); err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) {
				fmt.Fprintf(w, "BREAK-GLASS: you hold all roles until %s; everything is marked in the record\n", when(s.Glass.Until))
			})
		}}
	c.Flags().StringVar(&q.Reason, "reason", "", "why (required)")
	c.Flags().StringVar(&q.For, "for", "", "how long: 15m (default), 1h at most")
	_ = c.MarkFlagRequired("reason")
	c.AddCommand(&cobra.Command{Use: "end", Short: "End your break-glass", Example: "  casemate break-glass end --url https://node.example.com:8444", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := a.call(cmd.Context(), "glass.end", nil, nil); err != nil {
			return err
		}
		return a.show(struct{}{}, func(w io.Writer) { fmt.Fprintln(w, "break-glass is over") })
	}})
	return c
}
