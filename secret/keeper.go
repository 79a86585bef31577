package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"casemate"
	"casemate/secret/kek"
	"casemate/store"
)

// ownFile is the node's own key-encryption key in Config.Dir.
const ownFile = "kek.json"

// round is how often the keeper looks for what has to go.
const round = time.Hour

func (r *Room) own() string { return filepath.Join(r.cfg.Dir, ownFile) }

// openMasters takes the key-encryption keys that were given, or the node's own.
func (r *Room) openMasters(ctx context.Context) error {
	r.masters = slices.Clone(r.cfg.Keys)
	m, err := kek.ReadOwn(r.own())
	switch {
	case err == nil:
		r.masters = append(r.masters, m) // behind those that were given: what it wrapped is wrapped anew by the first
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	case len(r.masters) > 0:
		return nil
	}
	known, err := r.keys.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading data keys: %w", err)
	}
	if len(known) > 0 { // a new key would open none of them; unwrap says which one is missing
		return nil
	}
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return err
	}
	if _, err := kek.Generate(r.own()); err != nil {
		return err
	}
	return r.openMasters(ctx)
}

// rewrap wraps every account's data keys with the first master. Reading and writing go on: the data keys are the same.
// The caller holds keyMu, or is Open.
func (r *Room) rewrap(ctx context.Context) error {
	for _, g := range *r.rings.Load() {
		if g.kek == r.masters[0].Name {
			continue
		}
		next := *g
		if err := r.setRing(ctx, &next); err != nil {
			return err
		}
	}
	return nil
}

// settleOwn ends a rotation that did not come to its end: when the node's own key wraps nothing any more its file goes, and
// when it was renewed its old key goes.
func (r *Room) settleOwn() error {
	if len(r.masters) == 0 {
		return nil
	}
	if r.masters[0].Handle != kek.Own {
		r.masters = r.masters[:1]
		if err := os.Remove(r.own()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the key that was in force before: %w", err)
		}
		return nil
	}
	if !r.masters[0].Renewed() {
		return nil
	}
	m, err := r.masters[0].Settle()
	if err != nil {
		return err
	}
	return r.putOwn(m)
}

// putOwn writes the node's own key-encryption key and takes it into force.
func (r *Room) putOwn(m *kek.Key) error {
	if err := m.Write(r.own()); err != nil {
		return err
	}
	r.masters = append([]*kek.Key{m}, r.masters[1:]...)
	return nil
}

// RotateMaster puts a new key-encryption key in force and wraps all data keys with it. An empty handle renews the node's
// own key; otherwise the new one is read from the handle, and the node's own file goes, so that no copy of its folder
// holds a key. It may be repeated after any failure. It gives the new key's name.
func (r *Room) RotateMaster(ctx context.Context, handle string) (string, error) {
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	if handle == "" {
		return r.rotateOwn(ctx)
	}
	m, err := kek.Read(handle)
	if err != nil {
		return "", err
	}
	if m.Name == r.masters[0].Name {
		return "", casemate.Errorf(casemate.Conflict, "casemate secret keygen FILE makes a new one", "the key-encryption key %s is in force already", m.Name)
	}
	r.masters = append([]*kek.Key{m}, r.masters...)
	if err := r.rewrap(ctx); err != nil {
		return "", err
	}
	return m.Name, r.settleOwn()
}

// rotateOwn renews the key in the node's folder: the file first holds both keys, then the new one alone.
func (r *Room) rotateOwn(ctx context.Context) (string, error) {
	if r.masters[0].Handle != kek.Own {
		return "", casemate.Errorf(casemate.Conflict, "give the new one: --key-encryption-key file:/path",
			"the key-encryption key comes from %s: the node cannot renew it", r.masters[0].Handle)
	}
	both, err := r.masters[0].Renew()
	if err != nil {
		return "", err
	}
	if err := r.putOwn(both); err != nil {
		return "", err
	}
	if err := r.rewrap(ctx); err != nil {
		return "", err
	}
	if err := r.settleOwn(); err != nil {
		return "", err
	}
	return r.masters[0].Name, nil
}

// RotateData gives an account a new data key: everything written from now on is sealed with it. What is there already is
// sealed anew in the background, also after a restart, and then the old key goes. It gives the new key's name.
func (r *Room) RotateData(ctx context.Context, account string) (string, error) {
	if _, err := r.needRing(ctx, account); err != nil {
		return "", err
	}
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	old := r.ring(account)
	keys, err := kek.Renew(old.keys)
	if err != nil {
		return "", err
	}
	g, err := newRing(account, keys, r.now())
	if err != nil {
		return "", fmt.Errorf("making a data key: %w", err)
	}
	g.revision = old.revision
	if err := r.setRing(ctx, g); err != nil {
		return "", err
	}
	r.wake()
	return kek.Name(g.primary), nil
}

func (r *Room) wake() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

// keeper purges what is due, clears what nothing speaks of, and finishes rotations.
func (r *Room) keeper(ctx context.Context) {
	defer close(r.done)
	timer := time.NewTicker(round)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.work:
		}
		if err := r.tidy(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("keeping the secrets", "err", err)
		}
	}
}

// tidy is one round of the keeper. A failure in one account does not hold up the others.
func (r *Room) tidy(ctx context.Context) error {
	r.rounds.Lock()
	defer r.rounds.Unlock()
	var all []error
	orphans := r.orphans.Swap(false)
	for account, g := range *r.rings.Load() {
		for _, kind := range []Kind{KindSecret, KindParameter} {
			all = append(all, r.purge(ctx, account, kind))
		}
		if orphans {
			if err := r.clearOrphans(ctx, account); err != nil {
				r.orphans.Store(true)
				all = append(all, err)
				continue
			}
		}
		if g.keys.Len() > 1 {
			all = append(all, r.reseal(ctx, account))
		}
	}
	return errors.Join(all...)
}

// purge erases the items whose time has come.
func (r *Room) purge(ctx context.Context, account string, kind Kind) error {
	entries, err := r.items.List(ctx, ID{Account: account, Kind: kind}.prefix())
	if err != nil {
		return err
	}
	for _, e := range entries {
		it, err := r.loadKey(ctx, account, e.Key)
		if err != nil {
			return err
		}
		if !it.Exists() || !r.due(it) {
			continue
		}
		err = r.items.Delete(ctx, e.Key, it.revision)
		if c := casemate.CodeOf(err); err != nil && c != casemate.Conflict && c != casemate.NotFound {
			return err
		} else if err == nil {
			r.forget(ctx, e.Key)
			r.discard(ctx, it.places(), nil)
		}
	}
	return nil
}

// clearOrphans removes values that no item speaks of: those of a change that did not come to its end.
func (r *Room) clearOrphans(ctx context.Context, account string) error {
	r.gate.Lock() // no change is between its values and its item
	defer r.gate.Unlock()
	known := map[string]bool{}
	entries, err := r.items.List(ctx, account+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		it, err := r.loadKey(ctx, account, e.Key)
		if err != nil {
			return err
		}
		for _, at := range it.places() {
			known[at] = true
		}
	}
	values, err := r.values.List(ctx, account+"/")
	if err != nil {
		return err
	}
	for _, e := range values {
		if !known[e.Key] {
			r.discard(ctx, []string{e.Key}, nil)
		}
	}
	return nil
}

// reseal seals everything of an account with its primary data key and then retires the others.
func (r *Room) reseal(ctx context.Context, account string) error {
	for {
		left, err := r.resealOnce(ctx, account)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
	}
	r.gate.Lock() // nothing is between sealing and storing: what is stored now is all there is
	defer r.gate.Unlock()
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	old := r.ring(account)
	if left, err := r.under(ctx, old); err != nil || left > 0 {
		r.orphans.Store(true) // somebody wrote or rotated meanwhile, or what is left belongs to nothing
		r.wake()
		return err
	}
	keys, err := kek.Settle(old.keys)
	if err != nil {
		return err
	}
	g, err := newRing(account, keys, old.made)
	if err != nil {
		return err
	}
	g.revision = old.revision
	return r.setRing(ctx, g)
}

// under counts what is sealed with a key of g that is not its primary one. It opens nothing, and so takes no time.
func (r *Room) under(ctx context.Context, g *ring) (n int, err error) {
	for _, kv := range []store.KV{r.items, r.values} {
		entries, err := kv.List(ctx, g.account+"/")
		if err != nil {
			return n, err
		}
		for _, e := range entries {
			if sealer(e.Value) != g.primary {
				n++
			}
		}
	}
	return n, nil
}

// resealOnce goes through everything of an account and reports how many entries it found under an old key.
func (r *Room) resealOnce(ctx context.Context, account string) (found int, err error) {
	entries, err := r.items.List(ctx, account+"/")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		it, err := r.loadKey(ctx, account, e.Key)
		if err != nil {
			return found, err
		}
		for i := range it.Versions {
			v := &it.Versions[i]
			n, err := r.resealEntry(ctx, r.values, v.At, account, valueData(it.ID, v.ID))
			if found += n; err != nil {
				return found, err
			}
		}
		n, err := r.resealEntry(ctx, r.items, e.Key, account, aad("item", e.Key))
		if found += n; err != nil {
			return found, err
		}
	}
	return found, ctx.Err()
}

// resealEntry seals one entry anew when an old key sealed it. One that changed or went meanwhile is left to the next time
// around.
func (r *Room) resealEntry(ctx context.Context, kv store.KV, key, account string, data []byte) (int, error) {
	e, text, err := r.open(ctx, kv, key, account, data)
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer clear(text)
	g := r.ring(account)
	if sealer(e.Value) == g.primary {
		return 0, nil
	}
	ciphertext, err := g.aead.Encrypt(text, data)
	if err != nil {
		return 0, fmt.Errorf("sealing anew: %w", err)
	}
	_, err = kv.Put(ctx, key, ciphertext, e.Revision)
	if c := casemate.CodeOf(err); err != nil && c != casemate.Conflict {
		return 1, err
	}
	return 1, nil
}

// Status is what may be known about the keys of an account.
type Status struct {
	Master     string    `json:"key_encryption_key"`
	MasterFrom string    `json:"key_encryption_key_from"`
	Data       string    `json:"data_key,omitempty"`      // in force; empty: none was needed yet
	Since      time.Time `json:"data_key_since,omitzero"` // when it was made
	Retiring   int       `json:"retiring"`                // older data keys that still have something to open
}

// Status tells which keys are in force.
func (r *Room) Status(account string) Status {
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	s := Status{Master: r.masters[0].Name, MasterFrom: r.masters[0].Handle}
	if g := r.ring(account); g != nil {
		s.Data, s.Since, s.Retiring = kek.Name(g.primary), g.made, g.keys.Len()-1
	}
	return s
}
