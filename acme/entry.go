package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"casemate"
	"casemate/store"
)

// entry is what the store holds of a name: nothing in it is secret.
type entry struct {
	Name     string    `json:"name"`
	Chain    string    `json:"chain,omitempty"`   // PEM, the leaf first
	Key      string    `json:"key,omitempty"`     // where its key lies in the vault
	Account  string    `json:"account,omitempty"` // that it was obtained by
	Window   time.Time `json:"window,omitzero"`   // when the authority wants it renewed (RFC 9773); zero: it did not say
	Ask      time.Time `json:"ask,omitzero"`      // when the authority is asked about that again
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`
	Next     time.Time `json:"next,omitzero"` // nothing is tried before; it outlives a restart, so that one in a loop asks no more often
}

// renew is when a new certificate is asked for: when the authority says, at two thirds of the life otherwise, and never with
// less than a sixth of it left.
func (e *entry) renew(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	at := leaf.NotAfter.Add(-life / 3)
	if !e.Window.IsZero() {
		at = e.Window
	}
	if last := leaf.NotAfter.Add(-life / 6); at.After(last) {
		return last
	}
	return at
}

// pair is the certificate with its key, which must be for the name.
func pair(name, chain string, key []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair([]byte(chain), key)
	if err != nil {
		return nil, err
	}
	if err := c.Leaf.VerifyHostname(name); err != nil {
		return nil, err
	}
	return &c, nil
}

// load reads what is there of a name.
func (r *Room) load(ctx context.Context, s *slot) error {
	s.entry.Store(&entry{Name: s.name})
	got, err := r.kv.Get(ctx, r.place()+s.name)
	if casemate.CodeOf(err) == casemate.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	s.rev = got.Revision
	e := &entry{}
	if err := json.Unmarshal(got.Value, e); err != nil || e.Name != s.name {
		r.cfg.Log.Error("what was kept of a certificate is damaged; a new one is obtained", "name", s.name, "err", err)
		return nil
	}
	s.entry.Store(e)
	if e.Chain == "" {
		return nil
	}
	key, err := r.cfg.Vault.Get(ctx, e.Key)
	if err == nil {
		var c *tls.Certificate
		if c, err = pair(s.name, e.Chain, key); err == nil {
			s.serving.Store(c)
		}
		clear(key)
	}
	if err != nil {
		r.cfg.Log.Error("a certificate that was kept cannot be opened; a new one is obtained", "name", s.name, "err", err)
	}
	return nil
}

// save writes an entry over the one that was read. One that another writer changed meanwhile is read again, and the error
// says so.
func (r *Room) save(ctx context.Context, s *slot, e *entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	rev, err := r.kv.Put(ctx, r.place()+s.name, data, s.rev)
	if err != nil && casemate.CodeOf(err) == casemate.Conflict {
		err = fmt.Errorf("another node changed it: %w", err)
		if lerr := r.load(ctx, s); lerr != nil {
			err = lerr
		}
		return err
	}
	if err != nil {
		return err
	}
	s.rev = rev
	s.entry.Store(e)
	return nil
}

// keep stores a certificate and its key, and serves it. The key goes first, into the one of two places that the last
// certificate's is not in: whatever is cut off, the entry names a key that is there.
func (r *Room) keep(ctx context.Context, s *slot, c *tls.Certificate, e *entry, key []byte) error {
	old := s.entry.Load().Key
	place := "acme/" + r.place() + s.name + "/a"
	if old == place {
		place = strings.TrimSuffix(place, "a") + "b"
	}
	if err := r.cfg.Vault.Drop(ctx, place); err != nil {
		return err
	}
	if err := r.cfg.Vault.Put(ctx, place, key); err != nil {
		return err
	}
	e.Name, e.Key = s.name, place
	if err := r.save(ctx, s, e); err != nil {
		return err
	}
	s.serving.Store(c)
	if old == "" {
		return nil
	}
	return r.cfg.Vault.Drop(ctx, old)
}

// forget removes the certificates of names that are listed no more, once they are worth nothing.
func (r *Room) forget(ctx context.Context) error {
	all, err := r.kv.List(ctx, r.place())
	if err != nil {
		return err
	}
	for _, got := range all {
		e := &entry{}
		if json.Unmarshal(got.Value, e) != nil || e.Name == "" || r.Serves(e.Name) || !r.over(e) {
			continue
		}
		if e.Key != "" {
			if err := r.cfg.Vault.Drop(ctx, e.Key); err != nil {
				return err
			}
		}
		if err := r.kv.Delete(ctx, got.Key, store.AnyRevision); err != nil {
			return err
		}
	}
	return nil
}

// over reports whether the certificate of an entry has ended, or never was.
func (r *Room) over(e *entry) bool {
	leaf, err := leafOf(e.Chain)
	return err != nil || r.cfg.Clock().After(leaf.NotAfter)
}
