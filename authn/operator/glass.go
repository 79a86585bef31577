package operator

import (
	"context"
	"strings"
	"time"
	"unicode"

	"casemate"
)

// Bounds of a break-glass.
const (
	DefaultGlass = 15 * time.Minute
	MaxGlass     = time.Hour
)

// BreakGlass gives the operator of session s all roles for a while. What would outlast that, keeping operators and making
// keys, is not among them: the role admin is not given. It is for those who have signed in with two factors, and needs a
// reason. A break-glass that is under way is not made longer.
func (r *Room) BreakGlass(ctx context.Context, id, reason string, d time.Duration) (Session, error) {
	now := r.cfg.Clock().UTC()
	reason = strings.TrimSpace(reason)
	bad := func(field, message, hint string) (Session, error) {
		return Session{}, &casemate.Error{Code: casemate.Invalid, Field: field, Message: message, Hint: hint}
	}
	if d == 0 {
		d = DefaultGlass
	}
	switch {
	case len(reason) < 8 || len(reason) > 256 || strings.ContainsFunc(reason, func(c rune) bool { return !unicode.IsPrint(c) }):
		return bad("reason", "a break-glass needs a reason of 8 to 256 printable characters", "say what is broken; who looks at the record later wants to know")
	case d < time.Minute || d > MaxGlass:
		return bad("for", "a break-glass lasts from a minute to an hour", "15m")
	}
	r.write.Lock()
	defer r.write.Unlock()
	r.mu.RLock()
	s := r.sessions[id]
	r.mu.RUnlock()
	switch {
	case s == nil || s.Level != LevelFull || s.Factor == "":
		return Session{}, casemate.Errorf(casemate.Forbidden, "casemate login", "the glass is broken by who has signed in with two factors")
	case s.Glass != nil && now.Before(s.Glass.Until):
		return Session{}, casemate.Errorf(casemate.Conflict, "casemate break-glass end ends it", "the glass is broken already, until %s", s.Glass.Until.Format(time.RFC3339))
	}
	until := now.Add(d)
	if until.After(s.Expires) {
		until = s.Expires
	}
	if err := r.replace(ctx, s, func(v *Session) { v.Glass = &Glass{Reason: reason, Since: now, Until: until} }); err != nil {
		return Session{}, err
	}
	r.cfg.Log.Error("BREAK-GLASS: an operator holds all roles", "operator", s.Operator, "session", id, "until", until.Format(time.RFC3339), "reason", reason)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.sessions[id].view(), nil
}

// EndGlass ends the break-glass of a session.
func (r *Room) EndGlass(ctx context.Context, id string) error {
	r.write.Lock()
	defer r.write.Unlock()
	r.mu.RLock()
	s := r.sessions[id]
	r.mu.RUnlock()
	if s == nil || s.Glass == nil {
		return casemate.Errorf(casemate.NotFound, "casemate whoami tells", "the glass is not broken")
	}
	return r.mend(ctx, s)
}

// mend takes a break-glass away. The caller holds write.
func (r *Room) mend(ctx context.Context, s *session) error {
	glass := *s.Glass
	if err := r.replace(ctx, s, func(v *Session) { v.Glass = nil }); err != nil {
		return err
	}
	r.cfg.Log.Error("BREAK-GLASS is over", "operator", s.Operator, "session", s.ID, "reason", glass.Reason)
	return nil
}

// Glasses are the sessions whose glass is broken at present.
func (r *Room) Glasses() []Session {
	now := r.cfg.Clock()
	out := []Session{}
	for _, s := range r.Sessions("") {
		if s.Glass != nil && now.Before(s.Glass.Until) {
			out = append(out, s)
		}
	}
	return out
}
