package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"casemate"
)

// builtin is one operation of the platform itself: an action and a resource that policy decides on like any other, and
// the code behind it. A name that is not in the table does not exist.
type builtin struct {
	action string
	kind   string // kind of resource: "app", "key", "record"...; the event's own Resource is the name in it
	body   int64  // bytes taken
	named  bool   // run holds the resource that was decided on against what the question names; else the operation is about all
	run    func(ctx context.Context, l *casemate.Launch) (any, error)
}

// Bounds of what operators send: a bundle of code, or a question.
const (
	bundleLimit   = 300 << 20
	questionLimit = 1 << 20
	builtinTime   = 10 * time.Minute
	streamTime    = 24 * time.Hour
)

// directory finds built-ins beside what the catalog finds. Built-ins are versions like any other: number, limits, role.
type directory struct {
	version  string // of the binary, which is that of the operations
	find     func(e *casemate.Event) (*casemate.Match, error)
	policy   func() (casemate.Decider, string)
	place    casemate.Place
	builtins map[string]builtin
	services map[string]*casemate.Operation                         // by ID: what functions call, too
	keeping  func(d casemate.Decider, arn string) casemate.Decider  // adds the policy that a queue keeps itself
	stands   func(ctx context.Context, p *casemate.Principal) error // whether a caller is still who it was; for streams
}

// Resolve implements gate.Catalog.
func (d *directory) Resolve(e *casemate.Event) (*casemate.Match, error) {
	if e.Target.Builtin == "" {
		m, err := d.find(e)
		if casemate.CodeOf(err) == casemate.NotFound && e.Target.Function != "" {
			return d.absent(e, err), nil
		}
		return m, err
	}
	if o := d.services[e.Target.Builtin]; e.Source == casemate.SourceRun || e.Source == casemate.SourceAWS || o != nil && (e.Source == casemate.SourceAdmin || e.Source == casemate.SourceDestination) {
		return d.service(e, o)
	}
	b, ok := d.builtins[e.Target.Builtin]
	if !ok || e.Source != casemate.SourceAdmin {
		return nil, casemate.Errorf(casemate.NotFound, "casemate --help lists the operations", "there is no operation %q", e.Target.Builtin)
	}
	if r := e.Resource; !b.named && r != "" && r != "*" { // a decision on one thing would open all of them
		return nil, casemate.Errorf(casemate.Invalid, "ask without a resource", "%s is not about one %s", e.Target.Builtin, b.kind)
	}
	limits := casemate.DefaultLimits()
	limits.Request, limits.Timeout = b.body, builtinTime
	if e.Stream != nil {
		limits.Timeout = streamTime
	}
	return d.match(e, b.action, d.place.PlatformARN(b.kind, cmp.Or(e.Resource, "*")), limits), nil
}

// absent is the match of a function that is not there. The policy is asked first, as AWS does: who may not call a function
// does not learn whether there is one.
func (d *directory) absent(e *casemate.Event, why error) *casemate.Match {
	m := &casemate.Match{Action: cmp.Or(e.Action, "lambda:InvokeFunction"), Resource: e.Target.Function, Absent: why}
	if !strings.HasPrefix(m.Resource, "arn:") {
		m.Resource = d.place.FunctionARN(m.Resource)
	}
	m.Policy, m.Revision = d.policy()
	return m
}

// match is what a built-in looks like to the corridor.
func (d *directory) match(e *casemate.Event, action, resource string, limits casemate.Limits) *casemate.Match {
	m := &casemate.Match{Action: action, Resource: resource,
		Version: &casemate.Version{App: "casemate", Function: e.Target.Builtin, ID: d.version, Runtime: "builtin", ARN: d.place.PlatformARN("operation", e.Target.Builtin),
			Account: d.place.Account, Limits: limits}}
	m.Policy, m.Revision = d.policy()
	return m
}

// run is the casemate.Runner of built-ins. What they answer is JSON; what they stream goes to the event's Stream.
func (d *directory) run(ctx context.Context, l *casemate.Launch) (*casemate.Result, error) {
	b, ok := d.builtins[l.Version.Function]
	if o := d.services[l.Version.Function]; o != nil {
		b, ok = builtin{run: o.Run}, true
	}
	if !ok {
		return nil, fmt.Errorf("running built-in %q: not in the table", l.Version.Function)
	}
	ctx, cancel := context.WithDeadline(ctx, l.Deadline)
	defer cancel()
	if l.Event.Stream != nil {
		under, stop := watch(ctx, l.Principal, d.stands)
		defer stop()
		ctx = under
	}
	start := time.Now()
	answer, err := b.run(ctx, l)
	if cause := context.Cause(ctx); casemate.CodeOf(cause) == casemate.Unauthenticated {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	res := &casemate.Result{ContentType: "application/json", Usage: casemate.Usage{Wall: time.Since(start)}}
	if answer == nil {
		return res, nil
	}
	if n, ok := answer.(casemate.Noted); ok {
		res.Effects = n.Effects()
	}
	if res.Payload, err = json.Marshal(answer); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return res, nil
}

// ask reads a built-in's question strictly; no body is the zero question.
func ask[In any](l *casemate.Launch) (In, error) {
	var in In
	if len(bytes.TrimSpace(l.Payload)) == 0 {
		return in, nil
	}
	dec := json.NewDecoder(bytes.NewReader(l.Payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "not the question this operation takes: " + err.Error(), Hint: "see the operation's command with --help"}
	}
	if _, err := dec.Token(); err != io.EOF {
		return in, &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "something follows the question", Hint: "send one JSON object"}
	}
	return in, nil
}

// question makes a built-in of a typed function.
func question[In any](action, kind string, do func(ctx context.Context, l *casemate.Launch, in In) (any, error)) builtin {
	return builtin{action: action, kind: kind, body: questionLimit, run: func(ctx context.Context, l *casemate.Launch) (any, error) {
		in, err := ask[In](l)
		if err != nil {
			return nil, err
		}
		return do(ctx, l, in)
	}}
}

// named marks a built-in that is about the one thing that its question names.
func named(b builtin) builtin {
	b.named = true
	return b
}

// stream makes a built-in that writes JSON lines as they come; say hands one out.
func stream[In any](action, kind string, do func(ctx context.Context, l *casemate.Launch, in In, say func(v any) error) error) builtin {
	return builtin{action: action, kind: kind, body: questionLimit, run: func(ctx context.Context, l *casemate.Launch) (any, error) {
		in, err := ask[In](l)
		if err != nil {
			return nil, err
		}
		if l.Event.Stream == nil {
			return nil, casemate.Errorf(casemate.Invalid, "ask for a stream", "%s answers as a stream", l.Version.Function)
		}
		return nil, do(ctx, l, in, json.NewEncoder(l.Event.Stream).Encode)
	}}
}

// judge asks the policy about something that a question names and the event did not.
type judge func(l *casemate.Launch, action, kind, name string) error

// covers checks that what the question names is what the policy decided on. An event without a named resource was decided
// on as "*", which no statement about one thing matches, a Deny least of all: so the policy is asked about that thing now.
func covers(l *casemate.Launch, may judge, action, kind, name string) error {
	switch r := l.Event.Resource; {
	case r == name:
		return nil
	case r != "" && r != "*":
		return casemate.Errorf(casemate.Forbidden, "name the same thing in the resource and in the question", "the decision was on %q, the question is about %q", r, name)
	case name == "":
		return nil
	}
	return may(l, action, kind, name)
}

// judge is the policy in force, asked for the caller of l.
func (n *node) judge(l *casemate.Launch, action, kind, name string) error {
	s := n.catalog.Snapshot()
	if s.Policy == nil {
		return casemate.Errorf(casemate.Forbidden, "deploy again", "no policy is loaded")
	}
	resource := n.cfg.Place.PlatformARN(kind, name)
	d := s.Policy.Decide(&casemate.AccessRequest{Principal: l.Principal, Action: action, Resource: resource, Account: n.cfg.Place.Account,
		Now: time.Now(), Context: l.Event.Context})
	if d.Verdict == casemate.Allowed {
		return nil
	}
	return &casemate.Error{Code: casemate.Forbidden, Message: l.Principal.Name() + " may not " + action + " on " + resource, Rule: d.Statement, Hint: d.Hint}
}
