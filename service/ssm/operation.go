// Package ssm is the Parameter Store of AWS Systems Manager as its SDKs speak to it, on the room of secrets: plain strings
// and secure ones are sealed alike; only who asks with decryption gets a secure one
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/). What is not supported is refused by name. There is no
// KMS and there are no parameter policies.
package ssm

import (
	"context"
	"strings"
	"time"

	"casemate"
	"casemate/secret"
	"casemate/service/shape"
)

// questionBody bounds a request: a value of 8 KiB may take six bytes for each of its own.
const questionBody = 128 << 10

// Config is what the service stands on. All of it is needed.
type Config struct {
	Room  *secret.Room
	Place casemate.Place
	Clock func() time.Time
	Judge casemate.Judge // for what a request names beside its resource
}

// service runs the operations.
type service struct{ Config }

// id is a parameter's place in the room.
func (s *service) id(name string) secret.ID {
	return secret.ID{Account: s.Place.Account, Kind: secret.KindParameter, Name: name}
}

// asked says which parameters a request is about, as it calls them.
type asked[In any] func(in *In) []string

// Operations are the service's.
func Operations(cfg Config) []casemate.Operation {
	s := &service{cfg}
	return []casemate.Operation{
		about(s, "PutParameter", func(in *putIn) []string { return []string{in.Name} }, s.put),
		about(s, "GetParameter", func(in *getIn) []string { return []string{in.Name} }, s.get),
		about(s, "GetParameters", func(in *getsIn) []string { return in.Names }, s.gets),
		about(s, "GetParameterHistory", func(in *historyIn) []string { return []string{in.Name} }, s.history),
		about(s, "DeleteParameter", func(in *nameIn) []string { return []string{in.Name} }, s.remove),
		about(s, "DeleteParameters", func(in *namesIn) []string { return in.Names }, s.removes),
		about(s, "LabelParameterVersion", func(in *labelIn) []string { return []string{in.Name} }, s.label),
		about(s, "UnlabelParameterVersion", func(in *labelIn) []string { return []string{in.Name} }, s.unlabel),
		about(s, "AddTagsToResource", func(in *tagIn) []string { return []string{in.ResourceID} }, s.tag),
		about(s, "RemoveTagsFromResource", func(in *tagIn) []string { return []string{in.ResourceID} }, s.untag),
		about(s, "ListTagsForResource", func(in *tagIn) []string { return []string{in.ResourceID} }, s.tags),
		operation("GetParametersByPath", func(place casemate.Place, in *pathIn) (string, error) {
			return prefix(place) + strings.TrimPrefix(in.Path, "/"), checkPath(in.Path)
		}, s.byPath),
		operation("DescribeParameters", func(place casemate.Place, _ *describeIn) (string, error) { return prefix(place) + "*", nil }, s.describe),
	}
}

// words are the service's.
var words = shape.Service{Name: "ssm", Unknown: "ValidationException", Spoken: spoken}

func operation[In any](name string, resource func(place casemate.Place, in *In) (string, error), run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	return shape.Operation(&words, name, questionBody, resource, run)
}

// about makes an operation on one parameter or several. The corridor decides on the first; the policy is asked about every
// other one before anything is done, and one refusal refuses the request, as on AWS.
func about[In any](s *service, name string, names asked[In], run func(ctx context.Context, l *casemate.Launch, in *In) (any, error)) casemate.Operation {
	arns := func(place casemate.Place, in *In) ([]string, error) {
		all := names(in)
		if len(all) == 0 || len(all) > 10 {
			return nil, invalid("1 to 10 parameters are named at once.")
		}
		out := make([]string, 0, len(all))
		for _, text := range all {
			name, _, err := split(place, text)
			if err != nil {
				return nil, err
			}
			out = append(out, ARN(place, name))
		}
		return out, nil
	}
	first := func(place casemate.Place, in *In) (string, error) {
		all, err := arns(place, in)
		if err != nil {
			return "", err
		}
		return all[0], nil
	}
	return operation(name, first, func(ctx context.Context, l *casemate.Launch, in *In) (any, error) {
		all, err := arns(s.Place, in)
		if err != nil {
			return nil, err
		}
		for _, arn := range all[1:] {
			if arn == all[0] {
				continue
			}
			if d := s.Judge(l, "ssm:"+name, arn); d.Verdict != casemate.Allowed {
				return nil, &casemate.Error{Code: casemate.Forbidden, AWS: "AccessDeniedException", Rule: d.Statement, Hint: d.Hint,
					Message: l.Principal.Name() + " is not authorized to perform: ssm:" + name + " on resource: " + arn}
			}
		}
		return run(ctx, l, in)
	})
}

func invalid(message string) error {
	return shape.Failure(casemate.Invalid, "ValidationException", message)
}

func notFound() error {
	return shape.Failure(casemate.NotFound, "ParameterNotFound", "The parameter couldn't be found. Verify the name and try again.")
}

func noVersion() error {
	return shape.Failure(casemate.NotFound, "ParameterVersionNotFound", "Systems Manager could not find the version or label of the parameter.")
}

// codes are the service's for what the room fails with.
var codes = shape.Codes{NotFound: notFound, Exhausted: "ParameterLimitExceeded", Invalid: "ValidationException", Fault: "InternalServerError"}

// spoken gives an error of the room the word that the service has for it.
func spoken(err error) error {
	if err == nil {
		return nil
	}
	if e := *casemate.AsError(err); e.AWS == "" && secret.Sealed(err) {
		e.AWS, e.Message = "InternalServerError", "The parameter can't be decrypted: "+e.Message
		return &e
	}
	return codes.Of(err)
}
