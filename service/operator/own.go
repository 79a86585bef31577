package operator

import (
	"context"
	"fmt"
	"time"

	"casemate"
	"casemate/authn/operator"
)

// change asks for a new password.
type change struct {
	Current string `json:"current"`
	Next    string `json:"next"`
}

// proof is the caller's own password, asked again for what a stolen session must not do.
type proof struct {
	Password string `json:"password"`
}

// typed is a code.
type typed struct {
	Code string `json:"code"`
}

// enrolment is the one time that a TOTP secret is seen.
type enrolment struct {
	URI string `json:"uri"`
}

// enrolled is what came of an enrolment: recovery codes, and a full session where there was none.
type enrolled struct {
	Recovery []string `json:"recovery_codes,omitempty"`
	Opened   *opened  `json:"opened,omitempty"`
}

// Enrolled is the answer to an enrolment that ended well; a session in o is for the caller.
func Enrolled(name string, o operator.Opened, recovery []string) any {
	out := enrolled{Recovery: recovery}
	if o.Token != "" {
		out.Opened = &opened{o.Token, o.Device, o.Session}
	}
	return noted{out, "operator/" + name, "enrolled a second factor"}
}

// glass asks for a break-glass.
type glass struct {
	Reason string `json:"reason"`
	For    string `json:"for,omitempty"`
}

// own are the operations on the own sign-in.
func (c *Config) own() []Operation {
	const self, breaks = "casemate:ManageOwnSignIn", "casemate:BreakGlass"
	return []Operation{
		{Name: "own.password", Action: self, Kind: "session", Run: own(c, func(ctx context.Context, s *operator.Session, q change) (any, error) {
			return noted{struct{}{}, "operator/" + s.Operator, "changed the password"}, c.Room.SetPassword(ctx, s, q.Current, q.Next)
		})},
		{Name: "own.totp", Action: self, Kind: "session", Run: own(c, func(ctx context.Context, s *operator.Session, q proof) (any, error) {
			uri, err := c.Room.BeginTOTP(ctx, s, q.Password)
			return enrolment{uri}, err
		})},
		{Name: "own.totp-confirm", Action: self, Kind: "session", Run: own(c, func(ctx context.Context, s *operator.Session, q typed) (any, error) {
			o, codes, err := c.Room.ConfirmTOTP(ctx, s, q.Code)
			return Enrolled(s.Operator, o, codes), err
		})},
		{Name: "own.recovery", Action: self, Kind: "session", Run: own(c, func(ctx context.Context, s *operator.Session, q proof) (any, error) {
			codes, err := c.Room.NewRecovery(ctx, s, q.Password)
			return noted{enrolled{Recovery: codes}, "operator/" + s.Operator, "made new recovery codes"}, err
		})},
		{Name: "glass.begin", Action: breaks, Kind: "glass", Run: own(c, func(ctx context.Context, s *operator.Session, q glass) (any, error) {
			var d time.Duration
			if q.For != "" {
				var err error
				if d, err = time.ParseDuration(q.For); err != nil {
					return nil, &casemate.Error{Code: casemate.Invalid, Field: "for", Message: "not a duration in h, m or s", Hint: "15m"}
				}
			}
			now, err := c.Room.BreakGlass(ctx, s.ID, q.Reason, d)
			if err != nil {
				return nil, err
			}
			return noted{now, "operator/" + s.Operator + " session " + s.ID,
				fmt.Sprintf("BREAK-GLASS until %s: %s", now.Glass.Until.Format(time.RFC3339), now.Glass.Reason)}, nil
		})},
		{Name: "glass.end", Action: breaks, Kind: "glass", Run: own(c, func(ctx context.Context, s *operator.Session, _ struct{}) (any, error) {
			return noted{struct{}{}, "operator/" + s.Operator + " session " + s.ID, "break-glass is over"}, c.Room.EndGlass(ctx, s.ID)
		})},
	}
}

// own makes an operation of what a session does about itself.
func own[In any](c *Config, do func(ctx context.Context, s *operator.Session, in In) (any, error)) func(ctx context.Context, l *casemate.Launch) (any, error) {
	return question(func(ctx context.Context, l *casemate.Launch, in In) (any, error) {
		s, err := c.signedIn(l)
		if err != nil {
			return nil, err
		}
		out, err := do(ctx, s, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	})
}
