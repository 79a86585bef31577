package aws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	nethttp "net/http"
	"strings"

	"casemate"
	"casemate/front/conn"
	"casemate/service/wire"
)

// call is one request of an SDK on its way to the corridor and back.
type call struct {
	s    *Server
	id   string
	open bool // nothing is signed
	wire.Call
	asked     string
	operation *casemate.Operation
	direct    wire.Direct
	event     *casemate.Event
	refused   *casemate.Error // before the corridor
	out       *stream         // of an answer that may leave while it is made
	unread    bool            // part of the body is still on the connection

	leaveLarge func() // gives back what a large body holds; nil: it holds nothing
}

// webIdentity is the operation that needs no signature, and the parameter that its caller proves itself by.
const (
	webIdentity = "AssumeRoleWithWebIdentity"
	webToken    = "WebIdentityToken"
)

// hear reads a request: what it asks for, and all that its signature is over.
func (s *Server) hear(r *nethttp.Request) *call {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	c := &call{s: s, id: casemate.NewID()}
	service := wire.Scope(r.Header.Get("Authorization"), query)
	if c.open = r.Header.Get("Authorization") == "" && !strings.Contains(query, "X-Amz-Algorithm="); c.open {
		if service = wire.Owner(path); service == "" {
			service = "sts" // the one that takes such calls
		}
	}
	c.Call = wire.Hear(casemate.NewSigned(r.Method, path, query, r.Host, r.Header), service)
	err := c.read(r)
	c.asked = c.Operation()
	if err == nil {
		err = c.plan(r)
	}
	if err != nil {
		c.refused = casemate.AsError(err)
	}
	return c
}

// read reads the body. One that is signed in chunks is read later, as its signatures are verified.
func (c *call) read(r *nethttp.Request) error {
	limit := int64(askBody)
	if _, direct := c.s.c.Direct[c.Service.Name]; direct {
		limit = maxBody + slack
	}
	if r.ContentLength > limit {
		limit = max(limit, wire.Largest(c.s.c.Operations, c.Service.Name, maxBody))
	}
	if c.open {
		limit = tokenBody
	}
	more, err := c.large(r)
	if err != nil {
		c.unread = true
		return err
	}
	limit = max(limit, more)
	c.unread = r.ContentLength > limit
	switch {
	case r.RequestURI == "" || !strings.HasPrefix(c.Signed.Path, "/"):
		return &casemate.Error{Code: casemate.Invalid, Message: "the request is for no path"}
	case c.unread:
		return casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
	case c.streamed():
		c.unread = true
		return nil
	case r.Header.Get("Content-Encoding") != "":
		return &casemate.Error{Code: casemate.Invalid, Field: "Content-Encoding", Message: "encoded bodies are not taken here"}
	}
	body, err := limited(r.Body, limit)
	if err != nil {
		c.unread = true
		return err
	}
	if err := c.weigh(int64(len(body))); err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	c.Body, c.Signed.Payload = body, hex.EncodeToString(sum[:])
	return nil
}

// streamed reports whether the body is signed in chunks.
func (c *call) streamed() bool {
	v := c.Signed.Header["x-amz-content-sha256"]
	return len(v) == 1 && strings.HasPrefix(v[0], "STREAMING-")
}

// plan makes the event: of an operation that is there, of one that is an event itself, or of one that nobody has, which
// the corridor refuses and records.
func (c *call) plan(r *nethttp.Request) error {
	cfg := &c.s.c
	e := &casemate.Event{Target: casemate.Target{Builtin: c.Service.Name + "." + c.asked}, Action: c.Service.Prefix + ":" + c.asked}
	c.prove(e)
	if d, ok := cfg.Direct[c.Service.Name]; ok && !c.streamed() && !c.open {
		own, err := d.Event(cfg.Place, c.Signed, c.Body)
		if err != nil {
			return err
		}
		if own != nil {
			own.Credential = e.Credential
			c.direct, e = d, own
		}
	}
	if o := cfg.Operations[e.Target.Builtin]; o != nil && (!c.open || c.Service.Name == "sts") {
		c.operation, e.Action, e.ContentType = o, o.Action, "application/json"
		if c.streamed() {
			e.Body, e.ContentEncoding = nethttp.MaxBytesReader(nil, r.Body, 2*askBody), r.Header.Get("Content-Encoding")
		} else if err := c.ask(e, o); err != nil {
			return err
		}
	}
	e.ID, e.Trace, e.Attempt = c.id, casemate.NewTrace(), 1
	e.Source, e.Received, e.UserAgent, e.SourceIP = casemate.SourceAWS, cfg.Clock(), r.UserAgent(), conn.SourceIP(r.RemoteAddr)
	e.Size = int64(len(e.Payload))
	e.Context = map[string][]string{"aws:securetransport": {secure(r)}, "aws:sourceip": {e.SourceIP}}
	if e.UserAgent != "" {
		e.Context["aws:useragent"] = []string{e.UserAgent}
	}
	c.event = e
	return nil
}

// prove takes what the caller proves itself with.
func (c *call) prove(e *casemate.Event) {
	if !c.open {
		e.Credential = casemate.Credential{Kind: casemate.CredentialAccess, Signed: c.Signed}
		return
	}
	if token := c.Parameters()[webToken]; c.asked == webIdentity && len(token) == 1 && token[0] != "" {
		c.Hidden = webToken
		e.Credential = casemate.Credential{Kind: casemate.CredentialBearer, Secret: token[0]}
	}
}

// ask puts the question of an operation into the event.
func (c *call) ask(e *casemate.Event, o *casemate.Operation) (err error) {
	if e.Payload, err = c.Asks(o); err != nil {
		return err
	}
	e.Resource, _ = o.Resource(c.s.c.Place, e.Payload) // for words alone; the directory refuses where it is wrong
	return nil
}

// run takes the event through the corridor and makes the reply, or reports that the answer has left already.
func (c *call) run(ctx context.Context) (_ wire.Reply, streamed bool) {
	err := c.refused
	if err == nil {
		res, failed := c.s.c.Handler(ctx, c.event)
		if c.out != nil && c.out.end(res, failed) {
			return wire.Reply{}, true
		}
		if failed == nil {
			reply, broken := c.answer(res)
			if broken == nil {
				return reply, false
			}
			failed = broken
		}
		err = casemate.AsError(failed)
	}
	if err.Code.HTTP() >= 500 {
		c.s.c.Log.Error("a service failed", "request", c.id, "err", err, "cause", err.Err)
	}
	return c.Refusal(c.spoken(err), c.id), false
}

func (c *call) answer(res *casemate.Result) (wire.Reply, error) {
	if c.direct.Answer == nil {
		return c.Answer(c.id, res.Payload)
	}
	var r wire.Reply
	r.Status, r.Header, r.Body = c.direct.Answer(c.Signed, res)
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	r.Header["X-Amzn-Requestid"] = cmp.Or(res.Again, c.id)
	return r, nil
}

// spoken is a refusal as the caller hears it. Why, and what would allow it, is the operator's to know.
func (c *call) spoken(err *casemate.Error) *casemate.Error {
	said := *err
	switch {
	case c.event == nil || err.AWS != "":
	case err.Code == casemate.NotFound && c.direct.Event != nil:
		said.Message = wire.Missing(c.event.Resource)
	case err.Code == casemate.Forbidden && c.event.Resource == "" && strings.HasSuffix(c.event.Action, ":"+c.Signed.Method): // the path is no operation's
		said.Message = "Unable to determine service/operation name to be authorized"
	case err.Code == casemate.Forbidden:
		said.Message = "User: " + c.who(err.Message) + " is not authorized to perform: " + c.event.Action
		if c.event.Resource != "" {
			said.Message += " on resource: " + c.event.Resource
		}
	case err.Code == casemate.Unauthenticated && c.event.Credential.Kind == casemate.CredentialNone:
		said.AWS, said.Message = "MissingAuthenticationToken", "Request is missing Authentication Token"
	case err.Code == casemate.Unauthenticated && c.event.Credential.Kind == casemate.CredentialBearer:
		said.AWS, said.Message = "InvalidIdentityToken", "The web identity token that was passed could not be validated."
	case err.Code == casemate.Unauthenticated && err.Err != nil: // a refusal without its reason
		said.Message = "The security token included in the request is invalid."
	}
	return &said
}

// who is the caller as AWS would name it, from the corridor's own words.
func (c *call) who(message string) string {
	name, _, ok := strings.Cut(message, " may not ")
	if !ok {
		return "the caller"
	}
	account := c.s.c.Place.Account
	if rest, is := strings.CutPrefix(name, "session/"); is {
		return "arn:aws:sts::" + account + ":assumed-role/" + rest
	}
	if strings.HasPrefix(name, "user/") {
		return "arn:aws:iam::" + account + ":" + name
	}
	return name
}
