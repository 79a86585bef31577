// Package access keeps the AWS credentials that the platform issues, and verifies what clients outside sign with them:
// access keys of users, and sessions of roles that they assume. A secret is never at rest in clear: whoever opens the room
// lends it a vault.
package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/authn/lastuse"
	"casemate/internal/keeper"
	"casemate/store"
)

// Lifetimes and bounds of access keys.
const (
	DefaultTTL = 90 * 24 * time.Hour
	MaxTTL     = 366 * 24 * time.Hour

	perUser  = 2 // live at once: the old and the new while one is rotated, as on AWS
	mostKeys = 10_000
)

// Vault seals small values, by name. Get of a name that is not there is an *casemate.Error of code NotFound.
type Vault interface {
	Put(ctx context.Context, name string, value []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Drop(ctx context.Context, name string) error
}

// Config is what the room needs; all fields but Log are.
type Config struct {
	Store  store.Store
	Vault  Vault
	Place  casemate.Place
	Clock  func() time.Time
	Role   func(name string) bool   // whether there is such a role
	Stands func(origin string) bool // whether what a session came from still holds: "key/ck_...", "issuer/<iss>/<sub>" (both query-escaped), "run/<sandbox>"
	Log    *slog.Logger
}

// Key is what may be known about an access key: all but the secret.
type Key struct {
	ID       string               `json:"id"`   // "AKIA..."
	User     string               `json:"user"` // whom it is for: two keys of one user are one principal
	Role     string               `json:"role"`
	Scope    []casemate.Statement `json:"scope,omitempty"`
	By       string               `json:"by,omitempty"` // principal that made it
	Created  time.Time            `json:"created"`
	Expires  time.Time            `json:"expires"`
	Revoked  time.Time            `json:"revoked,omitzero"`
	LastUsed time.Time            `json:"last_used,omitzero"` // to the minute; zero: never
}

// Live reports whether the key opens anything at now.
func (k *Key) Live(now time.Time) bool { return k.Revoked.IsZero() && now.Before(k.Expires) }

// KeyRequest asks for a key. User and Role are needed; a nil Scope leaves all that the role may.
type KeyRequest struct {
	User  string
	Role  string
	Scope []casemate.Statement
	TTL   time.Duration // 0: DefaultTTL
	By    string
}

// knownKey is a key in memory.
type knownKey struct {
	Key
	revision uint64
	used     lastuse.Use
}

// Room is open until Close. It is safe for concurrent use.
type Room struct {
	cfg        Config
	keys, cuts store.KV
	used       *lastuse.Uses // the keeper's own, once they are loaded
	known      atomic.Pointer[map[string]*knownKey]
	cut        atomic.Pointer[map[string]time.Time]
	write      sync.Mutex // one change of keys or cuts at a time
	signing    signing
	master     master
	replays    *replays
	keeper     *keeper.Keeper
}

// Open reads keys and cuts. One that cannot be read stops the start: leaving it out could bring a revoked one back.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Vault == nil || cfg.Clock == nil || cfg.Role == nil || cfg.Stands == nil {
		return nil, errors.New("access keys need a store, a vault, a clock and somebody who knows roles")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{cfg: cfg, replays: newReplays(cfg.Clock())}
	var err error
	if r.used, err = lastuse.Open(cfg.Store, "access.used"); err != nil {
		return nil, err
	}
	for _, b := range []struct {
		name string
		kv   *store.KV
	}{{"access.keys", &r.keys}, {"access.cut", &r.cuts}} {
		if *b.kv, err = cfg.Store.KV(b.name); err != nil {
			return nil, err
		}
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.keeper = keeper.Every(ctx, lastuse.Grain, func(ctx context.Context) {
		if err := r.saveUses(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("last uses of access keys are not saved", "err", err)
		}
	})
	return r, nil
}

func (r *Room) load(ctx context.Context) error {
	entries, err := r.keys.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading access keys: %w", err)
	}
	known := make(map[string]*knownKey, len(entries))
	for _, e := range entries {
		k := &knownKey{revision: e.Revision}
		if err := json.Unmarshal(e.Value, &k.Key); err != nil || k.ID != e.Key {
			return fmt.Errorf("reading access key %q: malformed (%w)", e.Key, err)
		}
		known[k.ID] = k
	}
	if err := r.used.Load(ctx, func(id string) *lastuse.Use {
		if k := known[id]; k != nil {
			return &k.used
		}
		return nil
	}); err != nil {
		return err
	}
	r.known.Store(&known)
	return r.loadCuts(ctx)
}

var userForm = regexp.MustCompile(`^[A-Za-z0-9_=,.@-]{1,64}$`) // IAM's, but for the plus sign

// Create makes a key. The secret is returned here and never again. A user has one role and two live keys at most.
func (r *Room) Create(ctx context.Context, q KeyRequest) (secret string, k Key, err error) {
	now := r.cfg.Clock()
	if err := q.check(); err != nil {
		return "", Key{}, err
	}
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.vacant(&q, now); err != nil {
		return "", Key{}, err
	}
	if q.TTL == 0 {
		q.TTL = DefaultTTL
	}
	k = Key{ID: "AKIA" + rand.Text()[:16], User: q.User, Role: q.Role, Scope: q.Scope, By: q.By,
		Created: now.UTC().Truncate(time.Second), Expires: now.Add(q.TTL).UTC().Truncate(time.Second)}
	var raw [30]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
	secret = base64.StdEncoding.EncodeToString(raw[:])
	value, err := json.Marshal(k)
	if err != nil {
		return "", Key{}, fmt.Errorf("creating an access key: %w", err)
	}
	if err := r.cfg.Vault.Put(ctx, k.ID, []byte(secret)); err != nil {
		return "", Key{}, fmt.Errorf("sealing an access key: %w", err)
	}
	revision, err := r.keys.Put(ctx, k.ID, value, store.NewKey)
	if err != nil {
		return "", Key{}, errors.Join(fmt.Errorf("creating an access key: %w", err), r.cfg.Vault.Drop(ctx, k.ID))
	}
	r.swap(func(m map[string]*knownKey) { m[k.ID] = &knownKey{Key: k, revision: revision} })
	return secret, k, nil
}

func (q *KeyRequest) check() error {
	bad := func(field, hint, format string, args ...any) error {
		e := casemate.Errorf(casemate.Invalid, hint, format, args...)
		e.Field = field
		return e
	}
	switch {
	case !userForm.MatchString(q.User) || strings.HasPrefix(q.User, "ck_"):
		return bad("user", "letters, digits and _=,.@-", "an access key needs a user's name of 1 to 64 characters")
	case q.Role == "" || strings.ContainsAny(q.Role, " /*?"):
		return bad("role", "name a role of the manifest", "an access key needs a role")
	case q.Scope != nil && len(q.Scope) == 0:
		return bad("scope", "leave the scope out, or add a statement", "a scope without statements allows nothing")
	case q.TTL != 0 && q.TTL < time.Minute:
		return bad("ttl", "one minute at least", "an access key cannot live for %v", q.TTL)
	case q.TTL > MaxTTL:
		return bad("ttl", "rotate keys: a user has room for two", "no access key lives longer than %d days", MaxTTL/(24*time.Hour))
	}
	return nil
}

// vacant refuses a third live key of a user, and a user with two roles: its principal would be now one, now the other.
func (r *Room) vacant(q *KeyRequest, now time.Time) error {
	known := *r.known.Load()
	live := 0
	for _, k := range known {
		if k.User != q.User || !k.Live(now) {
			continue
		}
		if live++; k.Role != q.Role {
			return &casemate.Error{Code: casemate.Conflict, Field: "role", Message: fmt.Sprintf("%s has a live key of role %s", q.User, k.Role), Hint: "revoke " + k.ID + " first, or choose another user"}
		}
	}
	switch {
	case live >= perUser:
		return &casemate.Error{Code: casemate.Conflict, Field: "user", Message: fmt.Sprintf("%s has %d live keys", q.User, live), Hint: "revoke the old one first: casemate access list"}
	case len(known) >= mostKeys:
		return casemate.Errorf(casemate.Exhausted, "revoked and expired keys go after a year", "there are %d access keys, which is the bound", len(known))
	}
	return nil
}

// swap replaces the map by a changed copy. The caller holds write.
func (r *Room) swap(change func(map[string]*knownKey)) {
	next := maps.Clone(*r.known.Load())
	change(next)
	r.known.Store(&next)
}

// List gives every key, expired and revoked ones included, oldest first.
func (r *Room) List() []Key {
	known := *r.known.Load()
	out := make([]Key, 0, len(known))
	for _, k := range known {
		v := k.Key
		v.LastUsed = k.used.Time()
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Key) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Revoke shuts a key and every session that came from it; when it returns, on success or not, the key opens nothing until
// the node is started again. The secret goes for good. Revoking twice is no error.
func (r *Room) Revoke(ctx context.Context, id string) (Key, error) {
	r.write.Lock()
	defer r.write.Unlock()
	old := (*r.known.Load())[id]
	if old == nil {
		return Key{}, casemate.Errorf(casemate.NotFound, "casemate access list shows the ids", "no such access key")
	}
	next := &knownKey{Key: old.Key, revision: old.revision}
	next.used.Follow(&old.used)
	if next.Revoked.IsZero() {
		next.Revoked = r.cfg.Clock().UTC().Truncate(time.Second)
	}
	r.swap(func(m map[string]*knownKey) { m[id] = next })
	value, err := json.Marshal(next.Key)
	if err != nil {
		return Key{}, fmt.Errorf("revoking an access key: %w", err)
	}
	revision, err := r.keys.Put(ctx, id, value, old.revision)
	if err != nil {
		return Key{}, fmt.Errorf("revoking an access key (shut until the next start only): %w", err)
	}
	next.revision = revision
	if err := r.cfg.Vault.Drop(ctx, id); err != nil {
		return next.Key, fmt.Errorf("the key is revoked, but its sealed secret is still there: %w", err)
	}
	return next.Key, nil
}

// saveUses writes last uses that changed, and forgets keys that have opened nothing for a year. The keeper calls it, and
// Close when the keeper has ended.
func (r *Room) saveUses(ctx context.Context) error {
	known, now := *r.known.Load(), r.cfg.Clock()
	errs := []error{r.used.Save(ctx, func(yield func(string, *lastuse.Use) bool) {
		for id, k := range known {
			if !yield(id, &k.used) {
				return
			}
		}
	})}
	for id, k := range known {
		if now.Sub(k.Expires) > MaxTTL {
			errs = append(errs, r.forget(ctx, id))
		}
	}
	return errors.Join(errs...)
}

func (r *Room) forget(ctx context.Context, id string) error {
	r.write.Lock()
	defer r.write.Unlock()
	err := errors.Join(r.cfg.Vault.Drop(ctx, id), r.keys.Delete(ctx, id, store.AnyRevision))
	if err == nil {
		r.swap(func(m map[string]*knownKey) { delete(m, id) })
	}
	return err
}

// Close saves what is pending. The store must still be open.
func (r *Room) Close() error {
	r.keeper.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.saveUses(ctx)
}
