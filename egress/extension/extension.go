// Package extension is the HTTP endpoint of the AWS Parameters and Secrets Lambda Extension
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html), which functions find at
// localhost:2773. It keeps nothing: each request becomes the same signed call that an SDK in this sandbox would make, with
// the same decision, effect and record.
package extension

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"casemate"
	"casemate/internal/work"
)

// Address is where functions look for the endpoint.
const Address = "127.0.0.1:" + port

const (
	port        = "2773"
	tokenHeader = "X-Aws-Parameters-Secrets-Token"
	maxConns    = 32
	maxHeader   = 8 << 10
	readTime    = 10 * time.Second
	writeTime   = 30 * time.Second
	idleTime    = 10 * time.Minute // as long as an idle sandbox lives
)

// Config is what one sandbox's endpoint stands on. All of it is needed.
type Config struct {
	Key    casemate.SandboxKey // its token opens the endpoint, its secret signs
	Region string
	Host   string       // of the service endpoint: what the signature is for
	Next   http.Handler // the service endpoint
	Clock  func() time.Time
}

// Endpoint is one sandbox's. Close it.
type Endpoint struct {
	cfg    Config
	server *http.Server
	served work.Group // the server, and requests
}

// New makes the endpoint of a sandbox.
func New(cfg Config) *Endpoint {
	e := &Endpoint{cfg: cfg}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: readTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)} // what it would say, the sandbox chooses
	return e
}

// Env tells functions and libraries where the endpoint is.
func (e *Endpoint) Env() map[string]string {
	return map[string]string{"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": port}
}

// Serve takes over the listener and returns at once. One given to a closed endpoint is closed.
func (e *Endpoint) Serve(l net.Listener) {
	if !e.served.Go(func() { _ = e.server.Serve(netutil.LimitListener(l, maxConns)) }) { // ends with Close
		_ = l.Close() // never served
	}
}

// Close ends what is being worked on and returns when nothing of the endpoint runs any more. Closing twice is no error.
func (e *Endpoint) Close() {
	e.served.End()
	_ = e.server.Close() // closes listeners and connections; nothing is left to fail
	e.served.Wait()
}

// question is what a request asks of the service behind.
type question struct {
	target string // X-Amz-Target
	scope  string // service in the signature's scope
	body   map[string]any
	dates  []string // name of the answer's date, behind the name of the object that holds it
}

// ServeHTTP answers one request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.served.Begin() {
		return
	}
	defer e.served.Done()
	tokens := r.Header.Values(tokenHeader)
	switch {
	case len(tokens) != 1 || subtle.ConstantTimeCompare([]byte(tokens[0]), []byte(e.cfg.Key.Token)) != 1:
		refuse(w, http.StatusUnauthorized, "send AWS_SESSION_TOKEN as "+tokenHeader)
		return
	case !here(r.Host):
		refuse(w, http.StatusForbidden, "this is localhost:"+port)
		return
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "ask with GET")
		return
	}
	q, problem := ask(strings.TrimSuffix(r.URL.Path, "/"), r.URL.RawQuery)
	if q == nil {
		refuse(w, http.StatusBadRequest, problem)
		return
	}
	status, answer := e.call(r.Context(), q)
	if status == http.StatusOK {
		var err error
		if answer, err = dressed(answer, q.dates); err != nil {
			status, answer = http.StatusInternalServerError, []byte(`{"message":"the answer cannot be read"}`)
		}
	}
	reply(w, status, answer)
	clear(answer)
}

// here reports whether a request means this endpoint. A web page that somebody was led to means another host.
func here(host string) bool { return host == "localhost:"+port || host == Address }

// refuse answers without asking anybody. Its messages hold nothing of the request.
func refuse(w http.ResponseWriter, status int, message string) {
	b, _ := json.Marshal(map[string]string{"message": message}) // a string always encodes
	reply(w, status, b)
}

// reply forbids every cache: what was read is the caller's alone.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header()["Date"] = nil // the peer has a clock
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs none
}

// ask reads what a path and its query ask for. A parameter that is not known is refused: dropping it could give another
// version than was meant.
func ask(path, rawQuery string) (*question, string) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, "the query is malformed"
	}
	names := map[string]string{"secretId": "SecretId", "versionStage": "VersionStage", "versionId": "VersionId"}
	q := &question{target: "secretsmanager.GetSecretValue", scope: "secretsmanager", body: map[string]any{}, dates: []string{"CreatedDate"}}
	switch path {
	case "/secretsmanager/get":
	case "/systemsmanager/parameters/get":
		names = map[string]string{"name": "Name", "version": "version", "label": "label", "withDecryption": "WithDecryption"}
		q = &question{target: "AmazonSSM.GetParameter", scope: "ssm", body: map[string]any{}, dates: []string{"Parameter", "LastModifiedDate"}}
	default:
		return nil, "ask /secretsmanager/get?secretId= or /systemsmanager/parameters/get?name="
	}
	for name, values := range query {
		if names[name] == "" || len(values) != 1 || values[0] == "" {
			return nil, "a parameter of the query is unknown, empty or repeated"
		}
		q.body[names[name]] = values[0]
	}
	if q.scope == "ssm" && !q.selector() {
		return nil, "withDecryption is true or false"
	}
	return q, ""
}

// selector puts version or label behind the name, and makes the flag one; false: it is neither true nor false.
func (q *question) selector() bool {
	version, label := q.body["version"], q.body["label"]
	delete(q.body, "version")
	delete(q.body, "label")
	name, _ := q.body["Name"].(string)
	for _, behind := range []any{version, label} {
		if s, ok := behind.(string); ok {
			name += ":" + s // two of them make a name that the service refuses
		}
	}
	q.body["Name"] = name
	if text, ok := q.body["WithDecryption"].(string); ok {
		yes, err := strconv.ParseBool(text)
		q.body["WithDecryption"] = yes
		return err == nil
	}
	return true
}

// call signs the question as this sandbox and hands it to the service endpoint.
func (e *Endpoint) call(ctx context.Context, q *question) (int, []byte) {
	body, err := json.Marshal(q.body)
	if err != nil {
		return http.StatusBadRequest, []byte(`{"message":"the query cannot be asked"}`)
	}
	r, err := e.signed(ctx, q, body)
	if err != nil {
		return http.StatusInternalServerError, []byte(`{"message":"the query cannot be asked"}`)
	}
	a := &answer{header: http.Header{}}
	e.cfg.Next.ServeHTTP(a, r)
	if a.status == 0 {
		return http.StatusServiceUnavailable, []byte(`{"message":"the sandbox is ending"}`)
	}
	return a.status, a.body
}

// answer is a response that stays in memory.
type answer struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}

// dressed gives an answer the shape that the extension has: dates as text, and a ResultMetadata.
func dressed(body []byte, path []string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	at, date := all, path[len(path)-1]
	if len(path) > 1 {
		at = nil // a map of its own
		if err := json.Unmarshal(all[path[0]], &at); err != nil || at == nil {
			return nil, errors.New("the answer has no " + path[0])
		}
	}
	if seconds, err := strconv.ParseFloat(string(at[date]), 64); err == nil {
		at[date] = json.RawMessage(`"` + time.UnixMilli(int64(seconds*1000)).UTC().Format("2006-01-02T15:04:05.999Z") + `"`)
	}
	if len(path) > 1 {
		inner, err := json.Marshal(at)
		if err != nil {
			return nil, err
		}
		all[path[0]] = inner
	}
	all["ResultMetadata"] = json.RawMessage("{}")
	return json.Marshal(all)
}
