package gate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"casemate"
)

// Keys remembers which event was accepted under an idempotency key.
type Keys interface {
	// Accept gives the id of the event that o.Key stands for: an earlier one's, or that of o, once put has made it durable. A key
	// that stood for something else is a Conflict.
	Accept(ctx context.Context, o casemate.Once, put func() error) (id string, err error)
	// Claim reports whether o is the event that its key stands for; nothing else may run.
	Claim(ctx context.Context, o casemate.Once) (mine bool, err error)
}

// once makes what an event with an idempotency key is known by; nil: it has none. A key is its caller's own for one function: no other
// caller's event is ever answered with it. Who is nobody has none.
func (g *Gate) once(a *admitted) (*casemate.Once, error) {
	e, p := a.event, a.principal
	if e.IdempotencyKey == "" {
		return nil, nil
	}
	key, err := casemate.ParseIdempotencyKey(e.IdempotencyKey)
	switch {
	case err != nil:
		return nil, err
	case g.c.Keys == nil:
		return nil, casemate.Errorf(casemate.Invalid, "leave Idempotency-Key out", "this node remembers no idempotency keys")
	case !p.Known():
		return nil, casemate.Errorf(casemate.Invalid, "send a credential, or leave Idempotency-Key out", "an idempotency key is its caller's own, and this caller is nobody")
	}
	caller := digest(p.Account, p.Payer(), p.Name())
	asked := []string{e.Target.Host, e.Target.Method, e.Target.Path, qualified(a), e.Query, e.ContentType, e.ClientContext, a.tenant, string(a.clean)}
	if r := a.match.Route; r != nil && e.Header != nil { // whom the function tells apart asks for something of its own
		for _, name := range r.Auth.Own(&e.Credential, p) {
			asked = append(append(asked, name), e.Header(name)...)
		}
	}
	return &casemate.Once{Key: digest(caller, a.match.Version.ARN, key), Caller: caller[:32], ID: e.ID, At: g.c.Clock(), Asked: digest(asked...)}, nil
}

// digest is the SHA-256 of texts, each with its length before it.
func digest(parts ...string) string {
	h := sha256.New()
	for _, s := range parts {
		write(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func write(h hash.Hash, s string) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
	h.Write([]byte(s))
}

// queue makes an accepted event durable, once for all that share its key. again is the id of the one that was accepted before.
func (g *Gate) queue(ctx context.Context, q *queued, put func() error) (again string, err error) {
	if q.Once == nil {
		return "", put()
	}
	id, err := g.c.Keys.Accept(ctx, *q.Once, put)
	if id == q.ID {
		return "", err
	}
	return id, err
}

// mine reports whether a queued event is the one that its key stands for.
func (g *Gate) mine(ctx context.Context, q *queued) (bool, error) {
	if q.Once == nil || g.c.Keys == nil {
		return true, nil
	}
	return g.c.Keys.Claim(ctx, *q.Once)
}
