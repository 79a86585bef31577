package operator

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Attempt is somebody who signs in. It never prints its secrets.
type Attempt struct {
	Name, Password string
	Code           string // of the second factor: TOTP, or a recovery code
	Device         string // of an earlier sign-in on this machine; optional
	From, Agent    string // source address, "" on the node's own socket; user agent

	by *Session // that approves it
}

// String hides the secrets.
func (a Attempt) String() string { return "attempt of " + a.Name }

// GoString hides the secrets from %#v.
func (a Attempt) GoString() string { return a.String() }

// deviceLife is how long a machine stays known.
const deviceLife = 90 * 24 * time.Hour

// mostPending bounds sign-ins that wait for their second factor.
const mostPending = 1024

// refusal is what everybody is told who does not get in, whatever the reason.
func refusal(cause error) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: "the sign-in is refused",
		Hint: "name, password or code is wrong, or there were too many tries: wait a little and try again", Err: cause}
}

// SignIn opens a session with a password and a code. Without a second factor, and with no code, the session can enrol one
// and do nothing else.
func (r *Room) SignIn(ctx context.Context, a Attempt) (Opened, error) {
	k, p, err := r.password(ctx, &a)
	if err != nil {
		return Opened{}, err
	}
	level, factor := LevelFull, ""
	switch {
	case len(k.Factors) == 0 && a.Code == "":
		level = LevelEnrol
	case len(k.Factors) == 0:
		return Opened{}, refusal(errors.New("a code was sent, and no second factor is enrolled"))
	}
	var out Opened
	r.write.Lock()
	defer r.write.Unlock()
	_, err = r.changeLocked(ctx, k.Name, func(x *account) (err error) {
		if x.Hash != k.Hash || !slices.Equal(x.Factors, k.Factors) {
			return errors.New("password or factors were changed meanwhile")
		}
		if level == LevelFull {
			if factor, err = r.take(ctx, x, a.Code); err != nil {
				return err
			}
		}
		r.arrive(x, &a, level)
		return nil
	})
	if err == nil {
		out, err = r.open(ctx, k.Name, level, factor, &a)
	}
	if err != nil {
		return Opened{}, refusal(err)
	}
	r.limits.right(k.Name, p)
	if level == LevelFull {
		out.Device, err = r.device(ctx, k.Name)
	}
	return out, err
}

// password counts the guess, then looks at it. Whoever is refused has waited as long as whoever is not.
func (r *Room) password(ctx context.Context, a *Attempt) (*known, place, error) {
	key, err := r.key(ctx)
	if err != nil {
		return nil, place{}, err
	}
	name := strings.ToLower(strings.TrimSpace(a.Name))
	if !validName(name) {
		name = "" // all that can be nobody's name are one
	}
	k := r.find(name)
	p := r.place(key, k, a)
	if err := r.limits.take(r.cfg.Clock(), name, k != nil, p); err != nil {
		r.hasher.linger(ctx, 0)
		r.cfg.Log.Warn("sign-in not looked at", "operator", name, "from", network(a.From), "cause", err)
		return nil, p, refusal(err)
	}
	hash := ""
	if k != nil {
		hash = k.Hash
	}
	ok, err := r.hasher.check(ctx, p.known, hash, cut(a.Password, 4*maxPassword))
	switch {
	case err != nil:
		r.limits.undo(name, k != nil, p)
		return nil, p, err
	case k == nil:
		return nil, p, refusal(errors.New("there is no such operator"))
	case !ok || len(a.Password) > maxPassword:
		return nil, p, refusal(errors.New("wrong password"))
	}
	return k, p, nil
}

// place is where an attempt on k comes from.
func (r *Room) place(key []byte, k *known, a *Attempt) place {
	p := place{key: network(a.From)}
	if k == nil {
		return p
	}
	if id := r.knownDevice(key, k.Name, a.Device); id != "" {
		return place{"device:" + id, true}
	}
	p.known = a.From == "" || slices.Contains(k.Familiar, p.key)
	return p
}

// take takes a code that x proves itself with, once.
func (r *Room) take(ctx context.Context, x *account, typed string) (factor string, err error) {
	plain := plainCode(typed)
	switch {
	case len(plain) == totpDigits && x.TOTP != "":
		secret, err := r.cfg.Vault.Get(ctx, x.TOTP)
		if err != nil {
			return "", err
		}
		defer clear(secret)
		step, ok := matchStep(secret, plain, r.cfg.Clock(), x.Step)
		if !ok {
			return "", errors.New("wrong code, or one that was taken before")
		}
		x.Step = step
		return "totp", nil
	case len(plain) == recoveryLen:
		if i := slices.Index(x.Recovery, recoveryHash(plain)); i >= 0 {
			x.Recovery = slices.Delete(x.Recovery, i, i+1)
			r.cfg.Log.Warn("a recovery code was used", "operator", x.Name, "left", len(x.Recovery))
			return "recovery", nil
		}
	}
	return "", errors.New("wrong code")
}

// arrive notes that an operator signed in.
func (r *Room) arrive(x *account, a *Attempt, level string) {
	if level != LevelFull {
		return
	}
	x.Last = r.cfg.Clock().UTC().Truncate(time.Second)
	if from := network(a.From); a.From != "" {
		x.Familiar = append(slices.DeleteFunc(x.Familiar, func(s string) bool { return s == from }), from)
		x.Familiar = x.Familiar[max(0, len(x.Familiar)-mostFamiliar):]
	}
}

// device makes a token that tells this machine from others at the next sign-in. It opens nothing.
func (r *Room) device(ctx context.Context, name string) (string, error) {
	key, err := r.key(ctx)
	if err != nil {
		return "", err
	}
	body := strconv.FormatInt(r.cfg.Clock().Add(deviceLife).Unix(), 36) + "." + strings.ToLower(rand.Text()[:16])
	return body + "." + deviceMAC(key, name, body), nil
}

func deviceMAC(key []byte, name, body string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("device\n" + name + "\n" + body))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// knownDevice gives what tells a machine from others; "" for a token that does not hold.
func (r *Room) knownDevice(key []byte, name, token string) string {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || len(token) > 128 || !hmac.Equal([]byte(deviceMAC(key, name, token[:i])), []byte(token[i+1:])) {
		return ""
	}
	until, id, _ := strings.Cut(token[:i], ".")
	if n, err := strconv.ParseInt(until, 36, 64); err != nil || r.cfg.Clock().Unix() > n {
		return ""
	}
	return id
}

// pending is a sign-in, or an enrolment, that waits for an answer.
type pending struct {
	name     string // as it was given; of an operator only when proven
	proven   bool   // the password was right
	hopeless bool   // nothing comes of it, and it is not kept
	hash     string // that it was right for
	attempt  Attempt
	place    place
	until    time.Time
	remember map[string]json.RawMessage
}

// person is what factors may know of a name; the handle is the same each time, and says nothing.
func (r *Room) person(key []byte, name string) Person {
	if k := r.find(name); k != nil && len(k.ID) > 0 {
		return Person{name, k.ID}
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte("person\n" + name))
	return Person{name, h.Sum(nil)}
}

// Begin looks at name and password and gives challenges to answer, whatever came of it: only Complete tells.
func (r *Room) Begin(ctx context.Context, a Attempt) (Pending, error) {
	k, pl, err := r.password(ctx, &a)
	if err != nil && casemate.CodeOf(err) != casemate.Unauthenticated {
		return Pending{}, err
	}
	p := &pending{name: strings.ToLower(strings.TrimSpace(a.Name)), proven: err == nil, hopeless: err != nil, place: pl, attempt: a}
	p.attempt.Password = ""
	if k != nil {
		p.hash = k.Hash
	}
	return r.ask(ctx, p, r.cfg.Factors)
}

// ask makes the challenges of factors, and remembers p until they are answered.
func (r *Room) ask(ctx context.Context, p *pending, factors []Factor) (Pending, error) {
	key, err := r.key(ctx)
	if err != nil {
		return Pending{}, err
	}
	out := Pending{ID: strings.ToLower(rand.Text()), Ask: map[string]json.RawMessage{}}
	p.until, p.remember = r.cfg.Clock().Add(pendingLife), map[string]json.RawMessage{}
	var state map[string]json.RawMessage
	if k := r.find(p.name); k != nil {
		state = k.State
	}
	for _, f := range factors {
		if out.Ask[f.Kind()], p.remember[f.Kind()], err = f.Challenge(r.person(key, p.name), state[f.Kind()]); err != nil {
			return Pending{}, fmt.Errorf("making a challenge: %w", err)
		}
	}
	if p.hopeless {
		return out, nil // whoever guesses fills nothing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) >= mostPending {
		return Pending{}, busy()
	}
	r.pending[out.ID] = p
	return out, nil
}

// Complete takes the answer of the factor of this kind and opens the session. A Pending is answered once, from the place
// that it was begun from. Whoever is refused has waited as long, whatever was wrong.
func (r *Room) Complete(ctx context.Context, id, kind string, answer json.RawMessage, from string) (Opened, error) {
	start := r.cfg.Clock()
	o, err := r.complete(ctx, id, kind, answer, from)
	if err != nil {
		r.hasher.linger(ctx, r.cfg.Clock().Sub(start))
	}
	return o, err
}

func (r *Room) complete(ctx context.Context, id, kind string, answer json.RawMessage, from string) (Opened, error) {
	r.mu.Lock()
	p := r.pending[id]
	delete(r.pending, id)
	r.mu.Unlock()
	f := r.factor(kind)
	switch {
	case p == nil || r.cfg.Clock().After(p.until):
		return Opened{}, refusal(errors.New("no such sign-in is under way"))
	case network(from) != network(p.attempt.From):
		return Opened{}, refusal(errors.New("the answer comes from elsewhere"))
	case f == nil:
		return Opened{}, refusal(errors.New("there is no such factor"))
	}
	key, err := r.key(ctx)
	if err != nil {
		return Opened{}, err
	}
	if !p.proven {
		return Opened{}, refusal(errors.New("the password was wrong, or not looked at"))
	}
	r.write.Lock()
	defer r.write.Unlock()
	_, err = r.changeLocked(ctx, p.name, func(x *account) error {
		if x.Hash != p.hash || !f.Enrolled(x.State[kind]) {
			return errors.New("the factor is not enrolled, or the password was changed meanwhile")
		}
		next, err := f.Check(r.person(key, p.name), x.State[kind], p.remember[kind], answer)
		if err != nil {
			return err
		}
		x.State[kind] = next
		r.arrive(x, &p.attempt, LevelFull)
		return nil
	})
	if err != nil {
		return Opened{}, refusal(err)
	}
	out, err := r.open(ctx, p.name, LevelFull, kind, &p.attempt)
	if err != nil {
		return Opened{}, refusal(err)
	}
	r.limits.right(p.name, p.place)
	out.Device, err = r.device(ctx, p.name)
	return out, err
}

func (r *Room) factor(kind string) Factor {
	for _, f := range r.cfg.Factors {
		if f.Kind() == kind {
			return f
		}
	}
	return nil
}
