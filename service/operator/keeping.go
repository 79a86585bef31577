package operator

import (
	"context"
	"strings"

	"casemate"
	"casemate/authn/operator"
)

// setting makes an operator, or sets its roles.
type setting struct {
	Name     string   `json:"name"`
	Roles    []string `json:"roles"`
	Password string   `json:"password,omitempty"` // "": one is drawn
}

// resetting is what is done for who cannot sign in.
type resetting struct {
	Name     string `json:"name"`
	Password bool   `json:"password,omitempty"` // a new one is drawn
	Factors  bool   `json:"factors,omitempty"`  // all second factors go
	Unlock   bool   `json:"unlock,omitempty"`   // failed guesses are forgotten
}

// named names an operator.
type named struct {
	Name string `json:"name"`
}

// made is an operator, and the one time that a drawn password is seen.
type made struct {
	Operator operator.Operator `json:"operator"`
	Password string            `json:"password,omitempty"`
}

// ending names a session, or an operator all of whose sessions end.
type ending struct {
	ID       string `json:"id,omitempty"`
	Operator string `json:"operator,omitempty"`
}

// ended counts.
type ended struct {
	Sessions int `json:"sessions"`
}

// keeping are the operations on other operators and their sessions.
func (c *Config) keeping() []Operation {
	const kind = "operator"
	return []Operation{
		{Name: "operator.list", Action: "casemate:ListOperators", Kind: kind, Run: question(func(context.Context, *casemate.Launch, struct{}) (any, error) {
			return c.Room.List(), nil
		})},
		{Name: "operator.show", Action: "casemate:ListOperators", Kind: kind, Named: true, Run: question(func(_ context.Context, l *casemate.Launch, q named) (any, error) {
			if err := c.Covers(l, "casemate:ListOperators", kind, q.Name); err != nil {
				return nil, err
			}
			return c.Room.Get(q.Name)
		})},
		{Name: "operator.add", Action: "casemate:CreateOperator", Kind: kind, Named: true, Run: question(func(ctx context.Context, l *casemate.Launch, q setting) (any, error) {
			if err := c.Covers(l, "casemate:CreateOperator", kind, q.Name); err != nil {
				return nil, err
			}
			o, drawn, err := c.Room.Create(ctx, c.Room.Grantor(l.Principal), q.Name, q.Roles, q.Password)
			return noted{made{o, drawn}, "operator/" + o.Name, "made, with roles " + strings.Join(o.Roles, ", ")}, err
		})},
		{Name: "operator.set", Action: "casemate:SetOperator", Kind: kind, Named: true, Run: question(func(ctx context.Context, l *casemate.Launch, q setting) (any, error) {
			if err := c.Covers(l, "casemate:SetOperator", kind, q.Name); err != nil {
				return nil, err
			}
			if q.Password != "" {
				return nil, casemate.Errorf(casemate.Invalid, "casemate operator password --of resets it", "the password is not set this way")
			}
			o, err := c.Room.SetRoles(ctx, c.Room.Grantor(l.Principal), q.Name, q.Roles)
			return noted{made{Operator: o}, "operator/" + o.Name, "has roles " + strings.Join(o.Roles, ", ")}, err
		})},
		{Name: "operator.reset", Action: "casemate:ResetOperator", Kind: kind, Named: true, Run: question(c.reset)},
		{Name: "operator.remove", Action: "casemate:RemoveOperator", Kind: kind, Named: true, Run: question(func(ctx context.Context, l *casemate.Launch, q named) (any, error) {
			if err := c.Covers(l, "casemate:RemoveOperator", kind, q.Name); err != nil {
				return nil, err
			}
			return noted{q, "operator/" + q.Name, "removed"}, c.Room.Remove(ctx, c.Room.Grantor(l.Principal), q.Name)
		})},
		{Name: "session.list", Action: "casemate:ListSessions", Kind: "session", Run: question(func(_ context.Context, _ *casemate.Launch, q ending) (any, error) {
			return c.Room.Sessions(q.Operator), nil
		})},
		{Name: "session.revoke", Action: "casemate:RevokeSession", Kind: "session", Run: question(c.revoke)},
	}
}

func (c *Config) reset(ctx context.Context, l *casemate.Launch, q resetting) (any, error) {
	if err := c.Covers(l, "casemate:ResetOperator", "operator", q.Name); err != nil {
		return nil, err
	}
	did := []string{}
	for _, x := range []struct {
		on   bool
		what string
	}{{q.Password, "password"}, {q.Factors, "second factors"}, {q.Unlock, "failed guesses"}} {
		if x.on {
			did = append(did, x.what)
		}
	}
	if len(did) == 0 {
		return nil, casemate.Errorf(casemate.Invalid, "password, factors or unlock", "nothing to reset")
	}
	o, drawn, err := c.Room.Reset(ctx, c.Room.Grantor(l.Principal), q.Name, operator.Reset{Password: q.Password, Factors: q.Factors, Unlock: q.Unlock})
	if err != nil {
		return nil, err
	}
	return noted{made{o, drawn}, "operator/" + o.Name, "reset: " + strings.Join(did, ", ")}, nil
}

func (c *Config) revoke(ctx context.Context, _ *casemate.Launch, q ending) (any, error) {
	switch {
	case (q.ID == "") == (q.Operator == ""):
		return nil, casemate.Errorf(casemate.Invalid, "casemate sessions list shows them", "name one session, or one operator")
	case q.ID != "":
		return noted{ended{1}, "session " + q.ID, "revoked"}, c.Room.Revoke(ctx, q.ID)
	}
	n, err := c.Room.RevokeAll(ctx, q.Operator, "")
	return noted{ended{n}, "operator/" + q.Operator, "every session revoked"}, err
}
