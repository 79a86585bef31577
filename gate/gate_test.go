package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is a corridor whose every check is a field, and a note of what was asked, in order.
type rig struct {
	mu       sync.Mutex
	asked    []string
	open     int
	closed   []casemate.Record
	settled  int
	who      func(casemate.Credential) (*casemate.Principal, error)
	find     func(*casemate.Event) (*casemate.Match, error)
	reserve  func(casemate.Demand) error
	clean    func([]byte) ([]byte, error)
	runner   casemate.Runner
	begin    error
	end      error
	decision casemate.Decision
	now      time.Time
}

func (r *rig) ask(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
}

func (r *rig) Verify(_ context.Context, e *casemate.Event, _ *casemate.Match) (*casemate.Principal, error) {
	r.ask("who")
	return r.who(e.Credential)
}
func (r *rig) Resolve(e *casemate.Event) (*casemate.Match, error) { r.ask("what"); return r.find(e) }
func (r *rig) Reserve(_ context.Context, _ time.Time, d casemate.Demand) (casemate.Reservation, error) {
	r.ask("room")
	if err := r.reserve(d); err != nil {
		return casemate.Reservation{}, err
	}
	return casemate.Reservation{Ticket: 1}, nil
}
func (r *rig) Settle(time.Time, casemate.Reservation) { r.mu.Lock(); r.settled++; r.mu.Unlock() }
func (r *rig) Begin(*casemate.Record) error           { r.open++; return r.begin }
func (r *rig) End(_ context.Context, rec *casemate.Record, _ casemate.Wait) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = append(r.closed, *rec)
	return r.end
}
func (r *rig) Decide(*casemate.AccessRequest) casemate.Decision { r.ask("may"); return r.decision }

func newRig() *rig {
	r := &rig{now: noon, decision: casemate.Decision{Verdict: casemate.Allowed, Statement: "s1"}}
	r.who = func(casemate.Credential) (*casemate.Principal, error) {
		return &casemate.Principal{Kind: casemate.KindKey, ID: "key/a", Account: "1", Role: "clerk"}, nil
	}
	route := &casemate.Route{ID: "POST /x", App: "app", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}}
	v := &casemate.Version{App: "app", Function: "f", ARN: "arn:f", Account: "1", Runtime: "wasm", Limits: casemate.DefaultLimits(),
		Async: casemate.AsyncPolicy{Retries: 2, MaxAge: time.Hour}}
	r.find = func(*casemate.Event) (*casemate.Match, error) {
		return &casemate.Match{Version: v, Route: route, Action: "execute-api:Invoke", Resource: "arn:r", Policy: r, Revision: "p1"}, nil
	}
	r.reserve = func(casemate.Demand) error { return nil }
	r.clean = func(b []byte) ([]byte, error) { return b, nil }
	r.runner = func(_ context.Context, l *casemate.Launch) (*casemate.Result, error) {
		return &casemate.Result{Payload: append([]byte("got "), l.Payload...)}, nil
	}
	return r
}

func (r *rig) gate(t *testing.T, q *memQueue) *Gate {
	t.Helper()
	c := Config{Identity: r, Catalog: r, Quota: r, Ledger: r, Clock: func() time.Time { return r.now },
		Clean: func(_ *casemate.Match, _ *casemate.Event, b []byte) (casemate.Cleaned, error) {
			r.ask("form")
			b, err := r.clean(b)
			return casemate.Cleaned{Body: b}, err
		},
		Run: func(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
			r.ask("run")
			return r.runner(ctx, l)
		}}
	if q != nil {
		c.Queue, c.Dead = q, q.bury
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func event() *casemate.Event {
	return &casemate.Event{ID: "e1", Source: casemate.SourceHTTP, SourceIP: "127.0.0.1", Size: 2, Body: strings.NewReader("hi"),
		Credential: casemate.Credential{Kind: casemate.CredentialKey, Secret: "k"}}
}

func TestGoodEventPassesInOrder(t *testing.T) {
	r := newRig()
	res, err := r.gate(t, nil).Handle(t.Context(), event())
	if err != nil || string(res.Payload) != "got hi" {
		t.Fatalf("got %v, %v", res, err)
	}
	if got := strings.Join(r.asked, " "); got != "room what who may room form run" {
		t.Errorf("asked %q", got)
	}
	rec := r.closed[0]
	var names []string
	for _, p := range rec.Points {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "in who may room form start out" {
		t.Errorf("points %q", got)
	}
	if !rec.Outcome.OK || rec.Principal != "key/a" || rec.Policy != "p1" || rec.Decision.Statement != "s1" || r.settled != 1 {
		t.Errorf("record %+v, settled %d", rec, r.settled)
	}
}

// TestEveryWayOutClosesTheRecord walks every refusal and failure: one record opened, one closed, room given back, and
// nothing later than the refusal asked.
func TestEveryWayOutClosesTheRecord(t *testing.T) {
	no := casemate.Errorf(casemate.Exhausted, "", "no")
	for name, c := range map[string]struct {
		bend   func(*rig, *casemate.Event)
		code   casemate.Code
		asked  string
		status string
	}{
		"source rate": {func(r *rig, _ *casemate.Event) { r.reserve = func(casemate.Demand) error { return no } }, casemate.Exhausted, "room", "refused"},
		"credential": {func(r *rig, _ *casemate.Event) {
			r.who = func(casemate.Credential) (*casemate.Principal, error) {
				return nil, casemate.Errorf(casemate.Unauthenticated, "", "no")
			}
		}, casemate.Unauthenticated, "room what who", "refused"},
		"unknown route": {func(r *rig, _ *casemate.Event) {
			r.find = func(*casemate.Event) (*casemate.Match, error) {
				return nil, casemate.Errorf(casemate.NotFound, "", "no")
			}
		}, casemate.NotFound, "room what", "refused"},
		"nobody": {func(r *rig, _ *casemate.Event) {
			r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
		}, casemate.Unauthenticated, "room what who", "refused"},
		"wrong kind of credential": {func(_ *rig, e *casemate.Event) { e.Credential.Kind = casemate.CredentialBearer }, casemate.Unauthenticated, "room what who", "refused"},
		"policy":                   {func(r *rig, _ *casemate.Event) { r.decision = casemate.Decision{} }, casemate.Forbidden, "room what who may", "refused"},
		"room": {func(r *rig, _ *casemate.Event) {
			r.reserve = func(d casemate.Demand) error {
				if d.Principal != "" {
					return no
				}
				return nil
			}
		}, casemate.Exhausted, "room what who may room", "refused"},
		"form": {func(r *rig, _ *casemate.Event) {
			r.clean = func([]byte) ([]byte, error) { return nil, casemate.Errorf(casemate.Invalid, "", "no") }
		}, casemate.Invalid, "room what who may room form", "refused"},
		"declared too large": {func(_ *rig, e *casemate.Event) { e.Size = 7 << 20 }, casemate.TooLarge, "room what who may room", "refused"},
		"grows too large": {func(_ *rig, e *casemate.Event) {
			e.Size, e.Body = -1, io.LimitReader(zeros{}, 7<<20)
		}, casemate.TooLarge, "room what who may room", "refused"},
		"half sent":   {func(_ *rig, e *casemate.Event) { e.Size = 10 }, casemate.Invalid, "room what who may room", "refused"},
		"runner":      {func(r *rig, _ *casemate.Event) { r.runner = failing(errors.New("boom")) }, casemate.Fault, "room what who may room form run", "failed"},
		"panic":       {func(r *rig, _ *casemate.Event) { r.runner = panicking }, casemate.Fault, "room what who may room form run", "failed"},
		"no record":   {func(r *rig, _ *casemate.Event) { r.begin = errors.New("full") }, casemate.Unavailable, "", ""},
		"lost record": {func(r *rig, _ *casemate.Event) { r.end = errors.New("full") }, casemate.Unavailable, "room what who may room form run", "answered"},
		"no policy loaded": {func(r *rig, _ *casemate.Event) {
			find := r.find
			r.find = func(e *casemate.Event) (*casemate.Match, error) {
				m, err := find(e)
				m.Policy = nil
				return m, err
			}
		}, casemate.Forbidden, "room what who", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r, e := newRig(), event()
			c.bend(r, e)
			res, err := r.gate(t, nil).Handle(t.Context(), e)
			if err == nil || casemate.CodeOf(err) != c.code || res != nil {
				t.Fatalf("got %v, %v; want code %v", res, err, c.code)
			}
			if got := strings.Join(r.asked, " "); got != c.asked {
				t.Errorf("asked %q, want %q", got, c.asked)
			}
			if c.status == "" {
				return
			}
			if r.open != 1 || len(r.closed) != 1 || r.closed[0].Outcome.Status != c.status {
				t.Errorf("opened %d, closed %+v", r.open, r.closed)
			}
			if granted := strings.Count(c.asked, "form"); r.settled < granted {
				t.Errorf("room was not given back")
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func failing(err error) casemate.Runner {
	return func(context.Context, *casemate.Launch) (*casemate.Result, error) { return nil, err }
}

func panicking(context.Context, *casemate.Launch) (*casemate.Result, error) {
	return nil, []error{}[1]
}

func TestOpenRouteNeedsALiveException(t *testing.T) {
	for name, c := range map[string]struct {
		open *casemate.Exception
		dec  casemate.Decision
		want casemate.Code
		ok   bool
	}{
		"live":              {&casemate.Exception{Reason: "r", Expires: noon.Add(time.Hour)}, casemate.Decision{Layer: "default"}, 0, true},
		"expired":           {&casemate.Exception{Reason: "r", Expires: noon}, casemate.Decision{Layer: "default"}, casemate.Unauthenticated, false},
		"without reason":    {&casemate.Exception{Expires: noon.Add(time.Hour)}, casemate.Decision{Layer: "default"}, casemate.Unauthenticated, false},
		"denied explicitly": {&casemate.Exception{Reason: "r", Expires: noon.Add(time.Hour)}, casemate.Decision{Layer: "guardrail"}, casemate.Forbidden, false},
		"zero decision":     {&casemate.Exception{Reason: "r", Expires: noon.Add(time.Hour)}, casemate.Decision{}, casemate.Forbidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
			find := r.find
			r.find = func(e *casemate.Event) (*casemate.Match, error) {
				m, err := find(e)
				route := *m.Route
				route.Auth.Open = c.open
				m.Route = &route
				return m, err
			}
			r.decision = c.dec
			e := event()
			e.Credential = casemate.Credential{}
			_, err := r.gate(t, nil).Handle(t.Context(), e)
			if (err == nil) != c.ok || !c.ok && casemate.CodeOf(err) != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRunNeverSeesMoreThanTheDeclaredBody(t *testing.T) {
	r, e := newRig(), event()
	e.Body = bytes.NewReader([]byte("hi, and a smuggled rest"))
	res, err := r.gate(t, nil).Handle(t.Context(), e)
	if err != nil || string(res.Payload) != "got hi" {
		t.Errorf("got %v, %v", res, err)
	}
}

// TestNoRoomOnTheNode: runs are refused and looks at the node are not.
func TestNoRoomOnTheNode(t *testing.T) {
	r := newRig()
	g := r.gate(t, &memQueue{})
	g.c.Room = func() error { return casemate.Errorf(casemate.Unavailable, "free disk space", "the disk is full") }
	for _, async := range []bool{false, true} {
		e := event()
		e.Async = async
		if _, err := g.Handle(t.Context(), e); casemate.CodeOf(err) != casemate.Unavailable {
			t.Errorf("asynchronous %t: %v", async, err)
		}
	}
	if got := r.closed[0].Points[len(r.closed[0].Points)-2]; got.Name != casemate.PointRoom || got.Verdict != casemate.Denied {
		t.Errorf("the refusal is recorded as %+v", got)
	}
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		m.Version.Runtime = "builtin"
		return m, err
	}
	if _, err := g.Handle(t.Context(), event()); err != nil {
		t.Errorf("a look at the node: %v", err)
	}
}

func TestIncompleteCorridorDoesNotOpen(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a gate without checks opened")
	}
}

// TestWanted: a caller who sends nothing is told what the route takes, and of nothing else.
func TestWanted(t *testing.T) {
	t.Parallel()
	for want, kinds := range map[string][]casemate.CredentialKind{
		"send an API key as x-api-key":                                      {casemate.CredentialAccess, casemate.CredentialKey},
		"send a token as Authorization: Bearer":                             {casemate.CredentialBearer},
		"send an API key as x-api-key, or a token as Authorization: Bearer": {casemate.CredentialBearer, casemate.CredentialKey},
		"sign the request as AWS SDKs do (Signature Version 4)":             {casemate.CredentialAccess},
		"send what this route takes":                                        {casemate.CredentialAuthorizer},
	} {
		if got := wanted(kinds); got != want {
			t.Errorf("%v: %q, want %q", kinds, got, want)
		}
	}
}
