package sam

import (
	"encoding/json"
	"strings"

	"casemate/sam/template"
)

// queue translates AWS::SQS::Queue
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-sqs-queue.html).
func (t *translator) queue(r *template.Resource) {
	q, path := mapping(r.At), "Resources/"+r.ID+"/Properties"
	seconds := func(m template.Member, key string, low, high int) {
		if n, ok := r.Properties.IntAt(m.Key, path, low, high, &t.found); ok && n > 0 {
			set(q, key, text(m.Value.At, unit(n, "s")))
		}
	}
	for _, m := range r.Properties.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "QueueName", "FifoQueue", "SqsManagedSseEnabled":
		case "VisibilityTimeout":
			seconds(m, "visibility", 1, 43200)
		case "DelaySeconds":
			seconds(m, "delay", 0, 900)
		case "MessageRetentionPeriod":
			seconds(m, "retention", 60, 1209600)
		case "ReceiveMessageWaitTimeSeconds":
			seconds(m, "wait", 0, 20)
		case "MaximumMessageSize":
			if n, ok := r.Properties.IntAt(m.Key, path, 1024, 1048576, &t.found); ok {
				set(q, "max_size", text(m.Value.At, unit(n, "B")))
			}
		case "RedrivePolicy":
			t.redrive(q, m.Value, at)
		case "ContentBasedDeduplication":
			if on, ok := r.Properties.BoolAt(m.Key, path, &t.found); ok && on {
				set(q, "dedup", text(m.Value.At, "content"))
			}
		case "DeduplicationScope":
			set(q, "dedup_scope", text(m.Value.At, map[string]string{"messageGroup": "group"}[m.Value.Text]+map[string]string{"queue": "queue"}[m.Value.Text]))
		case "RedriveAllowPolicy":
			t.note(Ignored, r.Type, m.KeyAt, at, "only queues of this app send their dead letters there")
		case "FifoThroughputLimit":
			t.note(Ignored, r.Type, m.KeyAt, at, "a queue is as fast as the node")
		case "Tags":
			t.note(Ignored, r.Type, m.KeyAt, at, "nothing here is found by tags")
		case "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds":
			t.bad(m.KeyAt, at, "leave it out", "the key cannot be used here")
		default:
			t.bad(m.KeyAt, at, "", "%s has no such property", r.Type)
		}
	}
	name := t.names.of(r.ID, r.Type)
	t.put("queues", name, *q)
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "queue %s", name)
}

// redrive reads a RedrivePolicy, a mapping or the JSON of one.
func (t *translator) redrive(q *template.Value, v template.Value, path string) {
	if v.Kind == template.String {
		var p struct {
			Target string      `json:"deadLetterTargetArn"`
			Count  json.Number `json:"maxReceiveCount"`
		}
		if err := json.Unmarshal([]byte(v.Text), &p); err != nil {
			t.bad(v.At, path, "write it as a mapping", "this is no redrive policy")
			return
		}
		m := mapping(v.At)
		set(m, "deadLetterTargetArn", text(v.At, p.Target))
		set(m, "maxReceiveCount", text(v.At, p.Count.String()))
		v = *m
	}
	target, _ := v.Get("deadLetterTargetArn")
	r := t.byARN(target, "AWS::SQS::Queue")
	n, ok := v.IntAt("maxReceiveCount", path, 1, 1000, &t.found)
	if r == nil || !ok {
		t.bad(v.At, path, "{deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5}", "the dead-letter queue is no queue of this template")
		return
	}
	d := mapping(v.At)
	set(d, "queue", text(target.At, t.names.of(r.ID, r.Type)))
	set(d, "max_receives", number(v.At, n))
	set(q, "dead_letter", *d)
}

// queuePolicy says who else may use queues. Services that are not served send nothing.
func (t *translator) queuePolicy(r *template.Resource) {
	path := "Resources/" + r.ID + "/Properties"
	doc, _ := r.Properties.Get("PolicyDocument")
	list, _ := r.Properties.Get("Queues")
	for i, q := range list.List {
		name := q.Text[strings.LastIndexByte(q.Text, '/')+1:]
		if q.Unknown != "" || t.byARN(text(q.At, name), "AWS::SQS::Queue") == nil {
			t.bad(q.At, indexed(path+"/Queues", i), "declare the queue in the template", "there is no such queue in the template")
			continue
		}
		for n, s := range statementsOf(doc) {
			t.resourceStatement("queue/"+name, r.Type, s, indexed(path+"/PolicyDocument/Statement", n))
		}
	}
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "policy of queues")
}

// resourceStatement adds a statement to the policy of one resource of the manifest, which it is about without saying so.
func (t *translator) resourceStatement(key, typ string, s template.Value, path string) {
	who, _ := s.Get("Principal")
	effect, _ := s.Get("Effect")
	if _, service := who.Get("Service"); service && len(who.Members) == 1 && effect.Text == "Allow" {
		t.note(NotServed, typ, s.At, path, "no service sends anything to %s", key)
		return
	}
	kept, ok := t.statement(typ, s, path)
	if !ok {
		return
	}
	own := mapping(s.At)
	for _, m := range kept.Members {
		if m.Key != "Resource" || m.Value.Text != "*" {
			own.Members = append(own.Members, m)
		}
	}
	t.attach(key, *own)
}

// attach adds a statement to the policy of a resource of the manifest.
func (t *translator) attach(key string, s template.Value) {
	all, _ := t.doc.Get("resources")
	have, _ := all.Get(key)
	t.put("resources", key, template.Value{Kind: template.List, At: s.At, List: append(append([]template.Value{}, have.List...), s)})
}

// polled translates what brings the messages of a queue to a function: an event of type SQS, or an event source mapping
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-sqs.html).
func (t *translator) polled(f *function, source template.Value, props template.Value, at template.Position, path string) {
	name := source.Text[strings.LastIndexByte(source.Text, ':')+1:]
	if source.Unknown != "" || !strings.HasPrefix(source.Text, "arn:aws:sqs:") {
		t.bad(at, path, "Queue: !GetAtt Jobs.Arn", "the queue is not known here")
		return
	}
	e := mapping(at)
	set(e, "queue", text(source.At, name))
	for _, m := range props.Members {
		where := path + "/" + m.Key
		switch m.Key {
		case "Queue", "EventSourceArn", "FunctionName":
		case "BatchSize":
			if n, ok := props.IntAt(m.Key, path, 1, 10000, &t.found); ok {
				set(e, "batch", number(m.Value.At, n))
			}
		case "MaximumBatchingWindowInSeconds":
			if n, ok := props.IntAt(m.Key, path, 0, 300, &t.found); ok && n > 0 {
				set(e, "window", text(m.Value.At, unit(n, "s")))
			}
		case "Enabled":
			if on, ok := props.BoolAt(m.Key, path, &t.found); ok && !on {
				set(e, "state", text(m.Value.At, "disabled"))
			}
		case "FunctionResponseTypes":
			for _, x := range m.Value.List {
				if x.Text != "ReportBatchItemFailures" {
					t.bad(x.At, where, "ReportBatchItemFailures", "%s is no type of response", x.Quoted())
				}
				set(e, "partial", text(x.At, "report"))
			}
		case "FilterCriteria":
			t.filters(e, m.Value, where)
		case "ScalingConfig":
			if n, ok := m.Value.IntAt("MaximumConcurrency", where, 2, 1000, &t.found); ok {
				set(e, "concurrency", number(m.Value.At, n))
			}
		case "MetricsConfig", "ProvisionedPollerConfig", "Tags":
			t.note(Ignored, f.Type, m.KeyAt, where, "a queue is asked by the node itself")
		case "KmsKeyArn":
			t.bad(m.KeyAt, where, "leave it out", "the key cannot be used here")
		default:
			t.bad(m.KeyAt, where, "", "there is no such property for a queue")
		}
	}
	add(f.doc, "events", *e)
}

// filters are patterns of the EventBridge language, as JSON.
func (t *translator) filters(e *template.Value, v template.Value, path string) {
	list, _ := v.Get("Filters")
	for _, x := range list.List {
		if p, ok := x.StringAt("Pattern", path, &t.found); ok {
			add(e, "filter", text(x.At, p))
		}
	}
}
