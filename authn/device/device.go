// Package device lets a command line sign in by a browser elsewhere, as RFC 8628 does: the command line gets a long secret and
// a short code, an operator who is signed in approves the code, and the secret is good for one session then. It is pure, and
// keeps what is under way in memory: a node that starts again has forgotten it.
//
// The code is short because people read it out. What keeps it from being guessed is that only operators may try one, and few
// times. What keeps an operator from approving somebody else's is what the page shows: who asks, and from where.
package device

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode"

	"casemate"
)

// Bounds of a sign-in.
const (
	Lifetime = 10 * time.Minute
	Interval = 2 * time.Second // between two polls

	mostPending = 1024
	mostFrom    = 8  // of one network
	mostGuesses = 5  // wrong codes of one operator within Lifetime
	mostClient  = 64 // bytes of what the client says it is

	letters  = "BCDFGHJKLMNPQRSTVWXZ" // no vowels, no words (RFC 8628 section 6.1)
	codeSize = 8
)

// States of a sign-in.
const (
	Pending  = "pending"
	Approved = "approved"
	Denied   = "denied"
)

// Started is what the command line gets. It never prints its secret.
type Started struct {
	Device   string    `json:"device"` // the secret; whoever has it gets the session
	Code     string    `json:"code"`   // "ABCD-EFGH": for people
	Expires  time.Time `json:"expires"`
	Interval int       `json:"interval"` // seconds between two polls
}

// String hides the secret.
func (s Started) String() string { return "sign-in " + s.Code }

// GoString hides the secret from %#v.
func (s Started) GoString() string { return s.String() }

// Request is what an operator is asked to approve.
type Request struct {
	Code    string    `json:"code"`
	Client  string    `json:"client"` // what it says that it is
	From    string    `json:"from"`   // address that it asks from; "" is the node's own socket
	Asked   time.Time `json:"asked"`
	Expires time.Time `json:"expires"`
}

// Outcome is how a sign-in stands.
type Outcome struct {
	State    string
	Operator string        // who approved it
	By       string        // and in which session
	Wait     time.Duration // before the next poll
	Request  Request
}

// attempt is a sign-in under way.
type attempt struct {
	Request
	secret   [sha256.Size]byte
	network  string
	state    string
	operator string
	by       string
	polled   time.Time
	wait     time.Duration
}

// guesses are an operator's wrong codes.
type guesses struct {
	n     int
	since time.Time
}

// Room knows the sign-ins under way. All methods may be called concurrently.
type Room struct {
	clock func() time.Time

	mu      sync.Mutex
	pending map[string]*attempt // by code, without its dash
	wrong   map[string]guesses  // by operator; there are only so many operators
}

// New is a room without any.
func New(clock func() time.Time) *Room {
	return &Room{clock: clock, pending: map[string]*attempt{}, wrong: map[string]guesses{}}
}

// Begin starts a sign-in of a client that says it is called so, from an address.
func (r *Room) Begin(client, from string) (Started, error) {
	if client == "" || len(client) > mostClient || strings.ContainsFunc(client, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) {
		return Started{}, &casemate.Error{Code: casemate.Invalid, Field: "client", Message: "a client has a name of 1 to 64 printable characters", Hint: "casemate on laptop"}
	}
	secret, code, err := random()
	if err != nil {
		return Started{}, fmt.Errorf("starting a sign-in: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	maps.DeleteFunc(r.pending, func(_ string, a *attempt) bool { return !now.Before(a.Expires) })
	network, same := casemate.SourceOf(from), 0
	for _, a := range r.pending {
		if a.network == network {
			same++
		}
	}
	if same >= mostFrom || len(r.pending) >= mostPending || r.pending[code] != nil {
		return Started{}, &casemate.Error{Code: casemate.Exhausted, Message: "too many sign-ins wait for approval", Hint: "approve or deny them, or wait ten minutes", Retry: 60}
	}
	a := &attempt{Request: Request{Code: shown(code), Client: client, From: from, Asked: now.UTC(), Expires: now.Add(Lifetime).UTC()}, secret: sha256.Sum256([]byte(secret)), network: network,
		state: Pending, wait: Interval}
	r.pending[code] = a
	return Started{Device: secret, Code: a.Code, Expires: a.Expires, Interval: int(Interval / time.Second)}, nil
}

// Look shows operator what code stands for. After mostGuesses wrong ones not even a right one opens anything for a while.
func (r *Room) Look(operator, code string) (Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err := r.find(operator, code)
	if err != nil {
		return Request{}, err
	}
	return a.Request, nil
}

// Decide approves or denies what code stands for, in the name of operator, in the session by. It can be decided once.
func (r *Room) Decide(operator, by, code string, approve bool) (Request, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err := r.find(operator, code)
	if err != nil {
		return Request{}, err
	}
	a.state, a.operator, a.by = Denied, operator, by
	if approve {
		a.state = Approved
	}
	return a.Request, nil
}

// find is the sign-in that waits for a decision. The lock is held.
func (r *Room) find(operator, code string) (*attempt, error) {
	now := r.clock()
	if operator == "" {
		return nil, casemate.Errorf(casemate.Forbidden, "sign in first", "operators approve sign-ins, nobody else")
	}
	g := r.wrong[operator]
	if now.Sub(g.since) >= Lifetime {
		g = guesses{}
	}
	if g.n >= mostGuesses {
		return nil, &casemate.Error{Code: casemate.Exhausted, Message: "too many wrong codes", Hint: "wait ten minutes; start the sign-in again then", Retry: int(Lifetime / time.Second)}
	}
	if a := r.pending[plain(code)]; a != nil && a.state == Pending && now.Before(a.Expires) {
		return a, nil
	}
	if g.n++; g.n == 1 {
		g.since = now
	}
	r.wrong[operator] = g
	return nil, &casemate.Error{Code: casemate.NotFound, Field: "code", Message: "no sign-in with this code waits", Hint: "codes are good for ten minutes, and once"}
}

// Poll says how the sign-in of this secret stands. What was decided is said once; what ended, or never was, is NotFound.
func (r *Room) Poll(device string) (Outcome, error) {
	is := sha256.Sum256([]byte(device))
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	for code, a := range r.pending {
		if subtle.ConstantTimeCompare(is[:], a.secret[:]) != 1 {
			continue
		}
		if !now.Before(a.Expires) {
			delete(r.pending, code)
			break
		}
		if now.Sub(a.polled) < a.wait { // RFC 8628 section 3.5: slow_down
			a.wait = min(a.wait+Interval, time.Minute)
			a.polled = now
			return Outcome{State: Pending, Wait: a.wait, Request: a.Request}, nil
		}
		a.polled = now
		if a.state != Pending {
			delete(r.pending, code)
		}
		return Outcome{State: a.state, Operator: a.operator, By: a.by, Wait: a.wait, Request: a.Request}, nil
	}
	return Outcome{}, &casemate.Error{Code: casemate.NotFound, Message: "this sign-in has ended", Hint: "start it again: casemate login"}
}

func random() (secret, code string, err error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", "", err
	}
	out := make([]byte, 0, codeSize)
	one := make([]byte, 1)
	for len(out) < codeSize {
		if _, err := rand.Read(one); err != nil {
			return "", "", err
		}
		if n := int(one[0]); n < 256/len(letters)*len(letters) { // else some letters would come more often
			out = append(out, letters[n%len(letters)])
		}
	}
	return base64.RawURLEncoding.EncodeToString(b), string(out), nil
}

func shown(code string) string { return code[:codeSize/2] + "-" + code[codeSize/2:] }

// plain is a code as people type it: in any case, with or without its dash. "" is none.
func plain(code string) string {
	if len(code) > 2*codeSize {
		return ""
	}
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))
}
