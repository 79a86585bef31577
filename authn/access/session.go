package access

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/authn/sigv4"
)

// A session is in its own token: sealed with a key of this node, and bound to its access key's id. Nothing of it is
// stored; its secret is a MAC of the token. What ends it early is looked at with every request: the cuts, the access key or
// issuer or run that it came from, its role.
const (
	sessionID   = "ASIA"
	tokenMark   = "cs1."
	masterName  = "session-key" // in the vault
	maxToken    = 12 << 10      // of base64: HTTP fronts take 16 KiB of headers
	mostOrigins = 8             // links of a chain of sessions
)

// The origins of a session, outermost first, apart by spaces.
const (
	originAccess  = "access/"
	originSession = "session/" // <id>|<role>|<Unix seconds>
	originIssuer  = "issuer/"
	originRun     = "run/" // <sandbox>
)

// claims is what a token says.
type claims struct {
	Principal casemate.Principal `json:"p"`
	Run       string             `json:"r,omitempty"`
	Sandbox   string             `json:"s,omitempty"`
}

// master is the key behind all tokens, opened at the first use.
type master struct {
	mu     sync.Mutex
	seal   cipher.AEAD
	secret []byte
}

// open gives what tokens are sealed with, and what their secrets are made with. The first use makes it.
func (r *Room) open(ctx context.Context) (cipher.AEAD, []byte, error) {
	m := &r.master
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seal != nil {
		return m.seal, m.secret, nil
	}
	key, err := r.cfg.Vault.Get(ctx, masterName)
	if casemate.CodeOf(err) == casemate.NotFound && err != nil {
		key = make([]byte, sha256.Size)
		rand.Read(key) // never fails (crypto/rand, Go 1.24)
		err = r.cfg.Vault.Put(ctx, masterName, key)
	}
	if err != nil || len(key) != sha256.Size {
		return nil, nil, &casemate.Error{Code: casemate.Unavailable, Message: "sessions cannot be checked at present", Hint: "try again shortly", Retry: 5, Err: err}
	}
	block, err := aes.NewCipher(derive(key, "token"))
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of sessions: %w", err)
	}
	if m.seal, err = cipher.NewGCM(block); err != nil {
		return nil, nil, fmt.Errorf("making the key of sessions: %w", err)
	}
	m.secret = derive(key, "secret")
	clear(key)
	return m.seal, m.secret, nil
}

func derive(key []byte, what string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("casemate session " + what))
	return h.Sum(nil)
}

// secretOf is the secret of the session with this id and token.
func secretOf(key []byte, id, token string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "\n" + token))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))[:40]
}

// Assume implements casemate.Sessions. Policy and trust have said yes by now.
func (r *Room) Assume(ctx context.Context, q casemate.SessionRequest) (casemate.SessionKey, error) {
	now := r.cfg.Clock().UTC().Truncate(time.Second)
	by := q.By
	switch {
	case !by.Known():
		return casemate.SessionKey{}, errors.New("nobody assumes a role")
	case q.Life < casemate.MinSession || q.Life > casemate.MaxSession || by.Kind == casemate.KindSession && q.Life > casemate.MaxChained:
		return casemate.SessionKey{}, refusal("ValidationError", "a session lives from 900 to 43200 seconds, and one that another session assumes for 3600 at most")
	case !r.cfg.Role(q.Role):
		return casemate.SessionKey{}, refusal("ValidationError", "there is no such role")
	}
	if q.Self && (by.Kind == casemate.KindSession || by.Role != q.Role || !strings.HasPrefix(by.Origin, originAccess) || strings.Contains(by.Origin, " ")) {
		return casemate.SessionKey{}, refusal("AccessDenied", "a session token is for the holder of an access key")
	}
	c := claims{Run: q.Run, Sandbox: q.Sandbox}
	c.Principal = casemate.Principal{Kind: casemate.KindSession, ID: "session/" + q.Role + "/" + q.Name, Account: r.cfg.Place.Account, Role: q.Role,
		ARN:   "arn:aws:sts::" + r.cfg.Place.Account + ":assumed-role/" + q.Role + "/" + q.Name,
		Scope: q.Scope, Tags: q.Tags, Issued: now, Expires: now.Add(q.Life), SourceIdentity: q.SourceIdentity, Transitive: q.Transitive}
	if q.Self { // policies that name the user go on to mean it
		c.Principal.ARN, c.Principal.Scope, c.Principal.Tags = by.ARN, by.Scope, by.Tags
	}
	if q.Sandbox != "" && by.Expires.Before(c.Principal.Expires) {
		c.Principal.Expires = by.Expires // with its sandbox, or sooner
	}
	k := casemate.SessionKey{ID: sessionID + rand.Text()[:16], Expires: c.Principal.Expires}
	links := origin(by, q.Sandbox)
	if len(links) > mostOrigins {
		return casemate.SessionKey{}, refusal("AccessDenied", "sessions that assume roles that assume roles end here")
	}
	c.Principal.Origin = strings.Join(append(links, fmt.Sprintf("%s%s|%s|%d", originSession, k.ID, url.QueryEscape(q.Role), now.Unix())), " ")
	if err := r.sealSession(ctx, &k, &c); err != nil {
		return casemate.SessionKey{}, err
	}
	k.Principal = c.Principal
	return k, nil
}

// origin is what a session of by hangs on.
func origin(by *casemate.Principal, sandbox string) []string {
	switch {
	case by.Origin != "":
		return strings.Split(by.Origin, " ")
	case sandbox != "":
		return []string{originRun + sandbox}
	case by.Kind == casemate.KindToken:
		return []string{originIssuer + url.QueryEscape(by.Claims["iss"]) + "/" + url.QueryEscape(by.Claims["sub"])}
	case by.Kind == casemate.KindKey:
		return []string{by.ID}
	}
	return []string{"principal/" + url.QueryEscape(by.ID)} // nothing that could be taken away alone
}

func (r *Room) sealSession(ctx context.Context, k *casemate.SessionKey, c *claims) error {
	seal, key, err := r.open(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing a session: %w", err)
	}
	nonce := make([]byte, seal.NonceSize(), seal.NonceSize()+len(text)+seal.Overhead())
	rand.Read(nonce)
	k.Token = tokenMark + base64.RawURLEncoding.EncodeToString(seal.Seal(nonce, nonce, text, []byte(k.ID)))
	if len(k.Token) > maxToken {
		return refusal("PackedPolicyTooLarge", "the session's policy and tags are too large")
	}
	k.Secret = secretOf(key, k.ID, k.Token)
	return nil
}

func refusal(aws, message string) error {
	return &casemate.Error{Code: casemate.Invalid, AWS: aws, Message: message}
}

// openSession opens the token that comes with a session's signature. Whether the session is in force is asked later.
func (r *Room) openSession(ctx context.Context, g *sigv4.Signature) (*holder, error) {
	raw, ok := strings.CutPrefix(g.Token, tokenMark)
	if !ok || len(g.Token) > maxToken {
		return nil, fmt.Errorf("no session of ours has the key %.40q", g.KeyID)
	}
	seal, key, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(raw)
	if err != nil || len(sealed) < seal.NonceSize() {
		return nil, errors.New("malformed session token")
	}
	text, err := seal.Open(nil, sealed[:seal.NonceSize()], sealed[seal.NonceSize():], []byte(g.KeyID))
	if err != nil {
		return nil, errors.New("the session token is not of this access key, or not ours")
	}
	var c claims
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("reading a session: %w", err)
	}
	h := &holder{principal: c.Principal, session: true, run: c.Run, sandbox: c.Sandbox}
	h.key = sigv4.Key(secretOf(key, g.KeyID, g.Token), g.Day, g.Region, g.Service)
	return h, nil
}

// Inside verifies a signature that a sandbox's own door heard, of a session that the run going on there assumed: it holds
// for that run alone. mine is false where the signature is not by a session.
func (r *Room) Inside(ctx context.Context, e *casemate.Event) (p *casemate.Principal, mine bool, err error) {
	s := e.Credential.Signed
	if s == nil || len(s.Header["x-amz-security-token"]) != 1 || !strings.HasPrefix(s.Header["x-amz-security-token"][0], tokenMark) {
		return nil, false, nil
	}
	p, err = hide(r.inside(ctx, e, s))
	return p, true, err
}

func (r *Room) inside(ctx context.Context, e *casemate.Event, s *casemate.Signed) (*casemate.Principal, error) {
	g, err := sigv4.Read(s)
	if err != nil {
		return nil, err
	}
	if err := r.meant(g, e, nil); err != nil {
		return nil, err
	}
	h, err := r.openSession(ctx, g)
	if err != nil {
		return nil, err
	}
	here := subtle.ConstantTimeCompare([]byte(h.sandbox), []byte(s.Sandbox)) == 1
	if !here || s.Sandbox == "" || h.run == "" || h.run != e.Parent {
		return nil, errors.New("the session is another run's")
	}
	if g.Presigned {
		return nil, errors.New("a signature in the query, from a sandbox")
	}
	hash, err := g.Body(s)
	if err != nil {
		return nil, err
	}
	if err := g.Verify(s, h.key, hash); err != nil {
		return nil, err
	}
	now := r.cfg.Clock()
	if !now.Before(h.principal.Expires) {
		return nil, &casemate.Error{Code: casemate.Unauthenticated, AWS: "ExpiredToken", Message: "The security token included in the request is expired"}
	}
	if err := r.stands(h.principal.Origin, h.principal.Issued, h.principal.Role); err != nil {
		return nil, err
	}
	return &h.principal, nil
}

// stands goes through everything that a credential hangs on.
func (r *Room) stands(origin string, issued time.Time, role string) error {
	if !issued.IsZero() && !r.cfg.Role(role) {
		return errors.New("the session's role is gone")
	}
	now := r.cfg.Clock()
	for link := range strings.SplitSeq(origin, " ") {
		kind, what, _ := strings.Cut(link, "/")
		switch kind + "/" {
		case originAccess:
			if k := (*r.known.Load())[what]; k == nil || !k.Live(now) {
				return fmt.Errorf("access key %s is revoked or expired", what)
			}
		case originSession:
			if err := r.uncut(what); err != nil {
				return err
			}
		case "principal/":
		default:
			if !r.cfg.Stands(link) {
				return fmt.Errorf("what the session came from is gone: %.80q", link)
			}
		}
	}
	return nil
}

// uncut checks that neither a session nor its role's sessions of its time were ended.
func (r *Room) uncut(what string) error {
	f := strings.Split(what, "|")
	if len(f) != 3 {
		return errors.New("malformed origin of a session")
	}
	role, err := url.QueryUnescape(f[1])
	at, nerr := strconv.ParseInt(f[2], 10, 64)
	if err := errors.Join(err, nerr); err != nil {
		return errors.New("malformed origin of a session")
	}
	cut := *r.cut.Load()
	if _, ended := cut[originSession+f[0]]; ended {
		return fmt.Errorf("session %s was revoked", f[0])
	}
	if end, ended := cut[cutRole+role]; ended && !time.Unix(at, 0).After(end) {
		return fmt.Errorf("the sessions of role %s were revoked", role)
	}
	return nil
}

// Still looks again at who was verified when an event was accepted: time may have run out since, but what was taken away
// takes along what is queued in its name.
func (r *Room) Still(p *casemate.Principal) (*casemate.Principal, error) {
	if p.Kind == casemate.KindAccess {
		id := strings.TrimPrefix(p.Origin, originAccess)
		if k := (*r.known.Load())[id]; k == nil || !k.Revoked.IsZero() {
			return hide(nil, fmt.Errorf("access key %s was revoked after it queued the event", id))
		}
		return p, nil
	}
	links := slices.DeleteFunc(strings.Split(p.Origin, " "), func(l string) bool { return strings.HasPrefix(l, originRun) }) // its run is over, as it should be
	if err := r.stands(strings.Join(links, " "), p.Issued, p.Role); err != nil {
		return hide(nil, err)
	}
	return p, nil
}
