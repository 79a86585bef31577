package passkey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"casemate"
	"casemate/store"
)

// Bounds of what is kept and read.
const (
	MaxResponse = 32 << 10 // bytes of a client's answer; attestations of hardware keys have some 2 KiB
	maxEach     = 20       // passkeys of one operator
	maxAll      = 10_000
	maxName     = 64
	maxOperator = 128
	maxID       = 1023 // bytes of a credential id (https://www.w3.org/TR/webauthn-3/#credential-id)

	bucket     = "passkeys"
	keyPrefix  = "key/"
	userPrefix = "user/"
	handleSize = 32
)

// Config is what the room needs: a store.
type Config struct {
	Store store.Store
	Clock func() time.Time
	Log   *slog.Logger
}

// Passkey is what may be known about a passkey.
type Passkey struct {
	ID       string    `json:"id"` // "pk_" and 24 hexadecimal digits: of the SHA-256 of its credential id
	Operator string    `json:"operator"`
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Synced   bool      `json:"synced"`          // it may be copied to its owner's other devices by who made the authenticator
	Copied   time.Time `json:"copied,omitzero"` // when its sign counter went back: somebody has a copy, and it opens nothing since
	Host     string    `json:"host"`            // the relying party that it was made for; at another one it opens nothing
	Making   string    `json:"enrolled_by"`     // the session that it was made in
}

// stored is a passkey in the store.
type stored struct {
	Passkey
	Credential []byte   `json:"credential"` // its id
	Key        []byte   `json:"public_key"` // COSE
	Count      uint32   `json:"count"`
	Transports []string `json:"transports,omitempty"`
}

// known is a passkey in memory, never changed once it is there.
type known struct {
	stored
	revision uint64
}

// Room knows every operator's passkeys. All methods may be called concurrently.
type Room struct {
	cfg  Config
	kv   store.KV
	desk *desk
	site atomic.Pointer[site] // nil: there is no page to sign in at

	mu      sync.Mutex // held over writes too: operators are few, and a sign-in is rare
	keys    map[string]*known
	handles map[string][]byte // by operator: what authenticators know them by
}

// site is where browsers are.
type site struct {
	origins []string
	host    string // the relying party's id
	lib     *webauthn.WebAuthn
}

// Open reads the passkeys. Nobody makes or uses one before At has said where.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{cfg: cfg, keys: map[string]*known{}, handles: map[string][]byte{}}
	var err error
	if r.desk, err = newDesk(cfg.Clock); err != nil {
		return nil, fmt.Errorf("opening the passkeys: %w", err)
	}
	if r.kv, err = cfg.Store.KV(bucket); err != nil {
		return nil, fmt.Errorf("opening the passkeys: %w", err)
	}
	return r, r.load(ctx)
}

// At says by which origins browsers reach the sign-in page: "https://ops.example.com:8443", all of one host, which is the
// relying party's id. They are the operator's word, never a header's.
func (r *Room) At(origins []string) error {
	host, err := Host(origins)
	if err != nil {
		return err
	}
	lib, err := webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: "Casemate", RPOrigins: origins, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return fmt.Errorf("opening the passkeys: %w", err)
	}
	r.site.Store(&site{slices.Clone(origins), host, lib})
	return nil
}

// where is where browsers are; Unavailable when nobody said.
func (r *Room) where() (*site, error) {
	if at := r.site.Load(); at != nil {
		return at, nil
	}
	return nil, &casemate.Error{Code: casemate.Unavailable, Message: "this node has no page to sign in at with a passkey", Hint: "start it with --admin and, where its name is not localhost, --admin-origin"}
}

// Host is what origins have in common: the relying party's id (https://www.w3.org/TR/webauthn-3/#rp-id). They must be https,
// written as browsers write them, and of one host that is a name: browsers make no passkeys for addresses.
func Host(origins []string) (host string, err error) {
	bad := func(message string) (string, error) {
		return "", &casemate.Error{Code: casemate.Invalid, Field: "--admin-origin", Message: message, Hint: "https://ops.example.com:8443, as the browser's address bar shows it"}
	}
	if len(origins) == 0 {
		return bad("no origin is given")
	}
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || o != "https://"+u.Host || o != strings.ToLower(o) || u.Port() == "443" || strings.HasSuffix(u.Host, ":") {
			return bad("an origin is malformed: " + strings.ToValidUTF8(o[:min(len(o), 200)], "?"))
		}
		if host != "" && host != u.Hostname() {
			return bad("the origins are of two hosts")
		}
		host = u.Hostname()
		if err := protocol.ValidateRPID(host); err != nil || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			return bad("the host of an origin is no name")
		}
	}
	return host, nil
}

// load reads every passkey. One that cannot be read stops the start: leaving it out could bring a removed one's id back.
func (r *Room) load(ctx context.Context) error {
	entries, err := r.kv.List(ctx, "")
	if err != nil {
		return fmt.Errorf("reading passkeys: %w", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Key, userPrefix); ok {
			if len(e.Value) != handleSize {
				return fmt.Errorf("reading the handle of operator %q: malformed", name)
			}
			r.handles[name] = e.Value
			continue
		}
		var s stored
		if err := json.Unmarshal(e.Value, &s); err != nil || keyPrefix+s.ID != e.Key || idOf(s.Credential) != s.ID || s.Operator == "" {
			return fmt.Errorf("reading passkey %q: malformed (%w)", e.Key, err)
		}
		r.keys[s.ID] = &known{s, e.Revision}
	}
	return nil
}

func idOf(credential []byte) string {
	sum := sha256.Sum256(credential)
	return "pk_" + hex.EncodeToString(sum[:12])
}

// List gives the passkeys of operator, or of all when it is empty, by operator and age.
func (r *Room) List(operator string) []Passkey {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Passkey{}
	for _, k := range r.keys {
		if operator == "" || k.Operator == operator {
			out = append(out, k.Passkey)
		}
	}
	slices.SortFunc(out, func(a, b Passkey) int {
		return firstOf(strings.Compare(a.Operator, b.Operator), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return out
}

func firstOf(all ...int) int {
	for _, n := range all {
		if n != 0 {
			return n
		}
	}
	return 0
}

// Has reports whether operator can sign in with a passkey here.
func (r *Room) Has(operator string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.site.Load()
	for _, k := range r.keys {
		if at != nil && k.Operator == operator && k.Host == at.host && k.Copied.IsZero() {
			return true
		}
	}
	return false
}

// Get is the passkey with this id, or NotFound.
func (r *Room) Get(id string) (Passkey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[id]; k != nil {
		return k.Passkey, nil
	}
	return Passkey{}, noPasskey()
}

// Remove takes the passkey away from its operator. What was signed in with it is not ended.
func (r *Room) Remove(ctx context.Context, id string) (Passkey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[id]
	if k == nil {
		return Passkey{}, noPasskey()
	}
	if err := r.kv.Delete(ctx, keyPrefix+id, k.revision); err != nil {
		return Passkey{}, fmt.Errorf("removing a passkey: %w", err)
	}
	delete(r.keys, id)
	return k.Passkey, nil
}

// Keep removes the passkeys of operator but those with these ids: where an account does not list them, they open nothing, and
// would only keep an authenticator from making another one. Where none is left, the operator is somebody else to
// authenticators from then on.
func (r *Room) Keep(ctx context.Context, operator string, ids []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, k := range r.keys {
		if k.Operator != operator || slices.Contains(ids, id) {
			continue
		}
		if err := r.kv.Delete(ctx, keyPrefix+id, k.revision); err != nil {
			return fmt.Errorf("removing a passkey: %w", err)
		}
		delete(r.keys, id)
	}
	if len(ids) > 0 || r.handles[operator] == nil {
		return nil
	}
	if err := r.kv.Delete(ctx, userPrefix+operator, store.AnyRevision); err != nil {
		return fmt.Errorf("removing a handle: %w", err)
	}
	delete(r.handles, operator)
	return nil
}

// user is an operator as the library sees one: the handle, and the passkeys that may be used.
type user struct {
	name   string
	handle []byte
	keys   []*known
}

// WebAuthnID implements webauthn.User.
func (u *user) WebAuthnID() []byte { return u.handle }

// WebAuthnName implements webauthn.User.
func (u *user) WebAuthnName() string { return u.name }

// WebAuthnDisplayName implements webauthn.User.
func (u *user) WebAuthnDisplayName() string { return u.name }

// WebAuthnCredentials implements webauthn.User.
func (u *user) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, len(u.keys))
	for i, k := range u.keys {
		out[i] = webauthn.Credential{ID: k.Credential, PublicKey: k.Key, Flags: webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.Synced},
			Authenticator: webauthn.Authenticator{SignCount: k.Count}}
		for _, t := range k.Transports {
			out[i].Transport = append(out[i].Transport, protocol.AuthenticatorTransport(t))
		}
	}
	return out
}

// handle is what authenticators know operator by: random, so that it tells nobody who that is. The lock is held.
func (r *Room) handle(ctx context.Context, operator string) ([]byte, error) {
	if h := r.handles[operator]; h != nil {
		return h, nil
	}
	h := make([]byte, handleSize)
	if _, err := rand.Read(h); err != nil {
		return nil, err
	}
	if _, err := r.kv.Put(ctx, userPrefix+operator, h, store.NewKey); err != nil {
		return nil, fmt.Errorf("keeping a handle: %w", err)
	}
	r.handles[operator] = h
	return h, nil
}

// algorithms are those of the keys that are taken: ECDSA on P-256, Ed25519 and RSA with SHA-256, as WebAuthn recommends.
func algorithms() []protocol.CredentialParameter {
	var out []protocol.CredentialParameter
	for _, a := range [...]webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		out = append(out, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	return out
}

// label is a passkey's name as its operator gave it, or "passkey".
func label(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "passkey", nil
	}
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return "", &casemate.Error{Code: casemate.Invalid, Field: "name", Message: "a passkey's name has 1 to 64 printable characters", Hint: `"laptop"`}
	}
	return name, nil
}

func noPasskey() error {
	return &casemate.Error{Code: casemate.NotFound, Message: "there is no such passkey", Hint: "casemate operator passkey list shows them"}
}
