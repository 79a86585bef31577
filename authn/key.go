package authn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"casemate"
	"casemate/authn/lastuse"
	"casemate/store"
)

// Lifetimes of keys.
const (
	DefaultTTL = 90 * 24 * time.Hour
	MaxTTL     = 366 * 24 * time.Hour
	LongestTTL = 5 * 366 * 24 * time.Hour // with a reason
)

const (
	bucketKeys = "keys"
	bucketUsed = "keys.used"
)

// Key is what may be known about an API key: all but the secret.
type Key struct {
	ID       string               `json:"id"` // "ck_" and ten characters
	Name     string               `json:"name"`
	Role     string               `json:"role"`
	Plan     string               `json:"plan,omitempty"` // usage plan that bounds it
	Scope    []casemate.Statement `json:"scope,omitempty"`
	By       string               `json:"by,omitempty"`     // principal that made it
	Reason   string               `json:"reason,omitempty"` // why it may live longer than MaxTTL
	Created  time.Time            `json:"created"`
	Expires  time.Time            `json:"expires"`
	Revoked  time.Time            `json:"revoked,omitzero"`
	LastUsed time.Time            `json:"last_used,omitzero"` // to the minute; zero: never
}

// Live reports whether the key opens anything at now.
func (k *Key) Live(now time.Time) bool { return k.Revoked.IsZero() && now.Before(k.Expires) }

// KeyRequest asks for a key. Name and Role are needed. A nil Scope leaves all that the role may; otherwise the scope must
// allow as well.
type KeyRequest struct {
	Name   string
	Role   string
	Plan   string // usage plan; empty: that of the role, or none
	Scope  []casemate.Statement
	TTL    time.Duration // 0: DefaultTTL; more than MaxTTL needs a Reason
	Reason string
	By     string
}

// storedKey is a key in the store.
type storedKey struct {
	Key
	Hash string `json:"hash"` // lower-case hex SHA-256 of the whole key
}

// knownKey is a key in memory.
type knownKey struct {
	Key
	hash      [sha256.Size]byte
	revision  uint64
	principal casemate.Principal
	used      lastuse.Use
}

// ring holds every key in one immutable map behind a pointer: a lookup takes no lock, a change swaps the map.
type ring struct {
	keys  store.KV
	used  *lastuse.Uses // the keeper's own, once they are loaded
	place casemate.Place
	write sync.Mutex
	known atomic.Pointer[map[string]*knownKey]
}

func openRing(ctx context.Context, s store.Store, place casemate.Place) (*ring, error) {
	r := &ring{place: place}
	var err error
	if r.keys, err = s.KV(bucketKeys); err != nil {
		return nil, err
	}
	if r.used, err = lastuse.Open(s, bucketUsed); err != nil {
		return nil, err
	}
	return r, r.load(ctx)
}

// load reads every key. One that cannot be read stops the start: leaving it out could bring a revoked one back later.
func (r *ring) load(ctx context.Context) error {
	entries, err := r.keys.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading keys: %w", err)
	}
	known := make(map[string]*knownKey, len(entries))
	for _, e := range entries {
		var s storedKey
		if err := json.Unmarshal(e.Value, &s); err != nil || s.ID != e.Key {
			return fmt.Errorf("reading key %q: malformed (%w)", e.Key, err)
		}
		k := r.know(s.Key, e.Revision)
		if n, err := hex.Decode(k.hash[:], []byte(s.Hash)); err != nil || n != len(k.hash) || len(s.Hash) != 2*n {
			return fmt.Errorf("reading key %q: malformed hash", e.Key)
		}
		known[k.ID] = k
	}
	r.known.Store(&known)
	return r.used.Load(ctx, func(id string) *lastuse.Use {
		if k := known[id]; k != nil {
			return &k.used
		}
		return nil
	})
}

func (r *ring) know(k Key, revision uint64) *knownKey {
	return &knownKey{Key: k, revision: revision, principal: casemate.Principal{
		Kind: casemate.KindKey, ID: keyPrincipal + k.ID, ARN: "arn:aws:iam::" + r.place.Account + ":user/" + k.ID,
		Account: r.place.Account, Role: k.Role, Plan: k.Plan, Scope: k.Scope, Expires: k.Expires,
	}}
}

// verify takes the same way and time for an unknown id, a wrong secret, a revoked and an expired key.
func (r *ring) verify(secret string, now time.Time) (*casemate.Principal, error) {
	id, err := keyID(secret)
	if err != nil {
		return nil, err
	}
	is := digest(secret)
	k, ok := (*r.known.Load())[id]
	if !ok {
		k = &knownKey{}
	}
	same := subtle.ConstantTimeCompare(is[:], k.hash[:]) == 1
	switch live := k.Live(now); {
	case !ok:
		return nil, fmt.Errorf("unknown key %s", id)
	case !same:
		return nil, fmt.Errorf("wrong secret for key %s", id)
	case !live:
		return nil, fmt.Errorf("key %s is revoked or expired", id)
	}
	k.used.Note(now)
	p := k.principal
	return &p, nil
}

// swap replaces the map by a changed copy. The caller holds write.
func (r *ring) swap(change func(map[string]*knownKey)) {
	next := maps.Clone(*r.known.Load())
	change(next)
	r.known.Store(&next)
}

func (r *ring) create(ctx context.Context, q KeyRequest, now time.Time) (string, Key, error) {
	if err := q.check(); err != nil {
		return "", Key{}, err
	}
	if q.TTL == 0 {
		q.TTL = DefaultTTL
	}
	id, secret := newSecret()
	hash := digest(secret)
	k := Key{ID: id, Name: q.Name, Role: q.Role, Plan: q.Plan, Scope: q.Scope, By: q.By, Reason: q.Reason,
		Created: now.UTC().Truncate(time.Second), Expires: now.Add(q.TTL).UTC().Truncate(time.Second)}
	value, err := json.Marshal(storedKey{Key: k, Hash: hex.EncodeToString(hash[:])})
	if err != nil {
		return "", Key{}, fmt.Errorf("creating key: %w", err)
	}
	r.write.Lock()
	defer r.write.Unlock()
	revision, err := r.keys.Put(ctx, id, value, store.NewKey)
	if err != nil {
		return "", Key{}, fmt.Errorf("creating key: %w", err)
	}
	known := r.know(k, revision)
	known.hash = hash
	r.swap(func(m map[string]*knownKey) { m[id] = known })
	return secret, k, nil
}

func (q *KeyRequest) check() error {
	bad := func(field, hint, format string, args ...any) error {
		e := casemate.Errorf(casemate.Invalid, hint, format, args...)
		e.Field = field
		return e
	}
	switch {
	case !printable(q.Name, 64):
		return bad("name", "say what the key is for", "a key needs a name of 1 to 64 printable characters")
	case !printable(q.Role, 64) || strings.ContainsAny(q.Role, " /*?"):
		return bad("role", "name a role of the manifest", "a key needs a role")
	case q.Plan != "" && !printable(q.Plan, 64):
		return bad("plan", "name a plan of the manifest", "not a plan")
	case q.Scope != nil && len(q.Scope) == 0:
		return bad("scope", "leave the scope out, or add a statement", "a scope without statements allows nothing")
	case q.TTL < 0 || q.TTL != 0 && q.TTL < time.Minute:
		return bad("ttl", "one minute at least", "a key cannot live for %v", q.TTL)
	case q.TTL > LongestTTL:
		return bad("ttl", "rotate keys", "no key lives longer than %d days", LongestTTL/(24*time.Hour))
	case q.TTL > MaxTTL && !printable(q.Reason, 256):
		return bad("reason", "say why, or choose a shorter life", "a key that lives longer than %d days needs a reason", MaxTTL/(24*time.Hour))
	}
	for i, s := range q.Scope {
		if s.Effect != casemate.Allow && s.Effect != casemate.Deny || len(s.Action)+len(s.NotAction) == 0 ||
			len(s.Resource)+len(s.NotResource) == 0 || s.Principal != nil || s.NotPrincipal != nil {
			return bad(fmt.Sprintf("scope/%d", i), "give Effect, Action and Resource", "not a statement of a scope")
		}
	}
	return nil
}

func printable(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// revoke shuts the key in memory first, so that it opens nothing from now on even when the store cannot be written;
// the caller is then told, because a restart would bring it back.
func (r *ring) revoke(ctx context.Context, id string, now time.Time) (Key, error) {
	r.write.Lock()
	defer r.write.Unlock()
	old, ok := (*r.known.Load())[id]
	if !ok {
		return Key{}, casemate.Errorf(casemate.NotFound, "casemate keys list shows the ids", "no such key")
	}
	next := r.know(old.Key, old.revision)
	next.hash = old.hash
	next.used.Follow(&old.used)
	if next.Revoked.IsZero() {
		next.Revoked = now.UTC().Truncate(time.Second)
	}
	r.swap(func(m map[string]*knownKey) { m[id] = next })
	value, err := json.Marshal(storedKey{Key: next.Key, Hash: hex.EncodeToString(next.hash[:])})
	if err != nil {
		return Key{}, fmt.Errorf("revoking key: %w", err)
	}
	if next.revision, err = r.keys.Put(ctx, id, value, old.revision); err != nil {
		next.revision = old.revision
		return Key{}, fmt.Errorf("revoking key (shut until the next start only): %w", err)
	}
	return next.Key, nil
}

func (r *ring) list() []Key {
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

// saveUses writes last uses that changed; only the keeper calls it.
func (r *ring) saveUses(ctx context.Context) error {
	return r.used.Save(ctx, func(yield func(string, *lastuse.Use) bool) {
		for id, k := range *r.known.Load() {
			if !yield(id, &k.used) {
				return
			}
		}
	})
}
