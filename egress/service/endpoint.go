// Package service is the AWS endpoint inside a sandbox. SDKs are pointed at it by their environment and sign with a key
// of this sandbox alone; what it hears it hands to the corridor as an event of the function's role, and what comes back it
// writes in the words of the service that was asked. A service that the platform does not have answers AccessDenied, as
// the service itself would.
package service

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"casemate"
	"casemate/internal/work"
	"casemate/service/wire"
)

// Address is where SDKs find the endpoint, in the sandbox's own network namespace.
const Address = host + ":80"

const host = "169.254.100.3"

// Bounds of one endpoint: a sandbox can only starve itself.
const (
	maxConns  = 64       // connections; more wait in the backlog
	maxCalls  = 16       // requests being worked on; more wait
	maxHeader = 64 << 10 // bytes of all headers: a session token takes 128 of them
	maxBody   = 6 << 20  // bytes of any body: Lambda's, the largest of the services here
	slack     = 64 << 10 // bytes beyond that, so that who sends a little too much is told so in the service's words
	askBody   = 1 << 20  // bytes of the body of an operation that says no bound
	readTime  = 30 * time.Second
	writeTime = 30 * time.Second
	idleTime  = 10 * time.Minute // as long as an idle sandbox lives: SDKs keep connections
)

// Config is what all endpoints of a node share. Handle is needed.
type Config struct {
	Handle     casemate.Handler               // the corridor
	Operations map[string]*casemate.Operation // by ID
	Direct     map[string]wire.Direct         // by service
	// May asks the policy, for the function of key, whether it may do what e asks for: who may not call a function is not told
	// that there is none. nil: nobody may.
	May func(key casemate.SandboxKey, e *casemate.Event) bool
	// Spent is what a causal chain has spent and holds. Of several runs at once the dearest chain is charged with what a client does
	// not name the run of. nil: the oldest's is.
	Spent func(chain string) casemate.Money
	Place casemate.Place   // zero: casemate.DefaultPlace
	Clock func() time.Time // nil: time.Now
}

// Endpoint is one sandbox's. Its methods may be called from any goroutine. Close it.
type Endpoint struct {
	cfg    Config
	key    casemate.SandboxKey
	arn    string // of the function
	record func(casemate.Effect)
	server *http.Server
	calls  chan struct{} // a place for each request being worked on
	ctx    context.Context
	cancel context.CancelFunc
	pace   pace // of refusals

	mu       sync.Mutex
	launch   *casemate.Launch   // whose run it is
	beside   []*casemate.Launch // all runs that go on, the oldest first, where there may be several
	begun    bool               // a run has begun: before that, the function initialises
	listener *bounded

	served work.Group // the server, and requests
}

// New makes the endpoint of a sandbox of v with its key. record takes what the sandbox asked for; it must not block and is
// not called any more when Close has returned.
func New(cfg Config, v *casemate.Version, key casemate.SandboxKey, record func(casemate.Effect)) *Endpoint {
	if cfg.Place == (casemate.Place{}) {
		cfg.Place = casemate.DefaultPlace
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Endpoint{cfg: cfg, key: key, arn: v.ARN, record: record, calls: make(chan struct{}, maxCalls), ctx: ctx, cancel: cancel}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: readTime, ReadTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // what it would say, the sandbox chooses
		BaseContext: func(net.Listener) context.Context { return ctx }}
	return e
}

// Env are the variables that lead SDKs here, and nowhere else for credentials.
func (e *Endpoint) Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": "http://" + host, "AWS_REGION": e.cfg.Place.Region, "AWS_DEFAULT_REGION": e.cfg.Place.Region,
		"AWS_ACCESS_KEY_ID": e.key.ID, "AWS_SECRET_ACCESS_KEY": e.key.Secret, "AWS_SESSION_TOKEN": e.key.Token,
		"AWS_EC2_METADATA_DISABLED": "true",
	}
}

// Serve takes over the listener and returns at once. One given to a closed endpoint, and a second one, is closed.
func (e *Endpoint) Serve(l net.Listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listener != nil {
		_ = l.Close() // an endpoint has one address
		return
	}
	b := newBounded(l, maxConns)
	if e.server.ConnState = b.state; !e.served.Go(func() { _ = e.server.Serve(b) }) { // ends with Close
		_ = l.Close() // never served
		return
	}
	e.listener = b
}

// Begin says whose run it is from now on; nil: nobody's, and what is asked is refused until the next. Before the first
// Begin the function initialises, and asks for itself.
func (e *Endpoint) Begin(l *casemate.Launch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.launch, e.beside, e.begun = l, nil, true
}

// Close ends what is being worked on and returns when nothing of the endpoint runs any more. Closing twice is no error.
func (e *Endpoint) Close() {
	e.served.End()
	e.cancel()
	_ = e.server.Close() // closes listeners and connections; nothing is left to fail
	e.served.Wait()
}

// enter takes a place among the requests; false when the endpoint closes or the client goes first.
func (e *Endpoint) enter(ctx context.Context) bool {
	select {
	case e.calls <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if !e.served.Begin() {
		<-e.calls
		return false
	}
	return true
}

func (e *Endpoint) leave() {
	<-e.calls
	e.served.Done()
}

// ServeHTTP hears one request of an SDK.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.enter(r.Context()) {
		return
	}
	defer e.leave()
	w.Header()["Date"] = nil // the peer has a clock
	c := e.hear(w, r)
	if c.run(r.Context()) != casemate.Allowed {
		wait(r.Context(), e.pace.take(time.Now()))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // fails nowhere but in tests without a connection
	c.write(w)
	_, _ = io.CopyN(io.Discard, r.Body, maxBody) // a client that is still sending reads no answer; what fails here ended
}

// lineage is a run's place in the causal chain.
type lineage struct {
	parent, chain string
	depth         int
	trace         casemate.Trace
	nobody        bool   // no run is going on
	ahead         bool   // it initialises, and no event has asked for that
	of            string // request id of the run, where there may be several and it is known
}

func (e *Endpoint) lineage(trace string) lineage {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.launch
	if l == nil {
		return lineage{nobody: e.begun, ahead: !e.begun, depth: 1, trace: casemate.NewTrace()}
	}
	if len(e.beside) > 1 {
		return e.oneOf(trace)
	}
	from := after(l)
	if e.beside != nil {
		from.of = l.RequestID
	}
	return from
}

// after is the place of what a run asks for.
func after(l *casemate.Launch) lineage {
	from := lineage{parent: l.RequestID, chain: l.RequestID, depth: 1, trace: l.Trace.Child()}
	if ev := l.Event; ev != nil {
		from.depth = ev.Depth + 1
		if ev.Chain != "" {
			from.chain = ev.Chain
		}
		if ev.Source == casemate.SourceAsync { // each attempt has a record of its own
			from.parent += "#" + strconv.Itoa(ev.Attempt)
		}
	}
	return from
}
