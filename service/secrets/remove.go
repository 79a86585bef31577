package secrets

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
	"casemate/secret"
	"casemate/service/shape"
)

// Days that a deleted secret can be had back.
const (
	defaultWindow = 30
	minWindow     = 7
)

type removeIn struct {
	target
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

type removed struct {
	ARN          string
	Name         string
	DeletionDate *shape.Moment
}

// remove marks a secret for deletion, or deletes it at once. As on AWS, a forced deletion of what is not there succeeds.
func (s *service) remove(ctx context.Context, _ *casemate.Launch, name string, in *removeIn) (any, error) {
	days := defaultWindow
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
	}
	switch {
	case in.ForceDeleteWithoutRecovery && in.RecoveryWindowInDays != nil:
		return nil, parameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case days < minWindow || days > defaultWindow:
		return nil, parameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	now := s.Clock().UTC()
	out := removed{ARN: ARN(s.Place, name), Name: name, DeletionDate: shape.At(now)}
	_, err := s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		switch {
		case !it.Exists():
			return notFound()
		case in.ForceDeleteWithoutRecovery:
			it.Erase()
			return nil
		case !it.Purge.IsZero():
			return marked()
		}
		it.Marked, it.Purge = now, now.AddDate(0, 0, days)
		out.DeletionDate = shape.At(it.Purge)
		return nil
	})
	if casemate.CodeOf(err) == casemate.NotFound && in.ForceDeleteWithoutRecovery {
		err = nil
	}
	return out, err
}

// restore is RestoreSecret: it takes a deletion back until its day has come. One that is not marked stays as it is.
func (s *service) restore(ctx context.Context, _ *casemate.Launch, name string, _ *target) (any, error) {
	_, err := s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		if !it.Exists() {
			return notFound()
		}
		it.Marked, it.Purge = time.Time{}, time.Time{}
		return nil
	})
	return written{ARN: ARN(s.Place, name), Name: name}, err
}

type tagIn struct {
	target
	Tags []tag
}

// tag is TagResource: it adds tags and replaces the values of those there are.
func (s *service) tag(ctx context.Context, _ *casemate.Launch, name string, in *tagIn) (any, error) {
	_, err := s.change(ctx, name, func(it *secret.Item) (err error) {
		it.Tags, err = tagged(it.Tags, in.Tags)
		return err
	})
	return nil, err
}

type untagIn struct {
	target
	TagKeys []string
}

// untag is UntagResource. A key that is not there is no error.
func (s *service) untag(ctx context.Context, _ *casemate.Launch, name string, in *untagIn) (any, error) {
	_, err := s.change(ctx, name, func(it *secret.Item) error {
		for _, k := range in.TagKeys {
			delete(it.Tags, k)
		}
		return nil
	})
	return nil, err
}

// tagged adds tags to those there are, within AWS' bounds.
func tagged(have map[string]string, add []tag) (map[string]string, error) {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	for _, t := range add {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") || !utf8.ValidString(t.Key+t.Value) {
			return nil, parameter("a tag has a key of 1 to 128 characters that does not begin with aws:, and a value of at most 256")
		}
		all[t.Key] = t.Value
	}
	if len(all) > maxTags {
		return nil, parameter("a secret has at most 50 tags")
	}
	return all, nil
}

// rotateIn is read so that a client hears of rotation, and not of a member that is unknown.
type rotateIn struct {
	target
	ClientRequestToken        string
	RotationLambdaARN         string
	RotationRules             json.RawMessage
	RotateImmediately         *bool
	ExternalSecretRotation    json.RawMessage `json:"ExternalSecretRotationMetadata"`
	ExternalSecretRotationARN string          `json:"ExternalSecretRotationRoleArn"`
}

// rotate refuses: no function renews secrets here. It says so instead of seeming to have done it.
func (s *service) rotate(ctx context.Context, _ *casemate.Launch, name string, in *rotateIn) (any, error) {
	if _, err := s.live(ctx, name); err != nil {
		return nil, err
	}
	if in.RotationLambdaARN != "" {
		return nil, request("Rotation by a function is not supported here: put the new value with PutSecretValue.")
	}
	return nil, request("No Lambda rotation function ARN is associated with this secret.")
}
