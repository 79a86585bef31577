package operator

import (
	"context"
	"encoding/json"
	"errors"
)

// OpenProven opens a session of name, whom something proved that is two factors in one: a passkey that verified its user, or a
// session of the same operator that approved this one. check may refuse by the state of the factor of this kind, nil where
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
