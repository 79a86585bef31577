// Package api serves the Lambda Runtime API and the Extensions API of one sandbox.
package api

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/internal/walls"
	"casemate/lambda"
)

// Names of the runtime's states, as the platform spells them in its errors.
type runtimeState string

const (
	stateStarted  runtimeState = "Started"
	stateReady    runtimeState = "Ready"
	stateRunning  runtimeState = "Running"
	stateSent     runtimeState = "RuntimeResponseSentState"
	stateInitFail runtimeState = "InitError"
)

// Server is the Lambda Runtime API of one sandbox: an HTTP handler over a state machine. Everything that arrives
// here was written by untrusted code; nothing it says reaches beyond its own sandbox. It holds one event at a time,
// and several at once after Several.
type Server struct {
	record func(casemate.Effect)
	now    func() time.Time
	ext    *extensions
	tele   *telemetry
	pace   pace

	mu       sync.Mutex
	state    runtimeState
	cur      *Invocation
	reading  bool          // an answer to cur is being read
	failing  bool          // an initialisation error is being read
	known    bool          // agent is set
	agent    string        // User-Agent of the first client
	wake     chan struct{} // closed and replaced when cur is set
	parked   []*lane       // wait for cur as well
	asked    bool          // the runtime has asked for its first event
	up       bool          // ready is closed
	before   string        // id of the event that was answered last
	done     *Invocation   // answered, and an extension still works on it
	several  *several      // set where it takes several events at once: cur, reading and done are not used then
	ready    chan struct{} // closed when the runtime and every external extension have asked for their first event
	initFail chan struct{} // closed at /init/error
	initErr  []byte        // what it said
	closed   chan struct{}
	http     *http.Server
	lanes    lanes
}

// New makes the Runtime API of one sandbox. record takes what is worth a record: signals of clients that are no runtime.
func New(record func(casemate.Effect), now func() time.Time, id Identity) *Server {
	a := &Server{
		record: record, now: now, ext: newExtensions(id), tele: newTelemetry(now), state: stateStarted,
		wake: make(chan struct{}), ready: make(chan struct{}), initFail: make(chan struct{}), closed: make(chan struct{}),
	}
	a.http = newServer(a)
	a.lanes.open, a.lanes.passed, a.lanes.done = map[*lane]struct{}{}, make(chan net.Conn), a.closed
	a.ext.settled = a.settle
	a.ext.began = func(e *extension) {
		a.Tell("platform.extension", func() any { return map[string]any{"name": e.name, "state": "Ready", "events": e.wants} })
	}
	return a
}

// Offer hands an event to the runtime; the caller waits on its channels. It must not be called before the last event
// was idle.
func (a *Server) Offer(inv *Invocation) {
	a.pace.earn()
	a.tele.close()
	a.ext.invoke(inv) // first: the runtime may be done with it before anything else happens here
	a.mu.Lock()
	if a.several != nil {
		a.offerSeveral(inv)
		a.mu.Unlock()
		return
	}
	a.cur, a.reading = inv, false
	close(a.wake)
	a.wake = make(chan struct{})
	parked := a.parked
	a.parked = nil
	for range parked {
		a.hand()
	}
	a.mu.Unlock()
	for _, l := range parked {
		l.deliver(inv)
	}
}

// settle notes that an extension has asked for its next event.
func (a *Server) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.together()
}

// together closes what the runtime and its extensions have reached all of them: the end of the initialisation, that of an
// event. The caller holds the lock.
func (a *Server) together() {
	if a.asked && !a.up && a.ext.ready() {
		a.up = true
		close(a.ready)
	}
	if a.done != nil && a.ext.quiet() {
		close(a.done.idle)
		a.done = nil
	}
}

// Close releases every parked request and closes every connection. It is called once, when the sandbox ends.
func (a *Server) Close() {
	close(a.closed)
	a.tele.stop()
	a.tele.work.Wait()
	_ = a.lanes.Close()
	_ = a.http.Close() // closes connections; nothing is left to fail
}

// Identify says whose sandbox it is, for one that was served before it was anybody's.
func (a *Server) Identify(id Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ext.identify(id)
}

// Ready is closed when the runtime and every external extension have asked for their first event.
func (a *Server) Ready() <-chan struct{} { return a.ready }

// Failed is closed when the runtime reported that it could not initialise.
func (a *Server) Failed() <-chan struct{} { return a.initFail }

// Extended reports whether an extension registered.
func (a *Server) Extended() bool { return a.ext.any() }

// InitError is the body posted to /init/error, nil when there was none.
func (a *Server) InitError() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.initErr
}

func (a *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.slow(r) {
		return
	}
	w.Header()["Date"] = nil // the peer has a clock; saves a header on every event
	if rest, ok := strings.CutPrefix(r.URL.Path, lambda.ExtensionPrefix); ok {
		a.ext.serve(w, r, rest)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, lambda.RuntimePrefix)
	switch {
	case r.Method == http.MethodPut && (r.URL.Path == lambda.TelemetryPath || r.URL.Path == lambda.LogsPath):
		a.serveTelemetry(w, r, r.URL.Path == lambda.LogsPath)
	case r.Method == http.MethodGet && (r.URL.Path == "/ping" || ok && path == "ping"):
		io.WriteString(w, "pong")
	case !ok:
		http.NotFound(w, r)
	case r.Method == http.MethodGet && path == "runtime/invocation/next":
		a.next(w, r)
	case r.Method == http.MethodPost && path == "runtime/init/error":
		a.postInitError(w, r)
	case r.Method == http.MethodPost:
		id, verb, cut := strings.Cut(strings.TrimPrefix(path, "runtime/invocation/"), "/")
		if !cut || !strings.HasPrefix(path, "runtime/invocation/") || verb != "response" && verb != "error" {
			http.NotFound(w, r)
			return
		}
		a.post(w, r, id, verb)
	default:
		http.NotFound(w, r)
	}
}

// next parks until there is an event. A runtime that asks again before it answered gets the same event again, as on
// Lambda; that is how code in the sandbox would read along, so it is recorded.
func (a *Server) next(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.sawClient([]byte(r.UserAgent()))
	if a.state == stateInitFail {
		a.mu.Unlock()
		refuseTransition(w, stateInitFail, string(stateReady))
		return
	}
	if a.several != nil {
		a.nextOfSeveral(w, r)
		return
	}
	a.toReady()
	for a.cur == nil {
		wake := a.wake
		a.mu.Unlock()
		select {
		case <-wake:
		case <-a.closed:
			http.Error(w, "closing", http.StatusGone)
			return
		case <-r.Context().Done():
			return
		}
		a.mu.Lock()
	}
	inv := a.hand()
	a.mu.Unlock()
	writeEvent(w, inv)
}

// hand is the event for whoever asked for it. The caller holds the lock.
func (a *Server) hand() *Invocation {
	if a.state == stateRunning {
		a.signal("next", "the event was asked for again before it was answered")
	}
	a.state = stateRunning
	return a.cur
}

// toReady moves to Ready unless an event is being worked on. The caller holds the lock.
func (a *Server) toReady() {
	switch a.state {
	case stateStarted:
		a.asked = true
	case stateSent:
		a.done, a.cur, a.before = a.cur, nil, a.cur.id
	case stateRunning, stateReady, stateInitFail:
		return
	}
	a.state = stateReady
	a.together()
}

// sawClient raises a signal when another kind of client than the runtime's own speaks. The caller holds the lock.
func (a *Server) sawClient(agent []byte) {
	if !a.known {
		a.known, a.agent = true, string(agent)
	}
	if string(agent) != a.agent {
		a.signal("client", "a second client speaks to the Runtime API")
	}
}

func (a *Server) signal(target, reason string) {
	a.record(casemate.Effect{At: a.now(), Kind: "runtime-api", Target: target, Reason: reason})
}

func writeEvent(w http.ResponseWriter, inv *Invocation) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	for _, f := range inv.fields() {
		if f.value != "" {
			h[f.name] = []string{f.value}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(inv.payload))}
	w.Write(inv.payload) // a broken connection shows when the runtime asks again, or at the deadline
}

// begin claims the current event for one answer, or writes the refusal.
func (a *Server) begin(w http.ResponseWriter, r *http.Request, id, verb string) *Invocation {
	target := "InvocationResponse"
	if verb == "error" {
		target = "InvocationErrorResponse"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sawClient([]byte(r.UserAgent()))
	if a.several != nil {
		return a.beginSeveral(w, id, verb, target)
	}
	switch {
	case a.cur == nil || walls.Up && a.cur.id != id || a.state != stateRunning && a.state != stateSent:
		a.stray(w, id, verb)
		return nil
	case a.state == stateSent || a.reading:
		a.second(w, verb, target)
		return nil
	}
	a.reading = true
	return a.cur
}

// stray refuses an answer to nothing that is being worked on. The record of the event before is closed by then: another
// answer to it is noted on that of the next, which says whose it was. The caller holds the lock.
func (a *Server) stray(w http.ResponseWriter, id, verb string) {
	reason := "an answer came for an event that is not being worked on"
	if id == a.before && id != "" {
		reason = "a second answer came for the event before, " + id
	}
	a.signal(verb, reason)
	writeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
}

// second refuses another answer to an event that has one. The caller holds the lock.
func (a *Server) second(w http.ResponseWriter, verb, target string) {
	a.signal(verb, "a second answer came for the same event")
	refuseTransition(w, stateSent, target)
}

// finish stores the answer, once.
func (a *Server) finish(inv *Invocation, ans answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.several != nil {
		a.several.finish(inv, ans, a.now())
		return
	}
	if a.cur != inv || a.state != stateRunning {
		return
	}
	a.state, a.reading = stateSent, false
	inv.settle(ans, a.now())
}

// abandon lets the runtime answer again after an answer broke off.
func (a *Server) abandon(inv *Invocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.several != nil {
		a.several.abandon(inv)
		return
	}
	if a.cur == inv {
		a.reading = false
	}
}

// post takes a response or an error for the current event.
func (a *Server) post(w http.ResponseWriter, r *http.Request, id, verb string) {
	inv := a.begin(w, r, id, verb)
	if inv == nil {
		return
	}
	if mode := r.Header.Get(lambda.HeaderResponseMode); verb == "response" && mode != "" && !strings.EqualFold(mode, "streaming") {
		body := lambda.ErrorBody{Type: "Runtime.InvalidResponseModeHeader", Message: "the response mode header is not valid"}
		a.finish(inv, answer{payload: body.JSON(), failure: casemate.FailureHandled, detail: "invalid response mode"})
		writeError(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	if verb == "response" {
		if to := inv.streamTo(r); to != nil {
			a.relay(w, r, inv, to)
			return
		}
	}
	body, over, err := readBody(r.Body, r.ContentLength, inv.limit)
	if err != nil {
		a.abandon(inv)
		return
	}
	if over {
		writeJSONText(w, http.StatusRequestEntityTooLarge, a.tooLarge(inv))
		return
	}
	a.finish(inv, readAnswer(verb, r.Header.Get("Content-Type"), r.Header.Get(lambda.HeaderErrorType), r.Trailer, body))
	accepted(w)
}

// tooLarge ends an event whose answer was too long, and gives what the runtime is told.
func (a *Server) tooLarge(inv *Invocation) string {
	limit := strconv.FormatInt(inv.limit, 10)
	a.finish(inv, answer{payload: lambda.TooLarge(inv.limit).JSON(), failure: casemate.FailureResponse, detail: "the answer passed " + limit + " bytes"})
	return errorText("RequestEntityTooLarge", "Exceeded maximum allowed payload size ("+limit+" bytes).")
}

// readAnswer tells success from failure. The content type is never asked: real runtimes send JSON as octets.
func readAnswer(verb, contentType, errorType string, trailer http.Header, body []byte) answer {
	if verb == "error" {
		return answer{payload: lambda.ErrorDocument(errorType, contentType, body), contentType: "application/json",
			failure: casemate.FailureHandled, detail: "the function reported an error"}
	}
	if doc, ok := lambda.TrailerError(trailer.Get(lambda.HeaderErrorType), trailer.Get(lambda.HeaderErrorBody)); ok {
		return answer{payload: doc, contentType: "application/json",
			failure: casemate.FailureHandled, detail: "the function failed while it was writing its answer"}
	}
	return answer{payload: body, contentType: contentType}
}

func (a *Server) postInitError(w http.ResponseWriter, r *http.Request) {
	if !a.beginInitError(w, r) {
		return
	}
	body, over, err := readBody(r.Body, r.ContentLength, lambda.MaxResponse)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.failing = false
		return
	}
	if over {
		body = []byte("too large")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failing = false; a.state != stateStarted {
		a.lateInitError(w)
		return
	}
	a.state = stateInitFail
	a.initErr = lambda.ErrorDocument(r.Header.Get(lambda.HeaderErrorType), r.Header.Get("Content-Type"), body)
	close(a.initFail)
	accepted(w)
}

// beginInitError claims the one body that is read at a time, or writes the refusal.
func (a *Server) beginInitError(w http.ResponseWriter, r *http.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sawClient([]byte(r.UserAgent()))
	if a.state != stateStarted || a.failing {
		a.lateInitError(w)
		return false
	}
	a.failing = true
	return true
}

// lateInitError refuses one that may not come any more. The caller holds the lock.
func (a *Server) lateInitError(w http.ResponseWriter) {
	a.signal("init/error", "an initialisation error came after initialisation")
	refuseTransition(w, a.state, string(stateInitFail))
}

// drainLimit bounds what is read and thrown away of an oversized answer, so that its sender can read the refusal.
const drainLimit = 64 << 20

// readBody reads at most limit bytes, to the end of the body so that trailers are there. over says that more came.
func readBody(r io.Reader, declared, limit int64) (body []byte, over bool, err error) {
	if declared < 0 || declared > limit {
		declared = 512
	}
	body = make([]byte, 0, declared+1)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			_, _ = io.CopyN(io.Discard, r, drainLimit) // too much is the answer, whatever becomes of the rest
			return nil, true, nil
		case err == io.EOF:
			return body, false, nil
		case err != nil:
			return nil, false, err
		}
	}
}

// acceptedText is what a runtime is told whose answer was taken.
const acceptedText = `{"status":"OK"}`

func accepted(w http.ResponseWriter) { writeJSONText(w, http.StatusAccepted, acceptedText) }

func writeJSONText(w http.ResponseWriter, status int, text string) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	io.WriteString(w, text) // a broken connection ends with the sandbox
}

func refuseTransition(w http.ResponseWriter, from runtimeState, to string) {
	writeError(w, http.StatusForbidden, "InvalidStateTransition", "State transition from "+string(from)+" to "+to+
		" failed for runtime. Error: State transition is not allowed")
}

// writeError writes the Runtime API's own error shape; its keys come in the other order than those of a function error.
func writeError(w http.ResponseWriter, status int, typ, msg string) {
	writeJSONText(w, status, errorText(typ, msg))
}

func errorText(typ, msg string) string {
	b, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{msg, typ})
	if err != nil {
		return "" // texts always encode
	}
	return string(b) + "\n"
}

// newServer makes the HTTP server of one sandbox. There are no read or idle timeouts: a parked /next waits for hours,
// and every connection ends with the sandbox.
func newServer(h http.Handler) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return &http.Server{Handler: h, ConnState: follow, MaxHeaderBytes: 1<<20 + 64<<10, Protocols: p, ErrorLog: quiet()}
}
