package operator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/internal/keeper"
	"casemate/store"
)

// Vault seals small values, by name. Get of a name that is not there is an *casemate.Error of code NotFound; Put of one that
// is there is a Conflict.
type Vault interface {
	Put(ctx context.Context, name string, value []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Drop(ctx context.Context, name string) error
}

// Lives of sessions.
const (
	DefaultLife = 12 * time.Hour
	DefaultIdle = 30 * time.Minute
	enrolLife   = 15 * time.Minute
	pendingLife = 2 * time.Minute

	keepEvery = 5 * time.Second
	useGrain  = time.Minute
)

// Config is what the room needs: Store, Vault, Place and Clock.
type Config struct {
	Store   store.Store
	Vault   Vault
	Place   casemate.Place
	Clock   func() time.Time
	Log     *slog.Logger
	Life    time.Duration // of a session, at most; 0: DefaultLife
	Idle    time.Duration // without a call; 0: DefaultIdle
	Factors []Factor      // beside TOTP and recovery codes

	memory uint32 // KiB of a hash; 0: hashMemory. Tests of other things take less
}

// Room is the operators of a node, open until Close. It is safe for concurrent use.
type Room struct {
	cfg                              Config
	operators, sessionsKV, guessesKV store.KV
	hasher                           *hasher
	limits                           *limiter
	handles                          []byte // key of Person.ID and of device tokens
	keeper                           *keeper.Keeper

	write  sync.Mutex // one change at a time; taken before mu
	making sync.Mutex // the key is made once; taken after write

	mu       sync.RWMutex
	accounts map[string]*known
	sessions map[string]*session
	pending  map[string]*pending
}

// known is an account in memory; it is replaced, never changed.
type known struct {
	account
	revision uint64
}

// Open reads operators, sessions and guesses. One that cannot be read stops the start: leaving it out could bring back what
// was revoked.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Vault == nil || cfg.Clock == nil {
		return nil, errors.New("operators need a store, a vault and a clock")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Life <= 0 {
		cfg.Life = DefaultLife
	}
	if cfg.Idle <= 0 {
		cfg.Idle = DefaultIdle
	}
	r := &Room{cfg: cfg, hasher: newHasher(cfg.Clock, cmp.Or(cfg.memory, hashMemory)), limits: newLimiter(), accounts: map[string]*known{}, sessions: map[string]*session{}, pending: map[string]*pending{}}
	for _, b := range []struct {
		name string
		kv   *store.KV
	}{{"operators", &r.operators}, {"operators.sessions", &r.sessionsKV}, {"operators.guesses", &r.guessesKV}} {
		var err error
		if *b.kv, err = cfg.Store.KV(b.name); err != nil {
			return nil, err
		}
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.keeper = keeper.Every(ctx, keepEvery, func(ctx context.Context) {
		if err := r.keep(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("what operators did is not saved", "err", err)
		}
	})
	return r, nil
}

func (r *Room) load(ctx context.Context) error {
	err := each(ctx, r.operators, func(e store.Entry) error {
		k := &known{revision: e.Revision}
		if err := json.Unmarshal(e.Value, &k.account); err != nil || k.Name != e.Key {
			return fmt.Errorf("operator %q is malformed (%w)", e.Key, err)
		}
		r.accounts[k.Name] = k
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, r.sessionsKV, func(e store.Entry) error {
		s := &session{}
		if err := json.Unmarshal(e.Value, &s.stored); err != nil || s.ID != e.Key {
			return fmt.Errorf("session %q is malformed (%w)", e.Key, err)
		}
		s.used.Store(s.LastUsed.UnixNano())
		r.sessions[s.ID] = s
		return nil
	})
	if err != nil {
		return err
	}
	return each(ctx, r.guessesKV, func(e store.Entry) error {
		t := &tries{}
		if r.accounts[e.Key] == nil || json.Unmarshal(e.Value, t) != nil { // of somebody who is gone; or unreadable, and counted anew
			return nil
		}
		r.limits.names[e.Key] = t
		return nil
	})
}

func each(ctx context.Context, kv store.KV, do func(e store.Entry) error) error {
	entries, err := kv.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading operators: %w", err)
	}
	for _, e := range entries {
		if err := do(e); err != nil {
			return fmt.Errorf("reading operators: %w", err)
		}
	}
	return nil
}

// handleName is the key of handles and device tokens in the vault.
const handleName = "operator-handles"

// key opens the node's key for handles and device tokens; the first use makes it.
func (r *Room) key(ctx context.Context) ([]byte, error) {
	r.mu.RLock()
	key := r.handles
	r.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	r.making.Lock() // its own: who asks may hold write
	defer r.making.Unlock()
	key, err := r.cfg.Vault.Get(ctx, handleName)
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		key = newTOTP()
		err = r.cfg.Vault.Put(ctx, handleName, key)
	}
	if err != nil || len(key) != totpSecret {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "sign-ins cannot be checked at present", Hint: "try again shortly", Retry: 5, Err: err}
	}
	r.mu.Lock()
	r.handles = key
	r.mu.Unlock()
	return key, nil
}

// find gives the account of a name, or nil.
func (r *Room) find(name string) *known {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.accounts[name]
}

// change writes an account on the condition that nobody else did. do gets a copy of its own.
func (r *Room) change(ctx context.Context, name string, do func(a *account) error) (Operator, error) {
	r.write.Lock()
	defer r.write.Unlock()
	return r.changeLocked(ctx, name, do)
}

func (r *Room) changeLocked(ctx context.Context, name string, do func(a *account) error) (Operator, error) {
	old := r.find(name)
	if old == nil {
		return Operator{}, noOperator(name)
	}
	next := &known{account: old.account}
	next.Roles, next.Recovery, next.Familiar, next.State = slices.Clone(old.Roles), slices.Clone(old.Recovery), slices.Clone(old.Familiar), maps.Clone(old.State)
	if err := do(&next.account); err != nil {
		return Operator{}, err
	}
	return r.put(ctx, next, old.revision)
}

func (r *Room) put(ctx context.Context, k *known, revision uint64) (Operator, error) {
	r.tell(&k.account)
	value, err := json.Marshal(k.account)
	if err == nil {
		k.revision, err = r.operators.Put(ctx, k.Name, value, revision)
	}
	if err != nil {
		return Operator{}, fmt.Errorf("writing operator %s: %w", k.Name, err)
	}
	r.mu.Lock()
	r.accounts[k.Name] = k
	r.mu.Unlock()
	return k.Operator, nil
}

// tell brings what may be known of an account up to date.
func (r *Room) tell(a *account) {
	a.Factors, a.Codes = nil, len(a.Recovery)
	if a.TOTP != "" {
		a.Factors = append(a.Factors, "totp")
	}
	for _, f := range r.cfg.Factors {
		if f.Enrolled(a.State[f.Kind()]) {
			a.Factors = append(a.Factors, f.Kind())
		}
	}
}

func noOperator(name string) error {
	return casemate.Errorf(casemate.NotFound, "casemate operator list shows them", "there is no operator %.40q", name)
}

// validName is what an operator may be called.
func validName(s string) bool {
	if s == "" || len(s) > 32 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// List gives every operator, by name.
func (r *Room) List() []Operator {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Operator, 0, len(r.accounts))
	for _, name := range slices.Sorted(maps.Keys(r.accounts)) {
		out = append(out, r.accounts[name].Operator)
	}
	return out
}

// Get gives one operator.
func (r *Room) Get(name string) (Operator, error) {
	if k := r.find(name); k != nil {
		return k.Operator, nil
	}
	return Operator{}, noOperator(name)
}

// keep saves what happened often: last uses, guesses; and forgets what is over.
func (r *Room) keep(ctx context.Context) error {
	err := errors.Join(r.saveGuesses(ctx), r.saveSessions(ctx))
	now := r.cfg.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.pending, func(_ string, p *pending) bool { return now.After(p.until) })
	return err
}

func (r *Room) saveGuesses(ctx context.Context) error {
	l := r.limits
	l.mu.Lock()
	dirty := map[string][]byte{}
	for name := range l.dirty {
		dirty[name] = nil
		if t := l.names[name]; t != nil {
			value, err := json.Marshal(t)
			if err != nil {
				l.mu.Unlock()
				return fmt.Errorf("saving guesses: %w", err)
			}
			dirty[name] = value
		}
	}
	clear(l.dirty)
	l.mu.Unlock()
	var errs []error
	for name, value := range dirty {
		var err error
		if value == nil {
			if err = r.guessesKV.Delete(ctx, name, store.AnyRevision); err != nil && casemate.CodeOf(err) == casemate.NotFound {
				err = nil
			}
		} else {
			_, err = r.guessesKV.Put(ctx, name, value, store.AnyRevision)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("saving guesses of %s: %w", name, err))
			l.mu.Lock()
			l.dirty[name] = true
			l.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// Close saves what is pending. The store must still be open.
func (r *Room) Close() error {
	r.keeper.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.keep(ctx)
}

func digest(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
