package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/authn/lastuse"
	"casemate/internal/keeper"
	"casemate/store"
)

// How the ids of principals begin.
const (
	keyPrincipal   = "key/"
	tokenPrincipal = "jwt/"
)

// RoleOperator is the role of the node's own people: peers of its socket.
const RoleOperator = "operator"

// Config is what the room needs. Store is needed; Place defaults to casemate.DefaultPlace.
type Config struct {
	Store     store.Store
	Place     casemate.Place
	Operators []uint32 // uids that may operate the node over its socket; nil: root and the node's own
	Clock     func() time.Time
	Log       *slog.Logger
	Transport http.RoundTripper // for key sets; nil: http.DefaultTransport's settings. Bounds are added here.
}

// Identity verifies credentials. All methods may be called concurrently.
type Identity struct {
	cfg       Config
	ring      *ring
	trust     *trust
	sandboxes *sandboxes
	keeper    *keeper.Keeper
}

// New reads the keys from the store and starts the keeper, which saves last uses and refreshes key sets.
func New(ctx context.Context, cfg Config) (*Identity, error) {
	if cfg.Store == nil {
		return nil, errors.New("authn needs a store")
	}
	if cfg.Place == (casemate.Place{}) {
		cfg.Place = casemate.DefaultPlace
	}
	if cfg.Operators == nil {
		cfg.Operators = []uint32{0, uint32(os.Getuid())}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ring, err := openRing(ctx, cfg.Store, cfg.Place)
	if err != nil {
		return nil, fmt.Errorf("opening identities: %w", err)
	}
	id := &Identity{cfg: cfg, ring: ring, trust: newTrust(cfg),
		sandboxes: &sandboxes{place: cfg.Place, keys: map[string]*casemate.SandboxKey{}, owner: map[string]string{}}}
	id.keeper = keeper.Every(ctx, lastuse.Grain, func(ctx context.Context) {
		if err := ring.saveUses(ctx); err != nil && ctx.Err() == nil {
			cfg.Log.Warn("last uses of keys are not saved", "err", err)
		}
		id.trust.refresh(ctx, cfg.Clock())
	})
	return id, nil
}

// Verify says whose event e is; m is the route it came by, or nil.
func (id *Identity) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	if m != nil && m.Route != nil && m.Route.Auth.Token != nil && e.Credential.Kind == casemate.CredentialBearer {
		return refused(id.trust.verify(ctx, e.Credential.Secret, id.cfg.Clock(), m.Route.Auth.Token))
	}
	return id.Credential(ctx, e.Credential)
}

// Credential says whose credential c is. No credential is nobody: the zero Principal. A credential that does not hold, for
// whatever reason, is one and the same Unauthenticated error; its cause is for the operator alone. Unavailable means
// that the issuer's key set cannot be read at present. The principal belongs to the caller but for its maps and slices,
// which are shared and must not be changed.
func (id *Identity) Credential(ctx context.Context, c casemate.Credential) (*casemate.Principal, error) {
	switch c.Kind {
	case casemate.CredentialNone:
		if c.Secret == "" && c.As == nil {
			return &casemate.Principal{}, nil
		}
	case casemate.CredentialKey:
		return refused(id.ring.verify(c.Secret, id.cfg.Clock()))
	case casemate.CredentialBearer:
		return refused(id.trust.verify(ctx, c.Secret, id.cfg.Clock(), nil))
	case casemate.CredentialPeer:
		return refused(id.peer(c.UID))
	case casemate.CredentialSigned:
		if c.Secret == "" && c.As == nil {
			return refused(id.sandboxes.verify(c.Signed, id.cfg.Clock()))
		}
	case casemate.CredentialMapping:
		if c.As != nil && c.Secret == "" && c.As.Kind == casemate.KindMapping {
			return c.As, nil
		}
	case casemate.CredentialDestination:
		if c.As != nil && c.Secret == "" && c.As.Kind == casemate.KindRun {
			return c.As, nil
		}
	case casemate.CredentialSchedule:
		if c.As != nil && c.Secret == "" && c.As.Kind == casemate.KindSchedule {
			return c.As, nil
		}
	case casemate.CredentialRun:
		if c.As != nil && c.Secret == "" {
			return refused(id.still(c.As))
		}
	}
	return refused(nil, fmt.Errorf("credential of kind %q", string(c.Kind)))
}

// still looks again at who was verified when an event was accepted. Time may have run out since; but what was taken away
// on purpose, a key or an issuer, takes along what is queued in its name.
func (id *Identity) still(p *casemate.Principal) (*casemate.Principal, error) {
	switch p.Kind {
	case casemate.KindKey:
		if k := (*id.ring.known.Load())[strings.TrimPrefix(p.ID, keyPrincipal)]; k != nil && !k.Revoked.IsZero() {
			return nil, fmt.Errorf("key %s was revoked after it queued the event", k.ID)
		}
	case casemate.KindToken:
		iss, _, _ := strings.Cut(strings.TrimPrefix(p.ID, tokenPrincipal), "|")
		if len((*id.trust.by.Load())[iss]) == 0 {
			return nil, errors.New("the issuer of who queued the event is not trusted any more")
		}
	case casemate.KindRun: // its sandbox may be gone by now, as it should; its role is looked up again by the policy
	}
	return p, nil
}

func (id *Identity) peer(uid uint32) (*casemate.Principal, error) {
	if !slices.Contains(id.cfg.Operators, uid) {
		return nil, fmt.Errorf("uid %d is no operator", uid)
	}
	name := "uid/" + strconv.FormatUint(uint64(uid), 10)
	return &casemate.Principal{
		Kind: casemate.KindPeer, ID: name, ARN: "arn:aws:iam::" + id.cfg.Place.Account + ":" + name,
		Account: id.cfg.Place.Account, Role: RoleOperator,
	}, nil
}

// refused hides the cause of a refusal. Errors that are no refusal pass.
func refused(p *casemate.Principal, err error) (*casemate.Principal, error) {
	var coded *casemate.Error
	if err == nil || errors.As(err, &coded) {
		return p, err
	}
	return nil, &casemate.Error{Code: casemate.Unauthenticated, Message: "the credential is not valid",
		Hint: "send a current API key or token", Err: err}
}

// CreateKey makes a key. The secret is returned here and never again: only its hash is kept.
func (id *Identity) CreateKey(ctx context.Context, q KeyRequest) (secret string, k Key, err error) {
	return id.ring.create(ctx, q, id.cfg.Clock())
}

// ListKeys returns every key, expired and revoked ones included, oldest first.
func (id *Identity) ListKeys() []Key { return id.ring.list() }

// RevokeKey shuts a key for good; when it returns, on success or not, the key opens nothing. Revoking twice is no error.
func (id *Identity) RevokeKey(ctx context.Context, keyID string) (Key, error) {
	return id.ring.revoke(ctx, keyID, id.cfg.Clock())
}

// SetIssuers replaces the trusted issuers, all or none. An issuer that is not complete and unambiguous is Invalid.
func (id *Identity) SetIssuers(issuers []casemate.Issuer) error { return id.trust.set(issuers) }

// CheckIssuers says what SetIssuers would, and changes nothing. A deploy asks it with the issuers of every app: one that
// was put in force unchecked would stand in the way of all others.
func (id *Identity) CheckIssuers(issuers []casemate.Issuer) error {
	id.trust.write.Lock()
	defer id.trust.write.Unlock()
	_, _, err := id.trust.read(issuers)
	return err
}

// Close saves what is pending. The store must still be open.
func (id *Identity) Close() error {
	id.keeper.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return id.ring.saveUses(ctx)
}
