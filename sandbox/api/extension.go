package api

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"

	"casemate"
	"casemate/lambda"
)

// maxExtensions of one sandbox, as on Lambda.
const maxExtensions = 10

// Identity is what an extension learns when it registers.
type Identity struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	Handler         string `json:"handler"`
	AccountID       string `json:"accountId,omitempty"`
}

// extensions is the Extensions API (2020-01-01) for internal extensions: those that a runtime or a library registers
// from inside the function's own process tree. Registering one is also how a Go function asks for SIGTERM.
type extensions struct {
	id     Identity
	mu     sync.Mutex
	closed bool // to new registrations
	byID   map[string]*extension
}

type extension struct {
	name   string
	invoke bool
	events chan extensionEvent // one event fits: a second one that finds it full means the extension never asked
}

type extensionEvent struct {
	EventType  string         `json:"eventType"`
	DeadlineMs int64          `json:"deadlineMs"`
	RequestID  string         `json:"requestId,omitempty"`
	ARN        string         `json:"invokedFunctionArn,omitempty"`
	Tracing    *tracingHeader `json:"tracing,omitempty"`
}

type tracingHeader struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func newExtensions(id Identity) *extensions {
	return &extensions{id: id, byID: map[string]*extension{}}
}

func (x *extensions) identify(id Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.id = id
}

// any reports whether an extension registered.
func (x *extensions) any() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byID) > 0
}

// invoke tells those who asked of a new event. Registration closes with the first one.
func (x *extensions) invoke(inv *Invocation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	e := extensionEvent{EventType: "INVOKE", DeadlineMs: inv.deadline.UnixMilli(), RequestID: inv.id, ARN: inv.arn}
	if inv.trace != "" {
		e.Tracing = &tracingHeader{"X-Amzn-Trace-Id", inv.trace}
	}
	for _, ext := range x.byID {
		if ext.invoke {
			select {
			case ext.events <- e:
			default:
			}
		}
	}
}

func (x *extensions) serve(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case r.Method == http.MethodPost && path == "register":
		x.register(w, r)
	case r.Method == http.MethodGet && path == "event/next":
		x.next(w, r)
	case r.Method == http.MethodPost && (path == "init/error" || path == "exit/error"):
		x.fail(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (x *extensions) register(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(lambda.ExtensionName)
	if name == "" || len(name) > 128 {
		writeError(w, http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name")
		return
	}
	var req struct {
		Events []string `json:"events"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || len(body) > 0 && json.Unmarshal(body, &req) != nil {
		writeError(w, http.StatusBadRequest, "InvalidRequestFormat", "the registration is not JSON")
		return
	}
	for _, e := range req.Events {
		if e != "INVOKE" { // SHUTDOWN is for external extensions
			writeError(w, http.StatusForbidden, "Extension.InvalidEventType", e+": Internal extensions may not register for it")
			return
		}
	}
	id := casemate.NewID()
	ext := &extension{name: name, invoke: len(req.Events) > 0, events: make(chan extensionEvent, 1)}
	if typ, msg := x.add(id, ext); typ != "" {
		writeError(w, http.StatusForbidden, typ, msg)
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

func (x *extensions) add(id string, ext *extension) (typ, msg string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	named := func(e *extension) bool { return e.name == ext.name }
	switch {
	case x.closed:
		return "Extension.RegistrationClosed", "Extension registration closed already"
	case len(x.byID) >= maxExtensions:
		return "Extension.TooManyExtensions", "Extension limit reached"
	case slices.ContainsFunc(values(x.byID), named):
		return "Extension.AlreadyRegistered", "Extension with this name already registered"
	}
	x.byID[id] = ext
	return "", ""
}

func (x *extensions) find(w http.ResponseWriter, r *http.Request) *extension {
	id := r.Header.Get(lambda.ExtensionID)
	if id == "" {
		writeError(w, http.StatusForbidden, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if ext := x.byID[id]; ext != nil {
		return ext
	}
	writeError(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension")
	return nil
}

// next parks until the next INVOKE, for ever when the extension asked for no events.
func (x *extensions) next(w http.ResponseWriter, r *http.Request) {
	ext := x.find(w, r)
	if ext == nil {
		return
	}
	select {
	case e := <-ext.events:
		w.Header().Set(lambda.ExtensionEventID, rand.Text())
		writeJSON(w, e)
	case <-r.Context().Done():
	}
}

func (x *extensions) fail(w http.ResponseWriter, r *http.Request) {
	if x.find(w, r) == nil {
		return
	}
	if r.Header.Get("Lambda-Extension-Function-Error-Type") == "" {
		writeError(w, http.StatusForbidden, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type header is missing")
		return
	}
	accepted(w)
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
