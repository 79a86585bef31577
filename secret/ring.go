package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"casemate"
	"casemate/secret/kek"
	"casemate/store"
)

// ring is the data keys of one account, open: the primary one seals, all of them open.
type ring struct {
	account  string
	keys     *keyset.Handle
	aead     tink.AEAD
	primary  uint32
	made     time.Time // of the primary
	kek      string    // name of the key that wraps it
	revision uint64
}

// wrapped is a ring in the store.
type wrapped struct {
	Account string    `json:"account"`
	Made    time.Time `json:"made"`
	KEK     string    `json:"kek"`  // name of the key-encryption key
	From    string    `json:"from"` // its handle, for the one who looks for it
	Keys    string    `json:"keys"` // Tink's encrypted keyset, base64
}

func newRing(account string, keys *keyset.Handle, made time.Time) (*ring, error) {
	a, err := aead.New(keys)
	if err != nil {
		return nil, err
	}
	p, err := keys.Primary()
	if err != nil {
		return nil, err
	}
	return &ring{account: account, keys: keys, aead: a, primary: p.KeyID(), made: made}, nil
}

// aad says what a ciphertext is, in a way that no two lists of parts share.
func aad(parts ...string) []byte {
	b := []byte("casemate 1")
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// ringData is what a wrapped ring is bound to.
func ringData(account string) []byte { return aad("data keys", account) }

func (r *ring) wrap(m *kek.Key) ([]byte, error) {
	var b bytes.Buffer
	if err := r.keys.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), m.AEAD, ringData(r.account)); err != nil {
		return nil, fmt.Errorf("wrapping data keys: %w", err)
	}
	return json.Marshal(wrapped{Account: r.account, Made: r.made, KEK: m.Name, From: m.Handle, Keys: base64.StdEncoding.EncodeToString(b.Bytes())})
}

// unwrap opens a ring with whichever key it was wrapped with.
func unwrap(e store.Entry, masters []*kek.Key) (*ring, error) {
	var w wrapped
	if err := json.Unmarshal(e.Value, &w); err != nil || w.Account != e.Key {
		return nil, sealed(nil, "the data keys of account %s are damaged in the store", e.Key)
	}
	raw, err := base64.StdEncoding.DecodeString(w.Keys)
	if err != nil {
		return nil, sealed(nil, "the data keys of account %s are damaged in the store", e.Key)
	}
	for _, m := range masters {
		if !m.Has(w.KEK) {
			continue
		}
		keys, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(raw)), m.AEAD, ringData(w.Account))
		if err != nil {
			return nil, sealed(err, "the data keys of account %s do not open with the key-encryption key %s: one of the two is damaged", w.Account, w.KEK)
		}
		r, err := newRing(w.Account, keys, w.Made)
		if err != nil {
			return nil, sealed(err, "the data keys of account %s are no sealing keys", w.Account)
		}
		r.kek, r.revision = w.KEK, e.Revision
		return r, nil
	}
	return nil, &casemate.Error{Code: casemate.Unavailable, Field: "--secret-key", Err: errSealed,
		Message: fmt.Sprintf("the data keys of account %s are wrapped by the key-encryption key %s, which was not given", w.Account, w.KEK),
		Hint:    "it came from " + w.From + " when it was last used: start with --secret-key " + hintHandle(w.From)}
}

func hintHandle(from string) string {
	if from == kek.Own {
		return "file: and the kek.json that belongs to this store"
	}
	return from
}

// errSealed is the cause of every error about what does not open.
var errSealed = errors.New("sealed content does not open")

// Sealed reports that err is about content that does not open: damaged, moved to another place, or of another key.
func Sealed(err error) bool { return errors.Is(err, errSealed) }

func sealed(cause error, format string, args ...any) error {
	return &casemate.Error{Code: casemate.Fault, Message: fmt.Sprintf(format, args...),
		Hint: "restore it from a backup of the node's folder, with the key of its time", Err: errors.Join(errSealed, cause)}
}

// loadRings opens every account's data keys. One that does not open stops the start: going on would hide what it holds.
func (r *Room) loadRings(ctx context.Context) error {
	entries, err := r.keys.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading data keys: %w", err)
	}
	rings := make(map[string]*ring, len(entries))
	for _, e := range entries {
		g, err := unwrap(e, r.masters)
		if err != nil {
			return err
		}
		rings[g.account] = g
	}
	r.rings.Store(&rings)
	return nil
}

func (r *Room) ring(account string) *ring { return (*r.rings.Load())[account] }

// setRing writes a ring wrapped by the first master and swaps it in. The caller holds keyMu.
func (r *Room) setRing(ctx context.Context, g *ring) error {
	value, err := g.wrap(r.masters[0])
	if err != nil {
		return err
	}
	if g.revision, err = r.keys.Put(ctx, g.account, value, g.revision); err != nil {
		return fmt.Errorf("writing data keys: %w", err)
	}
	g.kek = r.masters[0].Name
	next := maps.Clone(*r.rings.Load())
	next[g.account] = g
	r.rings.Store(&next)
	return nil
}

// needRing gives an account's data keys, made at its first secret.
func (r *Room) needRing(ctx context.Context, account string) (*ring, error) {
	if g := r.ring(account); g != nil {
		return g, nil
	}
	r.keyMu.Lock()
	defer r.keyMu.Unlock()
	if g := r.ring(account); g != nil {
		return g, nil
	}
	keys, err := kek.New()
	if err != nil {
		return nil, fmt.Errorf("making a data key: %w", err)
	}
	g, err := newRing(account, keys, r.now())
	if err != nil {
		return nil, fmt.Errorf("making a data key: %w", err)
	}
	return g, r.setRing(ctx, g)
}

// sealer reads from a ciphertext which data key made it: Tink's prefix is a 1 and the key's id
// (https://developers.google.com/tink/wire-format).
func sealer(ciphertext []byte) uint32 {
	if len(ciphertext) < 5 || ciphertext[0] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(ciphertext[1:5])
}
