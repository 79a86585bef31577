package node

import (
	"cmp"
	"context"
	"io"
	"strings"
	"time"

	"casemate"
	"casemate/egress"
	"casemate/egress/extension"
	"casemate/egress/service"
	"casemate/policy"
	"casemate/service/lambda"
	"casemate/service/sts"
	"casemate/service/wire"
)

// serviceTime bounds an operation of a service.
const serviceTime = 30 * time.Second

// service finds an operation of an AWS service, for functions and for clients outside. One that is not there is refused
// like one that is not granted: no statement can allow what does not exist.
func (d *directory) service(e *casemate.Event, o *casemate.Operation) (*casemate.Match, error) {
	if o == nil {
		return nil, casemate.Errorf(casemate.Forbidden, "casemate does not provide it: call another service, or another operation", "%s is not provided here", e.Target.Builtin)
	}
	if err := settle(e, o.Body); err != nil {
		return nil, err
	}
	resource, err := o.Resource(d.place, e.Payload)
	if err != nil {
		return nil, err
	}
	limits := casemate.DefaultLimits()
	limits.Request, limits.Timeout = o.Body, serviceTime
	m := d.match(e, o.Action, resource, limits)
	if o.Service == "sqs" && d.keeping != nil {
		m.Policy = d.keeping(m.Policy, resource)
	}
	if o.Open && m.Policy != nil {
		m.Policy = open{m.Policy}
	}
	if o.Trusted && m.Policy != nil {
		m.Policy = trusting{m.Policy, o, e.Payload}
	}
	return m, nil
}

// settle reads the body before the policy is asked: what an operation is about stands in it. Its caller is verified by now.
func settle(e *casemate.Event, limit int64) error {
	if e.ContentEncoding != "" {
		return casemate.Errorf(casemate.Invalid, "send it as it is", "an operation takes no encoded body")
	}
	if e.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(e.Body, limit+1))
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body could not be read", Hint: "send it again", Err: err}
	}
	if int64(len(body)) > limit {
		return casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", limit)
	}
	e.Body, e.Payload, e.Size = nil, body, int64(len(body))
	return nil
}

// open decides on operations that need no statement that allows them. What a statement denies stays denied.
type open struct{ casemate.Decider }

// Decide implements casemate.Decider.
func (o open) Decide(r *casemate.AccessRequest) casemate.Decision {
	d := o.Decider.Decide(r)
	if d.Verdict != casemate.Allowed && d.Layer == "default" {
		return casemate.Decision{Verdict: casemate.Allowed, Layer: "default", Statement: "open", Reason: "the service asks for no permission"}
	}
	return d
}

// Facts are those of the policy that it asks.
func (o open) Facts(r *casemate.AccessRequest) []casemate.Fact {
	if s, ok := o.Decider.(*policy.Set); ok {
		return s.Facts(r)
	}
	return nil
}

// operations are those of every service that the platform has, by ID.
func (n *node) operations() map[string]*casemate.Operation {
	all := map[string]*casemate.Operation{}
	for _, list := range [][]casemate.Operation{sts.Operations(n.stsConfig()), n.secretOperations(), n.controlOperations(), n.queueOperations()} {
		for i := range list {
			all[list[i].ID()] = &list[i]
		}
	}
	return all
}

// openServices prepares what all sandboxes' endpoints share.
func (n *node) openServices() {
	n.services = service.Config{
		Handle:     func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) { return n.gate.Handle(ctx, e) }, // no sandbox runs before the gate is open
		Operations: n.operations(), Place: n.cfg.Place, Clock: time.Now,
		Direct: map[string]wire.Direct{"lambda": {Event: lambda.Event, Answer: lambda.Answer, Streams: lambda.Streams, Head: lambda.Head, Frame: lambda.Frame, Last: lambda.Last}}, May: n.may,
		Spent: func(chain string) casemate.Money {
			if p := n.purse.Load(); p != nil {
				return p.Spent(chain)
			}
			return 0
		}}
}

// may asks the policy for the function whose sandbox has the key.
func (n *node) may(key casemate.SandboxKey, e *casemate.Event) bool {
	return n.decide(&casemate.Launch{Principal: &key.Principal, Event: e}, e.Action, e.Resource).Verdict == casemate.Allowed
}

// secretsPort is the endpoint at localhost:2773 of a sandbox that has the AWS endpoint next and its key.
func (n *node) secretsPort(key casemate.SandboxKey, next *service.Endpoint) egress.Endpoint {
	host, _, _ := strings.Cut(service.Address, ":")
	x := extension.New(extension.Config{Key: key, Region: n.cfg.Place.Region, Host: host, Next: next, Clock: time.Now})
	return egress.Endpoint{Address: extension.Address, Serve: x.Serve, Env: x.Env(), Close: x.Close}
}

// awsEndpoints are those of a new sandbox of v, with a key of its own that ends with it.
func (n *node) awsEndpoints(v *casemate.Version, record func(casemate.Effect)) []egress.Endpoint {
	l, d := v.Limits, casemate.DefaultLimits()
	life := cmp.Or(l.Lifetime, d.Lifetime) + cmp.Or(l.InitTimeout, d.InitTimeout) + cmp.Or(l.Timeout, d.Timeout) + time.Minute // the last run may begin at the end
	key := n.identity.MintSandbox(v, life)
	e := service.New(n.services, v, key, record)
	aws := egress.Endpoint{Address: service.Address, Serve: e.Serve, Env: e.Env(), Begin: e.Begin, Share: e.Share, Close: func() {
		n.identity.EndSandbox(key.Sandbox) // first: what is under way is refused from here on
		e.Close()
	}}
	return []egress.Endpoint{aws, n.secretsPort(key, e)}
}
