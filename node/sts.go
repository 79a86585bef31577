package node

import (
	"context"
	"maps"
	"slices"
	"strings"

	"casemate"
	front "casemate/front/aws"
	"casemate/policy"
	"casemate/service/sts"
)

// stsConfig is what assuming a role takes.
func (n *node) stsConfig() sts.Config {
	return sts.Config{Place: n.cfg.Place, Sessions: n.access, Scope: func(doc string) ([]casemate.Statement, error) { return policy.Parse([]byte(doc), "session policy") }}
}

// trusting decides on operations whose resource has to trust the caller: on the operation itself, and on what else its
// request asks for. What the resource's policy does not allow is refused, whatever the caller's role may.
type trusting struct {
	casemate.Decider
	operation *casemate.Operation
	body      []byte
}

// Decide implements casemate.Decider.
func (t trusting) Decide(r *casemate.AccessRequest) casemate.Decision {
	trust, ok := t.Decider.(interface {
		Trust(r *casemate.AccessRequest) casemate.Decision
	})
	if !ok {
		return casemate.Decision{Reason: "the policy in force knows no trust"}
	}
	asked := *r
	asked.Context = t.context(r)
	first := casemate.Decision{}
	for i, action := range append([]string{r.Action}, sts.Asked(asked.Context)...) {
		asked.Action = action
		d := t.Decider.Decide(&asked)
		if d.Verdict != casemate.Allowed {
			return d
		}
		if by := trust.Trust(&asked); by.Verdict != casemate.Allowed {
			return by
		}
		if i == 0 {
			first = d
		}
	}
	return first
}

// context are the condition keys of the request, and of the token that its caller came with: <issuer>:sub as AWS has it,
// the issuer without its scheme.
func (t trusting) context(r *casemate.AccessRequest) map[string][]string {
	out := maps.Clone(r.Context)
	if out == nil {
		out = map[string][]string{}
	}
	maps.Copy(out, t.operation.Context(t.body))
	p := r.Principal
	if p == nil {
		return out
	}
	issuer := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(p.Claims["iss"], "https://"), "http://"))
	if p.Kind != casemate.KindToken || !strings.ContainsAny(issuer, ".:") { // no issuer may be called like a service
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		if name != strings.ToLower(name) { // of two spellings of one name, none may stand for the other
			continue
		}
		for _, prefix := range []string{issuer, strings.TrimSuffix(issuer, "/")} {
			out[prefix+":"+name] = []string{p.Claims[name]}
		}
	}
	return out
}

// openAWS opens AWS's services for clients outside. At the default address it gives way to whoever is there already: other
// clouds for one machine have it, too.
func (n *node) openAWS(ctx context.Context) (err error) {
	if n.cfg.AWS == "" {
		return nil
	}
	cfg := front.Config{Handler: n.gate.Handle, Addr: n.cfg.AWS, Operations: n.services.Operations, Direct: n.services.Direct, Place: n.cfg.Place, Limits: n.cfg.Front.Conn, Refused: n.refused, Log: n.cfg.Log}
	if !Loopback(n.cfg.AWS) {
		cfg.Certificate, cfg.MinTLS = n.certificate, n.cfg.MinTLS
	}
	s, err := front.New(cfg)
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		if n.cfg.AWSDefault && casemate.CodeOf(err) == casemate.Unavailable {
			n.cfg.Log.Warn("AWS's services are not offered: the address is taken", "address", n.cfg.AWS, "hint", "casemate up --aws 127.0.0.1:0 takes a free port")
			return nil
		}
		return err
	}
	n.aws = s
	n.onClose(bounded(s.Shutdown))
	return nil
}

// awsFailed gets an error when that listener breaks.
func (n *node) awsFailed() <-chan error {
	if n.aws == nil {
		return nil
	}
	return n.aws.Failed()
}
