package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"casemate"
)

// Operation is one built-in operation: an action on a resource of a kind that the policy decides on, and the code behind it.
type Operation struct {
	Name   string
	Action string
	Kind   string
	Run    func(ctx context.Context, l *casemate.Launch) (any, error)
}

const (
	actionOpen    = "casemate:OpenSession" // everybody's
	actionOwn     = "casemate:ManageOwnSignIn"
	actionApprove = "casemate:ApproveSignIn"
	actionList    = "casemate:ListOperators"
	actionReset   = "casemate:ResetOperator"
)

// Operations are all of them.
func (d *Desk) Operations() []Operation {
	return []Operation{
		{"signin.passkey.begin", actionOpen, "session", question(d.BeginSignIn)},
		{"signin.passkey.finish", actionOpen, "session", question(d.FinishSignIn)},
		{"signin.code.begin", actionOpen, "session", question(d.BeginCode)},
		{"signin.code.poll", actionOpen, "session", question(d.PollCode)},
		{"signin.code.look", actionApprove, "session", question(d.LookCode)},
		{"signin.code.decide", actionApprove, "session", question(d.DecideCode)},
		{"passkey.begin", actionOwn, "session", question(d.BeginEnrol)},
		{"passkey.finish", actionOwn, "session", question(d.FinishEnrol)},
		{"passkey.list", actionOwn, "session", question(d.List)},
		{"passkey.remove", actionOwn, "session", question(d.Remove)},
		{"passkey.list-all", actionList, "operator", question(d.ListOf)},
		{"passkey.remove-any", actionReset, "operator", question(d.RemoveOf)},
	}
}

// SignsIn reports whether an operation is one that those may call who are nobody yet.
func SignsIn(name string) bool {
	switch name {
	case "signin.passkey.begin", "signin.passkey.finish", "signin.code.begin", "signin.code.poll":
		return true
	}
	return false
}

// question makes an operation's code of a typed function. The question is read strictly; what cannot be read is not told
// back, for it may hold a password.
func question[In any](do func(ctx context.Context, l *casemate.Launch, in In) (any, error)) func(ctx context.Context, l *casemate.Launch) (any, error) {
	return func(ctx context.Context, l *casemate.Launch) (any, error) {
		var in In
		if len(bytes.TrimSpace(l.Payload)) == 0 {
			return do(ctx, l, in)
		}
		dec := json.NewDecoder(bytes.NewReader(l.Payload))
		dec.DisallowUnknownFields()
		err := dec.Decode(&in)
		if err == nil {
			if _, err = dec.Token(); err == io.EOF {
				return do(ctx, l, in)
			}
		}
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "not the question this operation takes", Hint: "see the operation's command with --help"}
	}
}
