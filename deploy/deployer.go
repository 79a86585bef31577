// Package deploy turns a manifest and code into immutable versions: it reads casemate.yaml strictly, says what would
// change (permissions first), and swaps it in all at once or not at all. Create, update and rollback pass the same
// checks.
package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/sam"
	"casemate/store"
)

// Config is what a Deployer needs. Inspect and Installed are of rooms that deploy does not know.
type Config struct {
	Catalog   *catalog.Catalog
	Blobs     store.Blobs
	Place     casemate.Place
	Clock     func() time.Time
	Inspect   func(module []byte) error   // refuses a wasm module that cannot run
	Installed func(casemate.Runtime) bool // whether a runtime can run on this machine
	// Program reads the digest of a program of this machine, lower-case hex SHA-256; an error is an *casemate.Error.
	Program func(path string) (string, error)
	// Layer finds a published version of a layer; nil: the node has none. An error is an *casemate.Error.
	Layer func(arn string) (casemate.Layer, error)
	// Reserve refuses an app that sets aside so many runs at once, with what others set aside; may be nil.
	Reserve     func(app string, runs int) error
	Issuer      func(casemate.Issuer) error       // refuses an issuer that cannot be trusted as written; may be nil
	Certificate func(*casemate.Certificate) error // refuses a rule about client certificates, with the field below it; may be nil
	Budget      func(casemate.Budget) error       // refuses a budget in another currency than the prices; may be nil
	// Queues refuses declared queues that could not be made; may be nil.
	Queues func(app string, queues map[string]*casemate.Queue) error
	// Found reports a queue that is there and that no app declares, this one as little as another before; may be nil.
	Found func(app, queue string) bool
	// Environment is what the node is for; empty: any. Apps of another one are refused.
	Environment string
	// Runs says which version of a runtime is used, when it is another than the one that is named, else ""; may be nil.
	Runs func(casemate.Runtime) string
	// Address says where the node is, for the outputs of templates; nil: they name AWS's addresses.
	Address func() sam.Address
	// Vault keeps the values of NoEcho parameters for the next deploy; nil: they have to be given every time.
	Vault Vault
	// Issuers refuses issuers that cannot be trusted together, those of all apps; may be nil.
	Issuers func([]casemate.Issuer) error
}

// Deployer changes what the catalog holds. It is safe for concurrent use: of two changes of one app, made against the
// same state, one gets a Conflict.
type Deployer struct {
	cfg   Config
	only  string // the one app it may change; "" is any
	guard Guard
}

// For gives a Deployer that changes this app and no other: what the policy allowed was an act on one app, and what the
// body says must be the same one. An empty name, and "*", is any app.
func (d *Deployer) For(app string) *Deployer {
	if app == "*" {
		app = ""
	}
	return &Deployer{cfg: d.cfg, only: app, guard: d.guard}
}

func (d *Deployer) may(app string) error {
	if d.only != "" && d.only != app {
		return casemate.Errorf(casemate.Forbidden, "name the app that the request is about", "the request was allowed for app %s and is about another", d.only)
	}
	if d.only == "" && d.guard.App != nil {
		return d.guard.App(app)
	}
	return nil
}

// New makes a Deployer.
func New(cfg Config) (*Deployer, error) {
	if cfg.Catalog == nil || cfg.Blobs == nil || cfg.Clock == nil || cfg.Inspect == nil || cfg.Installed == nil || cfg.Program == nil || cfg.Place.Account == "" {
		return nil, errors.New("making a deployer: the configuration is incomplete")
	}
	return &Deployer{cfg: cfg}, nil
}

// Outcome is what a change came to.
type Outcome struct {
	Plan       *Plan          `json:"plan"`
	Changed    bool           `json:"changed"` // false: everything was already as wanted
	Generation int            `json:"generation"`
	Versions   map[string]int `json:"versions"` // number in force, by function
}

// Plan says what Apply would change, and changes nothing.
func (d *Deployer) Plan(ctx context.Context, data []byte) (*Plan, error) {
	c, err := d.prepare(ctx, data)
	if err != nil {
		return nil, err
	}
	return c.plan, nil
}

// Apply deploys a bundle: code and contracts stored first, then everything swapped in at once. On any error the
// state before serves on. Deploying what is already in force changes nothing. by is the principal's name.
func (d *Deployer) Apply(ctx context.Context, data []byte, by string) (*Outcome, error) {
	c, err := d.prepare(ctx, data)
	if err != nil {
		return nil, err
	}
	for digest, r := range c.code {
		if err := d.put(ctx, digest, io.NewSectionReader(r, 0, r.Size())); err != nil {
			return nil, err
		}
	}
	for digest, doc := range c.docs {
		if err := d.put(ctx, digest, bytes.NewReader(doc)); err != nil {
			return nil, err
		}
	}
	if err := d.keep(ctx, c.next, c, "make"); err != nil {
		return nil, err
	}
	if err := d.seal(ctx, c.fresh); err != nil {
		return nil, err
	}
	out, err := d.swap(ctx, c.change, by)
	if err != nil {
		return nil, err
	}
	d.unseal(ctx, c.current, c.next)
	return out, d.keep(ctx, c.next, c, "change")
}

// put stores a blob under the digest that the version names.
func (d *Deployer) put(ctx context.Context, digest string, r io.Reader) error {
	got, _, err := d.cfg.Blobs.Put(ctx, r)
	if err != nil {
		return fmt.Errorf("storing the bundle: %w", err)
	}
	if got != digest {
		return fmt.Errorf("storing the bundle: the store holds %s, not %s", got, digest)
	}
	return nil
}

// change is a checked step from one state of an app to another.
type change struct {
	current  *catalog.App // nil for a new app
	next     *catalog.App
	revision uint64
	plan     *Plan
}

type prepared struct {
	change
	*draft
	stored []sam.Stored
	todo   []string          // about each of stored
	fresh  map[string]string // values that the vault has yet to get
}

func (d *Deployer) prepare(ctx context.Context, data []byte) (*prepared, error) {
	b, err := bundle.Open(data, manifest.Setting{Place: d.cfg.Place, Now: d.cfg.Clock()}, d.around(ctx))
	if err != nil {
		return nil, err
	}
	if err := d.may(b.Manifest.App); err != nil {
		return nil, err
	}
	current, revision := d.cfg.Catalog.Snapshot().App(b.Manifest.App)
	if want := max(b.Options.Expect, 0); b.Options.Expect != 0 && (current == nil && want > 0 || current != nil && current.Generation != want) {
		return nil, casemate.Errorf(casemate.Conflict, "look at the plan again", "app %s is not at generation %d any more", b.Manifest.App, want)
	}
	dr, err := d.compose(b, current)
	if err != nil {
		return nil, err
	}
	fresh, err := d.remembers(ctx, dr.app, current, b.Kept)
	if err != nil {
		return nil, err
	}
	p := &prepared{change: change{current: current, next: dr.app, revision: revision}, draft: dr, stored: b.Stored, fresh: fresh}
	if err := d.check(ctx, &p.change, dr.docs); err != nil {
		return nil, err
	}
	if p.todo, err = d.keeping(ctx, &p.change, b.Stored); err != nil {
		return nil, err
	}
	p.plan.Warnings, p.plan.Template = slices.Concat(b.Manifest.Warnings, d.otherRuntimes(b.Manifest)), b.Stack
	for name := range dr.fresh {
		p.plan.New = append(p.plan.New, name)
	}
	slices.Sort(p.plan.New)
	return p, nil
}

// check is passed by every change alike, deploy and rollback, create and update: what was checked only at creation
// elsewhere was walked round by an update (GHSA-gx55-f84r-v3r7 and its kin). docs are contracts not yet stored.
func (d *Deployer) check(ctx context.Context, c *change, docs map[string][]byte) error {
	now := d.cfg.Clock()
	for i := range c.next.Routes {
		r := &c.next.Routes[i]
		if x := r.Auth.Open; x != nil && (!x.Live(now) || x.Expires.Sub(now) > manifest.MaxException) {
			return &casemate.Error{Code: casemate.Invalid, Field: r.ID, Message: "its exception for anonymous callers has expired or lasts longer than a year",
				Hint: "deploy it with a new end, or with credentials"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.next.Functions)) {
		f := c.next.Functions[name]
		if v := f.Number(f.Live); v != nil && !d.cfg.Installed(v.Runtime) {
			return &casemate.Error{Code: casemate.Unavailable, Field: name, Message: fmt.Sprintf("its runtime %s is not on this machine", v.Runtime), Hint: "install it: casemate doctor shows what is there"}
		}
	}
	if err := d.trusted(c.next); err != nil {
		return err
	}
	if err := d.importers(c.current, c.next); err != nil {
		return err
	}
	if err := d.destinations(c.next); err != nil {
		return err
	}
	if d.cfg.Queues != nil && len(c.next.Queues) > 0 {
		if err := d.cfg.Queues(c.next.Name, c.next.Queues); err != nil {
			return err
		}
	}
	if err := d.cfg.Catalog.Check(ctx, c.next, docs); err != nil {
		return err
	}
	c.plan = compare(c.current, c.next)
	if what := d.beyond(c.current, c.next); len(what) > 0 && d.guard.Beyond != nil {
		return d.guard.Beyond(c.next.Name, what)
	}
	return nil
}

// trusted holds the issuers of next against each other and against those of the other apps.
func (d *Deployer) trusted(next *catalog.App) error {
	if d.cfg.Issuers == nil || len(next.Issuers) == 0 {
		return nil
	}
	all, snap := slices.Clone(next.Issuers), d.cfg.Catalog.Snapshot()
	for _, i := range snap.Issuers() {
		if i.App != next.Name {
			all = append(all, i)
		}
	}
	if err := d.cfg.Issuers(all); err != nil {
		e := *casemate.AsError(err)
		e.Field = "auth/jwt"
		return &e
	}
	return nil
}

// swap puts a checked change in force, unless there is nothing to change.
func (d *Deployer) swap(ctx context.Context, c change, by string) (*Outcome, error) {
	out := &Outcome{Plan: c.plan, Versions: map[string]int{}}
	for name, f := range c.next.Functions {
		out.Versions[name] = f.Live
	}
	if c.current != nil {
		same, err := equal(c.current, c.next)
		if err != nil {
			return nil, err
		}
		if same {
			out.Generation = c.current.Generation
			return out, nil
		}
	}
	c.next.At, c.next.By = d.cfg.Clock().UTC(), by
	if c.next.Note == "" {
		c.next.Note = c.plan.Summary()
	}
	if err := d.cfg.Catalog.Swap(ctx, c.next, c.revision); err != nil {
		return nil, err
	}
	out.Changed, out.Generation = true, c.next.Generation
	return out, nil
}

// equal compares all of two apps but who made them, when, and how often.
func equal(a, b *catalog.App) (bool, error) {
	var texts [2][]byte
	for i, x := range [...]*catalog.App{a, b} {
		c := *x
		c.Generation, c.At, c.By, c.Note = 0, time.Time{}, "", ""
		var err error
		if texts[i], err = json.Marshal(c); err != nil {
			return false, fmt.Errorf("comparing app %s: %w", x.Name, err)
		}
	}
	return bytes.Equal(texts[0], texts[1]), nil
}

// RollbackRequest names an app or a function, and where to go back to: a generation or a version's number, 0 for the
// one before.
type RollbackRequest struct {
	App      string `json:"app,omitempty"`
	Function string `json:"function,omitempty"`
	To       int    `json:"to,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"` // only say what would change
}

// Rollback puts an earlier state in force again, as a new generation. It passes the same checks as a deploy: what may
// not be deployed today does not come back either.
func (d *Deployer) Rollback(ctx context.Context, r RollbackRequest, by string) (*Outcome, error) {
	if (r.App == "") == (r.Function == "") || r.To < 0 {
		return nil, casemate.Errorf(casemate.Invalid, "name one", "a rollback takes an app or a function")
	}
	snap := d.cfg.Catalog.Snapshot()
	app, step := r.App, d.backApp
	if r.Function != "" {
		app, step = snap.Owner(r.Function), backFunction
	}
	if err := d.may(app); err != nil {
		return nil, err
	}
	current, revision := snap.App(app)
	if current == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no app or function %q", r.App+r.Function)
	}
	next, err := step(ctx, current, r)
	if err != nil {
		return nil, err
	}
	c := change{current: current, next: next, revision: revision}
	if err := d.check(ctx, &c, nil); err != nil {
		return nil, err
	}
	for name, f := range next.Functions {
		v := f.Number(f.Live)
		if has, err := d.cfg.Blobs.Has(ctx, v.Code); err != nil {
			return nil, fmt.Errorf("looking for the code of %s: %w", name, err)
		} else if !has {
			return nil, casemate.Errorf(casemate.NotFound, "deploy it again", "the code of %s version %d is gone", name, v.Number)
		}
	}
	if r.DryRun {
		return &Outcome{Plan: c.plan, Generation: current.Generation}, nil
	}
	return d.swap(ctx, c, by)
}

// backFunction puts another version of one function in force.
func backFunction(_ context.Context, current *catalog.App, r RollbackRequest) (*catalog.App, error) {
	next := *current
	next.Functions = maps.Clone(current.Functions)
	f := *current.Functions[r.Function]
	to := r.To
	for _, v := range f.Versions {
		if r.To == 0 && v.Number < f.Live {
			to = max(to, v.Number)
		}
	}
	if f.Number(to) == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate history shows what there is", "function %s has no such version to go back to", r.Function)
	}
	follow(&f, to)
	f.Live = to
	next.Functions[r.Function] = &f
	next.Note = fmt.Sprintf("rollback of %s to version %d", r.Function, to)
	return &next, nil
}

// backApp puts an earlier generation in force. Versions made since are kept, so that forward stays possible.
func (d *Deployer) backApp(ctx context.Context, current *catalog.App, r RollbackRequest) (*catalog.App, error) {
	to := r.To
	if to == 0 {
		to = current.Generation - 1
	}
	if to < 1 {
		return nil, casemate.Errorf(casemate.NotFound, "deploy once more, then there is one", "app %s is at its first generation: there is none before it", current.Name)
	}
	for _, g := range d.cfg.Catalog.History(current.Name) {
		if g.Number != to {
			continue
		}
		next, err := d.cfg.Catalog.Load(ctx, g.Digest)
		if err != nil {
			return nil, fmt.Errorf("loading generation %d of %s: %w", to, current.Name, err)
		}
		for name, f := range next.Functions {
			if now := current.Functions[name]; now != nil {
				f.Versions = merge(f.Versions, now.Versions)
				trim(f)
			}
		}
		next.Note = fmt.Sprintf("rollback to generation %d", to)
		return next, nil
	}
	return nil, casemate.Errorf(casemate.NotFound, "casemate history shows what there is", "app %s has no generation %d to go back to", current.Name, to)
}

// merge joins two lists of versions by number.
func merge(a, b []*casemate.Version) []*casemate.Version {
	all := slices.Clone(a)
	for _, v := range b {
		if !slices.ContainsFunc(all, func(x *casemate.Version) bool { return x.Number == v.Number }) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(x, y *casemate.Version) int { return x.Number - y.Number })
	return all
}

// HistoryRequest names an app.
type HistoryRequest struct {
	App string `json:"app"`
}

// History is every state of an app that can be gone back to, newest first, and the versions of its functions.
type History struct {
	App         string                         `json:"app"`
	Generation  int                            `json:"generation"` // in force
	Generations []catalog.Generation           `json:"generations"`
	Functions   map[string][]*casemate.Version `json:"functions"`
	Live        map[string]int                 `json:"live"`
}

// History lists what an app was.
func (d *Deployer) History(_ context.Context, r HistoryRequest) (*History, error) {
	if err := d.may(r.App); err != nil {
		return nil, err
	}
	app, _ := d.cfg.Catalog.Snapshot().App(r.App)
	if app == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no app %q", strings.ToValidUTF8(r.App, "?"))
	}
	h := &History{App: r.App, Generation: app.Generation, Generations: d.cfg.Catalog.History(r.App), Functions: map[string][]*casemate.Version{}, Live: map[string]int{}}
	for name, f := range app.Functions {
		h.Functions[name], h.Live[name] = f.Versions, f.Live
	}
	return h, nil
}
