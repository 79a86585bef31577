package operator

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/store"
)

// A token reads cs_<id>_<secret>: a public id of 12 characters, and 260 random bits as 52. Base 32, lower case.
const (
	TokenMark = "cs_"
	idLen     = 12
	secretLen = 52
	tokenLen  = len(TokenMark) + idLen + 1 + secretLen

	perOperator = 20 // sessions at once; a further one ends the oldest
	origin      = "operator-session/"
)

// stored is a session in the store.
type stored struct {
	Session
	Hash string `json:"hash"` // of the token
}

// session is one in memory. What is in stored is replaced with it, never changed.
type session struct {
	stored
	used atomic.Int64 // Unix nanoseconds
}

// view is what may be known of it at present.
func (s *session) view() Session {
	v := s.Session
	v.LastUsed = time.Unix(0, s.used.Load()).UTC()
	return v
}

// live reports whether the session opens anything.
func (r *Room) live(s *session, now time.Time) error {
	switch {
	case !now.Before(s.Expires):
		return errors.New("the session has expired")
	case now.Sub(time.Unix(0, s.used.Load())) >= r.cfg.Idle:
		return errors.New("the session was idle for too long")
	}
	return nil
}

// open makes a session. The caller holds write, and has checked that the operator may.
func (r *Room) open(ctx context.Context, name, level, factor string, a *Attempt) (Opened, error) {
	now := r.cfg.Clock().UTC()
	text := strings.ToLower(rand.Text() + rand.Text() + rand.Text())
	id := text[:idLen]
	token := TokenMark + id + "_" + text[idLen:idLen+secretLen]
	sum := digest(token)
	life := r.cfg.Life
	if level == LevelEnrol {
		life = min(life, enrolLife)
	}
	s := &session{stored: stored{Hash: hex.EncodeToString(sum[:]), Session: Session{ID: id, Operator: name, Level: level, Factor: factor,
		Roles: slices.Clone(r.find(name).Roles), From: a.From, Agent: cut(a.Agent, 120), Created: now, Expires: now.Add(life), LastUsed: now}}}
	if by := a.by; by != nil { // approval proves nothing anew: neither a later end, nor a younger factor, nor more roles
		s.By, s.Proven, s.Roles = by.ID, by.proven(), both(by.Roles, s.Roles)
		if by.Expires.Before(s.Expires) {
			s.Expires = by.Expires
		}
	}
	s.used.Store(now.UnixNano())
	if err := r.makeRoom(ctx, name); err != nil {
		return Opened{}, err
	}
	if err := r.putSession(ctx, s, store.NewKey); err != nil {
		return Opened{}, err
	}
	r.mu.Lock()
	r.sessions[id] = s
	r.mu.Unlock()
	return Opened{Token: token, Session: s.Session}, nil
}

func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}

func (r *Room) putSession(ctx context.Context, s *session, expect uint64) error {
	value, err := json.Marshal(s.stored)
	if err == nil {
		_, err = r.sessionsKV.Put(ctx, s.ID, value, expect)
	}
	if err != nil {
		return fmt.Errorf("writing a session: %w", err)
	}
	return nil
}

// makeRoom ends the session of name that was used longest ago, when there are as many as may be.
func (r *Room) makeRoom(ctx context.Context, name string) error {
	list := r.Sessions(name)
	if len(list) < perOperator {
		return nil
	}
	slices.SortFunc(list, func(a, b Session) int { return a.LastUsed.Compare(b.LastUsed) })
	return r.end(ctx, list[0].ID)
}

// tokenID checks a token's form.
func tokenID(token string) (string, bool) {
	if len(token) != tokenLen || token[:len(TokenMark)] != TokenMark || token[len(TokenMark)+idLen] != '_' {
		return "", false
	}
	rest := token[len(TokenMark):]
	if strings.Trim(rest[:idLen]+rest[idLen+1:], "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", false
	}
	return rest[:idLen], true
}

// Verify says whose token it is, and puts into keys what policies may ask about a second factor. A token that does not hold,
// for whatever reason, is one and the same refusal.
func (r *Room) Verify(token string, keys map[string][]string) (*casemate.Principal, error) {
	p, s, err := r.verify(token)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Unauthenticated, Message: "the credential is not valid", Hint: "sign in: casemate login", Err: err}
	}
	if keys != nil {
		keys["aws:multifactorauthpresent"] = []string{strconv.FormatBool(s.Factor != "")}
		if s.Factor != "" {
			keys["aws:multifactorauthage"] = []string{strconv.FormatInt(int64(r.cfg.Clock().Sub(s.proven())/time.Second), 10)}
		}
	}
	return p, nil
}

func (r *Room) verify(token string) (*casemate.Principal, *session, error) {
	id, ok := tokenID(token)
	if !ok {
		return nil, nil, errors.New("malformed session token")
	}
	r.mu.RLock()
	s := r.sessions[id]
	var k *known
	if s != nil {
		k = r.accounts[s.Operator]
	}
	r.mu.RUnlock()
	sum := digest(token)
	if s == nil || k == nil {
		return nil, nil, errors.New("no such session")
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(s.Hash)) != 1 {
		return nil, nil, errors.New("the session's token is another one")
	}
	now := r.cfg.Clock()
	if err := r.live(s, now); err != nil {
		return nil, nil, err
	}
	s.used.Store(now.UnixNano())
	return r.principal(s, k, now), s, nil
}

// principal is who s acts as: with the roles that its operator held when it was opened and still holds.
func (r *Room) principal(s *session, k *known, now time.Time) *casemate.Principal {
	roles := both(s.Roles, k.Roles)
	p := &casemate.Principal{Kind: casemate.KindOperator, ID: prefix + k.Name, ARN: "arn:aws:iam::" + r.cfg.Place.Account + ":operator/" + k.Name,
		Account: r.cfg.Place.Account, Role: RoleOf(roles), Origin: origin + s.ID, Issued: s.Created, Expires: s.Expires}
	switch {
	case s.Level != LevelFull:
		p.Role = roleEnrol
	case s.Glass != nil && now.Before(s.Glass.Until):
		p.Role = roleGlass
		if slices.Contains(roles, RoleAdmin) {
			p.Role += "+" + RoleAdmin
		}
	}
	return p
}

// Still looks again at an operator whose event was queued: what was taken away since takes it along.
func (r *Room) Still(p *casemate.Principal) error {
	k := r.find(strings.TrimPrefix(p.ID, prefix))
	if k == nil {
		return errors.New("the operator who queued the event is gone")
	}
	if Broken(p.Role) {
		s := r.SessionOf(p)
		if s == nil || s.Glass == nil || !r.cfg.Clock().Before(s.Glass.Until) {
			return errors.New("the break-glass under which the event was queued is over")
		}
		return nil
	}
	if roles := held(p.Role); len(both(roles, k.Roles)) != len(roles) {
		return errors.New("the operator who queued the event does not hold its roles any more")
	}
	return nil
}

// Holds reports whether a principal that Verify gave is still what it was: its session is live, and acts in the same role.
func (r *Room) Holds(p *casemate.Principal) error {
	r.mu.RLock()
	s := r.sessions[strings.TrimPrefix(p.Origin, origin)]
	var k *known
	if s != nil {
		k = r.accounts[s.Operator]
	}
	r.mu.RUnlock()
	now := r.cfg.Clock()
	switch {
	case s == nil || k == nil || !strings.HasPrefix(p.Origin, origin):
		return errors.New("the session has ended")
	case r.principal(s, k, now).Role != p.Role:
		return errors.New("the session's roles are others now")
	}
	return r.live(s, now)
}

// SessionOf is the session behind a principal; nil where there is none.
func (r *Room) SessionOf(p *casemate.Principal) *Session {
	id, ok := strings.CutPrefix(p.Origin, origin)
	if !ok {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.sessions[id]
	if s == nil {
		return nil
	}
	v := s.view()
	return &v
}

// Sessions lists those that are live, of one operator or, for "", of all, the oldest first.
func (r *Room) Sessions(name string) []Session {
	now := r.cfg.Clock()
	out := []Session{}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.sessions {
		if (name == "" || s.Operator == name) && r.live(s, now) == nil {
			out = append(out, s.view())
		}
	}
	slices.SortFunc(out, func(a, b Session) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Revoke ends a session at once, with those that it approved. An id that is none is NotFound.
func (r *Room) Revoke(ctx context.Context, id string) error {
	r.write.Lock()
	defer r.write.Unlock()
	ids := []string{id}
	r.mu.RLock()
	s := r.sessions[id]
	for _, other := range r.sessions {
		if other.By == id {
			ids = append(ids, other.ID)
		}
	}
	r.mu.RUnlock()
	if s == nil {
		return casemate.Errorf(casemate.NotFound, "casemate sessions list shows them", "there is no such session")
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, r.end(ctx, id))
	}
	return errors.Join(errs...)
}

// RevokeAll ends the sessions of an operator but one; except may be "".
func (r *Room) RevokeAll(ctx context.Context, name, except string) (ended int, err error) {
	r.write.Lock()
	defer r.write.Unlock()
	return r.endAll(ctx, name, except)
}

func (r *Room) endAll(ctx context.Context, name, except string) (ended int, err error) {
	r.mu.RLock()
	ids := []string{}
	for id, s := range r.sessions {
		if s.Operator == name && id != except {
			ids = append(ids, id)
		}
	}
	for id, p := range r.pending {
		if p.name == name {
			defer func() { r.mu.Lock(); delete(r.pending, id); r.mu.Unlock() }()
		}
	}
	r.mu.RUnlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, r.end(ctx, id))
	}
	return len(ids), errors.Join(errs...)
}

// end shuts a session in memory first, so that it opens nothing even when the store cannot be written; the caller is then
// told, because a restart would bring it back. The caller holds write.
func (r *Room) end(ctx context.Context, id string) error {
	r.mu.Lock()
	delete(r.sessions, id)
	r.mu.Unlock()
	if err := r.sessionsKV.Delete(ctx, id, store.AnyRevision); err != nil && casemate.CodeOf(err) != casemate.NotFound {
		return fmt.Errorf("ending a session (shut until the next start only): %w", err)
	}
	return nil
}

// saveSessions writes last uses to the grain, and forgets sessions that are over.
func (r *Room) saveSessions(ctx context.Context) error {
	now := r.cfg.Clock()
	r.write.Lock()
	defer r.write.Unlock()
	r.mu.RLock()
	list := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		list = append(list, s)
	}
	r.mu.RUnlock()
	var errs []error
	for _, s := range list {
		if r.live(s, now) != nil {
			errs = append(errs, r.end(ctx, s.ID))
			continue
		}
		if s.Glass != nil && !now.Before(s.Glass.Until) {
			errs = append(errs, r.mend(ctx, s))
			continue
		}
		if at := time.Unix(0, s.used.Load()).UTC(); at.Sub(s.LastUsed) >= useGrain {
			errs = append(errs, r.replace(ctx, s, func(v *Session) { v.LastUsed = at }))
		}
	}
	return errors.Join(errs...)
}

// replace writes a session anew, changed. The caller holds write.
func (r *Room) replace(ctx context.Context, old *session, do func(v *Session)) error {
	next := &session{stored: old.stored}
	do(&next.Session)
	if err := r.putSession(ctx, next, store.AnyRevision); err != nil {
		return err
	}
	next.used.Store(max(old.used.Load(), next.LastUsed.UnixNano()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[next.ID] = next
	return nil
}

// Stranger is who signs in from an address: it may do that, and nothing else.
func (r *Room) Stranger(from string) *casemate.Principal {
	return &casemate.Principal{Kind: casemate.KindOperator, ID: "sign-in/" + network(from), Account: r.cfg.Place.Account, Role: roleSignIn}
}
