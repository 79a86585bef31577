package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"casemate"
	"casemate/queue"
	"casemate/service/shape"
)

// source is the dead-letter queue that a task is about.
type source struct{ SourceArn string }

func (in *source) queue(place casemate.Place) (string, error) {
	_, err := in.name(place)
	return in.SourceArn, err
}

func (in *source) name(place casemate.Place) (string, error) {
	if in.SourceArn == "" {
		return "", missing("SourceArn")
	}
	return nameOf(place, in.SourceArn)
}

// nameOf is the queue that an ARN names.
func nameOf(place casemate.Place, arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, queue.ARN(place, ""))
	if !ok {
		return "", shape.Failure(casemate.NotFound, "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	return named(name)
}

// handle names a task as SQS does: what it holds is nobody's secret.
type handle struct {
	TaskID    string `json:"taskId"`
	SourceArn string `json:"sourceArn"`
}

func (h handle) String() string {
	b, _ := json.Marshal(h) // two strings
	return base64.StdEncoding.EncodeToString(b)
}

type startMoveIn struct {
	source
	DestinationArn               string
	MaxNumberOfMessagesPerSecond *int
}

type handleOut struct{ TaskHandle string }

// startMove moves what is in a dead-letter queue. The caller must be allowed what the task does in its name: to take messages out
// of the one queue, and to send to each that it puts them in
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html).
func (s *service) startMove(_ context.Context, l *casemate.Launch, in *startMoveIn) (any, error) {
	from, err := in.name(s.Place)
	if err != nil {
		return nil, err
	}
	rate := 0
	if n := in.MaxNumberOfMessagesPerSecond; n != nil {
		if rate = *n; rate < 1 || rate > queue.MaxMoveRate {
			return nil, value("MaxNumberOfMessagesPerSecond", strconv.Itoa(rate), "Must be between 1 and 500, if provided.")
		}
	}
	if _, err := s.Room.Queue(from); err != nil {
		return nil, shape.Failure(casemate.NotFound, "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	to, targets := "", s.Room.Sources(from)
	if in.DestinationArn != "" {
		if to, err = nameOf(s.Place, in.DestinationArn); err != nil {
			return nil, err
		}
		targets = []string{to}
	}
	for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage"} {
		if err := s.May(l, action, in.SourceArn); err != nil {
			return nil, err
		}
	}
	for _, name := range targets {
		if err := s.May(l, "sqs:SendMessage", queue.ARN(s.Place, name)); err != nil {
			return nil, err
		}
	}
	m, err := s.Room.StartMove(from, to, targets, rate)
	if err != nil {
		return nil, err
	}
	return handleOut{handle{m.ID, in.SourceArn}.String()}, nil
}

type listMovesIn struct {
	source
	MaxResults *int
}

type moveOut struct {
	TaskHandle                        string `json:",omitempty"` // of one that can be ended
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:",omitempty"`
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitempty"`
	StartedTimestamp                  int64
}

type movesOut struct{ Results []moveOut }

func (s *service) listMoves(_ context.Context, _ *casemate.Launch, in *listMovesIn) (any, error) {
	from, err := in.name(s.Place)
	if err != nil {
		return nil, err
	}
	if _, err := s.Room.Queue(from); err != nil {
		return nil, shape.Failure(casemate.NotFound, "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	most := 1
	if in.MaxResults != nil {
		if most = *in.MaxResults; most < 1 || most > 10 {
			return nil, value("MaxResults", strconv.Itoa(most), "Must be between 1 and 10, if provided.")
		}
	}
	out := movesOut{Results: []moveOut{}}
	for i, m := range s.Room.Moves(from) {
		if i == most {
			break
		}
		x := moveOut{Status: m.Status, SourceArn: in.SourceArn, MaxNumberOfMessagesPerSecond: m.Rate, ApproximateNumberOfMessagesMoved: m.Moved,
			ApproximateNumberOfMessagesToMove: m.Total, FailureReason: m.Failure, StartedTimestamp: m.Started.UnixMilli()}
		if m.Target != "" {
			x.DestinationArn = queue.ARN(s.Place, m.Target)
		}
		if m.Status == queue.MoveRunning {
			x.TaskHandle = handle{m.ID, in.SourceArn}.String()
		}
		out.Results = append(out.Results, x)
	}
	return out, nil
}

type cancelMoveIn struct{ TaskHandle string }

func (in *cancelMoveIn) read() (h handle, err error) {
	if in.TaskHandle == "" {
		return h, missing("TaskHandle")
	}
	b, err := base64.StdEncoding.DecodeString(in.TaskHandle)
	if err != nil || json.Unmarshal(b, &h) != nil || h.TaskID == "" {
		return h, invalid("Value for parameter TaskHandle is invalid.")
	}
	return h, nil
}

func (in *cancelMoveIn) queue(place casemate.Place) (string, error) {
	h, err := in.read()
	if err != nil {
		return "", err
	}
	return (&source{h.SourceArn}).queue(place)
}

type cancelledOut struct{ ApproximateNumberOfMessagesMoved int }

func (s *service) cancelMove(_ context.Context, _ *casemate.Launch, in *cancelMoveIn) (any, error) {
	h, err := in.read()
	if err != nil {
		return nil, err
	}
	from, err := nameOf(s.Place, h.SourceArn)
	if err != nil {
		return nil, err
	}
	m, err := s.Room.CancelMove(from, h.TaskID)
	if err != nil {
		return nil, err
	}
	return cancelledOut{m.Moved}, nil
}
