package service

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"strings"

	"casemate"
	"casemate/service/wire"
)

// run takes the event through the corridor, tells the run that it belongs to, and makes the reply.
func (c *call) run(ctx context.Context) casemate.Verdict {
	var res *casemate.Result
	err := c.refused
	if err == nil {
		var failed error
		res, failed = c.e.cfg.Handle(ctx, c.event)
		err = c.unseen(casemate.AsError(failed))
	}
	if err == nil {
		err = c.answered(res)
	}
	if err != nil {
		c.reply = c.Refusal(c.spoken(err), c.id)
	}
	return c.tell(res, err)
}

// unseen makes a missing function a forbidden one, for who may not call it anyway.
func (c *call) unseen(err *casemate.Error) *casemate.Error {
	may := c.e.cfg.May
	if err == nil || err.Code != casemate.NotFound || c.operation != nil || may != nil && may(c.e.key, c.event) {
		return err
	}
	return &casemate.Error{Code: casemate.Forbidden, Message: err.Message, Hint: err.Hint, Err: err}
}

// answered writes a result in the words of the service.
func (c *call) answered(res *casemate.Result) *casemate.Error {
	if c.direct.Answer != nil {
		var r wire.Reply
		r.Status, r.Header, r.Body = c.direct.Answer(c.Signed, res)
		if r.Header == nil {
			r.Header = map[string]string{}
		}
		r.Header["X-Amzn-Requestid"] = cmp.Or(res.Again, c.id)
		c.reply = r
		return nil
	}
	r, err := c.Answer(c.id, res.Payload)
	c.reply = r
	return casemate.AsError(err)
}

// spoken is a refusal as the caller hears it. Why, and what would allow it, is the operator's to know.
func (c *call) spoken(err *casemate.Error) *casemate.Error {
	said := *err
	if err.Code == casemate.Forbidden && err.AWS == "" && c.event != nil {
		said.Message = "User: " + c.e.key.Principal.ARN + " is not authorized to perform: " + c.event.Action
		if c.event.Resource != "" {
			said.Message += " on resource: " + c.event.Resource
		}
	}
	if err.Code == casemate.NotFound && err.AWS == "" && c.direct.Event != nil {
		said.Message = wire.Missing(c.event.Resource)
	}
	if err.Code == casemate.Unauthenticated && err.AWS == "" && err.Err != nil { // a refusal without its reason
		said.Message = "The security token included in the request is invalid."
	}
	return &said
}

// tell adds the effect to the record of the run that asked.
func (c *call) tell(res *casemate.Result, err *casemate.Error) casemate.Verdict {
	f := casemate.Effect{At: c.e.cfg.Clock(), Kind: casemate.EffectService, Target: c.Service.Prefix + ":" + c.asked, Verdict: casemate.Allowed,
		Out: int64(len(c.Body)), In: int64(len(c.reply.Body)), Of: c.from.of}
	if e := c.event; e != nil {
		f.Target = strings.TrimSpace(e.Action + " " + e.Resource)
	}
	if res != nil && res.Failure != casemate.FailureNone {
		f.Reason = "the function failed: " + string(res.Failure)
	}
	if err != nil {
		f.Reason = err.Code.String() + ": " + err.Message
		switch err.Code {
		case casemate.Forbidden:
			f.Verdict, f.Grant = casemate.Denied, err.Hint
		case casemate.Unauthenticated, casemate.Exhausted, casemate.Unavailable, casemate.TooLarge, casemate.Fault:
			f.Verdict = casemate.Denied
		}
	}
	c.e.record(f)
	return f.Verdict
}

// write sends the call's reply.
func (c *call) write(w http.ResponseWriter) {
	for name, value := range c.reply.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(c.reply.Status)
	_, _ = io.Copy(w, bytes.NewReader(c.reply.Body)) // a client that went away needs none
}
