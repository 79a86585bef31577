package secret

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/secret/kek"
	"casemate/secret/plain"
	"casemate/store"
)

// Config says where the room keeps its things. Store, Dir and Clock are needed.
type Config struct {
	Store store.Store
	Dir   string     // where the node makes a key-encryption key when no handle gives one
	Keys  []*kek.Key // key-encryption keys: the first wraps, the others only open what they wrapped before
	Clock func() time.Time
	Log   *slog.Logger
	Most  int // items of one kind in an account; 0: 10,000
}

func (c *Config) most() int { return cmp.Or(c.Most, maxItems) }

// Room is the secrets of a node, open. It is safe for concurrent use; Close ends its keeper.
type Room struct {
	cfg                       Config
	keys, items, values, used store.KV

	// A writer holds gate for reading from sealing a value until it is stored; who retires a data key holds it for
	// writing, so that nothing is ever stored under a key that is gone.
	gate    sync.RWMutex
	keyMu   sync.Mutex // one change of keys at a time; guards masters
	masters []*kek.Key // the first wraps
	rings   atomic.Pointer[map[string]*ring]
	turns   [64]sync.Mutex // by item: writers of this node wait for each other instead of overtaking
	rounds  sync.Mutex     // one round of the keeper at a time
	orphans atomic.Bool    // values may be there that no item speaks of
	days    sync.Map       // item key -> day of the last touch that is stored, for Touch
	known   sync.Map       // item key -> *Item as it was last read, for Get and List: they only look

	stop context.CancelFunc
	work chan struct{} // wakes the keeper; one wake is as good as many
	done chan struct{}
}

// maxItems bounds the things of one kind in an account: the store keeps them in memory, and a function that may create
// secrets must not fill it.
const maxItems = 10_000

// tries bounds how often a change is repeated that others overtook.
const tries = 16

// Open opens the room. Without a key in cfg the node's own is used, made at the first start: never when there are data
// keys already, which it could not open. A key that does not open what is there is an error that names the right one.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{cfg: cfg, work: make(chan struct{}, 1), done: make(chan struct{})}
	r.rings.Store(&map[string]*ring{})
	r.orphans.Store(true) // whoever wrote last may not have come to its end
	for _, b := range []struct {
		name string
		kv   *store.KV
	}{{"secret.keys", &r.keys}, {"secret.items", &r.items}, {"secret.values", &r.values}, {"secret.used", &r.used}} {
		var err error
		if *b.kv, err = cfg.Store.KV(b.name); err != nil {
			return nil, err
		}
	}
	if err := r.openMasters(ctx); err != nil {
		return nil, err
	}
	if err := r.loadRings(ctx); err != nil {
		return nil, err
	}
	if err := r.rewrap(ctx); err != nil {
		return nil, err
	}
	if err := r.settleOwn(); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = cancel
	go r.keeper(run)
	r.wake()
	return r, nil
}

// Close ends the keeper and waits for it. What it left undone is done after the next Open.
func (r *Room) Close() error {
	r.stop()
	<-r.done
	return nil
}

func (r *Room) now() time.Time { return r.cfg.Clock().UTC() }

// Get reads an item, which is not to be changed: Change does that. One that is not there, or whose time to go has come, is
// an *casemate.Error of code NotFound.
func (r *Room) Get(ctx context.Context, id ID) (*Item, error) {
	e, err := r.items.Get(ctx, id.key())
	it := &Item{}
	if err == nil {
		it, err = r.look(ctx, id.Account, e)
	}
	if err != nil && casemate.CodeOf(err) != casemate.NotFound {
		return nil, err
	}
	if !it.Exists() || r.due(it) {
		return nil, casemate.Errorf(casemate.NotFound, "list them to see what is there", "there is no %s of this name", id.Kind)
	}
	return it, nil
}

func (r *Room) due(it *Item) bool { return !it.Purge.IsZero() && !r.now().Before(it.Purge) }

// load reads an item; one that is not in the store comes back empty.
func (r *Room) load(ctx context.Context, id ID) (*Item, error) {
	e, text, err := r.open(ctx, r.items, id.key(), id.Account, aad("item", id.key()))
	if casemate.CodeOf(err) == casemate.NotFound && err != nil {
		return &Item{ID: id}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeItem(id.key(), e.Revision, text)
}

func decodeItem(key string, revision uint64, text []byte) (*Item, error) {
	it := &Item{}
	if err := json.Unmarshal(text, it); err != nil || it.ID.key() != key {
		return nil, sealed(err, "an entry of the secrets is damaged")
	}
	it.revision = revision
	return it, nil
}

// open reads and opens one entry. Between reading the keys and the entry both may have changed: it looks again before it
// says that something does not open.
func (r *Room) open(ctx context.Context, kv store.KV, key, account string, data []byte) (store.Entry, []byte, error) {
	for {
		g := r.ring(account)
		e, err := kv.Get(ctx, key)
		if err != nil {
			return e, nil, err
		}
		if g != nil {
			text, err := g.aead.Decrypt(e.Value, data)
			if err == nil {
				return e, text, nil
			}
		}
		if g == r.ring(account) {
			return e, nil, sealed(nil, "a stored value does not open with data key %s: it is damaged, or lies where it does not belong", kek.Name(sealer(e.Value)))
		}
	}
}

// List gives every item of a kind, sorted by name, without those whose time to go has come; they are not to be changed. One that does not open is an
// error: a list is never silently shorter.
func (r *Room) List(ctx context.Context, account string, kind Kind) ([]*Item, error) {
	entries, err := r.items.List(ctx, ID{Account: account, Kind: kind}.prefix())
	if err != nil {
		return nil, err
	}
	out := make([]*Item, 0, len(entries))
	for _, e := range entries {
		it, err := r.look(ctx, account, e)
		if err != nil {
			return nil, err
		}
		if it.Exists() && !r.due(it) {
			out = append(out, it)
		}
	}
	slices.SortFunc(out, func(a, b *Item) int { return strings.Compare(a.ID.Name, b.ID.Name) })
	return out, nil
}

// look gives the item of an entry. What was read before at this revision is not opened again: a list of thousands would
// cost its reader little and the node much.
func (r *Room) look(ctx context.Context, account string, e store.Entry) (*Item, error) {
	if had, ok := r.known.Load(e.Key); ok && had.(*Item).revision == e.Revision {
		return had.(*Item), nil
	}
	it, err := r.loadKey(ctx, account, e.Key)
	if err == nil && it.Exists() {
		r.known.Store(e.Key, it)
	}
	return it, err
}

// loadKey reads an item by its key in the store; one that has gone meanwhile comes back empty.
func (r *Room) loadKey(ctx context.Context, account, key string) (*Item, error) {
	e, text, err := r.open(ctx, r.items, key, account, aad("item", key))
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		return &Item{}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeItem(key, e.Revision, text)
}

// Reveal opens the value of a version of it. The caller wipes it. Whoever asks must have been allowed to.
func (r *Room) Reveal(ctx context.Context, it *Item, version string) (plain.Text, error) {
	if t, ok := it.drafts[version]; ok {
		return t, nil
	}
	v := it.Version(version)
	if v == nil {
		return plain.Text{}, casemate.Errorf(casemate.NotFound, "list the versions", "there is no such version")
	}
	_, text, err := r.open(ctx, r.values, v.At, it.ID.Account, valueData(it.ID, v.ID))
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		return plain.Text{}, sealed(err, "the value of a version is missing")
	}
	if err != nil {
		return plain.Text{}, err
	}
	return plain.Take(text), nil
}

// valueData is what a sealed value is bound to: swapped with another name's or version's, it does not open.
func valueData(id ID, version string) []byte {
	return aad("value", id.Account, string(id.Kind), id.Name, version)
}

// Change reads the item of id, has f change it and writes it, all or nothing: when somebody else wrote in between, f is
// called again with what is there then. An item that is not there, or whose time to go has come, comes to f empty
// (Exists is false), and f's changes create it. An error of f is returned as it is, and nothing is written.
func (r *Room) Change(ctx context.Context, id ID, f func(it *Item) error) (*Item, error) {
	turn := &r.turns[crc32.ChecksumIEEE([]byte(id.key()))%uint32(len(r.turns))]
	turn.Lock()
	defer turn.Unlock()
	for range tries {
		it, err := r.change(ctx, id, f)
		if err == nil || casemate.CodeOf(err) != casemate.Conflict || !errors.Is(err, errOvertaken) {
			return it, err
		}
	}
	return nil, casemate.Errorf(casemate.Unavailable, "try again", "others change this %s all the time", id.Kind)
}

// errOvertaken tells a conflict of the store from one that f found.
var errOvertaken = errors.New("overtaken")

func (r *Room) change(ctx context.Context, id ID, f func(it *Item) error) (*Item, error) {
	if _, err := r.needRing(ctx, id.Account); err != nil {
		return nil, err
	}
	r.gate.RLock()
	defer r.gate.RUnlock()
	it, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	before, revision := it.places(), it.revision
	if it.Exists() && r.due(it) {
		it = &Item{ID: id}
	}
	if err := f(it); err != nil {
		return nil, err
	}
	if revision == 0 && !it.gone {
		if err := r.room(ctx, id); err != nil {
			return nil, err
		}
	}
	if it.gone {
		err = r.items.Delete(ctx, id.key(), revision)
	} else {
		err = r.write(ctx, it, revision)
	}
	if c := casemate.CodeOf(err); err != nil && (c == casemate.Conflict || it.gone && c == casemate.NotFound) {
		r.discard(ctx, it.places(), before)
		return nil, &casemate.Error{Code: casemate.Conflict, Message: "overtaken", Err: errors.Join(errOvertaken, err)}
	}
	if err != nil { // the item may be there all the same, and needs its values: what is not needed is an orphan
		r.orphans.Store(true)
		return nil, err
	}
	if it.gone {
		r.forget(ctx, id.key())
	}
	r.discard(ctx, before, it.places())
	it.drafts = nil
	return it, nil
}

// room refuses one more item than there may be.
func (r *Room) room(ctx context.Context, id ID) error {
	all, err := r.items.List(ctx, id.prefix())
	if err == nil && len(all) >= r.cfg.most() {
		err = casemate.Errorf(casemate.Exhausted, "delete what nobody reads: casemate posture", "there are %d %ss, which is the bound", len(all), id.Kind)
	}
	return err
}

// places are where its values lie.
func (it *Item) places() []string {
	var at []string
	for _, v := range it.Versions {
		if v.At != "" && !it.gone {
			at = append(at, v.At)
		}
	}
	return at
}

// discard removes values that nothing speaks of any more. What it cannot remove stays sealed and goes with the keeper's
// next round.
func (r *Room) discard(ctx context.Context, places, but []string) {
	for _, at := range places {
		if slices.Contains(but, at) {
			continue
		}
		if err := r.values.Delete(context.WithoutCancel(ctx), at, store.AnyRevision); err != nil {
			r.orphans.Store(true)
			r.cfg.Log.Warn("a discarded value stays for now, sealed", "err", err)
		}
	}
}

// write stores the values of new versions and then the item that speaks of them. The caller holds gate.
func (r *Room) write(ctx context.Context, it *Item, revision uint64) error {
	g := r.ring(it.ID.Account)
	for i := range it.Versions {
		v := &it.Versions[i]
		value, ok := it.drafts[v.ID]
		if !ok {
			continue
		}
		ciphertext, err := g.aead.Encrypt(value.Expose(), valueData(it.ID, v.ID))
		if err != nil {
			return fmt.Errorf("sealing a value: %w", err)
		}
		at := it.ID.Account + "/" + rand.Text()
		if _, err := r.values.Put(ctx, at, ciphertext, store.NewKey); err != nil {
			return fmt.Errorf("storing a value: %w", err)
		}
		v.At = at
	}
	it.Changed = r.now()
	if it.Created.IsZero() {
		it.Created = it.Changed
	}
	text, err := json.Marshal(it)
	if err != nil {
		return fmt.Errorf("encoding an item: %w", err)
	}
	ciphertext, err := g.aead.Encrypt(text, aad("item", it.ID.key()))
	if err != nil {
		return fmt.Errorf("sealing an item: %w", err)
	}
	it.revision, err = r.items.Put(ctx, it.ID.key(), ciphertext, revision)
	return err
}

// Touch remembers that a value of it was given out today. It writes once a day and item.
func (r *Room) Touch(ctx context.Context, it *Item) {
	key, day := it.ID.key(), r.now().Format(time.DateOnly)
	if had, ok := r.days.Swap(key, day); ok && had == day {
		return
	}
	if _, err := r.used.Put(ctx, key, []byte(day), store.AnyRevision); err != nil {
		r.days.Delete(key)
		r.cfg.Log.Warn("the day of a secret's last use is not stored", "err", err)
	}
}

// forget removes the day of an erased item's last use.
func (r *Room) forget(ctx context.Context, key string) {
	r.days.Delete(key)
	r.known.Delete(key)
	if err := r.used.Delete(context.WithoutCancel(ctx), key, store.AnyRevision); err != nil && casemate.CodeOf(err) != casemate.NotFound {
		r.cfg.Log.Warn("the day of an erased secret's last use stays", "err", err)
	}
}

// Touched is the day of the last Touch, zero: never.
func (r *Room) Touched(ctx context.Context, it *Item) time.Time {
	e, err := r.used.Get(ctx, it.ID.key())
	if err != nil {
		return time.Time{}
	}
	day, _ := time.Parse(time.DateOnly, string(e.Value))
	return day
}

// Ciphertext is the value of a version of it as it lies in the store.
func (r *Room) Ciphertext(ctx context.Context, it *Item, version string) ([]byte, error) {
	v := it.Version(version)
	if v == nil {
		return nil, casemate.Errorf(casemate.NotFound, "list the versions", "there is no such version")
	}
	e, err := r.values.Get(ctx, v.At)
	return e.Value, err
}
