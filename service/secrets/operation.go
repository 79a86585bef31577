// Package secrets is AWS Secrets Manager as its SDKs speak to it, on the room of secrets: the operations, their resources
// and errors (https://docs.aws.amazon.com/secretsmanager/latest/apireference/). What is not supported is refused by name.
// There is no KMS, no replica, no resource policy and no rotation function.
package secrets

import (
	"context"
	"time"

	"casemate"
	"casemate/secret"
	"casemate/service/shape"
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

// words are the service's.
var words = shape.Service{Name: "secretsmanager", Unknown: "InvalidParameterException", Spoken: spoken}

// on makes an operation on one secret, whose name its request says.
func on[In any, P named[In]](s *service, name string, body int64, run func(ctx context.Context, l *casemate.Launch, name string, in *In) (any, error)) casemate.Operation {
	resource := func(place casemate.Place, in *In) (string, error) {
		name, err := Name(place, P(in).secretID())
		if err != nil {
			return "", err
		}
		return ARN(place, name), nil
	}
	return shape.Operation(&words, name, body, resource, func(ctx context.Context, l *casemate.Launch, in *In) (any, error) {
		name, err := Name(s.Place, P(in).secretID())
		if err != nil {
			return nil, err
		}
		return run(ctx, l, name, in)
	})
}

// all makes an operation that is about no one secret.
func all[In any](name string, run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	return shape.Operation(&words, name, questionBody, func(casemate.Place, *In) (string, error) { return "*", nil }, run)
}

func parameter(message string) error {
	return shape.Failure(casemate.Invalid, "InvalidParameterException", message)
}

func request(message string) error {
	return shape.Failure(casemate.Invalid, "InvalidRequestException", message)
}

func notFound() error {
	return shape.Failure(casemate.NotFound, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func exists(message string) error {
	return shape.Failure(casemate.Conflict, "ResourceExistsException", message)
}

// codes are the service's for what the room fails with.
var codes = shape.Codes{NotFound: notFound, Exhausted: "LimitExceededException", Invalid: "InvalidRequestException", Fault: "InternalServiceError"}

// spoken gives an error of the room the word that the service has for it.
func spoken(err error) error {
	if err == nil {
		return nil
	}
	if e := *casemate.AsError(err); e.AWS == "" && secret.Sealed(err) {
		e.AWS, e.Message = "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text: "+e.Message
		return &e
	}
	return codes.Of(err)
}
