package secrets

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/secret"
	"casemate/secret/plain"
	"casemate/service/shape"
)

// The stages that Secrets Manager itself moves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

const isBinary = "binary" // key in Version.About: the value is not text

// live reads a secret that is not on its way out.
func (s *service) live(ctx context.Context, name string) (*secret.Item, error) {
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	if !it.Purge.IsZero() {
		return nil, marked()
	}
	return it, nil
}

func marked() error {
	return request("You can't perform this operation on the secret because it was marked for deletion.")
}

// getIn asks for a version by id, by stage or by both, which then have to agree; for AWSCURRENT when it names none.
type getIn struct {
	target
	VersionID    string `json:"VersionId"`
	VersionStage string
}

// value is a version of a secret with its plaintext, as an answer. It is encoded once: that wipes the plaintext.
type value struct {
	arn, name string
	version   secret.Version
	text      plain.Text
	read      time.Time
}

// MarshalJSON is the way out of a secret, to the caller that the policy allowed.
func (v *value) MarshalJSON() ([]byte, error) {
	defer v.text.Wipe()
	b, err := json.Marshal(struct {
		ARN           string
		Name          string
		VersionID     string `json:"VersionId"`
		VersionStages []string
		CreatedDate   *shape.Moment
	}{v.arn, v.name, v.version.ID, v.version.Stages, shape.At(v.version.Created)})
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1]
	if v.version.About[isBinary] != "" {
		return append(v.text.AppendBase64(append(b, `,"SecretBinary":`...)), '}'), nil
	}
	if b, err = v.text.AppendJSON(append(b, `,"SecretString":`...)); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

// Effects puts into the record which version was read.
func (v *value) Effects() []casemate.Effect {
	return []casemate.Effect{{At: v.read, Kind: casemate.EffectSecret, Target: v.arn + "#" + v.version.ID, Verdict: casemate.Allowed,
		Reason: strings.TrimSpace("read version " + v.version.ID + " " + strings.Join(v.version.Stages, " "))}}
}

// get is GetSecretValue: the one way to the value of a secret that the corridor decided on.
func (s *service) get(ctx context.Context, _ *casemate.Launch, name string, in *getIn) (any, error) {
	return s.reveal(ctx, name, in.VersionID, in.VersionStage)
}

// reveal opens a version of a secret that the policy has said yes to.
func (s *service) reveal(ctx context.Context, name, id, stage string) (*value, error) {
	it, err := s.live(ctx, name)
	if err != nil {
		return nil, err
	}
	v, err := choose(it, id, stage)
	if err != nil {
		return nil, err
	}
	text, err := s.Room.Reveal(ctx, it, v.ID)
	if err != nil {
		return nil, err
	}
	s.Room.Touch(ctx, it)
	return &value{arn: ARN(s.Place, name), name: name, version: *v, text: text, read: s.Clock()}, nil
}

// choose finds the version that a request asks for; AWSCURRENT when it asks for none.
func choose(it *secret.Item, id, stage string) (*secret.Version, error) {
	if id == "" && stage == "" {
		stage = current
	}
	if id == "" {
		if v := it.Staged(stage); v != nil {
			return v, nil
		}
		return nil, shape.Failure(casemate.NotFound, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: "+stage)
	}
	v := it.Version(id)
	switch {
	case v == nil:
		return nil, shape.Failure(casemate.NotFound, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+id)
	case stage != "" && !slices.Contains(v.Stages, stage):
		return nil, request("You provided a VersionStage that is not associated to the provided VersionId.")
	}
	return v, nil
}

// batchIn names up to 20 secrets, or filters them; not both.
type batchIn struct {
	SecretIDList []string `json:"SecretIdList"`
	Filters      []filter
	MaxResults   int
	NextToken    string
}

// batchError says why one of many was not read; the others are.
type batchError struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

// batchOut holds plaintexts: it is encoded once.
type batchOut struct {
	SecretValues []*value
	Errors       []batchError
	NextToken    string `json:",omitempty"`
	refused      []casemate.Effect
}

// Effects are those of every value, and what was refused.
func (o *batchOut) Effects() []casemate.Effect {
	all := o.refused
	for _, v := range o.SecretValues {
		all = append(all, v.Effects()...)
	}
	return all
}

// batch gives many values. The policy is asked about each one as about GetSecretValue, besides BatchGetSecretValue on all:
// as on AWS, one that is refused is an entry of Errors and the others are answered. Filters tell which secrets there are:
// who uses them must be allowed to list those.
func (s *service) batch(ctx context.Context, l *casemate.Launch, in *batchIn) (any, error) {
	if len(in.Filters) > 0 {
		if d := s.Judge(l, "secretsmanager:ListSecrets", "*"); d.Verdict != casemate.Allowed {
			return nil, &casemate.Error{Code: casemate.Forbidden, AWS: "AccessDeniedException", Rule: d.Statement, Hint: d.Hint,
				Message: "You aren't authorized to list secrets, which filters do."}
		}
	}
	names, next, err := s.batchNames(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &batchOut{SecretValues: []*value{}, Errors: []batchError{}, NextToken: next}
	for _, id := range names {
		name, err := Name(s.Place, id)
		if err == nil {
			arn := ARN(s.Place, name)
			if d := s.Judge(l, "secretsmanager:GetSecretValue", arn); d.Verdict != casemate.Allowed {
				out.refused = append(out.refused, casemate.Effect{At: s.Clock(), Kind: casemate.EffectSecret, Target: arn, Verdict: casemate.Denied, Reason: d.Reason, Grant: d.Hint})
				err = shape.Failure(casemate.Forbidden, "AccessDeniedException", "You aren't authorized to get the value of this secret.")
			}
		}
		var v *value
		if err == nil {
			v, err = s.reveal(ctx, name, "", "")
		}
		if err != nil {
			e := casemate.AsError(spoken(err))
			out.Errors = append(out.Errors, batchError{id, e.AWS, e.Message})
			continue
		}
		out.SecretValues = append(out.SecretValues, v)
	}
	return out, nil
}

// batchNames gives the secrets that a batch is about, and the token of the next page where they were filtered.
func (s *service) batchNames(ctx context.Context, in *batchIn) (names []string, next string, err error) {
	switch list := len(in.SecretIDList); {
	case (list == 0) == (len(in.Filters) == 0):
		return nil, "", parameter("You must provide either SecretIdList or Filters, and not both.")
	case list > 20 || in.MaxResults > 20:
		return nil, "", parameter("at most 20 secrets are read at once")
	case list > 0:
		return in.SecretIDList, "", nil
	}
	most := in.MaxResults
	if most == 0 {
		most = 20
	}
	items, next, err := s.page(ctx, &listIn{Filters: in.Filters, MaxResults: most, NextToken: in.NextToken})
	for _, it := range items {
		names = append(names, it.ID.Name)
	}
	return names, next, err
}

// versionOut is a version in a list. One without stages is deprecated: it is kept until it makes room, and may go any time.
type versionOut struct {
	VersionID     string `json:"VersionId"`
	VersionStages []string
	CreatedDate   *shape.Moment
}

type versionsIn struct {
	target
	IncludeDeprecated bool
	MaxResults        int
	NextToken         string
}

// versions lists what there is of one secret. All of it fits one page: it has at most 100 versions.
func (s *service) versions(ctx context.Context, _ *casemate.Launch, name string, in *versionsIn) (any, error) {
	if in.NextToken != "" {
		return nil, shape.Failure(casemate.Invalid, "InvalidNextTokenException", "The NextToken value is invalid.")
	}
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	out := []versionOut{}
	for _, v := range slices.Backward(it.Versions) {
		if len(v.Stages) > 0 || in.IncludeDeprecated {
			out = append(out, versionOut{v.ID, v.Stages, shape.At(v.Created)})
		}
	}
	return struct {
		ARN      string
		Name     string
		Versions []versionOut
	}{ARN(s.Place, name), name, out}, nil
}
