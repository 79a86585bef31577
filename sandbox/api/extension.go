package api

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"casemate"
	"casemate/lambda"
)

// Identity is what an extension learns when it registers.
type Identity struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	Handler         string `json:"handler"`
	AccountID       string `json:"accountId,omitempty"`
}

// The events that an extension can ask for.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// extensions is the Extensions API (2020-01-01,
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html): external extensions, which the node starts
// beside the runtime and expects by name, and internal ones, which a runtime or a library registers from inside the
// function's own process tree. Registering one is also how a Go function asks for SIGTERM.
type extensions struct {
	id         Identity
	mu         sync.Mutex
	closed     bool                  // to new registrations
	shut       bool                  // the shutdown has begun
	byID       map[string]*extension // those that registered
	external   map[string]*extension // those that were started, by name
	registered chan struct{}         // closed when every one that was started has registered
	settled    func()                // called, outside the lock, when one of them has asked for its next event
	began      func(e *extension)    // likewise, when it asked for its first
}

// extensionState is spelled as the platform spells it in its errors.
type extensionState string

const (
	extensionStarted    extensionState = "Started"
	extensionRegistered extensionState = "Registered"
	extensionReady      extensionState = "Ready"
	extensionRunning    extensionState = "Running"
	extensionInitError  extensionState = "InitError"
	extensionExitError  extensionState = "ExitError"
)

type extension struct {
	name     string
	external bool
	state    extensionState
	wants    []string
	failed   string // error type that it reported itself
	queued   []extensionEvent
	wake     chan struct{} // closed and replaced when something is queued
}

func (x *extension) wantsEvent(kind string) bool { return slices.Contains(x.wants, kind) }

// busy says whether it has an event that it has not done with: it has not asked for the next one.
func (x *extension) busy() bool {
	return x.state == extensionRunning || len(x.queued) > 0
}

type extensionEvent struct {
	EventType  string         `json:"eventType"`
	DeadlineMs int64          `json:"deadlineMs"`
	RequestID  string         `json:"requestId,omitempty"`
	ARN        string         `json:"invokedFunctionArn,omitempty"`
	Tracing    *tracingHeader `json:"tracing,omitempty"`
	Reason     string         `json:"shutdownReason,omitempty"`
}

type tracingHeader struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func newExtensions(id Identity) *extensions {
	return &extensions{id: id, byID: map[string]*extension{}, external: map[string]*extension{}, registered: make(chan struct{}), settled: func() {}, began: func(*extension) {}}
}

func (x *extensions) identify(id Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.id = id
}

// Expect names the external extensions that were started. It is called before anything is served, or not at all.
func (a *Server) Expect(names []string) {
	a.ext.mu.Lock()
	defer a.ext.mu.Unlock()
	for _, name := range names {
		a.ext.external[name] = &extension{name: name, external: true, state: extensionStarted, wake: make(chan struct{})}
	}
}

// Registered is closed when every extension that Expect named has registered; without any it never is.
func (a *Server) Registered() <-chan struct{} { return a.ext.registered }

// ExtensionError is the error type that an extension reported before it ended; "" when it reported none.
func (a *Server) ExtensionError(name string) (typ string, init bool) {
	a.ext.mu.Lock()
	defer a.ext.mu.Unlock()
	if e := a.ext.external[name]; e != nil {
		return e.failed, e.state == extensionInitError
	}
	return "", false
}

// Shutdown tells the extensions that asked for it that the sandbox ends, and why: "spindown", "timeout" or "failure". It
// says which ones were told.
func (a *Server) Shutdown(reason string, deadline time.Time) (told []string) {
	defer a.tele.flush()
	x := a.ext
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed, x.shut = true, true
	for _, e := range x.byID {
		e.queued = nil
		if e.external && e.wantsEvent(eventShutdown) {
			e.queue(extensionEvent{EventType: eventShutdown, DeadlineMs: deadline.UnixMilli(), Reason: reason})
			told = append(told, e.name)
		}
	}
	return told
}

// queue adds an event. The caller holds the lock.
func (x *extension) queue(e extensionEvent) {
	x.queued = append(x.queued, e)
	close(x.wake)
	x.wake = make(chan struct{})
}

// any reports whether an extension registered.
func (x *extensions) any() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byID) > 0
}

// ready reports whether every external extension has asked for its first event: with the runtime's own asking that ends
// the initialisation. Internal ones are not waited for: a library may register and never ask.
func (x *extensions) ready() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.external {
		if e.state == extensionStarted || e.state == extensionRegistered {
			return false
		}
	}
	return true
}

// quiet reports whether every extension is done with its events.
func (x *extensions) quiet() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byID {
		if e.busy() {
			return false
		}
	}
	return true
}

// invoke tells those who asked of a new event. Registration closes with the first one.
func (x *extensions) invoke(inv *Invocation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if len(x.byID) == 0 {
		return
	}
	e := extensionEvent{EventType: eventInvoke, DeadlineMs: inv.deadline.UnixMilli(), RequestID: inv.id, ARN: inv.arn}
	if inv.trace != "" {
		e.Tracing = &tracingHeader{"X-Amzn-Trace-Id", inv.trace}
	}
	for _, ext := range x.byID {
		if ext.wantsEvent(eventInvoke) && len(ext.queued) == 0 {
			ext.queue(e)
		}
	}
}

func (x *extensions) serve(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case r.Method == http.MethodPost && path == "register":
		x.register(w, r)
	case r.Method == http.MethodGet && path == "event/next":
		x.next(w, r)
	case r.Method == http.MethodPost && path == "init/error":
		x.fail(w, r, extensionInitError, extensionRegistered)
	case r.Method == http.MethodPost && path == "exit/error":
		x.fail(w, r, extensionExitError, extensionRegistered, extensionReady, extensionRunning)
	default:
		http.NotFound(w, r)
	}
}

// maxRegistration bounds the body of a registration, in bytes.
const maxRegistration = 64 << 10

func (x *extensions) register(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(lambda.ExtensionName)
	if name == "" || len(name) > 128 {
		refuseExtension(w, "InvalidExtensionName", "Empty extension name")
		return
	}
	var req struct {
		Events []string `json:"events"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration))
	if err != nil || len(body) > 0 && json.Unmarshal(body, &req) != nil {
		writeError(w, http.StatusForbidden, "InvalidRequestFormat", "the registration is not JSON")
		return
	}
	id, typ, msg := x.add(name, req.Events)
	if typ != "" {
		refuseExtension(w, typ, msg)
		return
	}
	x.mu.Lock()
	who := x.id
	x.mu.Unlock()
	if r.Header.Get(lambda.ExtensionFeature) != "accountId" {
		who.AccountID = ""
	}
	w.Header().Set(lambda.ExtensionID, id)
	writeJSON(w, who)
}

// add registers an extension for events.
func (x *extensions) add(name string, events []string) (id, typ, msg string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.external[name]
	for _, event := range events {
		switch {
		case event == eventShutdown && e == nil:
			return "", "InvalidEventType", event + ": Internal extensions may not register for it"
		case event != eventInvoke && event != eventShutdown:
			return "", "InvalidEventType", event + ": Invalid event type"
		}
	}
	named := func(o *extension) bool { return o.name == name }
	switch {
	case e != nil && e.state != extensionStarted:
		return "", "InvalidExtensionState", notAllowed(e, extensionRegistered)
	case x.closed:
		return "", "RegistrationClosed", "Extension registration closed already"
	case e == nil && slices.ContainsFunc(values(x.byID), named):
		return "", "AlreadyRegistered", "Extension with this name already registered"
	case e == nil && len(x.byID)+x.missing() >= casemate.MaxExtensions:
		return "", "TooManyExtensions", "Extension limit (" + strconv.Itoa(casemate.MaxExtensions) + ") reached"
	}
	if e == nil {
		e = &extension{name: name, wake: make(chan struct{})}
	}
	e.state, e.wants = extensionRegistered, events
	id = casemate.NewID()
	x.byID[id] = e
	if e.external && x.missing() == 0 {
		close(x.registered)
	}
	return id, "", ""
}

// missing counts those that were started and have not registered. The caller holds the lock.
func (x *extensions) missing() (n int) {
	for _, e := range x.external {
		if e.state == extensionStarted {
			n++
		}
	}
	return n
}

func notAllowed(e *extension, to extensionState) string {
	return "State transition from " + string(e.state) + " to " + string(to) + " failed for extension " + e.name + ". Error: State transition is not allowed"
}

var identifier = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// find looks for the extension that a request is of, or writes the refusal.
func (x *extensions) find(w http.ResponseWriter, r *http.Request) *extension {
	id := r.Header.Get(lambda.ExtensionID)
	if id == "" {
		refuseExtension(w, "MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
		return nil
	}
	if !identifier.MatchString(id) {
		refuseExtension(w, "InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if ext := x.byID[id]; ext != nil {
		return ext
	}
	refuseExtension(w, "UnknownExtensionIdentifier", "Unknown extension "+id)
	return nil
}

// next parks until there is an event that the extension registered for, for ever when there is none. Asking says that it
// is done with the one before.
func (x *extensions) next(w http.ResponseWriter, r *http.Request) {
	ext := x.find(w, r)
	if ext == nil {
		return
	}
	x.mu.Lock()
	if ext.state == extensionInitError || ext.state == extensionExitError {
		msg := notAllowed(ext, extensionReady)
		x.mu.Unlock()
		refuseExtension(w, "InvalidExtensionState", msg)
		return
	}
	before := ext.state
	ext.state = extensionReady
	x.mu.Unlock()
	if before == extensionRegistered {
		x.began(ext)
	}
	x.settled()
	for {
		x.mu.Lock()
		wake := ext.wake
		if len(ext.queued) > 0 {
			e := ext.queued[0]
			ext.queued, ext.state = ext.queued[1:], extensionRunning
			x.mu.Unlock()
			w.Header().Set(lambda.ExtensionEventID, rand.Text())
			writeJSON(w, e)
			return
		}
		x.mu.Unlock()
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

// fail takes what an extension says before it ends because of it.
func (x *extensions) fail(w http.ResponseWriter, r *http.Request, to extensionState, from ...extensionState) {
	ext := x.find(w, r)
	if ext == nil {
		return
	}
	typ := r.Header.Get("Lambda-Extension-Function-Error-Type")
	if typ == "" {
		refuseExtension(w, "MissingHeader", "Lambda-Extension-Function-Error-Type header is missing")
		return
	}
	x.mu.Lock()
	if ext.state == to {
		x.mu.Unlock()
		accepted(w)
		return
	}
	if !slices.Contains(from, ext.state) {
		msg := notAllowed(ext, to)
		x.mu.Unlock()
		refuseExtension(w, "InvalidExtensionState", msg)
		return
	}
	ext.state, ext.failed = to, lambda.ExtensionErrorType(typ)
	x.mu.Unlock()
	accepted(w)
}

func refuseExtension(w http.ResponseWriter, typ, msg string) {
	writeError(w, http.StatusForbidden, "Extension."+typ, msg)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header()["Content-Type"] = []string{"application/json"}
	_ = json.NewEncoder(w).Encode(v) // strings and numbers only; a broken connection ends with the sandbox
}

func values[K comparable, V any](m map[K]V) []V {
	vs := make([]V, 0, len(m))
	for _, v := range m {
		vs = append(vs, v)
	}
	return vs
}
