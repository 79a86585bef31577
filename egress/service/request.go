package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"casemate"
	"casemate/service/wire"
)

// call is one request of an SDK on its way to the corridor and back.
type call struct {
	e    *Endpoint
	id   string
	from lineage
	wire.Call
	asked string // name of the operation, or the method where the request has no name
	agent string

	operation *casemate.Operation
	direct    wire.Direct
	event     *casemate.Event
	refused   *casemate.Error // before the corridor
	reply     wire.Reply
}

// hear reads a request: what it asks for, and all that its signature is over.
func (e *Endpoint) hear(w http.ResponseWriter, r *http.Request) *call {
	path, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	signed := casemate.NewSigned(r.Method, path, rawQuery, r.Host, r.Header)
	signed.Sandbox = e.key.Sandbox
	c := &call{e: e, id: casemate.NewID(), from: e.lineage(r.Header.Get("X-Amzn-Trace-Id")), agent: r.UserAgent(), Call: wire.Hear(signed, wire.Scope(r.Header.Get("Authorization"), ""))}
	err := c.read(r)
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the answer may take longer than the request did
	c.asked = c.Operation()
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
	_, direct := c.e.cfg.Direct[c.Service.Name]
	switch {
	case direct:
		limit = maxBody + slack
	case r.ContentLength > limit && wire.Largest(c.e.cfg.Operations, c.Service.Name, maxBody) > limit:
		limit = wire.Largest(c.e.cfg.Operations, c.Service.Name, maxBody)
	case c.e.cfg.provides(c.Service.Name), c.Signed.Form():
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
		c.Body = into.Bytes()
	}
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Message: "the body could not be read", Err: err}
	}
	if n > limit {
		return casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
	}
	c.Signed.Payload = hex.EncodeToString(sum.Sum(nil))
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

// plan makes the event: of an operation that is there, of one that is an event itself, or of one that nobody has, which
// the corridor refuses and records.
func (c *call) plan() error {
	cfg := &c.e.cfg
	e := &casemate.Event{Target: casemate.Target{Builtin: c.Service.Name + "." + c.asked}, Action: c.Service.Prefix + ":" + c.asked}
	if d, ok := cfg.Direct[c.Service.Name]; ok {
		own, err := d.Event(cfg.Place, c.Signed, c.Body)
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
		payload, err := c.Asks(o)
		if err != nil {
			return err
		}
		c.operation = o
		e.Action, e.ContentType, e.Payload = o.Action, "application/json", payload
		e.Resource, _ = o.Resource(cfg.Place, payload) // for the effect; the directory refuses where it is wrong
	}
	e.ID, e.Parent, e.Chain, e.Depth, e.Trace = c.id, c.from.parent, c.from.chain, c.from.depth, c.from.trace
	e.Source, e.Received, e.UserAgent = casemate.SourceRun, cfg.Clock(), c.agent
	e.Credential = casemate.Credential{Kind: casemate.CredentialSigned, Signed: c.Signed}
	e.Size = int64(len(e.Payload))
	// Between a sandbox and the node there is no wire.
	e.Context = map[string][]string{"aws:securetransport": {"true"}, "lambda:sourcefunctionarn": {c.e.arn}}
	if c.agent != "" {
		e.Context["aws:useragent"] = []string{c.agent}
	}
	c.event = e
	return nil
}
