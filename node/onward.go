package node

import (
	"context"
	"encoding/json"

	"casemate"
	"casemate/gate"
	"casemate/store"
	"casemate/telemetry"
)

// told is who is told of a function's asynchronous events that name no version; nil: nobody.
func (n *node) told(function string) *casemate.Destinations {
	m, err := n.catalog.Resolve(&casemate.Event{Source: casemate.SourceAdmin, Target: casemate.Target{Function: function}})
	if err != nil || m.Version == nil {
		return nil
	}
	if m.Told != nil {
		return m.Told
	}
	d := m.Version.Told()
	if d == (casemate.Destinations{}) {
		return nil
	}
	return &d
}

// waits is what metrics tell of the queue.
func (n *node) waits(q store.Queue) []telemetry.Waiting {
	all, err := waiting(context.Background(), q)
	if err != nil {
		n.cfg.Log.Warn("counting asynchronous events", "err", err)
	}
	out := make([]telemetry.Waiting, len(all))
	for i, f := range all {
		out[i] = telemetry.Waiting{Function: f.Function, Events: f.Queued, Oldest: f.Oldest}
	}
	return out
}

// sendQuestion is SendMessage of Amazon SQS, as an SDK would ask for it.
type sendQuestion struct {
	QueueURL   string                   `json:"QueueUrl"`
	Body       string                   `json:"MessageBody"`
	Attributes map[string]sendAttribute `json:"MessageAttributes,omitempty"`
}

type sendAttribute struct {
	DataType    string
	StringValue string
}

// onward is word of how an asynchronous event ended, as an event of its function's own role.
func (n *node) onward(o *gate.Onward) (*casemate.Event, error) {
	place := n.cfg.Place
	action, ok := place.Destination(o.To)
	if !ok {
		return nil, casemate.Errorf(casemate.Invalid, "deploy the function with another destination", "%s is no destination of this node", o.To)
	}
	who := &casemate.Principal{Kind: casemate.KindRun, ID: o.Role, Account: place.Account, Role: o.Role,
		ARN: "arn:aws:sts::" + place.Account + ":assumed-role/" + o.Role + "/" + o.Name}
	e := &casemate.Event{ID: casemate.NewID(), Source: casemate.SourceDestination, Action: action, Resource: o.To, Attempt: 1,
		Credential: casemate.Credential{Kind: casemate.CredentialDestination, As: who}, ContentType: "application/json",
		Context: map[string][]string{"lambda:sourcefunctionarn": {o.Function}}}
	if action == "lambda:InvokeFunction" {
		e.Target.Function, e.Payload, e.Async = o.To, o.Body, true
	} else {
		q := sendQuestion{Body: string(o.Body)}
		name, _ := place.QueueName(o.To)
		q.QueueURL = "http://localhost/" + place.Account + "/" + name
		if len(o.Attributes) > 0 {
			q.Attributes = map[string]sendAttribute{}
		}
		for _, a := range o.Attributes {
			q.Attributes[a.Name] = sendAttribute{a.Type, a.Value}
		}
		body, err := json.Marshal(&q)
		if err != nil {
			return nil, err
		}
		e.Target.Builtin, e.Payload = "sqs.SendMessage", body
	}
	e.Size = int64(len(e.Payload))
	return e, nil
}
