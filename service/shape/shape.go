// Package shape is what the operations of services share that speak AWS's JSON protocol
// (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html): requests read strictly, times, errors with the service's
// own words. It is pure.
package shape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// Service is one service's name and words.
type Service struct {
	Name    string            // in SigV4's scope and before the colon of its actions: "ssm"
	Unknown string            // its error code for a request with a member that it does not know
	Spoken  func(error) error // gives an error of Run the service's own code; nil stays nil
}

// Operation makes an operation whose request is an In. The resource is read from the very bytes that run gets, which are
// wiped after it: they may hold a value.
func Operation[In any](s *Service, name string, body int64, resource func(place casemate.Place, in *In) (string, error),
	run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	return casemate.Operation{Service: s.Name, Name: name, Action: s.Name + ":" + name, Body: body,
		Resource: func(place casemate.Place, body []byte) (string, error) {
			in, err := Decode[In](s, body)
			if err != nil {
				return "", err
			}
			return resource(place, in)
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			defer clear(l.Payload)
			in, err := Decode[In](s, l.Payload)
			if err != nil {
				return nil, err
			}
			answer, err := run(ctx, l, in)
			return answer, s.Spoken(err)
		}}
}

// Decode reads a request strictly. What an error says never holds what the request held: bodies are not recorded.
func Decode[In any](s *Service, body []byte) (*In, error) {
	in := new(In)
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("something follows")
		}
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return in, nil
	case errors.As(err, &wrong):
		return nil, Failure(casemate.Invalid, "SerializationException", "the member "+wrong.Field+" has another type")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return nil, Failure(casemate.Invalid, s.Unknown, "the request has a member that is not known here")
	}
	return nil, Failure(casemate.Invalid, "SerializationException", "the request is not the JSON object that was expected")
}

// Failure is an error with the service's code.
func Failure(c casemate.Code, aws, message string) *casemate.Error {
	return &casemate.Error{Code: c, AWS: aws, Message: message}
}

// Codes are what a service has for the errors of a room.
type Codes struct {
	NotFound                  func() error
	Exhausted, Invalid, Fault string
}

// Of gives an error the service's code, unless it has one. What is exhausted is the caller's mistake then: trying again does
// not help.
func (c *Codes) Of(err error) error {
	e := *casemate.AsError(err)
	switch {
	case e.AWS != "":
		return err
	case e.Code == casemate.NotFound:
		return c.NotFound()
	case e.Code == casemate.Exhausted:
		e.Code, e.AWS = casemate.Invalid, c.Exhausted
	case e.Code == casemate.Invalid:
		e.AWS = c.Invalid
	default:
		e.AWS = c.Fault
	}
	return &e
}

// Moment is a time as JSON protocols write it: seconds since 1970.
type Moment time.Time

// MarshalJSON writes seconds and milliseconds.
func (m Moment) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(m).UnixMilli())/1000, 'f', -1, 64), nil
}

// At is a Moment for a member that may be absent: nil for the zero time.
func At(t time.Time) *Moment {
	if t.IsZero() {
		return nil
	}
	return (*Moment)(&t)
}
