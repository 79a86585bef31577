// Package node is one Casemate node: it opens every room in their order, connects them, and serves until it is told to stop.
// What the platform itself can be asked for, its built-in operations, stands here as well. The command line is another
// package: it asks a running node as any other client does.
package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/acme"
	"casemate/audit"
	"casemate/authn"
	"casemate/authn/access"
	"casemate/authn/operator"
	"casemate/authn/passkey"
	"casemate/budget"
	"casemate/cache"
	"casemate/catalog"
	"casemate/catalog/code"
	"casemate/deploy"
	"casemate/egress"
	"casemate/egress/service"
	"casemate/flow"
	"casemate/front/admin"
	"casemate/front/aws"
	front "casemate/front/http"
	source "casemate/front/queue"
	"casemate/front/redirect"
	"casemate/front/schedule"
	page "casemate/front/signin"
	"casemate/gate"
	"casemate/idempotency"
	"casemate/journal"
	"casemate/meter"
	"casemate/meter/price"
	"casemate/outflow"
	"casemate/policy"
	"casemate/queue"
	"casemate/quota/share"
	"casemate/sandbox"
	"casemate/sandbox/jail"
	"casemate/sandbox/wasm"
	"casemate/secret"
	"casemate/secret/kek"
	"casemate/service/lambda/layer"
	"casemate/service/signin"
	"casemate/shield"
	"casemate/store"
	"casemate/telemetry"
)

// Socket is the admin socket inside the node's folder.
const Socket = "casemate.sock"

// Config is what `casemate up` takes.
type Config struct {
	Version      string // of this binary, as it is shown
	Dir          string
	HTTP, HTTPS  string   // addresses; "" is off
	Admin        string   // TLS address of the admin API; "" is off
	AdminOrigins []string // by which browsers reach it; none: what Admin comes to
	AWS          string   // Address of AWS's services for clients outside; "" is off
	AnswerRate   int64    // bytes a second of a streamed answer, after AnswerBurst bytes; 0: Lambda's 2 MiB
	AnswerBurst  int64    // 0: Lambda's 6 MiB
	AWSDefault   bool     // nobody asked for that address: where it is taken, the node goes without
	Cert, Key    string
	ACME         *acme.Config // nil: off; what the node has, it fills in
	MinTLS       uint16
	Redirect     string // plain address that sends callers to https; "" is off
	RedirectPort int    // of https, as callers see it; 0: that of HTTPS
	Domain       string
	Place        casemate.Place
	Environment  string // the only one that apps may be for; "" is any
	AllowWeak    bool
	NodeSDK      string       // folder of the AWS SDK for JavaScript that functions find; "" is none
	Debug        []Debug      // functions with a debugger's port; for casemate dev alone
	Front        front.Limits // of connections and requests; those of connections hold for the other fronts as well
	Wait         casemate.Wait
	SourceRate   casemate.Rate
	BlockRate    casemate.Rate  // of the network around a source; zero: eight times SourceRate
	Block        gate.Bits      // what that network is
	Account      casemate.Limit // of each account
	Concurrency  int
	Resolve      map[string]netip.AddrPort // "name:port" to where it is, for functions' connections: --resolve
	SessionIdle  time.Duration             // operators' sessions end after so long without a call; 0: half an hour
	StopGrace    time.Duration             // what runs longer, when the node is told to stop, is ended
	SecretKeys   []*kek.Key                // key-encryption keys; none: the node's own
	Prices       *price.Book               // nil: the default book
	Telemetry    telemetry.Config
	Log          *slog.Logger
}

// node is every room of this process, in the order they were opened.
type node struct {
	cfg         Config
	store       *store.Node
	journal     *journal.Journal
	audit       *audit.Log
	identity    *authn.Identity
	secrets     *secret.Room
	access      *access.Room
	operators   *operator.Room
	roles       map[string]bool // in force; the catalog's swaps alone touch it
	who         *authn.Routed
	meter       atomic.Pointer[meter.Meter]
	purse       atomic.Pointer[budget.Purse]
	catalog     *catalog.Catalog
	deployer    *deploy.Deployer
	layers      *layer.Room // published
	quota       *share.Room
	pool        *sandbox.Pool
	wasm        *wasm.Pool // the pool closes it
	code        *code.Cache
	gate        *gate.Gate
	http        *front.Server
	admin       *admin.Server
	aws         *aws.Server                                          // nil: off
	acme        *acme.Room                                           // nil: off
	redirect    *redirect.Server                                     // nil: off
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // of every TLS listener
	telemetry   *telemetry.Exporter
	services    service.Config
	egress      *egress.Egress
	walls       jail.Report
	runtimes    sandbox.Interpreters
	school      school          // learns contracts where it was told to
	live        map[string]bool // ids of the versions in force; the catalog's swaps alone touch it
	started     time.Time
	passkeys    *passkey.Room
	desk        *signin.Desk
	pages       *page.Site     // beside the admin API's TLS address
	closers     []func() error // run backwards

	flows           *flow.Room
	queues          *queue.Room
	keys            *idempotency.Room
	undeclared      undeclared
	sources         atomic.Pointer[source.Front] // nil until the gate is open
	schedules       atomic.Pointer[schedule.Front]
	debugPorts      []Debug
	asksCertificate atomic.Bool // whether a route takes TLS client certificates
	browsers        browsers
}

// openNode wires the rooms. A failure closes what was open.
func openNode(ctx context.Context, cfg Config) (*node, error) {
	n := &node{cfg: cfg, started: time.Now()}
	for _, step := range []struct {
		what string
		open func(context.Context) error
	}{
		{"checking the sandbox's walls", n.openWalls}, {"opening the store", n.openStore}, {"opening the audit log", n.openAudit},
		{"opening identities", n.openIdentity}, {"opening the secrets", n.openSecrets}, {"opening the layers", n.openLayers}, {"opening the certificates", n.openCertificate}, {"opening the access keys", n.openAccess}, {"opening the passkeys", n.openPasskeys}, {"opening the operators", n.openOperators}, {"opening webhooks and authorizers", n.openSenders}, {"opening the flows", n.openFlows}, {"opening the queues", n.openQueues}, {"opening the meter", n.openMeter}, {"opening the purse", n.openPurse}, {"opening telemetry", n.openTelemetry}, {"opening the way out", n.openEgress}, {"opening the sandboxes", n.openSandbox},
		{"opening the quotas", n.openQuota}, {"opening the catalog", n.openCatalog}, {"opening the gate", n.openGate}, {"opening the event sources", n.openSources}, {"opening the schedules", n.openSchedules}, {"opening the standing charges", n.openStanding},
		{"opening the admin API", n.openAdmin}, {"opening what browsers are told", n.openBrowsers}, {"opening HTTP", n.openHTTP}, {"opening AWS's services", n.openAWS}, {"opening the redirects", n.openRedirect}, {"opening the debuggers", n.openDebuggers}, {"starting ACME", n.startACME},
	} {
		if err := step.open(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.what, err), n.close())
		}
	}
	return n, nil
}

// close ends the rooms in the reverse of their order: nothing closes before what feeds it.
func (n *node) close() error {
	var all []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		all = append(all, n.closers[i]())
	}
	n.closers = nil
	return errors.Join(all...)
}

func (n *node) onClose(f func() error) { n.closers = append(n.closers, f) }

// bounded gives a closer that takes a context ten seconds.
func bounded(f func(context.Context) error) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return f(ctx)
	}
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.cfg.Dir}, parts...)...)
}

// openWalls refuses to go on where the kernel does not give every wall, unless it was told to.
func (n *node) openWalls(context.Context) error {
	n.walls = jail.Probe()
	missing := n.walls.Missing()
	if len(missing) == 0 {
		return nil
	}
	walls := &jail.WallError{Missing: missing}
	if !n.cfg.AllowWeak {
		return &casemate.Error{Code: casemate.Unavailable, Message: walls.Error(), Hint: "casemate doctor says more; --allow-weak-sandbox goes on without them, and every record will say so", Err: walls}
	}
	n.cfg.Log.Warn("running without walls", "missing", walls.Error())
	return nil
}

func (n *node) openStore(ctx context.Context) (err error) {
	if err := os.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return err
	}
	if n.store, err = store.Open(ctx, store.Config{Dir: n.path("store"), Log: n.cfg.Log}); err != nil {
		return err
	}
	n.onClose(n.store.Close)
	if n.journal, err = journal.Open(journal.Config{Dir: n.path("logs"), Log: n.cfg.Log}); err != nil {
		return err
	}
	n.onClose(n.journal.Close)
	return nil
}

func (n *node) openAudit(ctx context.Context) (err error) {
	if n.audit, err = audit.Open(ctx, audit.Config{Store: n.store, Dir: n.path("audit"), Log: n.cfg.Log}); err != nil {
		return Tampered(err)
	}
	n.audit.Observe(n.count)
	n.onClose(n.audit.Close)
	return nil
}

func (n *node) openIdentity(ctx context.Context) (err error) {
	if n.identity, err = authn.New(ctx, authn.Config{Store: n.store, Place: n.cfg.Place, Log: n.cfg.Log}); err != nil {
		return err
	}
	n.onClose(n.identity.Close)
	return nil
}

func (n *node) openCatalog(ctx context.Context) (err error) {
	n.catalog, err = catalog.Open(ctx, catalog.Config{Store: n.store, Place: n.cfg.Place, Base: basePolicies(),
		Compile:  func(p casemate.Policies) (casemate.Decider, error) { return policy.Compile(p) },
		Contract: shield.Compile,
		OnSwap: func(s *catalog.Snapshot) {
			if err := n.identity.SetIssuers(s.Issuers()); err != nil { // checked at deploy; what fails here trusts nobody
				n.cfg.Log.Error("issuers not set: no token is taken", "err", err)
				_ = n.identity.SetIssuers(nil) // the ones before may be those that were to go; none cannot fail
			}
			n.cutRoles(s)
			n.carve(s)
			n.asksCertificate.Store(takesCertificates(s))
			n.browsers.set(s)
			n.retire(s)
			n.budgets(s)
			n.mapped(s)
			n.scheduled(s)
		}})
	if err == nil {
		n.tellLeftOut(n.catalog.Snapshot())
	}
	return err
}

// basePolicies is what the platform itself grants: the operator's role, for peers of the node's own socket, and the roles of
// operators who sign in.
func basePolicies() casemate.Policies {
	all := operator.Policies()
	all[authn.RoleOperator] = []casemate.Statement{{
		Sid: "operator", Effect: casemate.Allow, Action: []string{"casemate:*", "lambda:*", "execute-api:*"}, Resource: []string{"*"}, Origin: "built in"},
		keepsSecrets()}
	return casemate.Policies{Identity: all}
}

// line keeps what a function wrote, and exports it where that was asked for.
func (n *node) line(l casemate.LogLine) {
	n.journal.Write(l)
	n.telemetry.Line(l)
}

func (n *node) openSandbox(ctx context.Context) (err error) {
	n.openServices()
	n.runtimes = sandbox.Runtimes(ctx)
	if n.code, err = code.Open(n.path("code"), n.store.Blobs(), code.DefaultBounds(), 64); err != nil {
		return err
	}
	n.wasm, err = wasm.NewPool(wasm.Config{Code: n.code.File, CacheDir: n.path("wasm"), Logs: n.line, Doors: n.wasmDoor, AllowWeak: n.cfg.AllowWeak})
	if err != nil {
		return err
	}
	n.pool, err = sandbox.New(sandbox.Config{Code: n.code.Dir, Layers: n.code.Layers, Dir: n.path("runtime"), Interpreters: n.runtimes, Logs: n.line, Wasm: n.wasm,
		Doors: n.sandboxDoor,
		Place: n.cfg.Place, AllowWeak: n.cfg.AllowWeak, NodeSDK: n.cfg.NodeSDK, Debug: n.debugs()})
	if err != nil {
		return errors.Join(err, n.wasm.Close(ctx))
	}
	n.onClose(bounded(n.pool.Close))
	return nil
}

// openTelemetry starts export where there is one; off is nil, and nil costs nothing.
func (n *node) openTelemetry(ctx context.Context) (err error) {
	if n.telemetry, err = telemetry.New(n.cfg.Telemetry); err != nil {
		return err
	}
	if err := n.telemetry.Start(ctx); err != nil {
		return err
	}
	n.onClose(bounded(n.telemetry.Close))
	return nil
}

func (n *node) openGate(ctx context.Context) (err error) {
	work, err := n.store.Queue("async")
	if err != nil {
		return err
	}
	dead, err := n.store.KV("dead")
	if err != nil {
		return err
	}
	dir := &directory{version: n.cfg.Version, find: n.resolve, place: n.cfg.Place, builtins: map[string]builtin{}, services: n.services.Operations, keeping: n.keeping, stands: n.stillStands,
		policy: func() (casemate.Decider, string) { s := n.catalog.Snapshot(); return s.Policy, s.Policies }}
	if dir.builtins, err = n.builtins(work, dead); err != nil {
		return err
	}
	if n.keys, err = idempotency.Open(ctx, idempotency.Config{Store: n.store, Clock: time.Now, Log: n.cfg.Log}); err != nil {
		return err
	}
	n.onClose(n.keys.Close)
	n.gate, err = gate.New(gate.Config{Identity: sameSite{signedIn{accessed{n.who, n.access}, n.operators}, &n.browsers}, Catalog: dir, Quota: n.quota, Clean: n.school.hear(n.cleaner()), Leave: n.school.see(shield.Leave), Sieve: sieve, Stream: outflow.Bounds{PerSecond: n.cfg.AnswerRate, Burst: n.cfg.AnswerBurst}, Ledger: n.audit, Purse: n.purse.Load(), Keep: n.audit.Renew, Flow: n.flows, Kept: cache.New(cache.Config{}).Kept, Clock: time.Now, Log: n.cfg.Log,
		Run: func(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
			if l.Version.Runtime == "builtin" {
				return dir.run(ctx, l)
			}
			return n.pool.Run(ctx, l)
		},
		Room: n.store.Room, Plan: func(p *casemate.Principal) (*casemate.Plan, error) { return n.catalog.Snapshot().Plan(p) },
		Watch: n.telemetry, Keys: n.keys, Queue: asyncQueue{work}, Dead: deadLetters{kv: dead}.put, Onward: n.onward, Wait: n.cfg.Wait, Source: n.cfg.SourceRate, Block: n.cfg.Block,
		Observe: []func(*casemate.Record){n.telemetry.Record}})
	if err != nil {
		return err
	}
	n.telemetry.Ask(func() []telemetry.Waiting { return n.waits(work) })
	n.gate.Start(ctx)
	n.onClose(func() error { n.gate.Stop(); return nil })
	return nil
}

// builtins is the table of the platform's own operations.
func (n *node) builtins(work store.Queue, dead store.KV) (map[string]builtin, error) {
	all := map[string]builtin{}
	deploys, err := n.deployBuiltins()
	if err != nil {
		return nil, err
	}
	for _, m := range []map[string]builtin{auditBuiltins(n.audit), logBuiltins(n.journal, n.judge), n.stateBuiltins(), n.secretBuiltins(), n.accessBuiltins(), n.operatorBuiltins(), n.signinBuiltins(), n.inspectBuiltins(), n.topBuiltins(), n.planBuiltins(), n.tlsBuiltins(), deploys,
		keyBuiltins(n.identity, n.cfg.Place, func(r string) bool { return r == authn.RoleOperator || n.catalog.Snapshot().HasRole(r) },
			func(p string) bool { return n.catalog.Snapshot().HasPlan(p) }, n.judge),
		usageBuiltins(n.meter.Load()), n.budgetBuiltins(), n.billBuiltins(), n.sizeBuiltins(), n.contractBuiltins(), asyncBuiltins(work, dead, n.resend, n.told), n.queueBuiltins(), n.scheduleBuiltins()} {
		maps.Copy(all, m)
	}
	return all, nil
}

// retire ends the sandboxes of versions that went out of force, idle ones now, busy ones after their run, and has those of
// versions that came into force made ahead.
func (n *node) retire(s *catalog.Snapshot) {
	live := map[string]bool{}
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for _, f := range app.Functions {
			for _, v := range f.Ahead() {
				live[v.ID] = true
				if !n.live[v.ID] {
					n.pool.Prepare(n.debugged(v))
				}
			}
		}
	}
	for id := range n.live {
		if !live[id] {
			n.pool.Drop(id)
		}
	}
	n.live = live
}

// prepare compiles the WebAssembly functions in force and unpacks the others, so that no caller waits for it. One that
// cannot be says so when it is called; the rest are none the worse.
func (n *node) prepare(ctx context.Context) {
	s := n.catalog.Snapshot()
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		n.prepareApp(ctx, app)
	}
}

func (n *node) prepareApp(ctx context.Context, app *catalog.App) {
	for fn, f := range app.Functions {
		v := f.Number(f.Live)
		ready := n.wasm.Prepare
		if v.Runtime.Family() != "wasm" {
			ready = n.unpack
		}
		if err := ready(ctx, v); err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("preparing", "function", fn, "err", err)
		}
	}
}

func (n *node) unpack(ctx context.Context, v *casemate.Version) error {
	_, release, err := n.code.Dir(ctx, v)
	if err != nil {
		return err
	}
	release()
	if len(v.Layers) > 0 {
		if _, release, err = n.code.Layers(ctx, v); err == nil {
			release()
		}
	}
	return err
}

// Address is what a running node writes into its folder for people and scripts.
type Address struct {
	PID      int      `json:"pid"`
	HTTP     []string `json:"http"`
	AWS      string   `json:"aws,omitempty"`       // for AWS_ENDPOINT_URL
	AWSTaken string   `json:"aws_taken,omitempty"` // the default address of AWS's services, which another program has
	Admin    string   `json:"admin,omitempty"`     // for --url
	Metrics  string   `json:"metrics,omitempty"`
	Redirect string   `json:"redirect,omitempty"`
	Debug    []Debug  `json:"debug,omitempty"`
	Socket   string   `json:"socket"`
	CA       string   `json:"ca,omitempty"`
	Version  string   `json:"version"`
	Go       string   `json:"go"`
}

func (n *node) address() Address {
	ad := Address{PID: os.Getpid(), HTTP: []string{}, Socket: n.path(Socket), Version: n.cfg.Version, Go: runtime.Version()}
	if n.http != nil {
		ad.HTTP = n.http.URLs()
	}
	if n.aws != nil {
		ad.AWS = n.aws.URL()
	} else {
		ad.AWSTaken = n.cfg.AWS
	}
	if n.admin != nil && n.admin.Addr() != nil {
		ad.Admin = "https://" + n.admin.Addr().String()
	}
	if at := n.telemetry.Addr(); at != nil {
		ad.Metrics = "http://" + at.String() + "/metrics"
	}
	ad.Debug = n.debugPorts
	if n.redirect != nil {
		ad.Redirect = "http://" + n.redirect.Addr().String()
	}
	if n.cfg.Cert == "" && n.cfg.ACME == nil && (n.cfg.HTTPS != "" || n.cfg.Admin != "") {
		ad.CA = n.path("tls", "ca.pem")
	}
	return ad
}

func (n *node) writeAddress() error {
	data, err := json.MarshalIndent(n.address(), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(n.path("node.json"), append(data, '\n'), 0o600)
}
