package operator

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"casemate"
)

// enrolTime is how long an enrolment may take.
const enrolTime = 10 * time.Minute

// confirm has a session's operator prove itself again by its password: who holds a stolen session changes nothing with it.
// Guesses count against the session.
func (r *Room) confirm(ctx context.Context, s *Session, password string) (*known, error) {
	k := r.find(s.Operator)
	if k == nil {
		return nil, noOperator(s.Operator)
	}
	p := place{"session:" + s.ID, true}
	if err := r.limits.take(r.cfg.Clock(), k.Name, true, p); err != nil {
		return nil, refusal(err)
	}
	ok, err := r.hasher.check(ctx, true, k.Hash, cut(password, 4*maxPassword))
	if err != nil {
		r.limits.undo(k.Name, true, p)
		return nil, err
	}
	if !ok {
		return nil, refusal(errors.New("wrong password"))
	}
	r.limits.right(k.Name, p)
	return k, nil
}

// SetPassword changes the password of the operator who is signed in by s; its other sessions end.
func (r *Room) SetPassword(ctx context.Context, s *Session, current, next string) error {
	k, err := r.confirm(ctx, s, current)
	if err != nil {
		return err
	}
	if err := checkPassword(k.Name, next); err != nil {
		return err
	}
	if current == next {
		return &casemate.Error{Code: casemate.Invalid, Field: "password", Message: "the password is the one before", Hint: "choose another"}
	}
	return r.setHash(ctx, k, next, s.ID)
}

func (r *Room) setHash(ctx context.Context, k *known, password, except string) error {
	hash, err := r.hasher.make(ctx, password)
	if err != nil {
		return err
	}
	r.write.Lock()
	defer r.write.Unlock()
	_, err = r.changeLocked(ctx, k.Name, func(x *account) error {
		if x.Hash != k.Hash {
			return casemate.Errorf(casemate.Conflict, "sign in again", "the password was changed meanwhile")
		}
		x.Hash, x.Changed = hash, r.cfg.Clock().UTC().Truncate(time.Second)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = r.endAll(ctx, k.Name, except)
	return err
}

// BeginTOTP makes a secret for an authenticator app. It counts once ConfirmTOTP has seen a code of it; until then the one
// before does.
func (r *Room) BeginTOTP(ctx context.Context, s *Session, password string) (uri string, err error) {
	k, err := r.confirm(ctx, s, password)
	if err != nil {
		return "", err
	}
	secret := newTOTP()
	defer clear(secret)
	name := "operator-totp-" + strings.ToLower(rand.Text())
	if err := r.cfg.Vault.Put(ctx, name, secret); err != nil {
		return "", fmt.Errorf("sealing a TOTP secret: %w", err)
	}
	old := ""
	_, err = r.change(ctx, k.Name, func(x *account) error {
		old, x.Next, x.Until = x.Next, name, r.cfg.Clock().Add(enrolTime)
		return nil
	})
	if err != nil {
		return "", errors.Join(err, r.cfg.Vault.Drop(ctx, name))
	}
	if old != "" {
		err = r.cfg.Vault.Drop(ctx, old)
	}
	return otpauth(r.cfg.Place.Account, k.Name, secret), err
}

// ConfirmTOTP takes the first code of the secret that BeginTOTP made: it is a second factor from now on, with new recovery
// codes, which are shown here and never again. The operator's other sessions end; a session that could only enrol is
// replaced by a full one.
func (r *Room) ConfirmTOTP(ctx context.Context, s *Session, typed string) (o Opened, recovery []string, err error) {
	p := place{"session:" + s.ID, true}
	if err := r.limits.take(r.cfg.Clock(), s.Operator, true, p); err != nil {
		return Opened{}, nil, refusal(err)
	}
	old := ""
	r.write.Lock()
	defer r.write.Unlock()
	_, err = r.changeLocked(ctx, s.Operator, func(x *account) error {
		if x.Next == "" || r.cfg.Clock().After(x.Until) {
			return casemate.Errorf(casemate.Conflict, "begin anew: casemate operator totp", "no enrolment is under way")
		}
		secret, err := r.cfg.Vault.Get(ctx, x.Next)
		if err != nil {
			return fmt.Errorf("opening a TOTP secret: %w", err)
		}
		defer clear(secret)
		step, ok := matchStep(secret, plainCode(typed), r.cfg.Clock(), 0)
		if !ok {
			return &casemate.Error{Code: casemate.Invalid, Field: "code", Message: "the code is not one of the new secret", Hint: "are the clocks of the phone and of the node right?"}
		}
		old, x.TOTP, x.Next, x.Step, x.Until = x.TOTP, x.Next, "", step, time.Time{}
		recovery, x.Recovery = newRecovery()
		r.raised(x, s)
		return nil
	})
	if err != nil {
		return Opened{}, nil, err
	}
	r.limits.right(s.Operator, p)
	if o, err = r.raise(ctx, s, "totp"); err != nil {
		return Opened{}, nil, err
	}
	if old != "" {
		err = r.cfg.Vault.Drop(ctx, old)
	}
	return o, recovery, err
}

// raised notes from where a session that could only enrol becomes a full one.
func (r *Room) raised(x *account, s *Session) {
	if s.Level != LevelFull {
		r.arrive(x, &Attempt{From: s.From}, LevelFull)
	}
}

// raise ends an operator's other sessions after a factor was enrolled, and replaces the one that could only enrol it. The
// caller holds write.
func (r *Room) raise(ctx context.Context, s *Session, factor string) (o Opened, err error) {
	except := s.ID
	if s.Level != LevelFull {
		except = ""
	}
	if _, err = r.endAll(ctx, s.Operator, except); err != nil || except != "" {
		return o, err
	}
	return r.open(ctx, s.Operator, LevelFull, factor, &Attempt{From: s.From, Agent: s.Agent})
}

// NewRecovery replaces the recovery codes. They are shown here and never again.
func (r *Room) NewRecovery(ctx context.Context, s *Session, password string) (codes []string, err error) {
	k, err := r.confirm(ctx, s, password)
	if err != nil {
		return nil, err
	}
	if len(k.Factors) == 0 {
		return nil, casemate.Errorf(casemate.Conflict, "enrol one: casemate operator totp", "recovery codes stand in for a second factor, and there is none")
	}
	_, err = r.change(ctx, k.Name, func(x *account) error {
		codes, x.Recovery = newRecovery()
		return nil
	})
	return codes, err
}

// FactorState is what is kept for a factor of an operator; nil: nothing.
func (r *Room) FactorState(name, kind string) json.RawMessage {
	if k := r.find(name); k != nil {
		return k.State[kind]
	}
	return nil
}

// SetFactor changes the state of a factor of the operator who is signed in by s and proves it by its password; a nil state
// takes the factor away. The first factor of an operator comes with recovery codes; taking away the last one is refused. The
// operator's other sessions end; a session that could only enrol is replaced by a full one.
func (r *Room) SetFactor(ctx context.Context, s *Session, password, kind string, do func(state json.RawMessage) (json.RawMessage, error)) (o Opened, recovery []string, err error) {
	if r.factor(kind) == nil {
		return o, nil, casemate.Errorf(casemate.Invalid, "", "there is no factor %q", kind)
	}
	k, err := r.confirm(ctx, s, password)
	if err != nil {
		return o, nil, err
	}
	r.write.Lock()
	defer r.write.Unlock()
	after, err := r.changeLocked(ctx, k.Name, func(x *account) error {
		state, err := do(x.State[kind])
		if err != nil {
			return err
		}
		if x.State == nil {
			x.State = map[string]json.RawMessage{}
		}
		if x.State[kind] = state; state == nil {
			delete(x.State, kind)
		}
		before := len(x.Factors)
		if r.tell(x); before > 0 && len(x.Factors) == 0 {
			return casemate.Errorf(casemate.Conflict, "enrol another one first", "an operator keeps one second factor at least")
		}
		r.raised(x, s)
		if len(x.Recovery) == 0 && len(x.Factors) > 0 {
			recovery, x.Recovery = newRecovery()
		}
		return nil
	})
	if err != nil || len(after.Factors) == 0 {
		return o, nil, err
	}
	o, err = r.raise(ctx, s, kind)
	return o, recovery, err
}

// Challenge begins the enrolment of a factor: what it gives is to be answered by way of Answer, in time.
func (r *Room) Challenge(ctx context.Context, s *Session, kind string, ask func(who Person, state json.RawMessage) (ask, remember json.RawMessage, err error)) (Pending, error) {
	p := &pending{name: s.Operator, attempt: Attempt{Name: s.ID}}
	out, err := r.ask(ctx, p, nil)
	if err != nil {
		return Pending{}, err
	}
	key, err := r.key(ctx)
	if err != nil {
		return Pending{}, err
	}
	shown, remember, err := ask(r.person(key, s.Operator), r.FactorState(s.Operator, kind))
	if err != nil {
		return Pending{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := maps.Clone(p.remember)
	kept[kind] = remember
	p.remember = kept
	out.Ask[kind] = shown
	return out, nil
}

// Answer gives what was remembered of an enrolment that s began, once.
func (r *Room) Answer(s *Session, id, kind string) (who Person, remember json.RawMessage, err error) {
	r.mu.Lock()
	p := r.pending[id]
	delete(r.pending, id)
	key := r.handles
	r.mu.Unlock()
	if p == nil || p.proven || p.name != s.Operator || p.attempt.Name != s.ID || r.cfg.Clock().After(p.until) || p.remember[kind] == nil {
		return Person{}, nil, casemate.Errorf(casemate.Conflict, "begin anew", "no such enrolment is under way")
	}
	return r.person(key, s.Operator), p.remember[kind], nil
}
