package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/authn/sigv4"
)

// skew is how far a client's clock may be off: as on most of AWS (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
const skew = 5 * time.Minute

// Verify says whose event e is by its AWS signature; m is the route it came by, or nil. Whatever does not hold is one and
// the same Unauthenticated error, but for what tells nothing about any key. A body whose hash the request does not say is
// read here, to the bound of its route, once the key is known to be one of ours.
func (r *Room) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	p, err := r.verify(ctx, e, m)
	return hide(p, err)
}

// hide keeps the cause of a refusal from the caller. Errors that are no refusal pass.
func hide(p *casemate.Principal, err error) (*casemate.Principal, error) {
	var coded *casemate.Error
	if err == nil || errors.As(err, &coded) {
		return p, err
	}
	return nil, &casemate.Error{Code: casemate.Unauthenticated, Message: "the signature is not valid",
		Hint: "sign with a current access key or session; the record of this request says what is wrong", Err: err}
}

func (r *Room) verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	s := e.Credential.Signed
	if s == nil || s.Sandbox != "" || e.Credential.Secret != "" || e.Credential.As != nil {
		return nil, errors.New("a signed credential without its request")
	}
	g, err := sigv4.Read(s)
	if err != nil {
		return nil, err
	}
	if err := r.meant(g, e, m); err != nil {
		return nil, err
	}
	now := r.cfg.Clock()
	h, err := r.holder(ctx, g, now)
	if err != nil {
		return nil, err
	}
	if h.run != "" {
		return nil, errors.New("a run's session is used outside of its sandbox")
	}
	hash, err := payload(g, e, m)
	if err != nil {
		return nil, err
	}
	if err := g.Verify(s, h.key, hash); err != nil {
		return nil, err
	}
	if !h.session {
		r.usedNow(g, h.key, now)
	}
	if err := r.inForce(g, e, h, now); err != nil {
		return nil, err
	}
	return r.bind(g, e, h, hash)
}

// meant checks that the signature is for what the event asks: for this service, here.
func (r *Room) meant(g *sigv4.Signature, e *casemate.Event, m *casemate.Match) error {
	service := "lambda"
	switch {
	case e.Target.Builtin != "":
		service, _, _ = strings.Cut(e.Target.Builtin, ".")
	case m != nil && m.Route != nil && !m.Route.URL:
		service = "execute-api"
	}
	if g.Service != service {
		return &casemate.Error{Code: casemate.Unauthenticated, Message: "the request is signed for another service", Hint: "sign it for " + service}
	}
	return errors.Join(g.For(r.cfg.Place.Region), g.Current(r.cfg.Clock(), skew))
}

// payload is what stands for the body's hash under the signature.
func payload(g *sigv4.Signature, e *casemate.Event, m *casemate.Match) (string, error) {
	switch {
	case g.Claimed == sigv4.Unsigned:
		return "", &casemate.Error{Code: casemate.Unauthenticated, Message: "the body must be signed here", Hint: "send its SHA-256 as x-amz-content-sha256, and sign that"}
	case g.Streamed() && e.Body != nil:
		return g.Claimed, nil // each chunk is verified as it is read
	case e.Credential.Signed.Payload != "":
		return g.Body(e.Credential.Signed)
	case g.Hashed():
		return g.Claimed, nil // the body is held to it when it has been read
	case g.Claimed != "":
		return "", errors.New("malformed x-amz-content-sha256")
	}
	if err := settle(e, m); err != nil {
		return "", err
	}
	sum := sha256.Sum256(e.Payload)
	return hex.EncodeToString(sum[:]), nil
}

// settle reads the body of a request that does not say its hash.
func settle(e *casemate.Event, m *casemate.Match) error {
	if e.Body == nil {
		return nil
	}
	limit := casemate.DefaultLimits().Request
	if m != nil && m.Version != nil && m.Version.Limits.Request > 0 {
		limit = m.Version.Limits.Request
	}
	if m != nil && m.Route != nil && m.Route.Request > 0 {
		limit = min(limit, m.Route.Request)
	}
	if e.Size > limit {
		return tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(e.Body, limit+1))
	if err != nil {
		if coded := casemate.AsError(err); coded.Code != casemate.Fault {
			return coded
		}
		return &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body could not be read", Hint: "send it again", Err: err}
	}
	if int64(len(body)) > limit {
		return tooLarge(limit)
	}
	e.Body, e.Payload, e.Size = nil, body, int64(len(body))
	return nil
}

func tooLarge(limit int64) error {
	return casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
}

// inForce is asked of a signature that holds: what it says about the credential, only its holder hears.
func (r *Room) inForce(g *sigv4.Signature, e *casemate.Event, h *holder, now time.Time) error {
	if !now.Before(h.principal.Expires) {
		if h.session {
			return &casemate.Error{Code: casemate.Unauthenticated, AWS: "ExpiredToken", Message: "The security token included in the request is expired", Hint: "assume the role again"}
		}
		return errors.New("the access key has expired")
	}
	if err := r.stands(h.principal.Origin, h.principal.Issued, h.principal.Role); err != nil {
		return err
	}
	if !changes(e, g) {
		return nil
	}
	until := g.At.Add(skew)
	if g.Presigned {
		until = g.At.Add(g.Expires)
	}
	caller, _, _ := strings.Cut(h.principal.Origin, " ")
	if r.replays.take(caller, g, e, now, until) {
		return nil
	}
	return &casemate.Error{Code: casemate.Unauthenticated, AWS: "RequestTimeTooSkewed", Message: "this signed request was sent before, or signed before this node started",
		Hint: "sign each request anew; a signed header of your own, such as amz-sdk-invocation-id, tells two equal requests of one second apart"}
}

// bind ties what is still to come of the body to the signature.
func (r *Room) bind(g *sigv4.Signature, e *casemate.Event, h *holder, hash string) (*casemate.Principal, error) {
	p := h.principal
	switch {
	case g.Streamed() && e.Body != nil:
		body, err := g.Chunks(e.Credential.Signed, h.key, e.Body)
		if err != nil {
			return nil, err
		}
		e.Body, e.Size = body, -1 // to its end: what follows the last byte is signed, too
		e.ContentEncoding = unchunked(e.ContentEncoding)
	case e.Credential.Signed.Payload == "":
		p.Body = func(raw []byte) error {
			sum := sha256.Sum256(raw)
			if hex.EncodeToString(sum[:]) == hash { // both are known to the sender
				return nil
			}
			return &casemate.Error{Code: casemate.Unauthenticated, AWS: "XAmzContentSHA256Mismatch", Message: "the body is not the one that was signed", Hint: "sign the body that is sent"}
		}
	}
	return &p, nil
}

// unchunked is a content encoding without aws-chunked, which only says how the body was sent.
func unchunked(encoding string) string {
	first, rest, _ := strings.Cut(encoding, ",")
	if strings.TrimSpace(first) != "aws-chunked" {
		return encoding
	}
	return strings.TrimSpace(rest)
}

// holder is whose signature it should be, and the key to check that with.
type holder struct {
	principal casemate.Principal
	key       [sha256.Size]byte
	session   bool
	run       string // set for a session that a function assumed: the run that it belongs to
	sandbox   string
}

func (r *Room) holder(ctx context.Context, g *sigv4.Signature, now time.Time) (*holder, error) {
	if strings.HasPrefix(g.KeyID, sessionID) {
		return r.openSession(ctx, g)
	}
	k := (*r.known.Load())[g.KeyID]
	switch {
	case k == nil:
		return nil, fmt.Errorf("unknown access key %.40q", g.KeyID)
	case g.Token != "":
		return nil, errors.New("an access key with a session token")
	case !k.Live(now):
		return nil, fmt.Errorf("access key %s is revoked or expired", k.ID)
	}
	h := &holder{principal: r.user(&k.Key)}
	key, ok := r.signing.get(g)
	if !ok {
		secret, err := r.cfg.Vault.Get(ctx, k.ID)
		if err != nil {
			return nil, &casemate.Error{Code: casemate.Unavailable, Message: "signatures cannot be checked at present", Hint: "try again shortly", Retry: 5, Err: err}
		}
		key = sigv4.Key(string(secret), g.Day, g.Region, g.Service)
		clear(secret)
	}
	h.key = key
	return h, nil
}

// usedNow notes the use of an access key whose signature holds.
func (r *Room) usedNow(g *sigv4.Signature, key [sha256.Size]byte, now time.Time) {
	r.signing.put(g, key)
	if k := (*r.known.Load())[g.KeyID]; k != nil {
		k.used.Note(now)
	}
}

// user is the principal of an access key.
func (r *Room) user(k *Key) casemate.Principal {
	return casemate.Principal{Kind: casemate.KindAccess, ID: "user/" + k.User, ARN: "arn:aws:iam::" + r.cfg.Place.Account + ":user/" + k.User,
		Account: r.cfg.Place.Account, Role: k.Role, Scope: k.Scope, Expires: k.Expires, Origin: originAccess + k.ID}
}

// signing remembers keys of one day, service and region, so that no secret is opened for every request. Only what a good
// signature was checked with is kept, and thrown away whole when it is full.
type signing struct {
	mu   sync.Mutex
	keys map[scope][sha256.Size]byte
}

type scope struct{ id, day, region, service string }

const mostSigning = 1024

func (c *signing) get(g *sigv4.Signature) ([sha256.Size]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.keys[scope{g.KeyID, g.Day, g.Region, g.Service}]
	return k, ok
}

func (c *signing) put(g *sigv4.Signature, key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= mostSigning {
		c.keys = map[scope][sha256.Size]byte{}
	}
	c.keys[scope{g.KeyID, g.Day, g.Region, g.Service}] = key
}
