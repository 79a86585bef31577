package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/store"
)

// Grantor is who keeps operators: what it may hand out and take away. The zero Grantor may nothing.
type Grantor struct {
	Name  string   // of its principal
	All   bool     // the node's own machine: everything
	Roles []string // its own, those of a break-glass not counted
}

// may refuses roles that the grantor does not hold: nobody makes anybody what he is not, nor touches who is more.
func (g *Grantor) may(roles []string) error {
	if g.All {
		return nil
	}
	for _, role := range roles {
		if !slices.Contains(g.Roles, role) {
			return &casemate.Error{Code: casemate.Forbidden, Field: "roles", Message: "the role " + role + " is not yours to give or take", Hint: "ask who holds it, or do it on the node's own machine"}
		}
	}
	return nil
}

// Grantor says what p may hand out: a peer of the node's socket everything, an operator its own roles, others nothing.
func (r *Room) Grantor(p *casemate.Principal) Grantor {
	g := Grantor{Name: p.Name(), All: p.Kind == casemate.KindPeer}
	if k := r.find(strings.TrimPrefix(p.ID, prefix)); p.Kind == casemate.KindOperator && k != nil {
		if s := r.SessionOf(p); s != nil && s.Level == LevelFull {
			g.Roles = both(s.Roles, k.Roles)
		}
	}
	return g
}

// Create makes an operator. Without a password one is drawn and given back, to be told and changed.
func (r *Room) Create(ctx context.Context, g Grantor, name string, roles []string, password string) (o Operator, drawn string, err error) {
	if !validName(name) {
		return o, "", &casemate.Error{Code: casemate.Invalid, Field: "name", Message: "not the name of an operator", Hint: "a lower-case letter, then letters, digits and ._- ; 32 in all"}
	}
	if roles, err = checkRoles(roles); err == nil {
		err = g.may(roles)
	}
	if err != nil {
		return o, "", err
	}
	if password, drawn, err = orDraw(name, password); err != nil {
		return o, "", err
	}
	hash, err := r.hasher.make(ctx, password)
	if err != nil {
		return o, "", err
	}
	now := r.cfg.Clock().UTC().Truncate(time.Second)
	k := &known{account: account{Operator: Operator{Name: name, Roles: roles, By: g.Name, Created: now, Changed: now}, ID: make([]byte, 32), Hash: hash}}
	rand.Read(k.ID) // never fails (crypto/rand, Go 1.24)
	r.write.Lock()
	defer r.write.Unlock()
	switch n := len(r.List()); {
	case r.find(name) != nil:
		return o, "", &casemate.Error{Code: casemate.Conflict, Field: "name", Message: "there is an operator " + name, Hint: "casemate operator set changes its roles"}
	case n >= mostOperators:
		return o, "", casemate.Errorf(casemate.Exhausted, "remove some", "there are %d operators, which is the bound", n)
	}
	r.limits.forget(name)
	o, err = r.put(ctx, k, store.NewKey)
	return o, drawn, err
}

func orDraw(name, password string) (used, drawn string, err error) {
	if password == "" {
		drawn = strings.ToLower(rand.Text()[:20])
		return drawn, drawn, nil
	}
	return password, "", checkPassword(name, password)
}

// SetRoles replaces an operator's roles. Sessions that are open lose at once what is taken away, and gain what is given when
// they are opened anew.
func (r *Room) SetRoles(ctx context.Context, g Grantor, name string, roles []string) (Operator, error) {
	roles, err := checkRoles(roles)
	if err != nil {
		return Operator{}, err
	}
	return r.change(ctx, name, func(x *account) error {
		if err := g.may(slices.Concat(x.Roles, roles)); err != nil {
			return err
		}
		x.Roles = roles
		return nil
	})
}

// Reset is what can be done for an operator who cannot sign in.
type Reset struct {
	Password bool   // a new one: Next, or drawn
	Next     string // "": drawn
	Factors  bool   // take all second factors away: one has to be enrolled anew
	Unlock   bool   // forget failed guesses
}

// Reset does what q says, and ends the operator's sessions but for a mere unlock.
func (r *Room) Reset(ctx context.Context, g Grantor, name string, q Reset) (o Operator, drawn string, err error) {
	hash := ""
	if q.Password {
		password := ""
		if password, drawn, err = orDraw(name, q.Next); err != nil {
			return o, "", err
		}
		if hash, err = r.hasher.make(ctx, password); err != nil {
			return o, "", err
		}
	}
	r.write.Lock()
	defer r.write.Unlock()
	sealed := []string{}
	o, err = r.changeLocked(ctx, name, func(x *account) error {
		if err := g.may(x.Roles); err != nil {
			return err
		}
		if hash != "" {
			x.Hash, x.Changed = hash, r.cfg.Clock().UTC().Truncate(time.Second)
		}
		if q.Factors {
			sealed = append(sealed, x.TOTP, x.Next)
			x.TOTP, x.Next, x.Step, x.Recovery, x.State = "", "", 0, nil, nil
		}
		return nil
	})
	if err != nil {
		return o, "", err
	}
	r.limits.forget(name)
	if q.Password || q.Factors {
		_, err = r.endAll(ctx, name, "")
	}
	return o, drawn, errors.Join(err, r.drop(ctx, sealed))
}

// drop removes sealed secrets; "" is none.
func (r *Room) drop(ctx context.Context, names []string) error {
	var errs []error
	for _, name := range names {
		if name != "" {
			errs = append(errs, r.cfg.Vault.Drop(ctx, name))
		}
	}
	return errors.Join(errs...)
}

// Remove takes an operator away, with its sessions.
func (r *Room) Remove(ctx context.Context, g Grantor, name string) error {
	r.write.Lock()
	defer r.write.Unlock()
	k := r.find(name)
	if k == nil {
		return noOperator(name)
	}
	if err := g.may(k.Roles); err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.accounts, name)
	r.mu.Unlock()
	_, err := r.endAll(ctx, name, "")
	r.limits.forget(name)
	return errors.Join(err, r.operators.Delete(ctx, name, store.AnyRevision), r.drop(ctx, []string{k.TOTP, k.Next}))
}
