package secrets

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"

	"casemate"
	"casemate/secret"
	"casemate/secret/plain"
	"casemate/service/shape"
)

// Bounds of Secrets Manager
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html).
const (
	maxValue       = 65536
	maxVersions    = 100
	maxStages      = 20
	maxDescription = 2048
	maxTags        = 50
)

// content is the part of a request that holds a value, in either form.
type content struct {
	ClientRequestToken string
	SecretString       *plain.Text
	SecretBinary       *blob
	KmsKeyID           string `json:"KmsKeyId"`
}

// blob is a plaintext in base64.
type blob struct{ plain.Text }

// UnmarshalJSON takes base64; its errors quote nothing.
func (b *blob) UnmarshalJSON(text []byte) error {
	var raw []byte
	if len(text) < 2 || text[0] != '"' {
		return parameter("SecretBinary is not base64")
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, text[1:len(text)-1])
	if err != nil {
		return parameter("SecretBinary is not base64")
	}
	b.Text = plain.Take(raw)
	return nil
}

// given reports whether the request holds a value.
func (c *content) given() bool { return c.SecretString != nil || c.SecretBinary != nil }

// wipe forgets the value.
func (c *content) wipe() {
	if c.SecretString != nil {
		c.SecretString.Wipe()
	}
	if c.SecretBinary != nil {
		c.SecretBinary.Wipe()
	}
}

// check refuses what no version can be made of. A token is made when the client has none.
func (c *content) check() error {
	if c.KmsKeyID != "" && c.KmsKeyID != "alias/aws/secretsmanager" {
		return parameter("KmsKeyId is not supported here: the node has one key-encryption key")
	}
	if c.ClientRequestToken == "" {
		c.ClientRequestToken = casemate.NewID()
	}
	if n := len(c.ClientRequestToken); n < 32 || n > 64 || !utf8.ValidString(c.ClientRequestToken) {
		return parameter("ClientRequestToken must have 32 to 64 characters")
	}
	switch text := c.text(); {
	case c.SecretString != nil && c.SecretBinary != nil:
		return parameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case text.Len() > maxValue:
		return parameter("The value is longer than 65536 bytes.")
	case c.given() && text.Len() == 0:
		return parameter("The value is empty.")
	}
	return nil
}

// text is the value in either form; empty when there is none.
func (c *content) text() plain.Text {
	switch {
	case c.SecretString != nil:
		return *c.SecretString
	case c.SecretBinary != nil:
		return c.SecretBinary.Text
	}
	return plain.Text{}
}

// same reports whether a version has the request's value already.
func (s *service) same(ctx context.Context, it *secret.Item, v *secret.Version, c *content) (bool, error) {
	had, err := s.Room.Reveal(ctx, it, v.ID)
	if err != nil {
		return false, err
	}
	defer had.Wipe()
	return had.Equal(c.text()) && (v.About[isBinary] != "") == (c.SecretBinary != nil), nil
}

// add makes a version of the request's value under its token. A token that was used is the same version again when the
// value is the same, and an error otherwise: retries are harmless.
func (s *service) add(ctx context.Context, it *secret.Item, c *content) (again bool, err error) {
	if v := it.Version(c.ClientRequestToken); v != nil {
		same, err := s.same(ctx, it, v, c)
		if err == nil && !same {
			err = exists("You can't use ClientRequestToken " + v.ID + " because that value is already in use for a version of this secret.")
		}
		return true, err
	}
	for i := 0; len(it.Versions) >= maxVersions && i < len(it.Versions); i++ {
		if len(it.Versions[i].Stages) == 0 {
			it.Drop(it.Versions[i].ID)
			i--
		}
	}
	if len(it.Versions) >= maxVersions {
		return false, shape.Failure(casemate.Invalid, "LimitExceededException", "The secret has 100 versions with staging labels.")
	}
	v := secret.Version{ID: c.ClientRequestToken, Created: s.Clock().UTC().Truncate(time.Millisecond)}
	if c.SecretBinary != nil {
		v.About = map[string]string{isBinary: "yes"}
	}
	it.Add(v, plain.Take(slices.Clone(c.text().Expose()))) // the change may be tried again
	return false, nil
}

// promote makes a version the current one; the one before becomes the previous one.
func promote(it *secret.Item, id string) {
	if was := it.Staged(current); was != nil && was.ID != id {
		it.Move(previous, was.ID)
	}
	it.Move(current, id)
}

type createIn struct {
	content
	Name                        string
	Description                 string
	Tags                        []tag
	AddReplicaRegions           []json.RawMessage
	ForceOverwriteReplicaSecret bool
}

// secretID is the new secret's name, which must not be an ARN.
func (c *createIn) secretID() string { return c.Name }

// written is the answer of every operation that writes. It never holds the value.
type written struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
}

// create is CreateSecret. A secret may be made without a value, and get one later.
func (s *service) create(ctx context.Context, _ *casemate.Launch, name string, in *createIn) (any, error) {
	defer in.wipe()
	if err := in.check(); err != nil {
		return nil, err
	}
	tags, err := tagged(nil, in.Tags)
	switch {
	case err != nil:
		return nil, err
	case name != in.Name:
		return nil, parameter("Name is a name, not an ARN")
	case len(in.AddReplicaRegions) > 0:
		return nil, parameter("AddReplicaRegions is not supported here")
	case len(in.Description) > maxDescription:
		return nil, parameter("Description is longer than 2048 characters")
	}
	_, err = s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		if it.Exists() {
			return s.again(ctx, it, in)
		}
		it.Tags, it.About = tags, map[string]string{description: in.Description}
		if !in.given() {
			return nil
		}
		_, err := s.add(ctx, it, &in.content)
		promote(it, in.ClientRequestToken)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.wrote(name, &in.content), nil
}

// wrote is the answer to a creation or an update: with the version, when there was a value for one.
func (s *service) wrote(name string, c *content) written {
	out := written{ARN: ARN(s.Place, name), Name: name}
	if c.given() {
		out.VersionID = c.ClientRequestToken
	}
	return out
}

// again takes a creation that was retried for what it is.
func (s *service) again(ctx context.Context, it *secret.Item, in *createIn) error {
	if !it.Purge.IsZero() {
		return request("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := it.Version(in.ClientRequestToken); v != nil && in.given() {
		if same, err := s.same(ctx, it, v, &in.content); err != nil || same {
			return err
		}
	}
	return exists("The operation failed because the secret " + it.ID.Name + " already exists.")
}

// change is Room.Change on a secret that has to be there and not on its way out.
func (s *service) change(ctx context.Context, name string, f func(it *secret.Item) error) (*secret.Item, error) {
	return s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		switch {
		case !it.Exists():
			return notFound()
		case !it.Purge.IsZero():
			return marked()
		}
		return f(it)
	})
}

type putIn struct {
	target
	content
	VersionStages []string
}

// put is PutSecretValue: a new version with the stages that the request names, AWSCURRENT when it names none. The first
// version of a secret is its current one whatever the request says.
func (s *service) put(ctx context.Context, _ *casemate.Launch, name string, in *putIn) (any, error) {
	defer in.wipe()
	if err := in.check(); err != nil {
		return nil, err
	}
	if !in.given() {
		return nil, parameter("You must provide either SecretString or SecretBinary.")
	}
	if in.VersionStages == nil {
		in.VersionStages = []string{current}
	}
	if len(in.VersionStages) == 0 || len(in.VersionStages) > maxStages || slices.ContainsFunc(in.VersionStages, badStage) {
		return nil, parameter("VersionStages must be 1 to 20 labels of 1 to 256 characters")
	}
	it, err := s.change(ctx, name, func(it *secret.Item) error {
		first := len(it.Versions) == 0
		again, err := s.add(ctx, it, &in.content)
		if err != nil || again {
			return err
		}
		if first {
			it.Move(current, in.ClientRequestToken)
		}
		for _, stage := range in.VersionStages {
			if stage == current {
				promote(it, in.ClientRequestToken)
			} else {
				it.Move(stage, in.ClientRequestToken)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return written{ARN(s.Place, name), name, in.ClientRequestToken, it.Version(in.ClientRequestToken).Stages}, nil
}

// badStage reports what cannot be a label: 1 to 256 bytes of UTF-8 can.
func badStage(s string) bool { return s == "" || len(s) > 256 || !utf8.ValidString(s) }

type updateIn struct {
	target
	content
	Description *string
}

// update is UpdateSecret: another description, or a new version that becomes the current one, or both.
func (s *service) update(ctx context.Context, _ *casemate.Launch, name string, in *updateIn) (any, error) {
	defer in.wipe()
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Description != nil && len(*in.Description) > maxDescription {
		return nil, parameter("Description is longer than 2048 characters")
	}
	_, err := s.change(ctx, name, func(it *secret.Item) error {
		if in.Description != nil {
			it.About = map[string]string{description: *in.Description}
		}
		if !in.given() {
			return nil
		}
		again, err := s.add(ctx, it, &in.content)
		if err == nil && !again {
			promote(it, in.ClientRequestToken)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.wrote(name, &in.content), nil
}

type stageIn struct {
	target
	VersionStage        string
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
	MoveToVersionID     string `json:"MoveToVersionId"`
}

// stage is UpdateSecretVersionStage.
func (s *service) stage(ctx context.Context, _ *casemate.Launch, name string, in *stageIn) (any, error) {
	if badStage(in.VersionStage) {
		return nil, parameter("VersionStage must have 1 to 256 characters")
	}
	_, err := s.change(ctx, name, func(it *secret.Item) error { return restage(it, in) })
	return written{ARN: ARN(s.Place, name), Name: name}, err
}

// restage moves a label as UpdateSecretVersionStage does: nobody loses one without being named
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html).
func restage(it *secret.Item, in *stageIn) error {
	has := it.Staged(in.VersionStage)
	from, to := in.RemoveFromVersionID, in.MoveToVersionID
	for _, id := range []string{from, to} {
		if id != "" && it.Version(id) == nil {
			return shape.Failure(casemate.NotFound, "ResourceNotFoundException", "Secrets Manager can't find the specified secret version: "+id)
		}
	}
	switch {
	case from == "" && to == "":
		return parameter("You must specify RemoveFromVersionId, MoveToVersionId or both.")
	case from != "" && (has == nil || has.ID != from):
		return parameter("The staging label " + in.VersionStage + " isn't attached to version " + from + ".")
	case from == "" && has != nil && has.ID != to:
		return parameter("The staging label " + in.VersionStage + " is currently attached to version " + has.ID + ", so you must explicitly reference that version in RemoveFromVersionId.")
	case to == "" && in.VersionStage == current:
		return parameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case in.VersionStage == current:
		promote(it, to)
		return nil
	}
	if v := it.Version(to); v != nil && len(v.Stages) >= maxStages && (has == nil || has.ID != to) {
		return shape.Failure(casemate.Invalid, "LimitExceededException", "A version has at most 20 staging labels.")
	}
	it.Move(in.VersionStage, to)
	return nil
}
