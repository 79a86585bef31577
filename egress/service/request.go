package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"casemate"
)

// call is one request of an SDK on its way to the corridor and back.
type call struct {
	e        *Endpoint
	id       string
	from     lineage
	signed   *casemate.Signed
	service  known
	protocol protocol
	asked    string // name of the operation, or the method where the request has no name
	body     []byte // nil when nothing will read it
	agent    string

	operation *casemate.Operation
	direct    Direct
	event     *casemate.Event
	refused   *casemate.Error // before the corridor
	reply     reply
}

// hear reads a request: what it asks for, and all that its signature is over.
func (e *Endpoint) hear(w http.ResponseWriter, r *http.Request) *call {
	path, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	c := &call{e: e, id: casemate.NewID(), from: e.lineage(), agent: r.UserAgent(),
		signed: &casemate.Signed{Sandbox: e.key.Sandbox, Method: r.Method, Path: path, Query: rawQuery, Header: make(map[string][]string, len(r.Header)+1)}}
	for name, values := range r.Header {
		c.signed.Header[strings.ToLower(name)] = values
	}
	c.signed.Header["host"] = []string{r.Host}
	c.service = lookup(scope(r.Header.Get("Authorization")))
	c.protocol = c.service.speaks(c.signed)
	err := c.read(r)
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the answer may take longer than the request did
	c.asked = c.name()
	if err == nil {
		err = c.plan()
	}
	if err != nil {
		c.refused = casemate.AsError(err)
	}
	return c
}

// read reads the body where somebody will look at it, and its hash where the signature does not say it.
func (c *call) read(r *http.Request) error {
	switch {
	case r.Host != host && r.Host != Address:
		return &casemate.Error{Code: casemate.Unauthenticated, Message: "the request is for another host"}
	case c.from.nobody:
		return &casemate.Error{Code: casemate.Forbidden, Message: "no run is going on"}
	}
	limit, into := int64(askBody), &bytes.Buffer{}
	_, direct := c.e.cfg.Direct[c.service.name]
	switch {
	case direct:
		limit = maxBody
	case c.e.cfg.provides(c.service.name), strings.HasPrefix(r.Header.Get("Content-Type"), form):
	case r.Header.Get("X-Amz-Content-Sha256") != "":
		return nil
	default:
		limit, into = maxBody, nil
	}
	if into != nil && r.Header.Get("Content-Encoding") != "" {
		return &casemate.Error{Code: casemate.Invalid, Field: "Content-Encoding", Message: "encoded bodies are not taken here"}
	}
	sum := sha256.New()
	from := io.TeeReader(io.LimitReader(r.Body, limit+1), sum)
	var n int64
	var err error
	if into == nil {
		n, err = io.Copy(io.Discard, from)
	} else {
		n, err = into.ReadFrom(from)
		c.body = into.Bytes()
	}
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Message: "the body could not be read", Err: err}
	}
	if n > limit {
		return casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
	}
	c.signed.Payload = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// provides reports whether any operation of a service is there.
func (c *Config) provides(service string) bool {
	for _, o := range c.Operations {
		if o.Service == service {
			return true
		}
	}
	_, direct := c.Direct[service]
	return direct
}

// name is the operation that the request names, in the way of its protocol.
func (c *call) name() string {
	name := ""
	switch header := c.signed.Header["x-amz-target"]; {
	case c.protocol == cbor: // /service/<name>/operation/<name>
		_, name, _ = strings.Cut(c.signed.Path, "/operation/")
	case len(header) == 1:
		name = header[0][strings.LastIndexByte(header[0], '.')+1:]
	case c.protocol == query || c.protocol == ec2:
		name = c.parameters().Get("Action")
	case c.protocol == s3:
		name = c.object()
	}
	if word(name, 80) {
		return name
	}
	if word(c.signed.Method, 10) {
		return c.signed.Method
	}
	return "request"
}

// parameters are those of the query protocols: in the body, or behind the path.
func (c *call) parameters() url.Values {
	text := c.signed.Query
	if len(c.body) > 0 {
		text = string(c.body)
	}
	v, err := url.ParseQuery(text)
	if err != nil {
		return nil
	}
	return v
}

// object is the usual action behind a method on a bucket or an object.
func (c *call) object() string {
	_, key, _ := strings.Cut(strings.Trim(c.signed.Path, "/"), "/")
	verbs := map[string]string{"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
	switch {
	case c.signed.Path == "/":
		verbs = map[string]string{"GET": "ListAllMyBuckets"}
	case key != "":
		verbs = map[string]string{"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
	}
	return verbs[c.signed.Method]
}

// plan makes the event: of an operation that is there, of one that is an event itself, or of one that nobody has, which
// the corridor refuses and records.
func (c *call) plan() error {
	cfg := &c.e.cfg
	e := &casemate.Event{Target: casemate.Target{Builtin: c.service.name + "." + c.asked}, Action: c.service.prefix + ":" + c.asked}
	if d, ok := cfg.Direct[c.service.name]; ok {
		own, err := d.Event(cfg.Place, c.signed, c.body)
		if err != nil {
			return err
		}
		if own != nil && c.from.ahead { // each would be the first of a chain, and the sandbox that takes it is made ahead, too
			return casemate.Errorf(casemate.Forbidden, "", "a function that is kept ready calls no other before its first event")
		}
		if own != nil {
			c.direct, e = d, own
		}
	}
	if o := cfg.Operations[e.Target.Builtin]; o != nil {
		payload, err := c.question()
		if err != nil {
			return err
		}
		c.operation = o
		e.Action, e.ContentType, e.Payload = o.Action, "application/json", payload
		e.Resource, _ = o.Resource(cfg.Place, payload) // for the effect; the directory refuses where it is wrong
	}
	e.ID, e.Parent, e.Chain, e.Depth, e.Trace = c.id, c.from.parent, c.from.chain, c.from.depth, c.from.trace
	e.Source, e.Received, e.UserAgent = casemate.SourceRun, cfg.Clock(), c.agent
	e.Credential = casemate.Credential{Kind: casemate.CredentialSigned, Signed: c.signed}
	e.Size = int64(len(e.Payload))
	// Between a sandbox and the node there is no wire.
	e.Context = map[string][]string{"aws:securetransport": {"true"}, "lambda:sourcefunctionarn": {c.e.arn}}
	if c.agent != "" {
		e.Context["aws:useragent"] = []string{c.agent}
	}
	c.event = e
	return nil
}

// question is the body of an operation as JSON, whatever the protocol.
func (c *call) question() ([]byte, error) {
	switch {
	case c.protocol.json() || c.protocol == restJSON:
		if len(c.body) == 0 {
			return []byte("{}"), nil
		}
		return c.body, nil
	case c.protocol != query:
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the operation does not speak this protocol here"}
	}
	members := map[string]string{}
	for name, values := range c.parameters() {
		if len(values) != 1 {
			return nil, &casemate.Error{Code: casemate.Invalid, Message: "a parameter is repeated"}
		}
		if name != "Action" && name != "Version" {
			members[name] = values[0]
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		return nil, errors.New("encoding a question")
	}
	return b, nil
}

// scope is the service that a signature says it is for.
func scope(authorization string) string {
	_, rest, _ := strings.Cut(authorization, "Credential=")
	credential, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) != 5 || !word(parts[3], 40) {
		return "unknown"
	}
	return parts[3]
}

// word reports whether a record may hold s as a name.
func word(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= most
}
