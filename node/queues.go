package node

import (
	"context"
	"time"

	"casemate"
	"casemate/policy"
	"casemate/queue"
	"casemate/service/sqs"
)

// openQueues opens the message queues.
func (n *node) openQueues(ctx context.Context) (err error) {
	n.queues, err = queue.Open(ctx, queue.Config{Store: n.store, Place: n.cfg.Place, Clock: time.Now, Log: n.cfg.Log,
		Policy: func(name, document string) (any, error) {
			a, err := policy.Attach(queue.ARN(n.cfg.Place, name), []byte(document), "policy of queue "+name)
			if err != nil {
				return nil, &casemate.Error{Code: casemate.Invalid, AWS: "InvalidAttributeValue", Message: "Invalid value for the parameter Policy.",
					Hint: casemate.AsError(err).Error(), Err: err}
			}
			return a, nil
		}})
	if err != nil {
		return err
	}
	n.onClose(n.queues.Close)
	return nil
}

// queueOperations is SQS. What a manifest declares, its manifest alone changes.
func (n *node) queueOperations() []casemate.Operation {
	return sqs.Operations(sqs.Config{Room: n.queues, Place: n.cfg.Place, Clock: time.Now, Reserved: func(d *queue.Definition) error {
		if d.App == "" {
			return nil
		}
		return &casemate.Error{Code: casemate.Conflict, AWS: "UnsupportedOperation", Message: "The queue is declared by the app " + d.App + ": change it there and deploy."}
	}, May: n.mayQueue})
}

// mayQueue asks the policy in force, with the queue's own.
func (n *node) mayQueue(l *casemate.Launch, action, arn string) error {
	s := n.catalog.Snapshot()
	if s.Policy == nil {
		return casemate.Errorf(casemate.Forbidden, "deploy again", "no policy is loaded")
	}
	d := n.keeping(s.Policy, arn).Decide(&casemate.AccessRequest{Principal: l.Principal, Action: action, Resource: arn, Account: n.cfg.Place.Account,
		Now: time.Now(), Context: l.Event.Context})
	if d.Verdict == casemate.Allowed {
		return nil
	}
	return &casemate.Error{Code: casemate.Forbidden, AWS: "AccessDenied", Rule: d.Statement, Hint: d.Hint,
		Message: "User: " + l.Principal.ARN + " is not authorized to perform: " + action + " on resource: " + arn}
}

// keeping gives the policy in force with that of the queue that a request is about, where it has one of its own.
func (n *node) keeping(d casemate.Decider, arn string) casemate.Decider {
	set, ok := d.(*policy.Set)
	if !ok || n.queues == nil {
		return d
	}
	q, err := n.queues.ByARN(arn)
	if err != nil {
		return d
	}
	a, ok := q.Definition().Compiled.(*policy.Attachment)
	if !ok {
		return d
	}
	return set.With(a)
}
