package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/store"
)

// Config is what a catalog needs. Policy and shield are rooms beside this one, so they come in as functions.
type Config struct {
	Store    store.Store
	Place    casemate.Place
	Base     casemate.Policies // the platform's own roles and guardrails, always in force; apps cannot take their names
	Compile  func(casemate.Policies) (casemate.Decider, error)
	Contract func(doc []byte, pointer, name string) (casemate.Contract, error)
	OnSwap   func(*Snapshot) // called after each swap and once by Open, one call at a time; may be nil
}

// Catalog holds the snapshot in force. All methods are safe for concurrent use; readers never wait.
type Catalog struct {
	cfg   Config
	kv    store.KV
	blobs store.Blobs
	mu    sync.Mutex // one change at a time
	now   atomic.Pointer[Snapshot]
}

// head is the catalog's key of one app: which bytes are in force, and which were.
type head struct {
	Generation int          `json:"generation"`
	Digest     string       `json:"digest"`
	History    []Generation `json:"history"` // newest first, the one in force included

	revision uint64
}

// Generation is one state that an app was in.
type Generation struct {
	Number int       `json:"generation"`
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Note   string    `json:"note,omitempty"`
}

// Bounds of what is kept and read.
const (
	maxHistory  = 100
	maxApp      = 256 << 20
	maxContract = 4 << 20
	keyPrefix   = "app/"
)

// Open reads everything from the store and builds the first snapshot, by the same path that every later change takes.
// An app that today's rules refuse is left out, and listed by Snapshot.LeftOut; an app that cannot be read is an error that
// names it.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	if cfg.Store == nil || cfg.Compile == nil || cfg.Contract == nil || cfg.Place.Account == "" {
		return nil, errors.New("opening the catalog: the configuration is incomplete")
	}
	kv, err := cfg.Store.KV("catalog")
	if err != nil {
		return nil, fmt.Errorf("opening the catalog: %w", err)
	}
	c := &Catalog{cfg: cfg, kv: kv, blobs: cfg.Store.Blobs()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.reload(ctx); err != nil {
		return nil, fmt.Errorf("opening the catalog: %w", err)
	}
	return c, nil
}

// Snapshot is what exists now.
func (c *Catalog) Snapshot() *Snapshot { return c.now.Load() }

// Reload reads the store again, after another node changed it. On error the snapshot in force stays.
func (c *Catalog) Reload(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.reload(ctx); err != nil {
		return fmt.Errorf("reading the catalog again: %w", err)
	}
	return nil
}

func (c *Catalog) reload(ctx context.Context) error {
	entries, err := c.kv.List(ctx, keyPrefix)
	if err != nil {
		return fmt.Errorf("listing the apps: %w", err)
	}
	var apps []*App
	heads := map[string]head{}
	for _, e := range entries {
		name := strings.TrimPrefix(e.Key, keyPrefix)
		h, err := parseHead(e)
		if err != nil {
			return fmt.Errorf("reading the head of app %s: %w", name, err)
		}
		a, err := c.Load(ctx, h.Digest)
		if err != nil {
			return fmt.Errorf("reading app %s: %w", name, err)
		}
		if a.Name != name || a.Generation != h.Generation {
			return fmt.Errorf("app %s holds the state of %s, generation %d", name, a.Name, a.Generation)
		}
		apps, heads[name] = append(apps, a), h
	}
	g, _, err := c.readGuardrails(ctx)
	if err != nil {
		return err
	}
	next, err := c.assemble(ctx, apps, heads, g)
	if err != nil {
		return err
	}
	c.publish(next)
	return nil
}

func parseHead(e store.Entry) (head, error) {
	h := head{revision: e.Revision}
	if err := json.Unmarshal(e.Value, &h); err != nil {
		return h, err
	}
	if !isDigest(h.Digest) || h.Generation < 1 {
		return h, errors.New("it names no state")
	}
	return h, nil
}

// Load reads one state of an app by its digest, as History gives it.
func (c *Catalog) Load(ctx context.Context, digest string) (*App, error) {
	data, err := c.read(ctx, digest, maxApp)
	if err != nil {
		return nil, err
	}
	a := &App{}
	if err := json.Unmarshal(data, a); err != nil {
		return nil, fmt.Errorf("reading an app: %w", err)
	}
	a.share()
	return a, nil
}

func (c *Catalog) read(ctx context.Context, digest string, limit int64) ([]byte, error) {
	r, err := c.blobs.Open(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", digest, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", digest, err)
	}
	if int64(len(data)) > limit {
		return nil, casemate.Errorf(casemate.TooLarge, "make it smaller", "blob %s is larger than %d bytes", digest, limit)
	}
	return data, nil
}

func (c *Catalog) build(ctx context.Context, old *Snapshot, apps []*App, heads map[string]head) (*Snapshot, error) {
	return c.buildUnder(ctx, old, apps, heads, nil)
}

// buildUnder is build with other guardrails; nil leaves those of old.
func (c *Catalog) buildUnder(ctx context.Context, old *Snapshot, apps []*App, heads map[string]head, g *Guardrails) (*Snapshot, error) {
	b := builder{cfg: &c.cfg, guardrails: g, load: func(digest string) ([]byte, error) { return c.read(ctx, digest, maxContract) }}
	if err := b.next(old, apps, heads); err != nil {
		return nil, err
	}
	return b.Snapshot, nil
}

func (b *builder) compileContract(id string) (casemate.Contract, error) {
	digest, where, _ := strings.Cut(id, "#")
	doc, err := b.load(digest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	name := where
	if name == "" {
		name = digest[:min(12, len(digest))]
	}
	c, err := b.cfg.Contract(doc, where, name)
	return c, refused(err)
}

func (c *Catalog) publish(s *Snapshot) {
	c.now.Store(s)
	if c.cfg.OnSwap != nil {
		c.cfg.OnSwap(s)
	}
}

// Check builds what Swap would put in force, and throws it away: nil means that Swap can only fail in the store. docs
// holds contract documents, by digest, that are not stored yet.
func (c *Catalog) Check(ctx context.Context, a *App, docs map[string][]byte) error {
	b := builder{cfg: &c.cfg, load: func(digest string) ([]byte, error) {
		if doc, ok := docs[digest]; ok {
			return doc, nil
		}
		return c.read(ctx, digest, maxContract)
	}}
	old := c.Snapshot()
	if err := b.next(old, []*App{a}, nil); err != nil {
		return err
	}
	return c.open(old, b.Snapshot, a)
}

// open refuses a change after which the platform's own roles could not undo it: a guardrail that denies everything would
// hold for whoever wants to take it back, for good.
func (c *Catalog) open(old, next *Snapshot, a *App) error {
	for role := range c.cfg.Base.Identity {
		for _, act := range [...][3]string{{"casemate:Deploy", "app", a.Name}, {"casemate:Rollback", "app", a.Name}, {ActionGuardrails, "guardrails", "*"}} {
			r := &casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindPeer, ID: "uid/0", Account: c.cfg.Place.Account, Role: role},
				Action: act[0], Resource: c.cfg.Place.PlatformARN(act[1], act[2]), Account: c.cfg.Place.Account, Now: a.At,
				Context: map[string][]string{"aws:securetransport": {"true"}}}
			may := func(s *Snapshot) bool { return s.Policy != nil && s.Policy.Decide(r).Verdict == casemate.Allowed }
			if may(old) && !may(next) {
				return casemate.Errorf(casemate.Conflict, "leave casemate:Deploy, casemate:Rollback and "+ActionGuardrails+" out of the guardrail's actions",
					"nobody of role %s could undo this: %s", role, next.Policy.Decide(r).Reason)
			}
		}
	}
	return nil
}

// Swap puts a in force: built beside the snapshot that serves, stored durably, then swapped in. expect is the revision
// that Snapshot.App gave, 0 for a new app; when the app has moved on since, the error is a Conflict. On any error the
// old snapshot serves on and the store is as it was. a gets its generation here and must not be changed afterwards.
func (c *Catalog) Swap(ctx context.Context, a *App, expect uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.Snapshot()
	was := old.heads[a.Name]
	if was.revision != expect {
		return casemate.Errorf(casemate.Conflict, "look at the plan again", "app %s was changed by somebody else", a.Name)
	}
	a.Generation = was.Generation + 1
	data, err := a.encode()
	if err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(data))
	h := head{Generation: a.Generation, Digest: digest}
	h.History = append([]Generation{{a.Generation, digest, a.At, a.By, a.Note}}, was.History...)
	h.History = h.History[:min(len(h.History), maxHistory)]
	next, err := c.build(ctx, old, []*App{a}, map[string]head{a.Name: h})
	if err != nil {
		return err
	}
	if err := c.open(old, next, a); err != nil {
		return err
	}
	if stored, _, err := c.blobs.Put(ctx, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("storing app %s: %w", a.Name, err)
	} else if stored != digest {
		return fmt.Errorf("storing app %s: the store holds %s, not %s", a.Name, stored, digest)
	}
	value, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("writing the head of app %s: %w", a.Name, err)
	}
	h.revision, err = c.kv.Put(ctx, keyPrefix+a.Name, value, expect)
	if err != nil && casemate.CodeOf(err) == casemate.Conflict {
		err = errors.Join(err, c.reload(ctx)) // another node was faster, or an earlier write of ours came through late
	}
	if err != nil {
		return fmt.Errorf("storing the head of app %s: %w", a.Name, err)
	}
	next.heads[a.Name] = h
	c.publish(next)
	return nil
}

// History lists the states of an app, newest first; empty when there is no such app.
func (c *Catalog) History(app string) []Generation {
	return append([]Generation(nil), c.Snapshot().heads[app].History...)
}
