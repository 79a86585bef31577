package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/queue"
	"casemate/service/shape"
)

type createIn struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

func (in *createIn) queue(place casemate.Place) (string, error) {
	if in.QueueName == "" {
		return "", missing("QueueName")
	}
	name, err := named(in.QueueName)
	return queue.ARN(place, name), err
}

type urlOut struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *service) create(ctx context.Context, l *casemate.Launch, in *createIn) (any, error) {
	spec := queue.Defaults()
	spec.FIFO = in.Attributes["FifoQueue"] == "true"
	if err := queue.CheckName(in.QueueName, spec.FIFO); err != nil {
		return nil, err
	}
	if err := spec.Set(in.Attributes); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if q, err := s.Room.Queue(in.QueueName); err == nil { // there already: the same in what was said
		d := q.Definition()
		same := d.Spec
		if err := same.Set(in.Attributes); err != nil || !maps.Equal(same.Values(), d.Spec.Values()) {
			return nil, shape.Failure(casemate.Conflict, "QueueNameExists", "A queue already exists with the same name and a different value for an attribute.")
		}
		return urlOut{s.urlOf(l, q.Name)}, nil
	}
	if err := s.mayBury(l, nil, spec.Redrive); err != nil {
		return nil, err
	}
	q, err := s.Room.Create(ctx, in.QueueName, spec, in.Tags, "")
	if err != nil {
		return nil, err
	}
	return urlOut{s.urlOf(l, q.Name)}, nil
}

type queueIn struct{ home }

func (s *service) remove(ctx context.Context, _ *casemate.Launch, in *queueIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	if s.Reserved != nil {
		if err := s.Reserved(q.Definition()); err != nil {
			return nil, err
		}
	}
	return nil, s.Room.Delete(ctx, q.Name)
}

type urlIn struct {
	QueueName              string
	QueueOwnerAWSAccountID string `json:"QueueOwnerAWSAccountId"`
}

func (in *urlIn) queue(place casemate.Place) (string, error) {
	c := createIn{QueueName: in.QueueName}
	if in.QueueOwnerAWSAccountID != "" && in.QueueOwnerAWSAccountID != place.Account {
		return "", shape.Failure(casemate.NotFound, "QueueDoesNotExist", "The specified queue does not exist.")
	}
	return c.queue(place)
}

func (s *service) url(_ context.Context, l *casemate.Launch, in *urlIn) (any, error) {
	q, err := s.Room.Queue(in.QueueName)
	if err != nil {
		return nil, err
	}
	return urlOut{s.urlOf(l, q.Name)}, nil
}

type attributesIn struct {
	home
	AttributeNames []string
}

type attributesOut struct {
	Attributes map[string]string `json:",omitempty"`
}

func (s *service) attributes(_ context.Context, _ *casemate.Launch, in *attributesIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	d, c := q.Definition(), q.Counts()
	all := d.Spec.Values()
	all["QueueArn"] = q.ARN
	all["CreatedTimestamp"], all["LastModifiedTimestamp"] = strconv.FormatInt(d.Created.Unix(), 10), strconv.FormatInt(d.Modified.Unix(), 10)
	all["ApproximateNumberOfMessages"] = strconv.Itoa(c.Visible)
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(c.InFlight)
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(c.Delayed)
	out := map[string]string{}
	for _, name := range in.AttributeNames {
		if name == "All" {
			return attributesOut{all}, nil
		}
		v, known := all[name]
		if !known && !attributeKnown(name) {
			return nil, unknown(name)
		}
		if known {
			out[name] = v
		}
	}
	return attributesOut{out}, nil
}

// attributeKnown are names that a queue may have nothing for.
func attributeKnown(name string) bool {
	return slices.Contains([]string{"Policy", "RedrivePolicy", "RedriveAllowPolicy", "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope",
		"FifoThroughputLimit", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"}, name)
}

type setIn struct {
	home
	Attributes map[string]string
}

func (s *service) setAttributes(ctx context.Context, l *casemate.Launch, in *setIn) (any, error) {
	if len(in.Attributes) == 0 {
		return nil, missing("Attribute.Name")
	}
	return nil, s.changeQueue(ctx, &in.home, func(d *queue.Definition) error {
		was := d.Spec.Redrive
		if err := d.Spec.Set(in.Attributes); err != nil {
			return err
		}
		return s.mayBury(l, was, d.Spec.Redrive)
	})
}

// mayBury asks whether the caller may send to a dead-letter queue that it names: whoever fills a queue and takes from it sends, by
// its redrive policy, whatever it likes to that one. SQS leaves this to a RedriveAllowPolicy, which nobody has by default.
func (s *service) mayBury(l *casemate.Launch, was, is *queue.Redrive) error {
	if is == nil || was != nil && was.Target == is.Target {
		return nil
	}
	return s.May(l, "sqs:SendMessage", is.Target)
}

type listIn struct {
	QueueNamePrefix string
	MaxResults      *int
	NextToken       string
}

func (in *listIn) queue(place casemate.Place) (string, error) { return queue.ARN(place, "*"), nil }

type listOut struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

func (s *service) list(_ context.Context, l *casemate.Launch, in *listIn) (any, error) {
	var names []string
	for _, q := range s.Room.List(in.QueueNamePrefix) {
		names = append(names, q.Name)
	}
	page, next, err := pageOf(names, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := listOut{NextToken: next}
	for _, name := range page {
		out.QueueUrls = append(out.QueueUrls, s.urlOf(l, name))
	}
	return out, nil
}

// pageOf cuts a page out of sorted names. Without a bound there is one page of a thousand, as on AWS.
func pageOf(names []string, asked *int, token string) (page []string, next string, err error) {
	if err := between("MaxResults", asked, 1, 1000, "MaxResults must be an integer between 1 and 1000."); err != nil {
		return nil, "", err
	}
	if token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", invalid("Invalid or expired next token.")
		}
		at, found := slices.BinarySearch(names, string(after))
		if found {
			at++
		}
		names = names[at:]
	}
	bound := 1000
	if asked != nil {
		bound = *asked
	}
	if len(names) > bound {
		names = names[:bound]
		if asked != nil {
			next = base64.RawURLEncoding.EncodeToString([]byte(names[bound-1]))
		}
	}
	return names, next, nil
}

type sourcesIn struct {
	home
	MaxResults *int
	NextToken  string
}

type sourcesOut struct {
	QueueUrls []string `json:"queueUrls"`
	NextToken string   `json:",omitempty"`
}

func (s *service) sources(_ context.Context, l *casemate.Launch, in *sourcesIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(s.Room.Sources(q.Name), in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := sourcesOut{QueueUrls: []string{}, NextToken: next}
	for _, name := range page {
		out.QueueUrls = append(out.QueueUrls, s.urlOf(l, name))
	}
	return out, nil
}

func (s *service) purge(ctx context.Context, _ *casemate.Launch, in *queueIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	return nil, q.Purge(ctx)
}

func checkTags(tags map[string]string) error {
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("Tag keys are 1 to 128 characters that do not begin with aws:, values 256 at most.")
		}
	}
	return nil
}

type tagIn struct {
	home
	Tags map[string]string
}

func (s *service) tag(ctx context.Context, _ *casemate.Launch, in *tagIn) (any, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, s.changeQueue(ctx, &in.home, func(d *queue.Definition) error {
		if d.Tags == nil {
			d.Tags = map[string]string{}
		}
		maps.Copy(d.Tags, in.Tags)
		return nil
	})
}

type untagIn struct {
	home
	TagKeys []string
}

func (s *service) untag(ctx context.Context, _ *casemate.Launch, in *untagIn) (any, error) {
	if len(in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	return nil, s.changeQueue(ctx, &in.home, func(d *queue.Definition) error {
		for _, k := range in.TagKeys {
			delete(d.Tags, k)
		}
		return nil
	})
}

type tagsOut struct {
	Tags map[string]string `json:",omitempty"`
}

func (s *service) tags(_ context.Context, _ *casemate.Launch, in *queueIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	return tagsOut{q.Definition().Tags}, nil
}

type permissionIn struct {
	home
	Label         string
	AWSAccountIds []string
	Actions       []string
}

// Actions that a queue's policy may allow to others, and those that are its owner's alone.
const (
	sharedActions = "* SendMessage ReceiveMessage DeleteMessage ChangeMessageVisibility GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues PurgeQueue"
	ownActions    = "AddPermission CancelMessageMoveTask CreateQueue DeleteQueue ListMessageMoveTasks ListQueues ListQueueTags RemovePermission SetQueueAttributes " +
		"StartMessageMoveTask TagQueue UntagQueue"
)

// check holds a permission to SQS's rules before it becomes a statement, which nothing would ever match otherwise.
func (in *permissionIn) check() error {
	if !made(in.Label) {
		return value("Label", in.Label, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	for _, id := range in.AWSAccountIds {
		if len(id) != 12 || strings.Trim(id, "0123456789") != "" {
			return value("PrincipalId", id, "Unable to verify.")
		}
	}
	for _, a := range in.Actions {
		switch {
		case slices.Contains(strings.Fields(ownActions), a):
			return value("ActionName", "SQS:"+a, "Only the queue owner is allowed to invoke this action.")
		case !slices.Contains(strings.Fields(sharedActions), a):
			return value("ActionName", "SQS:"+a, "Please refer to the appropriate WSDL for a list of valid actions.")
		}
	}
	return nil
}

// addPermission writes a statement into the queue's policy, as SQS does
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html).
func (s *service) addPermission(ctx context.Context, _ *casemate.Launch, in *permissionIn) (any, error) {
	switch {
	case in.Label == "":
		return nil, missing("Label")
	case len(in.AWSAccountIds) == 0:
		return nil, missing("AWSAccountId")
	case len(in.Actions) == 0:
		return nil, missing("ActionName")
	case len(in.Actions) > 7:
		return nil, shape.Failure(casemate.Exhausted, "OverLimit", strconv.Itoa(len(in.Actions))+" Actions were found, maximum allowed is 7.")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	actions, people := []string{}, []string{}
	for _, a := range in.Actions {
		actions = append(actions, "SQS:"+a)
	}
	for _, id := range in.AWSAccountIds {
		people = append(people, "arn:aws:iam::"+id+":root")
	}
	return nil, s.changeQueue(ctx, &in.home, func(d *queue.Definition) error {
		p, err := s.policy(d)
		if err != nil {
			return err
		}
		for _, st := range p.Statement {
			if sid(st) == in.Label {
				return invalid("Value " + in.Label + " for parameter Label is invalid. Reason: Already exists.")
			}
		}
		st, _ := json.Marshal(map[string]any{"Sid": in.Label, "Effect": "Allow", "Principal": map[string]any{"AWS": people}, "Action": actions,
			"Resource": queue.ARN(s.Place, d.Name)}) // plain strings
		p.Statement = append(p.Statement, st)
		return p.into(d)
	})
}

func (s *service) policy(d *queue.Definition) (policyDocument, error) {
	p := policyDocument{Version: "2012-10-17", ID: queue.ARN(s.Place, d.Name) + "/SQSDefaultPolicy"}
	if d.Spec.Policy == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(d.Spec.Policy), &p); err != nil {
		return p, shape.Failure(casemate.Conflict, "UnsupportedOperation", "The policy of the queue is not one that statements can be added to.")
	}
	return p, nil
}

func (p *policyDocument) into(d *queue.Definition) error {
	if len(p.Statement) == 0 {
		d.Spec.Policy = ""
		return nil
	}
	b, err := json.Marshal(p)
	d.Spec.Policy = string(b)
	return err
}

func sid(st json.RawMessage) string {
	var x struct{ Sid string }
	if json.Unmarshal(st, &x) != nil {
		return ""
	}
	return x.Sid
}

func (s *service) removePermission(ctx context.Context, _ *casemate.Launch, in *permissionIn) (any, error) {
	if in.Label == "" {
		return nil, missing("Label")
	}
	return nil, s.changeQueue(ctx, &in.home, func(d *queue.Definition) error {
		p, err := s.policy(d)
		if err != nil {
			return err
		}
		n := len(p.Statement)
		if p.Statement = slices.DeleteFunc(p.Statement, func(st json.RawMessage) bool { return sid(st) == in.Label }); len(p.Statement) == n {
			return invalid("Value " + in.Label + " for parameter Label is invalid. Reason: can't find label.")
		}
		return p.into(d)
	})
}
