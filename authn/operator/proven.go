package operator

import (
	"context"
	"encoding/json"
	"errors"
)

// OpenProven opens a session of name, whom something proved that is two factors in one: a passkey that verified its user. check may refuse by the state of the factor of this kind, nil where
// there is none, at the moment of opening. Every refusal is the same to the caller.
func (r *Room) OpenProven(ctx context.Context, name, kind string, a Attempt, check func(state json.RawMessage) error) (Opened, error) {
	r.write.Lock()
	defer r.write.Unlock()
	if r.find(name) == nil {
		return Opened{}, refusal(errors.New("there is no such operator"))
	}
	_, err := r.changeLocked(ctx, name, func(x *account) error {
		if err := check(x.State[kind]); err != nil {
			return err
		}
		r.arrive(x, &a, LevelFull)
		return nil
	})
	if err != nil {
		return Opened{}, refusal(err)
	}
	out, err := r.open(ctx, name, LevelFull, kind, &a)
	if err != nil {
		return Opened{}, refusal(err)
	}
	out.Device, err = r.device(ctx, name)
	return out, err
}

// OpenApproved opens a session of name that its session by approved. It proves no factor, so it gets no more than by has: it
// ends no later, and with it when it is revoked; its factor is as old, its roles are no more. Nothing that was approved
// approves: whoever holds a session without its owner's factors cannot make it last.
func (r *Room) OpenApproved(ctx context.Context, name, by string, a Attempt) (Opened, error) {
	r.write.Lock()
	defer r.write.Unlock()
	r.mu.RLock()
	s := r.sessions[by]
	r.mu.RUnlock()
	if s == nil || s.Operator != name || !s.Approves() || r.live(s, r.cfg.Clock()) != nil {
		return Opened{}, refusal(errors.New("the session that approved it has ended, or approves nothing"))
	}
	_, err := r.changeLocked(ctx, name, func(x *account) error {
		r.arrive(x, &a, LevelFull)
		return nil
	})
	if err != nil {
		return Opened{}, refusal(err)
	}
	a.by = &s.Session
	out, err := r.open(ctx, name, LevelFull, s.Factor, &a)
	if err != nil {
		return Opened{}, refusal(err)
	}
	out.Device, err = r.device(ctx, name)
	return out, err
}

// Approves reports whether a session may approve another one: its factor was proved for itself.
func (s *Session) Approves() bool { return s.Level == LevelFull && s.Factor != "" && s.By == "" }

// SetFactorOf changes the state of a factor of another operator, whose sessions end; nil takes the factor away, were it the
// last: one has to be enrolled anew then.
func (r *Room) SetFactorOf(ctx context.Context, g Grantor, name, kind string, do func(state json.RawMessage) (json.RawMessage, error)) (Operator, error) {
	r.write.Lock()
	defer r.write.Unlock()
	o, err := r.changeLocked(ctx, name, func(x *account) error {
		if err := g.may(x.Roles); err != nil {
			return err
		}
		state, err := do(x.State[kind])
		if err != nil {
			return err
		}
		if state == nil {
			delete(x.State, kind)
			return nil
		}
		if x.State == nil {
			x.State = map[string]json.RawMessage{}
		}
		x.State[kind] = state
		return nil
	})
	if err != nil {
		return o, err
	}
	_, err = r.endAll(ctx, name, "")
	return o, err
}
