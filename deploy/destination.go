package deploy

import (
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
	"casemate/policy"
)

// destination is the ARN of what a manifest names: "queue/done", "function/audit" or an ARN.
func destination(place casemate.Place, said string) string {
	if name, ok := strings.CutPrefix(said, "queue/"); ok {
		return place.QueueARN(name)
	}
	if name, ok := strings.CutPrefix(said, "function/"); ok {
		return place.FunctionARN(name)
	}
	return said
}

// destinations refuses asynchronous events whose end cannot be told: to what is not of this node, or to where the function's
// own role may not send. What guardrails and the queue's policy say is asked at every send.
func (d *Deployer) destinations(a *catalog.App) error {
	for _, name := range slices.Sorted(maps.Keys(a.Functions)) {
		f := a.Functions[name]
		told := map[string]bool{} // ARN to whether queues alone will do
		if v := f.Latest(); v != nil {
			t := v.Told()
			told[t.OnSuccess], told[t.OnFailure] = false, false
			told[t.DeadLetter] = true
		}
		if s := f.Manages().Standing; s != nil {
			for _, x := range s.Invoke {
				for _, arn := range []*string{x.OnSuccess, x.OnFailure} {
					if arn != nil && !told[*arn] {
						told[*arn] = false
					}
				}
			}
		}
		for _, arn := range slices.Sorted(maps.Keys(told)) {
			if arn == "" {
				continue
			}
			if err := d.maySend(a, name, arn, told[arn]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Deployer) maySend(a *catalog.App, function, arn string, queue bool) error {
	place := d.cfg.Place
	refuse := func(hint, message string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: function, Message: message, Hint: hint, AWS: "InvalidParameterValueException"}
	}
	action, ok := place.Destination(arn)
	if !ok || queue && action != "sqs:SendMessage" {
		return refuse("name a standard queue or a function of this node: "+place.QueueARN("done")+"; dead letters go to queues alone",
			"asynchronous events of "+function+" cannot be told of to "+arn)
	}
	role := catalog.ExecutionRole(function)
	set, err := policy.Compile(casemate.Policies{Identity: map[string][]casemate.Statement{role: d.statements(a, function)}})
	if err != nil {
		return err
	}
	who := &casemate.Principal{Kind: casemate.KindRun, ID: role, Account: place.Account, Role: role}
	if x := set.Decide(&casemate.AccessRequest{Principal: who, Action: action, Resource: arn, Account: place.Account, Now: d.cfg.Clock()}); x.Verdict != casemate.Allowed {
		return refuse("grant it to the function's role: "+grantFor(action, arn), "the function "+function+" may not "+action+" on "+arn+", where its asynchronous events are to be told of")
	}
	return nil
}

// statements are what the role of a function lets it do: its own, or those of the role that Lambda's API was told it has.
func (d *Deployer) statements(a *catalog.App, function string) []casemate.Statement {
	role := catalog.ExecutionRole(function)
	if f := a.Functions[function]; f != nil && f.Manages().Role != "" {
		role = f.Manages().Role
	}
	if r, ok := a.Roles[role]; ok {
		return r.Statements
	}
	return d.cfg.Catalog.Snapshot().Statements(role)
}

// told finds the destinations of a manifest that cannot be, with their places.
func (d *Deployer) told(a *catalog.App, m *manifest.Manifest, found *manifest.Problems) {
	for _, name := range slices.Sorted(maps.Keys(a.Functions)) {
		f := m.Functions[name]
		if f == nil || f.Async == nil {
			continue
		}
		for _, x := range []struct{ key, said string }{{"on_success", f.Async.OnSuccess}, {"on_failure", f.Async.OnFailure}, {"dead_letter", f.Async.DeadLetter}} {
			if x.said == "" {
				continue
			}
			if err := d.maySend(a, name, destination(d.cfg.Place, x.said), x.key == "dead_letter"); err != nil {
				e, ptr := casemate.AsError(err), "/functions/"+manifest.Escape(name)+"/async/"+x.key
				found.Add(m.At(ptr), ptr, e.Hint, "%s", e.Message)
			}
		}
	}
}

func grantFor(action, arn string) string {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	if action == "sqs:SendMessage" {
		return `grants: ["send queue/` + name + `"]`
	}
	return action + " on " + arn
}
