// Package sqs is Amazon SQS as its SDKs speak to it, on the room of queues: requests read, errors and answers in the service's
// own words (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/). What a queue does is package queue's.
package sqs

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/queue"
	"casemate/service/shape"
)

// questionBody bounds a request: a message of 1 MiB may take six bytes for each of its own in JSON.
const questionBody = 6*queue.MaxBody + 64<<10

// receiveBody bounds a request for messages: a thousand that wait keep theirs in memory.
const receiveBody = 64 << 10

// Config is what the service stands on. All of it is needed.
type Config struct {
	Room  *queue.Room
	Place casemate.Place
	Clock func() time.Time
	// Reserved refuses a change of a queue that an app's manifest declares. nil: nobody is refused.
	Reserved func(d *queue.Definition) error
	// May asks the policy whether the caller may do something to a queue beside the one that its request is about.
	May func(l *casemate.Launch, action, arn string) error
}

type service struct{ Config }

// Operations are the service's. Those on batches need the permission of the single one, as on AWS.
func Operations(cfg Config) []casemate.Operation {
	s := &service{cfg}
	return []casemate.Operation{
		operation(s, "CreateQueue", "CreateQueue", s.create),
		operation(s, "DeleteQueue", "DeleteQueue", s.remove),
		operation(s, "GetQueueUrl", "GetQueueUrl", s.url),
		operation(s, "GetQueueAttributes", "GetQueueAttributes", s.attributes),
		operation(s, "SetQueueAttributes", "SetQueueAttributes", s.setAttributes),
		operation(s, "ListQueues", "ListQueues", s.list),
		operation(s, "ListDeadLetterSourceQueues", "ListDeadLetterSourceQueues", s.sources),
		operation(s, "PurgeQueue", "PurgeQueue", s.purge),
		operation(s, "TagQueue", "TagQueue", s.tag),
		operation(s, "UntagQueue", "UntagQueue", s.untag),
		operation(s, "ListQueueTags", "ListQueueTags", s.tags),
		operation(s, "AddPermission", "AddPermission", s.addPermission),
		operation(s, "RemovePermission", "RemovePermission", s.removePermission),
		operation(s, "SendMessage", "SendMessage", s.send),
		operation(s, "SendMessageBatch", "SendMessage", s.sendBatch),
		operation(s, "ReceiveMessage", "ReceiveMessage", s.receive),
		operation(s, "DeleteMessage", "DeleteMessage", s.deleteMessage),
		operation(s, "DeleteMessageBatch", "DeleteMessage", s.deleteBatch),
		operation(s, "ChangeMessageVisibility", "ChangeMessageVisibility", s.change),
		operation(s, "ChangeMessageVisibilityBatch", "ChangeMessageVisibility", s.changeBatch),
		operation(s, "StartMessageMoveTask", "StartMessageMoveTask", s.startMove),
		operation(s, "ListMessageMoveTasks", "ListMessageMoveTasks", s.listMoves),
		operation(s, "CancelMessageMoveTask", "CancelMessageMoveTask", s.cancelMove),
	}
}

// about is a request that says which queue it is about.
type about interface {
	queue(place casemate.Place) (arn string, err error)
}

// words are the service's own for requests that cannot be read.
func words() *shape.Service {
	return &shape.Service{Name: "sqs", Unknown: "InvalidParameterValue", Spoken: spoken}
}

// spoken gives an error of the room a code of the service.
func spoken(err error) error {
	if err == nil {
		return nil
	}
	e := *casemate.AsError(err)
	switch {
	case e.AWS != "":
	case e.Code == casemate.Exhausted:
		e.AWS = "RequestThrottled"
	case e.Code == casemate.Conflict, e.Code == casemate.Invalid:
		e.AWS = "UnsupportedOperation"
	}
	return &e
}

func operation[In any, P interface {
	*In
	about
}](s *service, name, action string, run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	body := int64(questionBody)
	if name == "ReceiveMessage" {
		body = receiveBody
	}
	o := shape.Operation(words(), name, body, func(place casemate.Place, in *In) (string, error) { return P(in).queue(place) }, run)
	o.Action = "sqs:" + action
	return o
}

// home is the queue of a request, by its URL. Any host will do: SDKs send what they were answered, or the endpoint that they
// were given, and the path /<account>/<name> is what names a queue.
type home struct {
	QueueURL string `json:"QueueUrl"`
}

func (h *home) queue(place casemate.Place) (string, error) {
	name, err := h.name(place)
	return queue.ARN(place, name), err
}

func (h *home) name(place casemate.Place) (string, error) {
	if h.QueueURL == "" {
		return "", missing("QueueUrl")
	}
	u, err := url.Parse(h.QueueURL)
	if err != nil {
		return "", address(h.QueueURL)
	}
	account, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !ok {
		account, name = place.Account, account // a name alone, as some tools send it
	}
	if account != place.Account {
		return "", shape.Failure(casemate.NotFound, "QueueDoesNotExist", "The specified queue does not exist.")
	}
	return named(name)
}

// named holds a name to the rule before a policy is asked about it.
func named(name string) (string, error) {
	if err := queue.CheckName(name, strings.HasSuffix(name, ".fifo")); err != nil {
		return "", err
	}
	return name, nil
}

func address(_ string) error {
	return shape.Failure(casemate.Invalid, "InvalidAddress", "The address of the queue is not valid for this endpoint.")
}

func missing(parameter string) error {
	return shape.Failure(casemate.Invalid, "MissingParameter", "The request must contain the parameter "+parameter+".")
}

func invalid(message string) error {
	return shape.Failure(casemate.Invalid, "InvalidParameterValue", message)
}

// value refuses what a parameter says.
func value(parameter, v, reason string) error {
	return invalid("Value " + clip(v) + " for parameter " + parameter + " is invalid. Reason: " + reason)
}

// between holds a parameter that may be left out to its bounds.
func between(parameter string, n *int, low, high int, reason string) error {
	if n == nil || *n >= low && *n <= high {
		return nil
	}
	return value(parameter, strconv.Itoa(*n), reason)
}

func unknown(attribute string) error {
	return shape.Failure(casemate.Invalid, "InvalidAttributeName", "Unknown Attribute "+clip(attribute)+".")
}

// clip is what a caller wrote, short enough for an error and without what acts in a terminal.
func clip(text string) string {
	q := strconv.QuoteToASCII(text[:min(len(text), 80)])
	return q[1 : len(q)-1]
}

// open finds the queue of a request.
func (s *service) open(h *home) (*queue.Queue, error) {
	name, err := h.name(s.Place)
	if err != nil {
		return nil, err
	}
	return s.Room.Queue(name)
}

// change changes a queue that is not an app's.
func (s *service) changeQueue(ctx context.Context, h *home, change func(d *queue.Definition) error) error {
	q, err := s.open(h)
	if err != nil {
		return err
	}
	return s.Room.Change(ctx, q.Name, func(d *queue.Definition) error {
		if s.Reserved != nil {
			if err := s.Reserved(d); err != nil {
				return err
			}
		}
		return change(d)
	})
}

// urlOf is a queue's URL as the caller reaches it: at the host that it signed for.
func (s *service) urlOf(l *casemate.Launch, name string) string {
	host, scheme := "localhost", "http"
	if c := l.Event.Credential.Signed; c != nil && len(c.Header["host"]) == 1 {
		host = c.Header["host"][0]
		if v := l.Event.Context["aws:securetransport"]; l.Event.Source == casemate.SourceAWS && len(v) == 1 && v[0] == "true" {
			scheme = "https"
		}
	}
	return scheme + "://" + host + "/" + s.Place.Account + "/" + name
}

// policyDocument is a queue's policy as AddPermission and RemovePermission write it.
type policyDocument struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}
