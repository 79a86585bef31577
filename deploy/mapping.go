package deploy

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
	"casemate/policy"
)

// queues adds the queues that the manifest declares, and the mappings of its functions. A function gets messages of a queue
// when it may receive them itself: who only sends events to a function does not read a queue through it.
func (d *Deployer) queues(a, current *catalog.App, m *manifest.Manifest, found *manifest.Problems) {
	if current != nil {
		for _, x := range current.Mappings {
			if !x.Modified.IsZero() && a.Functions[x.Function] != nil { // Lambda's API made it, and it alone takes it away
				Connect(a, d.cfg.Place, x, "Lambda's API")
			}
		}
	}
	for name, q := range m.Queues {
		ptr := "/queues/" + manifest.Escape(name)
		if env := a.Environment; env != "" && !strings.HasPrefix(name, env+"-") && !strings.HasPrefix(name, env+"_") {
			found.Add(m.At(ptr), ptr, "name it "+env+"-"+name, "the queue %s is not of this app's environment by its name", name)
		}
		x := &casemate.Queue{Visibility: time.Duration(q.Visibility), Delay: time.Duration(q.Delay), Retention: time.Duration(q.Retention), Wait: time.Duration(q.Wait),
			MaxSize: int(q.MaxSize), ContentDedup: q.Dedup == "content", DedupGroup: q.Scope == "group"}
		if l := q.DeadLetter; l != nil {
			x.DeadLetter, x.Receives = l.Queue, l.Receives
		}
		if a.Queues == nil {
			a.Queues = map[string]*casemate.Queue{}
		}
		a.Queues[name] = x
	}
	for _, name := range slices.Sorted(maps.Keys(a.Functions)) {
		if m.Functions[name] == nil {
			continue
		}
		for i, e := range m.Functions[name].Events {
			ptr := fmt.Sprintf("/functions/%s/events/%d", manifest.Escape(name), i)
			x := mapping(a.Name, name, d.cfg.Place.QueueARN(e.Queue), &e)
			if err := mayPoll(a, x); err != nil {
				found.Add(m.At(ptr), ptr, "grants: [\"receive queue/"+e.Queue+"\"]", "the function %s may not receive from the queue %s", name, e.Queue)
			}
			Connect(a, d.cfg.Place, x, m.Origin(m.At(ptr), "event of "+name))
		}
	}
}

// mapping is an event of the manifest. Its id is the same at every deploy.
func mapping(app, function, source string, e *manifest.Event) *casemate.Mapping {
	sum := sha256.Sum256([]byte(app + "\x00" + function + "\x00" + source))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562, version 8
	x := &casemate.Mapping{ID: fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]), App: app, Function: function, Source: source,
		Batch: 10, Window: time.Duration(e.Window), Partial: e.Partial == "report", Filters: e.Filter, Concurrency: e.Concurrency, Disabled: e.State == "disabled"}
	fill(&x.Batch, e.Batch)
	return x
}

// Connect adds a mapping to an app, with the role that it calls its function in.
func Connect(a *catalog.App, place casemate.Place, x *casemate.Mapping, origin string) {
	if a.Mappings == nil {
		a.Mappings = map[string]*casemate.Mapping{}
	}
	a.Mappings[x.ID] = x
	arn := place.FunctionARN(x.Function)
	a.Roles[x.Role()] = catalog.Role{Statements: []casemate.Statement{{Sid: "EventSourceMapping", Effect: casemate.Allow,
		Action: []string{"lambda:InvokeFunction"}, Resource: []string{arn, arn + ":*"}, Origin: origin}}}
}

// Disconnect takes a mapping away, with its role.
func Disconnect(a *catalog.App, id string) {
	if x := a.Mappings[id]; x != nil {
		delete(a.Roles, x.Role())
		delete(a.Mappings, id)
	}
}

// polls are what a function must be allowed on the queue whose messages it gets
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions).
func polls() []string {
	return []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
}

// mayPoll asks the role of a mapping's function alone: what guardrails say is asked when messages are taken.
func mayPoll(a *catalog.App, x *casemate.Mapping) error {
	role := catalog.ExecutionRole(x.Function)
	set, err := policy.Compile(casemate.Policies{Identity: map[string][]casemate.Statement{role: a.Roles[role].Statements}})
	if err != nil {
		return err
	}
	account := strings.Split(x.Source+":::::", ":")[4]
	for _, action := range polls() {
		d := set.Decide(&casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindRun, ID: role, Account: account, Role: role}, Action: action, Resource: x.Source, Account: account})
		if d.Verdict != casemate.Allowed {
			return casemate.Errorf(casemate.Forbidden, d.Hint, "the function's role may not %s on %s", action, x.Source)
		}
	}
	return nil
}
