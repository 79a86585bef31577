package signin

import (
	"context"
	"fmt"
	"time"

	"casemate"
	"casemate/authn/device"
)

// CodeQuestion starts the sign-in of a command line.
type CodeQuestion struct {
	Client string `json:"client"` // what it says that it is: "casemate on laptop"
}

// Code is what it gets. It never prints the secret.
type Code struct {
	device.Started
	Page string `json:"page"` // to be opened in a browser, with the code in it
}

// BeginCode gives a command line a code to be approved in a browser.
func (d *Desk) BeginCode(_ context.Context, l *casemate.Launch, in CodeQuestion) (any, error) {
	page := d.page()
	if page == "" {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "this node has no sign-in page", Hint: "start it with --admin and, where its name is not localhost, --admin-origin; or sign in with a password"}
	}
	s, err := d.Devices.Begin(in.Client, l.Event.SourceIP)
	if err != nil {
		return nil, err
	}
	return Code{s, page + "?code=" + s.Code}, nil
}

// PollQuestion asks how it stands.
type PollQuestion struct {
	Device string `json:"device"`
}

// Polled is the answer: a state, and a session once it was approved.
type Polled struct {
	State string `json:"state"` // pending, approved, denied
	Wait  int    `json:"wait"`  // seconds before the next poll
	Opened
}

// Effects implements casemate.Noted.
func (p Polled) Effects() []casemate.Effect {
	if p.Token == "" {
		return nil
	}
	return p.Opened.Effects()
}

// PollCode opens the session of a command line that was approved, once. The session that approved it has to be there still:
// what was revoked since takes along what it approved.
func (d *Desk) PollCode(ctx context.Context, l *casemate.Launch, in PollQuestion) (any, error) {
	o, err := d.Devices.Poll(in.Device)
	if err != nil {
		return nil, err
	}
	out := Polled{State: o.State, Wait: int(o.Wait / time.Second)}
	if o.State != device.Approved {
		return out, nil
	}
	s, err := d.Operators.OpenApproved(ctx, o.Operator, o.By, attempt(l, o.Operator))
	if err != nil {
		return nil, err
	}
	out.Opened = opened(s)
	return out, nil
}

// DecideQuestion is about a code; Approve says yes, its absence no.
type DecideQuestion struct {
	Code    string `json:"code"`
	Approve bool   `json:"approve,omitempty"`
}

// Asked is what a code stands for.
type Asked struct {
	device.Request
	Same  bool   `json:"same_address"` // who looks at it is at the address that it was asked from
	As    string `json:"as"`           // whose session it would be
	State string `json:"state,omitempty"`
}

// Effects implements casemate.Noted: the record says who let what in, and from where it asked.
func (a Asked) Effects() []casemate.Effect {
	if a.State == "" {
		return nil
	}
	return []casemate.Effect{{Kind: casemate.EffectService, Target: "sign-in of " + a.Client, Verdict: casemate.Allowed, Reason: fmt.Sprintf("%s for operator/%s, asked from %q", a.State, a.As, a.From)}}
}

// LookCode shows an operator what waits for approval.
func (d *Desk) LookCode(_ context.Context, l *casemate.Launch, in DecideQuestion) (any, error) {
	s, err := d.session(l, true)
	if err != nil {
		return nil, err
	}
	q, err := d.Devices.Look(s.Operator, in.Code)
	if err != nil {
		return nil, err
	}
	return Asked{Request: q, Same: q.From == l.Event.SourceIP, As: s.Operator}, nil
}

// DecideCode approves or denies it. A session that was approved itself approves none.
func (d *Desk) DecideCode(_ context.Context, l *casemate.Launch, in DecideQuestion) (any, error) {
	s, err := d.session(l, true)
	if err != nil {
		return nil, err
	}
	if in.Approve && !s.Approves() {
		return nil, &casemate.Error{Code: casemate.Forbidden, Message: "this session was approved by another one, and approves none", Hint: "sign in with a factor of your own, at " + d.page()}
	}
	q, err := d.Devices.Decide(s.Operator, s.ID, in.Code, in.Approve)
	if err != nil {
		return nil, err
	}
	a := Asked{Request: q, Same: q.From == l.Event.SourceIP, As: s.Operator, State: device.Denied}
	if in.Approve {
		a.State = device.Approved
	}
	return a, nil
}
