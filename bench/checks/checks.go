// Package checks serves one path of the corridor (HTTP front, gate, a fresh WebAssembly instance) with its checks on, or with
// stand-ins that say yes: the subject and the floor of P3. No node has such stand-ins; the floor exists here alone.
package checks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/authn"
	front "casemate/front/http"
	"casemate/gate"
	"casemate/policy"
	"casemate/quota"
	"casemate/quota/share"
	"casemate/sandbox/wasm"
	"casemate/shield"
	"casemate/shield/screen"
	"casemate/store"
)

// What are the seven checks that are on together.
const What = "source rate, key, 100 policies, plan (rate, runs at once, day and month), JSON Schema, detectors of what it leaves free, record (written)"

// Path is what a request passes.
type Path struct {
	Executable string // a casemate binary, for the worker
	Dir        string // an empty folder
	Module     []byte
	Contract   []byte
	On         bool
	Screened   bool // by the rule set as well; else by the contract and the detectors alone
}

// Serve says where it listens, and with which key, and serves until ctx ends.
func Serve(ctx context.Context, p Path, ready func(addr, key string)) (err error) {
	v, pool, err := p.function()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close(context.WithoutCancel(ctx))) }()
	r := &casemate.Route{ID: "POST /hello", App: "bench", Method: "POST", Path: "/hello", Function: "hello", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}},
		Rate: casemate.Rate{PerSecond: 1e6, Burst: 1e6}}
	m := &casemate.Match{Version: v, Route: r, Action: "execute-api:Invoke", Resource: "arn:aws:execute-api:us-east-1:000000000000:bench/POST/hello", Revision: "1"}
	c := gate.Config{Run: pool.Run, Clock: time.Now, Wait: casemate.Written, Source: casemate.Rate{PerSecond: 1e6, Burst: 1e6},
		Catalog: found{m}, Identity: anybody{}, Quota: anything{}, Ledger: nowhere{}, Clean: uncleaned}
	key := "ck_none"
	if p.On {
		var end func() error
		if key, end, err = p.check(ctx, &c, m); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
	} else {
		m.Policy = yes{}
	}
	g, err := gate.New(c)
	if err != nil {
		return err
	}
	s, err := front.New(front.Config{Handler: g.Handle, Listen: []front.Listener{{Addr: "127.0.0.1:0"}}})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	ready(s.Addrs()[0].String(), key)
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.Shutdown(end)
}

func (p *Path) function() (*casemate.Version, *wasm.Pool, error) {
	if err := errors.Join(os.Chmod(p.Dir, 0o755), os.WriteFile(filepath.Join(p.Dir, "hello.wasm"), p.Module, 0o444)); err != nil { // the worker's own uid reads it
		return nil, nil, err
	}
	pool, err := wasm.NewPool(wasm.Config{Executable: p.Executable, CacheDir: filepath.Join(p.Dir, "compiled"), AllowWeak: true,
		Code: func(context.Context, *casemate.Version) (string, func(), error) {
			return filepath.Join(p.Dir, "hello.wasm"), func() {}, nil
		}})
	l := casemate.DefaultLimits()
	l.Concurrency, l.Rate = 1000, casemate.Rate{PerSecond: 1e6, Burst: 1e6}
	return &casemate.Version{App: "bench", Function: "hello", ID: "1", Number: 1, ARN: casemate.DefaultPlace.FunctionARN("hello"), Account: casemate.DefaultPlace.Account,
		Runtime: "wasm", Code: "hello", CodeSize: int64(len(p.Module)), Isolation: casemate.IsolationRequest, Limits: l}, pool, err
}

// check puts the real rooms where the stand-ins are.
func (p *Path) check(ctx context.Context, c *gate.Config, m *casemate.Match) (key string, end func() error, err error) {
	s, err := store.Open(ctx, store.Config{Dir: filepath.Join(p.Dir, "store")})
	if err != nil {
		return "", nil, err
	}
	log, err := audit.Open(ctx, audit.Config{Store: s, Dir: filepath.Join(p.Dir, "audit")})
	if err != nil {
		return "", nil, err
	}
	who, err := authn.New(ctx, authn.Config{Store: s})
	if err != nil {
		return "", nil, err
	}
	room, err := share.Open(ctx, share.Config{Store: s, Quota: quota.Config{NodeConcurrency: 1024, SourceRate: c.Source}})
	if err != nil {
		return "", nil, err
	}
	plan := &casemate.Plan{Name: "tenant", App: "bench", Limit: casemate.Limit{Rate: c.Source, Concurrency: 1000, Day: 1e10, Month: 1e11}}
	if m.Contract, err = shield.Compile(p.Contract, "", "contract.json"); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(p.Contract)
	m.Route.Contract = hex.EncodeToString(sum[:]) + "#"
	roles := map[string][]casemate.Statement{}
	for i := range 100 {
		roles[fmt.Sprint("role", i)] = []casemate.Statement{{Sid: "call", Effect: casemate.Allow, Action: []string{m.Action}, Resource: []string{m.Resource}},
			{Sid: "read", Effect: casemate.Allow, Action: []string{"dynamodb:GetItem"}, Resource: []string{fmt.Sprint("arn:aws:dynamodb:us-east-1:000000000000:table/t", i)}}}
	}
	if m.Policy, err = policy.Compile(casemate.Policies{Revision: "1", Identity: roles}); err != nil {
		return "", nil, err
	}
	if key, _, err = who.CreateKey(ctx, authn.KeyRequest{Name: "bench", Role: "role7", Plan: plan.Name}); err != nil {
		return "", nil, err
	}
	c.Identity, c.Quota, c.Ledger, c.Clean = who, room, log, shield.Cleaner{}.Clean
	if p.Screened {
		rules, err := screen.New(screen.Config{Attacks: true})
		if err != nil {
			return "", nil, err
		}
		c.Clean = shield.Cleaner{Judge: shield.Screening{Engine: func() (*screen.Engine, error) { return rules, nil }, Now: time.Now}.Judge}.Clean
	}
	c.Plan = func(*casemate.Principal) (*casemate.Plan, error) { return plan, nil }
	return key, func() error { return errors.Join(room.Close(), who.Close(), log.Close(), s.Close()) }, nil
}

// The stand-ins.
type (
	found    struct{ m *casemate.Match }
	anybody  struct{}
	anything struct{}
	nowhere  struct{}
	yes      struct{}
)

func (f found) Resolve(*casemate.Event) (*casemate.Match, error) { return f.m, nil }

func (anybody) Verify(context.Context, *casemate.Event, *casemate.Match) (*casemate.Principal, error) {
	return &casemate.Principal{Kind: casemate.KindKey, ID: "key/anybody", Account: casemate.DefaultPlace.Account}, nil
}

func (anything) Reserve(context.Context, time.Time, casemate.Demand) (casemate.Reservation, error) {
	return casemate.Reservation{}, nil
}
func (anything) Settle(time.Time, casemate.Reservation) {}

func (nowhere) Begin(*casemate.Record) error                               { return nil }
func (nowhere) End(context.Context, *casemate.Record, casemate.Wait) error { return nil }
func (yes) Decide(*casemate.AccessRequest) casemate.Decision {
	return casemate.Decision{Verdict: casemate.Allowed}
}

func uncleaned(_ *casemate.Match, _ *casemate.Event, raw []byte) (casemate.Cleaned, error) {
	return casemate.Cleaned{Body: raw}, nil
}

// Main is the process that a bench starts: it prints its address and key in one line.
func Main(ctx context.Context, p Path, w io.Writer) error {
	return Serve(ctx, p, func(addr, key string) { fmt.Fprintln(w, addr, key) })
}
