package signin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Cookies. The prefix has browsers take them from this very host alone, over TLS, for every path of it
// (https://www.ietf.org/archive/id/draft-ietf-httpbis-rfc6265bis-20.html#name-the-__host-prefix).
const (
	sessionCookie = "__Host-casemate-session"
	tabCookie     = "__Host-casemate-signin" // which browser began a sign-in
	deviceCookie  = "__Host-casemate-device" // that this browser has signed in before

	deviceLife = 400 * 24 * time.Hour // as long as browsers keep one
	maxBody    = 48 << 10
	bodyTime   = 10 * time.Second
	maxCookie  = 512
)

// action is what the page may ask for.
type action struct {
	operation string
	tab       bool // the operation is told which browser asks, as "bound"
	device    bool // and whether it is known, as "device"
	signed    bool // the session's token is the credential; without it nobody asks
	opens     bool // its answer holds the token of a session
	raises    bool // its answer may hold one, in place of the session that asks
	closes    bool // it ends the session
}

// actions are all, by the path below Path.
func actions() map[string]action {
	return map[string]action{
		"passkey/begin":   {operation: "signin.passkey.begin", tab: true},
		"passkey/finish":  {operation: "signin.passkey.finish", tab: true, opens: true},
		"password":        {operation: "session.open", device: true, opens: true},
		"begin":           {operation: "session.begin", device: true},
		"complete":        {operation: "session.complete", opens: true},
		"who":             {operation: "whoami", signed: true},
		"out":             {operation: "session.close", signed: true, closes: true},
		"enrol/begin":     {operation: "passkey.begin", signed: true},
		"enrol/finish":    {operation: "passkey.finish", signed: true, raises: true},
		"passkeys":        {operation: "passkey.list", signed: true},
		"passkeys/remove": {operation: "passkey.remove", signed: true},
		"code/look":       {operation: "signin.code.look", signed: true},
		"code/decide":     {operation: "signin.code.decide", signed: true},
	}
}

// act has an action become an event, and its result an answer.
func (s *Site) act(w nethttp.ResponseWriter, r *nethttp.Request, a action) {
	id := casemate.NewID()
	w.Header().Set("X-Request-Id", id)
	defer func() {
		if v := recover(); v != nil {
			s.c.Log.Error("panic at the sign-in page", slog.String("request", id), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			s.refuse(w, id, errors.New("panic"))
		}
	}()
	if err := s.own(r); err != nil {
		s.refuse(w, id, err)
		return
	}
	question, err := s.question(w, r, a)
	if err != nil {
		s.refuse(w, id, err)
		return
	}
	res, err := s.c.Handler(r.Context(), s.event(r, id, a, question))
	switch {
	case err != nil:
		s.refuse(w, id, err)
	case res == nil || res.Failure != casemate.FailureNone:
		s.refuse(w, id, errors.New("the handler gave neither a result nor an error"))
	default:
		s.answer(w, id, a, res.Payload)
	}
}

// own refuses what another site has a browser send: the origin must be one of the node's, to the letter, and what browsers
// say of who asks must agree (https://www.w3.org/TR/fetch-metadata/). A form cannot send JSON, either.
func (s *Site) own(r *nethttp.Request) error {
	forbidden := func(message string) error {
		return &casemate.Error{Code: casemate.Forbidden, Field: "origin", Message: message, Hint: "open " + s.home()}
	}
	if r.Method != "POST" {
		return &casemate.Error{Code: casemate.Invalid, Field: "method", Message: "actions are asked for with POST", Hint: "use POST"}
	}
	origins := r.Header["Origin"]
	if len(origins) != 1 || !slices.Contains(s.at.Load().origins, origins[0]) {
		return forbidden("the request does not come from the node's own page")
	}
	for name, want := range map[string][]string{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors", "same-origin"}, "Sec-Fetch-Dest": {"empty"}} {
		if got := r.Header[name]; len(got) > 1 || len(got) == 1 && !slices.Contains(want, got[0]) {
			return forbidden("the request does not come from the page's script")
		}
	}
	if len(r.Header["Authorization"])+len(r.Header["X-Api-Key"]) > 0 {
		return forbidden("the page takes no credential but its cookie")
	}
	if kind := r.Header["Content-Type"]; len(kind) != 1 || kind[0] != "application/json" {
		return &casemate.Error{Code: casemate.Invalid, Field: "content-type", Message: "actions take JSON", Hint: "application/json"}
	}
	if r.URL.RawQuery != "" {
		return &casemate.Error{Code: casemate.Invalid, Field: "query", Message: "actions take no parameters", Hint: "send them in the body"}
	}
	return nil
}

// question is what the page sent, with what the cookies add. The page cannot send those members itself.
func (s *Site) question(w nethttp.ResponseWriter, r *nethttp.Request, a action) ([]byte, error) {
	_ = nethttp.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // fails only where there are no deadlines to set
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body stopped arriving", Hint: "send it again", Err: err}
	case err != nil:
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body ended early", Hint: "send it again", Err: err}
	case len(body) > maxBody:
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", maxBody)
	}
	members, err := object(body)
	if err != nil {
		return nil, err
	}
	for name := range members {
		if !strings.EqualFold(name, "bound") && !strings.EqualFold(name, "device") {
			continue
		}
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the page says neither bound nor device", Hint: "the browser's cookies do"}
	}
	if a.tab {
		tab := cookie(r, tabCookie)
		if tab == "" {
			tab = casemate.NewID() // 122 random bits
			setCookie(w, tabCookie, tab, 0)
		}
		members["bound"] = quoted(tab)
	}
	if device := cookie(r, deviceCookie); a.device && device != "" {
		members["device"] = quoted(device)
	}
	return json.Marshal(members)
}

// object reads one JSON object, each of its members once.
func object(body []byte) (map[string]json.RawMessage, error) {
	bad := &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body is not one JSON object", Hint: "send one"}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || members[name] != nil {
			return nil, bad
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, bad
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad
	}
	return members, nil
}

func (s *Site) event(r *nethttp.Request, id string, a action, question []byte) *casemate.Event {
	parent, _ := casemate.ParseTraceparent(r.Header.Get("Traceparent"))
	e := &casemate.Event{
		ID: id, Source: casemate.SourceAdmin, Target: casemate.Target{Builtin: a.operation}, UserAgent: r.UserAgent(), Received: s.c.Clock(), Attempt: 1, Trace: parent.Child(),
		Context: map[string][]string{"aws:securetransport": {"true"}}, ContentType: "application/json", Size: int64(len(question)), Body: bytes.NewReader(question),
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		e.SourceIP = host
		e.Context["aws:sourceip"] = []string{host}
	}
	if e.UserAgent != "" {
		e.Context["aws:useragent"] = []string{e.UserAgent}
	}
	if token := cookie(r, sessionCookie); a.signed && token != "" {
		e.Credential = casemate.Credential{Kind: casemate.CredentialSession, Secret: token}
	}
	return e
}

// answer takes the token out of what an operation says: the browser keeps it where no script reads it.
func (s *Site) answer(w nethttp.ResponseWriter, id string, a action, payload []byte) {
	if len(payload) == 0 {
		payload = []byte("null")
	}
	if a.closes {
		setCookie(w, sessionCookie, "", -1)
	}
	if a.opens || a.raises {
		var err error
		if payload, err = open(w, a, payload); err != nil {
			s.refuse(w, id, err)
			return
		}
	}
	s.write(w, nethttp.StatusOK, "application/json", payload)
}

// open sets the cookies of the session that an answer holds, and gives the answer without its secrets.
func open(w nethttp.ResponseWriter, a action, payload []byte) ([]byte, error) {
	members, err := object(payload)
	if err != nil {
		return nil, errors.New("the operation's answer is no object")
	}
	secrets := map[string]string{"token": "", "device": ""}
	for name := range secrets {
		var value string
		if text := members[name]; text != nil && json.Unmarshal(text, &value) != nil || len(value) > maxCookie {
			return nil, errors.New("the operation's answer holds no " + name)
		}
		secrets[name] = value
		delete(members, name)
	}
	switch {
	case secrets["token"] != "":
		setCookie(w, tabCookie, "", -1) // the next sign-in is another one
		setCookie(w, sessionCookie, secrets["token"], 0)
	case a.opens:
		return nil, errors.New("the operation opened no session")
	}
	if secrets["device"] != "" {
		setCookie(w, deviceCookie, secrets["device"], int(deviceLife/time.Second))
	}
	return json.Marshal(members)
}

func (s *Site) refuse(w nethttp.ResponseWriter, id string, err error) {
	e := casemate.AsError(err)
	if e.Code == casemate.Fault {
		s.c.Log.Error("the sign-in page failed", slog.String("request", id), slog.Any("error", err))
	}
	text, jerr := json.Marshal(e.Body(id))
	if jerr != nil { // strings and a code always encode
		text = []byte(`{"message":"internal error","code":"Fault"}`)
	}
	if e.Code == casemate.Exhausted || e.Code == casemate.Unavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(e.Retry, 1)))
	}
	s.write(w, e.Code.HTTP(), "application/json", text)
}

// cookie is the value of the only cookie of that name; "" when there is none, or more than one: somebody planted another.
func cookie(r *nethttp.Request, name string) string {
	all := r.CookiesNamed(name)
	if len(all) != 1 || len(all[0].Value) > maxCookie {
		return ""
	}
	return all[0].Value
}

// setCookie sets one for age seconds; 0 is until the browser ends, less deletes it.
func setCookie(w nethttp.ResponseWriter, name, value string, age int) {
	nethttp.SetCookie(w, &nethttp.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: nethttp.SameSiteStrictMode})
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(strings.ToValidUTF8(s, "")) // a string always encodes
	return text
}
