// Package operator is the operations of those who run a node from elsewhere: signing in and out, what they keep about
// themselves, keeping each other, break-glass. Who may is the policy's to say; what may be granted, the room's.
package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"casemate"
	"casemate/authn/operator"
)

// Operation is one built-in operation: an action on a resource of a kind that the policy decides on, and the code behind it.
type Operation struct {
	Name   string // "session.open"
	Action string // "casemate:OpenSession"
	Kind   string // of the resource
	Named  bool   // it is about the one thing that the event's resource names
	Run    func(ctx context.Context, l *casemate.Launch) (any, error)
}

// Config is what the operations need.
type Config struct {
	Room *operator.Room
	// Covers checks that what a question names is what the policy decided on, or asks it.
	Covers func(l *casemate.Launch, action, kind, name string) error
}

// Operations are all of them.
func Operations(c Config) []Operation {
	return append(append(c.signing(), c.own()...), c.keeping()...)
}

// question makes an operation's code of a typed function. The question is read strictly; what cannot be read is not told
// back, for it may hold a password.
func question[In any](do func(ctx context.Context, l *casemate.Launch, in In) (any, error)) func(ctx context.Context, l *casemate.Launch) (any, error) {
	return func(ctx context.Context, l *casemate.Launch) (any, error) {
		var in In
		if len(bytes.TrimSpace(l.Payload)) > 0 {
			dec := json.NewDecoder(bytes.NewReader(l.Payload))
			dec.DisallowUnknownFields()
			err := dec.Decode(&in)
			if err == nil {
				if _, err = dec.Token(); err == io.EOF {
					err = nil
				} else {
					err = io.ErrUnexpectedEOF
				}
			}
			if err != nil {
				return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "not the question this operation takes", Hint: "see the operation's command with --help"}
			}
		}
		return do(ctx, l, in)
	}
}

// noted is an answer that the record keeps a word of.
type noted struct {
	answer any
	what   string
	why    string
}

// MarshalJSON writes the answer alone.
func (n noted) MarshalJSON() ([]byte, error) { return json.Marshal(n.answer) }

// Effects implements casemate.Noted.
func (n noted) Effects() []casemate.Effect {
	return []casemate.Effect{{Kind: casemate.EffectService, Target: n.what, Verdict: casemate.Allowed, Reason: n.why}}
}

// signedIn is the session of l's caller.
func (c *Config) signedIn(l *casemate.Launch) (*operator.Session, error) {
	if s := c.Room.SessionOf(l.Principal); s != nil {
		return s, nil
	}
	return nil, casemate.Errorf(casemate.Conflict, "sign in: casemate login --url https://host:port", "%s is not signed in by a session", l.Principal.Name())
}
