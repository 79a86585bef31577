// Package signin is what the sign-in page and `casemate login` ask for, as operations: ceremonies of passkeys, and the
// approval of a command line in a browser. Whose passkey counts is written in the operator's own account, so that what is
// taken from there opens nothing, whatever else is still stored.
package signin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/authn/device"
	"casemate/authn/operator"
	"casemate/authn/passkey"
)

// Kind is the factor's name among an operator's.
const Kind = "passkey"

const checkTime = 10 * time.Second // to write what a sign-in leaves

// Desk is what operators sign in at.
type Desk struct {
	Operators *operator.Room
	Passkeys  *passkey.Room
	Devices   *device.Room
	Page      atomic.Pointer[string] // origin of the page, for people: "https://ops.example.com:8443"; nil: there is none
	// Covers checks that what a question names is what the policy decided on, or asks it.
	Covers func(l *casemate.Launch, action, kind, name string) error
}

// enrolled is the factor's state in an operator's account.
type enrolled struct {
	IDs []string `json:"ids"`
}

func read(state json.RawMessage) (e enrolled, err error) {
	if len(state) == 0 {
		return e, nil
	}
	if err := json.Unmarshal(state, &e); err != nil {
		return enrolled{}, fmt.Errorf("reading an operator's passkeys: %w", err)
	}
	return e, nil
}

func (e enrolled) write() (json.RawMessage, error) {
	if len(e.IDs) == 0 {
		return nil, nil // the factor is gone
	}
	return json.Marshal(e)
}

// holds refuses a passkey that the account does not list.
func holds(state json.RawMessage, id string) error {
	e, err := read(state)
	if err == nil && !slices.Contains(e.IDs, id) {
		err = errors.New("the passkey " + id + " is not one of the operator's any more")
	}
	return err
}

// Factor is passkeys as what comes after a password. It implements operator.Factor.
type Factor struct{ Passkeys *passkey.Room }

// Kind implements operator.Factor.
func (f Factor) Kind() string { return Kind }

// Enrolled implements operator.Factor.
func (f Factor) Enrolled(state json.RawMessage) bool {
	e, err := read(state)
	return err == nil && len(e.IDs) > 0
}

// Challenge implements operator.Factor. What is asked names no passkey, so it is the same for a name that nobody has.
func (f Factor) Challenge(who operator.Person, _ json.RawMessage) (ask, remember json.RawMessage, err error) {
	bound := rand.Text()
	ask, err = f.Passkeys.BeginSignIn(who.Name, bound)
	if casemate.CodeOf(err) == casemate.Unavailable { // no page: other factors go on
		return json.RawMessage("null"), json.RawMessage(`""`), nil
	}
	if err != nil {
		return nil, nil, err
	}
	remember, err = json.Marshal(bound)
	return ask, remember, err
}

// Check implements operator.Factor.
func (f Factor) Check(who operator.Person, state, remember, answer json.RawMessage) (next json.RawMessage, err error) {
	var bound string
	if err := json.Unmarshal(remember, &bound); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	k, err := f.Passkeys.SignIn(ctx, who.Name, bound, answer)
	if err != nil {
		return nil, err
	}
	return state, holds(state, k.ID)
}

// Opened is the answer of an operation that opens a session.
type Opened struct {
	Token   string           `json:"token,omitempty"`
	Device  string           `json:"device,omitempty"`
	Session operator.Session `json:"session"`
}

// Effects implements casemate.Noted: the record says which session was opened, and for whom.
func (o Opened) Effects() []casemate.Effect {
	return []casemate.Effect{{Kind: casemate.EffectService, Target: "session " + o.Session.ID + " of operator/" + o.Session.Operator, Verdict: casemate.Allowed, Reason: "signed in with " + o.Session.Factor}}
}

// String hides the token.
func (o Opened) String() string { return "session " + o.Session.ID }

// GoString hides the token from %#v.
func (o Opened) GoString() string { return o.String() }

func opened(o operator.Opened) Opened {
	return Opened{Token: o.Token, Device: o.Device, Session: o.Session}
}

func attempt(l *casemate.Launch, name string) operator.Attempt {
	return operator.Attempt{Name: name, From: l.Event.SourceIP, Agent: l.Event.UserAgent}
}

// session is the caller's own, which level has to be full where full is asked for.
func (d *Desk) session(l *casemate.Launch, full bool) (*operator.Session, error) {
	if l.Principal.Kind == casemate.KindOperator {
		if s := d.Operators.SessionOf(l.Principal); s != nil && (!full || s.Level == operator.LevelFull && s.Factor != "") {
			return s, nil
		}
	}
	return nil, &casemate.Error{Code: casemate.Forbidden, Message: "this takes an operator who is signed in with a second factor", Hint: "sign in at " + d.page()}
}

// BeginQuestion starts a sign-in.
type BeginQuestion struct {
	Bound string `json:"bound"` // a random value that only who begins has
}

// BeginSignIn asks for a passkey, whosever it is.
func (d *Desk) BeginSignIn(_ context.Context, _ *casemate.Launch, in BeginQuestion) (any, error) {
	if len(in.Bound) < 16 || len(in.Bound) > 128 {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "bound", Message: "a sign-in needs something to be known by", Hint: "begin at " + d.page()}
	}
	return d.Passkeys.BeginSignIn("", in.Bound)
}

// FinishQuestion answers it.
type FinishQuestion struct {
	Bound    string          `json:"bound"`
	Response json.RawMessage `json:"response"`
}

// FinishSignIn opens a session for who has the passkey.
func (d *Desk) FinishSignIn(ctx context.Context, l *casemate.Launch, in FinishQuestion) (any, error) {
	k, err := d.Passkeys.SignIn(ctx, "", in.Bound, in.Response)
	if err != nil {
		return nil, err
	}
	o, err := d.Operators.OpenProven(ctx, k.Operator, Kind, attempt(l, k.Operator), func(state json.RawMessage) error { return holds(state, k.ID) })
	if err != nil {
		return nil, err
	}
	return opened(o), nil
}

// None is the question of an operation that asks nothing.
type None struct{}

// BeginEnrol asks the signed-in operator's browser to make a passkey. A session that can only enrol will do.
func (d *Desk) BeginEnrol(ctx context.Context, l *casemate.Launch, _ None) (any, error) {
	s, err := d.session(l, false)
	if err != nil {
		return nil, err
	}
	e, err := read(d.Operators.FactorState(s.Operator, Kind))
	if err != nil {
		return nil, err
	}
	if err := d.Passkeys.Keep(ctx, s.Operator, e.IDs); err != nil {
		return nil, err
	}
	return d.Passkeys.BeginEnrol(ctx, s.Operator, s.ID)
}

// EnrolQuestion is a passkey that was made. The password is asked for again: who holds a session only cannot add to it what
// outlives it.
type EnrolQuestion struct {
	Name     string          `json:"name"`
	Password string          `json:"password"`
	Response json.RawMessage `json:"response"`
}

// Enrolled is its answer. Where the passkey is the operator's first factor, recovery codes come with it; where the session
// could only enrol, a full one replaces it.
type Enrolled struct {
	Passkey  passkey.Passkey   `json:"passkey"`
	Recovery []string          `json:"recovery_codes,omitempty"`
	Token    string            `json:"token,omitempty"`
	Session  *operator.Session `json:"session,omitempty"`
}

// Effects implements casemate.Noted.
func (e Enrolled) Effects() []casemate.Effect { return noted(e.Passkey, "enrolled") }

func noted(k passkey.Passkey, what string) []casemate.Effect {
	return []casemate.Effect{{Kind: casemate.EffectService, Target: "passkey " + k.ID + " of operator/" + k.Operator, Verdict: casemate.Allowed, Reason: what}}
}

// FinishEnrol keeps the passkey.
func (d *Desk) FinishEnrol(ctx context.Context, l *casemate.Launch, in EnrolQuestion) (any, error) {
	s, err := d.session(l, false)
	if err != nil {
		return nil, err
	}
	var k passkey.Passkey
	o, recovery, err := d.Operators.SetFactor(ctx, s, in.Password, Kind, func(state json.RawMessage) (json.RawMessage, error) {
		e, err := read(state)
		if err != nil {
			return nil, err
		}
		if k, err = d.Passkeys.Enrol(ctx, s.Operator, s.ID, in.Name, in.Response); err != nil {
			return nil, err
		}
		e.IDs = append(e.IDs, k.ID)
		return e.write()
	})
	if err != nil {
		return nil, err
	}
	out := Enrolled{Passkey: k, Recovery: recovery}
	if o.Token != "" {
		out.Token, out.Session = o.Token, &o.Session
	}
	return out, nil
}

// ListQuestion is about one operator; empty: whoever asks.
type ListQuestion struct {
	Operator string `json:"operator,omitempty"`
}

// List shows the caller's own passkeys.
func (d *Desk) List(_ context.Context, l *casemate.Launch, _ None) (any, error) {
	s, err := d.session(l, false)
	if err != nil {
		return nil, err
	}
	return d.list(s.Operator)
}

// ListOf shows those of one operator, or of all.
func (d *Desk) ListOf(_ context.Context, l *casemate.Launch, in ListQuestion) (any, error) {
	if in.Operator != "" {
		if err := d.Covers(l, actionList, "operator", in.Operator); err != nil {
			return nil, err
		}
		if _, err := d.Operators.Get(in.Operator); err != nil {
			return nil, err
		}
	}
	return d.list(in.Operator)
}

func (d *Desk) list(name string) ([]passkey.Passkey, error) {
	all := d.Passkeys.List(name)
	return slices.DeleteFunc(all, func(k passkey.Passkey) bool { return holds(d.Operators.FactorState(k.Operator, Kind), k.ID) != nil }), nil
}

// RemoveQuestion names a passkey. Its owner gives the password again.
type RemoveQuestion struct {
	ID       string `json:"id"`
	Password string `json:"password,omitempty"`
}

// Removed is what was taken away.
type Removed struct {
	Passkey passkey.Passkey `json:"passkey"`
}

// Effects implements casemate.Noted.
func (r Removed) Effects() []casemate.Effect { return noted(r.Passkey, "removed") }

// Remove takes one of the caller's own passkeys away. The last factor stays.
func (d *Desk) Remove(ctx context.Context, l *casemate.Launch, in RemoveQuestion) (any, error) {
	s, err := d.session(l, true)
	if err != nil {
		return nil, err
	}
	_, _, err = d.Operators.SetFactor(ctx, s, in.Password, Kind, without(in.ID))
	if err != nil {
		return nil, err
	}
	return d.drop(ctx, in.ID)
}

// RemoveOf takes any operator's passkey away, and ends the operator's sessions: what a lost one opened is shut.
func (d *Desk) RemoveOf(ctx context.Context, l *casemate.Launch, in RemoveQuestion) (any, error) {
	k, err := d.Passkeys.Get(in.ID)
	if err != nil {
		return nil, err
	}
	if err := d.Covers(l, actionReset, "operator", k.Operator); err != nil {
		return nil, err
	}
	if _, err := d.Operators.SetFactorOf(ctx, d.Operators.Grantor(l.Principal), k.Operator, Kind, without(in.ID)); err != nil {
		return nil, err
	}
	return d.drop(ctx, in.ID)
}

func without(id string) func(state json.RawMessage) (json.RawMessage, error) {
	return func(state json.RawMessage) (json.RawMessage, error) {
		e, err := read(state)
		if err != nil {
			return nil, err
		}
		i := slices.Index(e.IDs, id)
		if i < 0 {
			return nil, &casemate.Error{Code: casemate.NotFound, Field: "id", Message: "there is no such passkey", Hint: "casemate operator passkey list shows them"}
		}
		e.IDs = slices.Delete(e.IDs, i, i+1)
		return e.write()
	}
}

func (d *Desk) drop(ctx context.Context, id string) (any, error) {
	k, err := d.Passkeys.Remove(ctx, id)
	if err != nil {
		return nil, err
	}
	return Removed{k}, nil
}

// page is where people sign in; "" when nowhere.
func (d *Desk) page() string {
	if o := d.Page.Load(); o != nil {
		return *o + "/signin"
	}
	return ""
}
