package sqs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/queue"
	"casemate/service/shape"
)

// attribute is a message attribute on the wire.
type attribute struct {
	DataType         string
	StringValue      *string  `json:",omitempty"`
	BinaryValue      []byte   `json:",omitempty"`
	StringListValues []string `json:",omitempty"`
	BinaryListValues [][]byte `json:",omitempty"`
}

// messageIn is one message to be sent.
type messageIn struct {
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]attribute
	MessageSystemAttributes map[string]attribute
	MessageDeduplicationID  string `json:"MessageDeduplicationId"`
	MessageGroupID          string `json:"MessageGroupId"`
}

func (in *messageIn) outgoing(l *casemate.Launch) (queue.Outgoing, error) {
	o := queue.Outgoing{Body: in.MessageBody, Group: in.MessageGroupID, Dedup: in.MessageDeduplicationID, Sender: l.Principal.Name(), Delay: seconds(in.DelaySeconds),
		Lineage: casemate.LineageOf(l.Event)}
	if len(in.MessageAttributes) > 0 {
		o.Attributes = map[string]queue.Attribute{}
	}
	for name, a := range in.MessageAttributes {
		if len(a.StringListValues)+len(a.BinaryListValues) > 0 {
			return o, shape.Failure(casemate.Invalid, "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported.")
		}
		x := queue.Attribute{DataType: a.DataType, Binary: a.BinaryValue}
		if a.StringValue != nil {
			x.Text = *a.StringValue
		}
		o.Attributes[name] = x
	}
	for name, a := range in.MessageSystemAttributes {
		if name != "AWSTraceHeader" || a.DataType != "String" || a.StringValue == nil {
			return o, invalid("The only supported message system attribute is AWSTraceHeader, of type String.")
		}
		o.Trace = *a.StringValue
	}
	return o, nil
}

// size is what counts against the bound of a batch, as of a message: the body, and name, type and value of each attribute.
func (in *messageIn) size() int {
	n := len(in.MessageBody)
	for name, a := range in.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			n += len(*a.StringValue)
		}
	}
	return n
}

func seconds(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	if *n > 1e9 || *n < -1e9 { // it would overflow: any bound refuses it
		d = 1 << 62
	}
	return &d
}

type sendIn struct {
	home
	messageIn
}

type sentOut struct {
	ID                           string `json:"Id,omitempty"` // of a batch
	MessageID                    string `json:"MessageId"`
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
	SequenceNumber               string `json:",omitempty"`
}

func sentOf(id string, x *queue.Sent) sentOut {
	return sentOut{id, x.ID, x.BodyMD5, x.AttributeMD5, x.TraceMD5, x.Sequence}
}

func (s *service) send(ctx context.Context, l *casemate.Launch, in *sendIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	o, err := in.outgoing(l)
	if err != nil {
		return nil, err
	}
	sent, errs := q.Send(ctx, []queue.Outgoing{o})
	if errs[0] != nil {
		return nil, errs[0]
	}
	return sentOf("", &sent[0]), nil
}

// failure is an entry of a batch that did not go through.
type failure struct {
	ID          string `json:"Id"`
	SenderFault bool
	Code        string
	Message     string
}

// batchOut is the answer to a batch: each entry is in one of the two.
type batchOut[T any] struct {
	Successful []T
	Failed     []failure `json:",omitempty"`
}

func (b *batchOut[T]) fail(id string, err error) {
	e := casemate.AsError(spoken(err))
	code := e.AWS
	if code == "" {
		code = "InternalError"
	}
	b.Failed = append(b.Failed, failure{id, e.Code.HTTP() < 500, code, e.Message})
}

// made says whether a name is made of letters, digits, hyphens and underscores, 1 to 80 of them.
func made(name string) bool {
	ok := name != "" && len(name) <= 80
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	return ok
}

// checkBatch holds the ids of a batch to SQS's rules.
func checkBatch(ids []string) error {
	if len(ids) == 0 {
		return shape.Failure(casemate.Invalid, "EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(ids) > queue.MaxBatch {
		return shape.Failure(casemate.Invalid, "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent "+strconv.Itoa(len(ids))+".")
	}
	for i, id := range ids {
		if !made(id) {
			return shape.Failure(casemate.Invalid, "InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if slices.Index(ids, id) < i {
			return shape.Failure(casemate.Invalid, "BatchEntryIdsNotDistinct", "Id "+id+" repeated.")
		}
	}
	return nil
}

type sendBatchIn struct {
	home
	Entries []struct {
		ID string `json:"Id"`
		messageIn
	}
}

func (s *service) sendBatch(ctx context.Context, l *casemate.Launch, in *sendBatchIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	var ids []string
	size := 0
	for i := range in.Entries {
		ids = append(ids, in.Entries[i].ID)
		size += in.Entries[i].size()
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	if size > queue.MaxBody {
		return nil, shape.Failure(casemate.Invalid, "BatchRequestTooLong", "Batch requests cannot be longer than "+strconv.Itoa(queue.MaxBody)+" bytes. You have sent "+strconv.Itoa(size)+" bytes.")
	}
	out := batchOut[sentOut]{Successful: []sentOut{}}
	var list []queue.Outgoing
	var names []string
	for i := range in.Entries {
		o, err := in.Entries[i].outgoing(l)
		if err != nil {
			out.fail(ids[i], err)
			continue
		}
		list, names = append(list, o), append(names, ids[i])
	}
	sent, errs := q.Send(ctx, list)
	for i := range list {
		if errs[i] != nil {
			out.fail(names[i], errs[i])
			continue
		}
		out.Successful = append(out.Successful, sentOf(names[i], &sent[i]))
	}
	return out, nil
}

type receiveIn struct {
	home
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	ReceiveRequestAttemptID     string `json:"ReceiveRequestAttemptId"`
}

type messageOut struct {
	MessageID              string `json:"MessageId"`
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string    `json:",omitempty"`
	MD5OfMessageAttributes string               `json:",omitempty"`
	MessageAttributes      map[string]attribute `json:",omitempty"`
}

type receiveOut struct {
	Messages []messageOut `json:",omitempty"`
}

func (s *service) receive(ctx context.Context, l *casemate.Launch, in *receiveIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	if err := in.check(q.Definition().Spec.FIFO); err != nil {
		return nil, err
	}
	ask := queue.Ask{Most: 1, Wait: q.Definition().Spec.Wait, Visibility: seconds(in.VisibilityTimeout), For: l.Principal.Account + " " + l.Principal.Payer()}
	if in.MaxNumberOfMessages != nil {
		ask.Most = *in.MaxNumberOfMessages
	}
	if in.WaitTimeSeconds != nil {
		ask.Wait = *seconds(in.WaitTimeSeconds)
	}
	list, err := q.Receive(ctx, ask)
	if err != nil {
		return nil, err
	}
	out := receiveOut{}
	system := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	for i := range list {
		out.Messages = append(out.Messages, received(&list[i], system, in.MessageAttributeNames))
	}
	return out, nil
}

// Names that a receiver may ask for: those of messages, and those of queues, which SDKs have one type for with the others.
const (
	messageAttributes = "All SenderId SentTimestamp ApproximateReceiveCount ApproximateFirstReceiveTimestamp SequenceNumber MessageDeduplicationId MessageGroupId " +
		"AWSTraceHeader DeadLetterQueueSourceArn"
	queueAttributes = "Policy VisibilityTimeout MaximumMessageSize MessageRetentionPeriod ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible " +
		"CreatedTimestamp LastModifiedTimestamp QueueArn ApproximateNumberOfMessagesDelayed DelaySeconds ReceiveMessageWaitTimeSeconds RedrivePolicy FifoQueue " +
		"ContentBasedDeduplication KmsMasterKeyId KmsDataKeyReusePeriodSeconds DeduplicationScope FifoThroughputLimit RedriveAllowPolicy SqsManagedSseEnabled"
)

// check holds a request for messages to SQS's bounds.
func (in *receiveIn) check(fifo bool) error {
	if err := between("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, queue.MaxBatch, "Must be between 1 and 10, if provided."); err != nil {
		return err
	}
	if err := between("WaitTimeSeconds", in.WaitTimeSeconds, 0, int(queue.MaxWait/time.Second), "Must be >= 0 and <= 20, if provided."); err != nil {
		return err
	}
	if err := between("VisibilityTimeout", in.VisibilityTimeout, 0, int(queue.MaxVisibility/time.Second), "Must be >= 0 and <= 43200, if provided."); err != nil {
		return err
	}
	known := strings.Fields(messageAttributes + " " + queueAttributes)
	for _, name := range slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames) {
		if !slices.Contains(known, name) {
			return unknown(name)
		}
	}
	switch id := in.ReceiveRequestAttemptID; {
	case id != "" && !fifo:
		return value("ReceiveRequestAttemptId", id, "The request include parameter that is not valid for this queue type.")
	case len(id) > 128:
		return value("ReceiveRequestAttemptId", id, "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	return nil
}

func received(m *queue.Message, system, named []string) messageOut {
	x := messageOut{MessageID: m.ID, ReceiptHandle: m.Handle, MD5OfBody: queue.BodyMD5(m.Body), Body: m.Body}
	all := m.System()
	for name, v := range all {
		if slices.Contains(system, "All") || slices.Contains(system, name) {
			if x.Attributes == nil {
				x.Attributes = map[string]string{}
			}
			x.Attributes[name] = v
		}
	}
	chosen := map[string]queue.Attribute{}
	for name, a := range m.Attributes {
		if !wanted(name, named) {
			continue
		}
		if x.MessageAttributes == nil {
			x.MessageAttributes = map[string]attribute{}
		}
		w := attribute{DataType: a.DataType, BinaryValue: a.Binary}
		if a.Binary == nil {
			w.StringValue = &a.Text
		}
		x.MessageAttributes[name], chosen[name] = w, a
	}
	x.MD5OfMessageAttributes = queue.AttributesMD5(chosen) // of those that are sent, which is what clients reckon with
	return x
}

// wanted matches a name of an attribute with what was asked for: All, .*, a name, or the beginning of one: "foo.*".
func wanted(name string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		stem, is := strings.CutSuffix(p, ".*")
		return p == "All" || p == name || is && (stem == "" || strings.HasPrefix(name, stem))
	})
}

type handleIn struct {
	home
	ReceiptHandle string
}

func (s *service) deleteMessage(ctx context.Context, _ *casemate.Launch, in *handleIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	if in.ReceiptHandle == "" {
		return nil, missing("ReceiptHandle")
	}
	return nil, q.Delete(ctx, []string{in.ReceiptHandle})[0]
}

type doneOut struct {
	ID string `json:"Id"`
}

type deleteBatchIn struct {
	home
	Entries []struct {
		ID            string `json:"Id"`
		ReceiptHandle string
	}
}

func (s *service) deleteBatch(ctx context.Context, _ *casemate.Launch, in *deleteBatchIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	var ids, handles []string
	for _, e := range in.Entries {
		ids, handles = append(ids, e.ID), append(handles, e.ReceiptHandle)
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	return done(ids, q.Delete(ctx, handles)), nil
}

func done(ids []string, errs []error) batchOut[doneOut] {
	out := batchOut[doneOut]{Successful: []doneOut{}}
	for i, err := range errs {
		if err != nil {
			out.fail(ids[i], err)
			continue
		}
		out.Successful = append(out.Successful, doneOut{ids[i]})
	}
	return out
}

type changeIn struct {
	home
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (s *service) change(ctx context.Context, _ *casemate.Launch, in *changeIn) (any, error) {
	q, err := s.open(&in.home)
	switch {
	case err != nil:
		return nil, err
	case in.ReceiptHandle == "":
		return nil, missing("ReceiptHandle")
	case in.VisibilityTimeout == nil:
		return nil, missing("VisibilityTimeout")
	}
	return nil, q.Change(ctx, []queue.Hide{{Handle: in.ReceiptHandle, For: *seconds(in.VisibilityTimeout)}})[0]
}

type changeBatchIn struct {
	home
	Entries []struct {
		ID                string `json:"Id"`
		ReceiptHandle     string
		VisibilityTimeout *int
	}
}

func (s *service) changeBatch(ctx context.Context, _ *casemate.Launch, in *changeBatchIn) (any, error) {
	q, err := s.open(&in.home)
	if err != nil {
		return nil, err
	}
	var ids []string
	var list []queue.Hide
	for _, e := range in.Entries {
		h := queue.Hide{Handle: e.ReceiptHandle, For: -1}
		if e.VisibilityTimeout != nil {
			h.For = *seconds(e.VisibilityTimeout)
		}
		ids, list = append(ids, e.ID), append(list, h)
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	return done(ids, q.Change(ctx, list)), nil
}
