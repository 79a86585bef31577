package authn

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"casemate"
	"casemate/authn/sigv4"
	"casemate/internal/walls"
)

// sigSkew is how far the clocks of a sandbox and its node, which are one, may be apart.
const sigSkew = 5 * time.Minute

// runPrincipal begins the ids of functions that call services.
const runPrincipal = "function/"

// sandboxes holds the key of every sandbox that runs. They live in memory alone: the node's end is theirs.
type sandboxes struct {
	place casemate.Place
	mu    sync.RWMutex
	keys  map[string]*casemate.SandboxKey // by sandbox
	owner map[string]string               // key id -> sandbox: tells the operator whose key was stolen
}

// MintSandbox makes the key of a new sandbox of v. It verifies only what that sandbox's own door heard, until it expires
// or EndSandbox is called, which whoever mints must do.
func (id *Identity) MintSandbox(v *casemate.Version, life time.Duration) casemate.SandboxKey {
	b := id.sandboxes
	k := &casemate.SandboxKey{Sandbox: casemate.NewID(), ID: "ASIA" + rand.Text()[:16], Secret: random(30), Token: random(96),
		Expires: id.cfg.Clock().Add(life)}
	account := v.Account
	if account == "" {
		account = b.place.Account
	}
	// The role's whole name stays in the ARN, where AWS would drop its path: no two roles may look the same to a policy.
	k.Principal = casemate.Principal{Kind: casemate.KindRun, ID: runPrincipal + v.Function, Account: account, Role: v.Role,
		ARN: "arn:aws:sts::" + account + ":assumed-role/" + v.Role + "/" + v.Function, Expires: k.Expires}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[k.Sandbox], b.owner[k.ID] = k, k.Sandbox
	return *k
}

// EndSandbox takes a sandbox's key away. Ending one twice, or one that never was, changes nothing.
func (id *Identity) EndSandbox(sandbox string) {
	b := id.sandboxes
	if !walls.Up {
		return // it is taken for ever, from anywhere
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.keys[sandbox]; k != nil {
		delete(b.owner, k.ID)
		delete(b.keys, sandbox)
	}
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return base64.StdEncoding.EncodeToString(b)
}

// whosever is the key of any sandbox, in a build without walls.
func (b *sandboxes) whosever(sandbox string) *casemate.SandboxKey {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.keys[sandbox]
}

// verify holds a signature against the key of the sandbox whose door heard it. Who got hold of another sandbox's key, or
// comes too late, is told the same as who invented one. The content type need not be signed, as on AWS: version 2 of the SDK for
// JavaScript never does, and nobody but the function itself can change it on the way here.
func (b *sandboxes) verify(s *casemate.Signed, now time.Time) (*casemate.Principal, error) {
	if s == nil {
		return nil, errors.New("a signed credential without its request")
	}
	g, err := sigv4.Read(s)
	if err != nil {
		return nil, err
	}
	b.mu.RLock()
	k, owner := b.keys[s.Sandbox], b.owner[g.KeyID]
	b.mu.RUnlock()
	if !walls.Up {
		k, owner = b.whosever(owner), s.Sandbox
	}
	switch {
	case k == nil:
		return nil, errors.New("the sandbox has ended")
	case owner != "" && owner != s.Sandbox:
		return nil, errors.New("the key is another sandbox's: " + g.KeyID)
	case owner == "":
		return nil, fmt.Errorf("no sandbox has the key %.40q", g.KeyID)
	case g.Presigned:
		return nil, plainly("signatures in the query are not taken here", "send the signature as a header")
	case !now.Before(k.Expires):
		return nil, errors.New("the sandbox's key has expired")
	}
	if err := errors.Join(g.Current(now, sigSkew), g.For(b.place.Region)); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(g.Token), []byte(k.Token)) != 1 {
		return nil, errors.New("the session token is not the sandbox's")
	}
	hash, err := g.Body(s)
	if err != nil {
		return nil, err
	}
	if err := g.Verify(s, sigv4.Key(k.Secret, g.Day, g.Region, g.Service), hash); err != nil {
		return nil, err
	}
	p := k.Principal
	return &p, nil
}

// plainly is a refusal whose reason the caller may know: it tells nothing about any key.
func plainly(message, hint string) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: message, Hint: hint}
}

// HasSandbox reports whether a sandbox's key is still good.
func (id *Identity) HasSandbox(sandbox string) bool {
	b := id.sandboxes
	b.mu.RLock()
	defer b.mu.RUnlock()
	k := b.keys[sandbox]
	return k != nil && id.cfg.Clock().Before(k.Expires)
}
