package node

import (
	"context"
	"errors"
	"time"

	"casemate"
	"casemate/authn/operator"
	"casemate/gate"
	service "casemate/service/operator"
	"casemate/service/signin"
)

func (n *node) openOperators(ctx context.Context) (err error) {
	n.operators, err = operator.Open(ctx, operator.Config{Store: n.store, Vault: n.secrets.Vault(n.cfg.Place.Account), Place: n.cfg.Place, Clock: time.Now,
		Log: n.cfg.Log, Idle: n.cfg.SessionIdle, Factors: []operator.Factor{signin.Factor{Passkeys: n.passkeys}}})
	if err != nil {
		return err
	}
	n.onClose(n.operators.Close)
	return nil
}

// operatorBuiltins are the operations of those who run the node from elsewhere.
func (n *node) operatorBuiltins() map[string]builtin {
	all := map[string]builtin{}
	covers := func(l *casemate.Launch, action, kind, name string) error {
		return covers(l, n.judge, action, kind, name)
	}
	for _, o := range service.Operations(service.Config{Room: n.operators, Covers: covers}) {
		all[o.Name] = builtin{action: o.Action, kind: o.Kind, body: signInLimit, named: o.Named, run: o.Run}
	}
	return all
}

// signInLimit bounds what is read of somebody who is nobody yet.
const signInLimit = 32 << 10

// signedIn is an Identity that knows operators' sessions, beside what next knows; and, for the operations by which they sign
// in, those who are nobody yet.
type signedIn struct {
	gate.Identity
	operators *operator.Room
}

// Verify implements gate.Identity.
func (s signedIn) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	switch c := &e.Credential; {
	case c.Kind == casemate.CredentialSession && e.Source == casemate.SourceAdmin:
		return s.operators.Verify(c.Secret, e.Context)
	case c.Kind == casemate.CredentialRun && c.As != nil && c.Secret == "" && c.As.Kind == casemate.KindOperator:
		if err := s.operators.Still(c.As); err != nil {
			return nil, &casemate.Error{Code: casemate.Unauthenticated, Message: "the credential is not valid", Hint: "sign in: casemate login", Err: err}
		}
		return c.As, nil
	case c.Kind == casemate.CredentialNone && e.Source == casemate.SourceAdmin && (service.SignsIn(e.Target.Builtin) || signin.SignsIn(e.Target.Builtin)):
		if c.Secret != "" || c.As != nil {
			return nil, errors.New("a credential of no kind")
		}
		return s.operators.Stranger(e.SourceIP), nil
	}
	return s.Identity.Verify(ctx, e, m)
}

// operatorPosture looks at who is more than usual at present, and at who has no second factor.
func (n *node) operatorPosture() (fs []Finding) {
	for _, s := range n.operators.Glasses() {
		fs = append(fs, Finding{"high", "open", "BREAK-GLASS of operator " + s.Operator, "it holds all roles until " + s.Glass.Until.Local().Format(time.DateTime) + ": " + s.Glass.Reason,
			"casemate break-glass end, or casemate sessions revoke " + s.ID})
	}
	for _, o := range n.operators.List() {
		switch {
		case len(o.Factors) == 0 && time.Since(o.Created) > 7*24*time.Hour:
			fs = append(fs, Finding{"low", "weak", "operator " + o.Name, "it has no second factor after a week: whoever has its first password can enrol one", "casemate operator remove " + o.Name})
		case o.Last.IsZero() && time.Since(o.Created) > 90*24*time.Hour, !o.Last.IsZero() && time.Since(o.Last) > 90*24*time.Hour:
			fs = append(fs, Finding{"low", "expired", "operator " + o.Name, "it has not signed in for 90 days", "casemate operator remove " + o.Name})
		}
	}
	return fs
}
