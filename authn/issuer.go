package authn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"casemate"
)

// algorithms that an issuer may pin: signatures that only the issuer can make. HMAC is missing on purpose (whoever can
// check could sign), and so is "none".
var algorithms = [...]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// issuer is one trusted signer, checked.
type issuer struct {
	casemate.Issuer
	keys *source
}

// trust is everything about tokens: who may sign them, with which keys, and which were seen to hold.
type trust struct {
	cfg    Config
	client *http.Client
	by     atomic.Pointer[map[string][]*issuer] // by iss
	cache  *tokenCache

	write   sync.Mutex
	sources map[string]*source // by URL, or by whose configuration they are found from; kept when issuers are set again
}

func newTrust(cfg Config) *trust {
	t := &trust{cfg: cfg, client: newClient(cfg.Transport), cache: newTokenCache(), sources: map[string]*source{}}
	t.by.Store(&map[string][]*issuer{})
	return t
}

// set checks all issuers, then swaps them in.
func (t *trust) set(issuers []casemate.Issuer) error {
	t.write.Lock()
	defer t.write.Unlock()
	by, sources, err := t.read(issuers)
	if err != nil {
		return err
	}
	t.sources = sources
	t.by.Store(&by)
	t.cache.clear()
	return nil
}

// read checks all issuers together. Sources of keys are taken over from those in force. The caller holds write.
func (t *trust) read(issuers []casemate.Issuer) (map[string][]*issuer, map[string]*source, error) {
	by := make(map[string][]*issuer)
	sources := make(map[string]*source)
	for i, is := range issuers {
		at := fmt.Sprintf("issuers/%d", i)
		if err := checkIssuer(&is); err != nil {
			err.Field = at + "/" + err.Field
			return nil, nil, err
		}
		for _, other := range by[is.Issuer] {
			if slices.ContainsFunc(other.Audience, func(a string) bool { return slices.Contains(is.Audience, a) }) {
				return nil, nil, invalid(at+"/audience", "give each its own audience", "two entries for issuer %q take the same audience", is.Issuer)
			}
		}
		s := &source{}
		if url := where(&is); url != "" {
			name := url
			if is.Discover { // an entry of another app that fetches from there, too, shares nothing with this one
				name = "configuration of " + is.Issuer
			}
			switch {
			case sources[name] != nil:
				s = sources[name]
			case t.sources[name] != nil:
				s = t.sources[name]
			default:
				s = newSource(url)
				if is.Discover {
					s.issuer = is.Issuer
				}
			}
			sources[name] = s
		} else {
			set, err := parseKeySet([]byte(is.KeySet))
			if err != nil {
				return nil, nil, invalid(at+"/key_set", "give the issuer's public JWKS document", "%v", err)
			}
			s.current.Store(set)
		}
		by[is.Issuer] = append(by[is.Issuer], &issuer{Issuer: is, keys: s})
	}
	return by, sources, nil
}

func invalid(field, hint, format string, args ...any) *casemate.Error {
	e := casemate.Errorf(casemate.Invalid, hint, format, args...)
	e.Field = field
	return e
}

// checkIssuer refuses whatever is missing or too wide. Its error's Field is relative to the issuer.
func checkIssuer(is *casemate.Issuer) *casemate.Error {
	switch {
	case !printable(is.Issuer, 512) || strings.ContainsAny(is.Issuer, " |"):
		return invalid("issuer", "copy the iss of a token", "not usable as an issuer")
	case len(is.Audience) == 0 || slices.Contains(is.Audience, ""):
		return invalid("audience", "name who the tokens are for", "an issuer needs an audience")
	case sourcesOf(is) != 1:
		return invalid("key_set", "give a JWKS document or its URL", "an issuer needs exactly one source of keys")
	case is.Discover && !discoverable(is.Issuer):
		return invalid("issuer", "give a JWKS document or its URL", "its keys can only be looked up where the issuer is an https address")
	case !slices.Contains([]string{"", tokensAccess, tokensTyped, tokensID}, is.Tokens):
		return invalid("tokens", "access, at+jwt or id", "%q is no kind of token", is.Tokens)
	case slices.Contains(is.Clients, "") || slices.Contains(is.Scopes, ""):
		return invalid("clients", "leave it out", "an empty client or scope")
	case len(is.Algorithms) == 0:
		return invalid("algorithms", "pin the one the issuer signs with, such as ES256", "an issuer needs its algorithms pinned")
	case is.RoleClaim != "" && (len(is.Roles) == 0 || is.Role != ""):
		return invalid("roles", "map the claim's values to roles", "with role_claim set, roles must map its values and role must be empty")
	case is.Exchange && (is.RoleClaim != "" || is.Role != "" || len(is.Roles) != 0):
		return invalid("role", "leave the role out", "tokens that are only exchanged have no role")
	case !is.Exchange && is.RoleClaim == "" && (is.Role == "" || len(is.Roles) != 0):
		return invalid("role", "give a role, or role_claim and roles", "an issuer needs a role for its tokens")
	}
	for _, a := range is.Algorithms {
		if !slices.Contains(algorithms[:], a) {
			return invalid("algorithms", "use one of "+strings.Join(algorithms[:], ", "), "algorithm %q is not accepted", a)
		}
	}
	for value, role := range is.Roles {
		if value == "" || role == "" {
			return invalid("roles", "name both", "an empty value or role")
		}
	}
	if is.KeySetURL != "" {
		if err := checkURL(is.KeySetURL); err != nil {
			return invalid("key_set_url", "use https, or http on loopback", "%v", err)
		}
	}
	return nil
}

func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return errors.New("not the URL of a key set")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errors.New("a key set must be fetched over https")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// refresh fetches key sets that have grown old.
func (t *trust) refresh(ctx context.Context, now time.Time) {
	t.write.Lock()
	due := make([]*source, 0, len(t.sources))
	for _, s := range t.sources {
		due = append(due, s)
	}
	t.write.Unlock()
	for _, s := range due {
		if err := s.refresh(ctx, t.client, now, refreshAge); err != nil && ctx.Err() == nil {
			t.cfg.Log.Warn("key set is not refreshed", "url", s.url, "err", err)
		}
	}
}

// find looks up the key a token names, fetching the set again when it does not hold that key (rotation).
func (t *trust) find(ctx context.Context, is *issuer, h header, now time.Time) (*keySet, any, error) {
	set := is.keys.current.Load()
	if set != nil {
		if k, err := set.find(h); err == nil {
			return set, k, nil
		}
	}
	if is.keys.url != "" {
		if err := is.keys.refresh(ctx, t.client, now, refreshGap); err != nil {
			t.cfg.Log.Warn("key set cannot be read", "url", is.keys.url, "err", err)
		}
		set = is.keys.current.Load()
	}
	if set == nil {
		e := casemate.Errorf(casemate.Unavailable, "try again shortly", "tokens cannot be checked at present")
		e.Retry = int(refreshGap / time.Second)
		return nil, nil, e
	}
	k, err := set.find(h)
	return set, k, err
}
