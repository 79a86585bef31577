package operator

import (
	"context"
	"encoding/json"
	"slices"

	"casemate"
	"casemate/authn/operator"
)

// signIn is who signs in. It is never recorded.
type signIn struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Code     string `json:"code,omitempty"`
	Device   string `json:"device,omitempty"`
}

func (q *signIn) attempt(l *casemate.Launch) operator.Attempt {
	return operator.Attempt{Name: q.Name, Password: q.Password, Code: q.Code, Device: q.Device, From: l.Event.SourceIP, Agent: l.Event.UserAgent}
}

// completion is the answer to a challenge.
type completion struct {
	ID     string          `json:"id"`
	Factor string          `json:"factor"`
	Answer json.RawMessage `json:"answer"`
}

// opened is the one time that a session's token is seen.
type opened struct {
	Token   string           `json:"token"`
	Device  string           `json:"device,omitempty"`
	Session operator.Session `json:"session"`
}

func told(o operator.Opened) any {
	why := "signed in with " + o.Session.Factor
	if o.Session.Level == operator.LevelEnrol {
		why = "signed in to enrol a second factor"
	}
	return noted{opened{o.Token, o.Device, o.Session}, "operator/" + o.Session.Operator + " session " + o.Session.ID, why}
}

// caller is whom the node takes somebody for.
type caller struct {
	ID      string            `json:"id"`
	Kind    string            `json:"kind"`
	ARN     string            `json:"arn,omitempty"`
	Role    string            `json:"role,omitempty"`
	Session *operator.Session `json:"session,omitempty"`
}

// closing names a session of the caller's own; "" is the one in use.
type closing struct {
	ID string `json:"id,omitempty"`
}

// signing are the operations of signing in and out. Those of casemate:OpenSession are for everybody.
func (c *Config) signing() []Operation {
	const open, self = "casemate:OpenSession", "casemate:CloseSession"
	return []Operation{
		{Name: "session.open", Action: open, Kind: "session", Run: question(func(ctx context.Context, l *casemate.Launch, q signIn) (any, error) {
			o, err := c.Room.SignIn(ctx, q.attempt(l))
			if err != nil {
				return nil, err
			}
			return told(o), nil
		})},
		{Name: "session.begin", Action: open, Kind: "session", Run: question(func(ctx context.Context, l *casemate.Launch, q signIn) (any, error) {
			return c.Room.Begin(ctx, q.attempt(l))
		})},
		{Name: "session.complete", Action: open, Kind: "session", Run: question(func(ctx context.Context, l *casemate.Launch, q completion) (any, error) {
			o, err := c.Room.Complete(ctx, q.ID, q.Factor, q.Answer, l.Event.SourceIP)
			if err != nil {
				return nil, err
			}
			return told(o), nil
		})},
		{Name: "session.close", Action: self, Kind: "session", Run: question(c.close)},
		{Name: "session.own", Action: self, Kind: "session", Run: question(func(_ context.Context, l *casemate.Launch, _ struct{}) (any, error) {
			s, err := c.signedIn(l)
			if err != nil {
				return nil, err
			}
			return c.Room.Sessions(s.Operator), nil
		})},
		{Name: "whoami", Action: "casemate:ReadCaller", Kind: "session", Run: question(func(_ context.Context, l *casemate.Launch, _ struct{}) (any, error) {
			p := l.Principal
			return caller{p.ID, string(p.Kind), p.ARN, p.Role, c.Room.SessionOf(p)}, nil
		})},
	}
}

func (c *Config) close(ctx context.Context, l *casemate.Launch, q closing) (any, error) {
	s, err := c.signedIn(l)
	if err != nil {
		return nil, err
	}
	id := s.ID
	if q.ID != "" {
		id = q.ID
		if !slices.ContainsFunc(c.Room.Sessions(s.Operator), func(own operator.Session) bool { return own.ID == id }) {
			return nil, casemate.Errorf(casemate.NotFound, "casemate sessions list --own shows yours", "you have no such session")
		}
	}
	if err := c.Room.Revoke(ctx, id); err != nil {
		return nil, err
	}
	return noted{closing{id}, "session " + id, "signed out"}, nil
}

// SignsIn reports whether an operation is one that those may call who are nobody yet.
func SignsIn(name string) bool {
	return name == "session.open" || name == "session.begin" || name == "session.complete"
}
