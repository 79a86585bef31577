// Package secrets is AWS Secrets Manager as its SDKs speak to it, on the room of secrets: the operations, their resources
// and errors (https://docs.aws.amazon.com/secretsmanager/latest/apireference/). What is not supported is refused by name.
// There is no KMS, no replica, no resource policy and no rotation function.
package secrets

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
	"casemate/secret"
)

// Bounds of bodies: a value of 64 KiB may take six bytes for each of its own in JSON, or four thirds in base64.
const (
	valueBody    = 512 << 10
	questionBody = 64 << 10
)

// Config is what the service stands on. All of it is needed.
type Config struct {
	Room  *secret.Room
	Place casemate.Place
	Clock func() time.Time
	Judge casemate.Judge // for what a request names beside its resource
}

// service runs the operations.
type service struct{ Config }

// id is a secret's place in the room.
func (s *service) id(name string) secret.ID {
	return secret.ID{Account: s.Place.Account, Kind: secret.KindSecret, Name: name}
}

// target is the part of a request that names one secret.
type target struct {
	SecretID string `json:"SecretId"`
}

func (t *target) secretID() string { return t.SecretID }

// Operations are the service's.
func Operations(cfg Config) []casemate.Operation {
	s := &service{cfg}
	return []casemate.Operation{
		on(s, "GetSecretValue", questionBody, s.get), on(s, "DescribeSecret", questionBody, s.describe),
		on(s, "ListSecretVersionIds", questionBody, s.versions), on(s, "PutSecretValue", valueBody, s.put),
		on(s, "UpdateSecret", valueBody, s.update), on(s, "UpdateSecretVersionStage", questionBody, s.stage),
		on(s, "DeleteSecret", questionBody, s.remove), on(s, "RestoreSecret", questionBody, s.restore),
		on(s, "TagResource", questionBody, s.tag), on(s, "UntagResource", questionBody, s.untag),
		on(s, "RotateSecret", questionBody, s.rotate), on(s, "CreateSecret", valueBody, s.create),
		all("BatchGetSecretValue", s.batch), all("ListSecrets", s.list), all("GetRandomPassword", s.password),
	}
}

// named is a request that says which secret it is about.
type named[In any] interface {
	*In
	secretID() string
}

// on makes an operation on one secret, whose name its request says.
func on[In any, P named[In]](s *service, name string, body int64, run func(ctx context.Context, l *casemate.Launch, name string, in *In) (any, error)) casemate.Operation {
	read := func(place casemate.Place, body []byte) (string, *In, error) {
		in, err := decode[In](body)
		if err != nil {
			return "", nil, err
		}
		name, err := Name(place, P(in).secretID())
		return name, in, err
	}
	return casemate.Operation{Service: "secretsmanager", Name: name, Action: "secretsmanager:" + name, Body: body,
		Resource: func(place casemate.Place, body []byte) (string, error) {
			name, _, err := read(place, body)
			if err != nil {
				return "", err
			}
			return ARN(place, name), nil
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			defer clear(l.Payload) // it may hold a value
			name, in, err := read(s.Place, l.Payload)
			if err != nil {
				return nil, err
			}
			answer, err := run(ctx, l, name, in)
			return answer, spoken(err)
		}}
}

// all makes an operation that is about no one secret.
func all[In any](name string, run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	return casemate.Operation{Service: "secretsmanager", Name: name, Action: "secretsmanager:" + name, Body: questionBody,
		Resource: func(casemate.Place, []byte) (string, error) { return "*", nil },
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			defer clear(l.Payload) // it may hold a value
			in, err := decode[In](l.Payload)
			if err != nil {
				return nil, err
			}
			answer, err := run(ctx, l, in)
			return answer, spoken(err)
		}}
}

// decode reads a request strictly. What it says about one never holds what the request held.
func decode[In any](body []byte) (*In, error) {
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
		return nil, failure(casemate.Invalid, "SerializationException", "the member "+wrong.Field+" has another type")
	case strings.HasPrefix(err.Error(), "json: unknown field "): // its name is the caller's own text: bodies are not recorded
		return nil, parameter("the request has a member that is not known here")
	}
	return nil, failure(casemate.Invalid, "SerializationException", "the request is not the JSON object that was expected")
}

func failure(c casemate.Code, aws, message string) *casemate.Error {
	return &casemate.Error{Code: c, AWS: aws, Message: message}
}

func parameter(message string) error {
	return failure(casemate.Invalid, "InvalidParameterException", message)
}

func request(message string) error {
	return failure(casemate.Invalid, "InvalidRequestException", message)
}

func notFound() error {
	return failure(casemate.NotFound, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func exists(message string) error {
	return failure(casemate.Conflict, "ResourceExistsException", message)
}

// spoken gives an error of the room the word that the service has for it.
func spoken(err error) error {
	if err == nil {
		return nil
	}
	e := *casemate.AsError(err)
	switch {
	case e.AWS != "":
		return err
	case secret.Sealed(err):
		e.AWS, e.Message = "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text: "+e.Message
	case e.Code == casemate.NotFound:
		return notFound()
	case e.Code == casemate.Exhausted:
		e.Code, e.AWS = casemate.Invalid, "LimitExceededException" // trying again does not help
	case e.Code == casemate.Invalid:
		e.AWS = "InvalidRequestException"
	default:
		e.AWS = "InternalServiceError"
	}
	return &e
}

// moment is a time as JSON protocols write it: seconds since 1970.
type moment time.Time

// MarshalJSON writes seconds and milliseconds.
func (m moment) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(m).UnixMilli())/1000, 'f', -1, 64), nil
}

func at(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	return (*moment)(&t)
}
