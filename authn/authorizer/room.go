package authorizer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"sync"
	"time"

	"casemate"
)

// Config is what the room needs; every field.
type Config struct {
	Handler casemate.Handler                                              // the corridor
	Parse   func(doc []byte, origin string) ([]casemate.Statement, error) // reads an IAM policy document, strictly
	Place   casemate.Place
	Clock   func() time.Time
}

// Room asks authorizers and remembers what they said. All methods may be called concurrently.
type Room struct {
	cfg    Config
	memory *memory

	mu     sync.Mutex
	asking map[key]*call
}

// call is a question that is on its way; others with the same one wait for it.
type call struct {
	done chan struct{}
	said *said
	err  error
}

const (
	patience  = 10 * time.Second // of one question, as on API Gateway
	maxSource = 8 << 10          // bytes of one identity source
)

// New opens the room.
func New(cfg Config) (*Room, error) {
	if cfg.Handler == nil || cfg.Parse == nil || cfg.Clock == nil || cfg.Place.Account == "" {
		return nil, errors.New("opening the authorizers: the configuration is incomplete")
	}
	return &Room{cfg: cfg, memory: newMemory(), asking: map[key]*call{}}, nil
}

// Verify asks a who sent e, which came by the route of m, or remembers it. An identity source that is missing is
// Unauthenticated, and nobody is asked; so is an authorizer that says "Unauthorized". A no is Forbidden. An authorizer
// that fails, takes too long or answers with something else is FunctionFailed. The principal's maps and slices are shared.
func (r *Room) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match, a *casemate.Authorizer) (*casemate.Principal, error) {
	if a.App == "" || a.Function == "" || a.Role == "" || len(a.Identity) == 0 || m == nil || m.Route == nil {
		return nil, unauthenticated(errors.New("the authorizer is not described"))
	}
	sources, err := identify(e, a)
	if err != nil {
		return nil, unauthenticated(err)
	}
	k := keyOf(e, m, a, sources)
	if s := r.memory.get(k, r.cfg.Clock()); s != nil {
		return s.principal()
	}
	if a.TTL <= 0 {
		s, err := r.ask(ctx, e, m, a, sources)
		if err != nil {
			return nil, err
		}
		return s.principal()
	}
	s, err := r.once(ctx, k, func() (*said, error) { return r.ask(context.WithoutCancel(ctx), e, m, a, sources) })
	if err != nil {
		return nil, err
	}
	return s.principal()
}

// once has one of those with the same question ask it, and remembers the answer. Failures are not remembered.
func (r *Room) once(ctx context.Context, k key, ask func() (*said, error)) (*said, error) {
	r.mu.Lock()
	c := r.asking[k]
	if c == nil {
		c = &call{done: make(chan struct{}), err: failed(errors.New("it was asked, and ended without an answer"))}
		r.asking[k] = c
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.asking, k)
			r.mu.Unlock()
			close(c.done)
		}()
		if c.said, c.err = ask(); c.err == nil {
			r.memory.put(k, c.said)
		}
		return c.said, c.err
	}
	r.mu.Unlock()
	select {
	case <-c.done:
		return c.said, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask runs the function and reads its answer.
func (r *Room) ask(ctx context.Context, e *casemate.Event, m *casemate.Match, a *casemate.Authorizer, sources []string) (*said, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	payload, err := question(e, m, a, sources)
	if err != nil {
		return nil, failed(err)
	}
	res, err := r.cfg.Handler(ctx, r.event(e, a, payload))
	if err != nil {
		switch casemate.CodeOf(err) {
		case casemate.Exhausted, casemate.Unavailable:
			c := casemate.AsError(err)
			return nil, &casemate.Error{Code: c.Code, Message: "the authorizer of this route cannot be asked at present", Hint: "send it again in a moment", Retry: max(c.Retry, 1), Err: err}
		}
		return nil, failed(err)
	}
	s, err := r.read(res, a, sources)
	if err != nil {
		return nil, err
	}
	s.until = r.cfg.Clock().Add(a.TTL)
	return s, nil
}

// event is the question as the corridor takes it: the node's own, in the name of the authorizer, on behalf of e.
func (r *Room) event(e *casemate.Event, a *casemate.Authorizer, payload []byte) *casemate.Event {
	who := &casemate.Principal{Kind: casemate.KindAuthorizer, ID: a.ID(), ARN: "arn:aws:iam::" + r.cfg.Place.Account + ":" + a.ID(), Account: r.cfg.Place.Account,
		Role: a.ID(), Tags: map[string]string{"app": a.App}}
	return &casemate.Event{ID: casemate.NewID(), Parent: e.ID, Chain: cmp.Or(e.Chain, e.ID), Depth: e.Depth, Source: casemate.SourceAuthorizer,
		Target: casemate.Target{Function: a.Function}, Action: "casemate:Authorize", Credential: casemate.Credential{Kind: casemate.CredentialRun, As: who},
		SourceIP: e.SourceIP, Received: r.cfg.Clock(), Attempt: 1, Trace: e.Trace.Child(), Payload: payload}
}

// identify gives the values of the identity sources. One that is missing, empty, or there twice says nothing.
func identify(e *casemate.Event, a *casemate.Authorizer) ([]string, error) {
	var query url.Values
	out := make([]string, len(a.Identity))
	for i, s := range a.Identity {
		var values []string
		switch {
		case s.In == "header" && e.Header != nil:
			values = e.Header(s.Name)
		case s.In == "query":
			if query == nil {
				var err error
				if query, err = url.ParseQuery(e.Query); err != nil {
					return nil, errors.New("the query cannot be read")
				}
			}
			values = query[s.Name]
		}
		if len(values) != 1 || values[0] == "" || len(values[0]) > maxSource {
			return nil, fmt.Errorf("the identity source %s %s is missing, empty, there twice or too long", s.In, s.Name)
		}
		out[i] = values[0]
	}
	return out, validate(a, out)
}

// validate holds a token to the expression of its authorizer, as API Gateway does with identityValidationExpression: all of
// it has to match. An expression that cannot be read lets nobody in.
func validate(a *casemate.Authorizer, sources []string) error {
	if a.Validate == "" {
		return nil
	}
	re, err := regexp.Compile(`^(?:` + a.Validate + `)$`)
	switch {
	case err != nil:
		return fmt.Errorf("the authorizer's expression cannot be read: %w", err)
	case len(sources) != 1 || !re.MatchString(sources[0]):
		return errors.New("the token does not match the authorizer's expression")
	}
	return nil
}

func unauthenticated(cause error) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: "the credential is not valid", Hint: "send what this route's authorizer asks for", Err: cause}
}

// failed says that the function did not do its work. It is closed then, not open.
func failed(cause error) error {
	return &casemate.Error{Code: casemate.FunctionFailed, Message: "the authorizer of this route failed", Hint: "its own record says how: casemate audit list", Err: cause}
}
