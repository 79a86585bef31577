package ssm

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
	"casemate/secret"
	"casemate/secret/plain"
	"casemate/service/shape"
)

// Bounds of Parameter Store (https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm).
const (
	maxStandard    = 4096
	maxAdvanced    = 8192
	maxDescription = 1024
	maxPattern     = 1024
	maxVersions    = 100
	maxLabels      = 10
	maxTags        = 50
)

type putIn struct {
	Name           string
	Value          plain.Text
	Type           string
	Description    *string
	KeyID          string `json:"KeyId"`
	Overwrite      bool
	AllowedPattern *string
	Tags           []tagging
	Tier           string
	Policies       string
	DataType       string
}

// check refuses what no version can be made of.
func (in *putIn) check() error {
	limit := maxStandard
	switch in.Tier {
	case "":
		in.Tier = "Standard"
	case "Standard":
	case "Advanced", "Intelligent-Tiering":
		if limit = maxAdvanced; in.Value.Len() <= maxStandard && in.Tier != "Advanced" {
			in.Tier = "Standard"
		} else {
			in.Tier = "Advanced"
		}
	default:
		return invalid("Tier must be Standard, Advanced or Intelligent-Tiering.")
	}
	switch {
	case in.Type != "" && in.Type != typeString && in.Type != typeList && in.Type != typeSecure:
		return shape.Failure(casemate.Invalid, "UnsupportedParameterType", "The parameter type isn't supported.")
	case in.Value.Len() == 0:
		return invalid("The value must have 1 character at least.")
	case in.Value.Len() > limit:
		return invalid("The value is longer than " + strconv.Itoa(limit) + " bytes, which is the tier's bound.")
	case in.KeyID != "" && in.KeyID != "alias/aws/ssm":
		return shape.Failure(casemate.Invalid, "InvalidKeyId", "KeyId is not supported here: the node has one key-encryption key.")
	case in.Policies != "":
		return shape.Failure(casemate.Invalid, "InvalidPolicyTypeException", "Parameter policies are not supported here.")
	case in.DataType != "" && in.DataType != "text":
		return invalid("The data type must be text.")
	case in.Overwrite && len(in.Tags) > 0:
		return invalid("Tags and overwrite can't be used together. To tag a parameter that is there, use AddTagsToResource.")
	case in.Description != nil && len(*in.Description) > maxDescription:
		return invalid("The description is longer than 1024 characters.")
	case in.AllowedPattern != nil && len(*in.AllowedPattern) > maxPattern:
		return shape.Failure(casemate.Invalid, "InvalidAllowedPatternException", "The pattern is longer than 1024 characters.")
	case in.Type == typeList && slices.Contains(strings.Split(string(in.Value.Expose()), ","), ""):
		return invalid("A list has no empty member.")
	}
	return nil
}

// fitsPattern checks the value against a parameter's AllowedPattern, which is a whole match.
func (in *putIn) fitsPattern(pattern string) error {
	if pattern == "" {
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return shape.Failure(casemate.Invalid, "InvalidAllowedPatternException", "The request does not meet the regular expression requirement.")
	}
	if !re.Match(in.Value.Expose()) {
		return shape.Failure(casemate.Invalid, "ParameterPatternMismatchException", "Parameter value failed to satisfy constraint: it does not match the allowed pattern.")
	}
	return nil
}

// put is PutParameter: a new parameter, or with Overwrite its next version. What a request does not say (description,
// pattern) stays as it was.
func (s *service) put(ctx context.Context, l *casemate.Launch, in *putIn) (any, error) {
	defer in.Value.Wipe()
	name, sel, err := split(s.Place, in.Name)
	switch {
	case err != nil:
		return nil, err
	case sel != "" || strings.HasPrefix(in.Name, "arn:"):
		return nil, invalid("A parameter is put by its name, without ARN, version or label.")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	it, err := s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		if err := in.merge(it); err != nil {
			return err
		}
		return s.add(it, l, in)
	})
	if err != nil {
		return nil, err
	}
	number, _ := strconv.Atoi(it.Versions[len(it.Versions)-1].ID) // the service made it
	return struct {
		Version int
		Tier    string
	}{number, in.Tier}, nil
}

// merge checks a request against what is there, and makes a parameter that is not.
func (in *putIn) merge(it *secret.Item) error {
	switch {
	case !it.Exists() && in.Type == "":
		return invalid("A parameter type is required when you create a parameter.")
	case !it.Exists():
		tags, err := tagged(nil, in.Tags)
		it.About, it.Tags = map[string]string{aboutName: in.Name, aboutType: in.Type}, tags
		return err
	case !in.Overwrite:
		return shape.Failure(casemate.Conflict, "ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case in.Type != "" && in.Type != it.About[aboutType]:
		return shape.Failure(casemate.Invalid, "HierarchyTypeMismatchException", "Parameter Store does not support changing a parameter's type. Create a new parameter.")
	}
	return nil
}

// add makes the next version. The oldest of a hundred makes room, unless it has a label.
func (s *service) add(it *secret.Item, l *casemate.Launch, in *putIn) error {
	next, about := 1, map[string]string{}
	if n := len(it.Versions); n > 0 {
		last := &it.Versions[n-1]
		number, err := strconv.Atoi(last.ID)
		if err != nil {
			return shape.Failure(casemate.Fault, "InternalServerError", "A version of the parameter has no number.")
		}
		next = number + 1
		maps.Copy(about, last.About)
	}
	for key, value := range map[string]*string{aboutDescription: in.Description, aboutPattern: in.AllowedPattern, aboutTier: &in.Tier} {
		if value != nil {
			about[key] = *value
		}
	}
	if err := in.fitsPattern(about[aboutPattern]); err != nil {
		return err
	}
	delete(about, aboutUser)
	if l.Principal != nil {
		about[aboutUser] = l.Principal.ARN
	}
	if len(it.Versions) >= maxVersions {
		if len(it.Versions[0].Stages) > 0 {
			return shape.Failure(casemate.Invalid, "ParameterMaxVersionLimitExceeded", "The oldest of 100 versions has a label: move it to another version, so that the oldest can go.")
		}
		it.Drop(it.Versions[0].ID)
	}
	it.Add(secret.Version{ID: strconv.Itoa(next), Created: s.Clock().UTC().Truncate(time.Millisecond), About: about},
		plain.Take(slices.Clone(in.Value.Expose()))) // the change may be tried again
	return nil
}

type nameIn struct{ Name string }

type namesIn struct{ Names []string }

// erase deletes a parameter with all of its versions, at once: parameters have no recovery window.
func (s *service) erase(ctx context.Context, text string) error {
	name, sel, err := split(s.Place, text)
	if err != nil {
		return err
	}
	if sel != "" {
		return invalid("A parameter is deleted with all of its versions: name it without version or label.")
	}
	_, err = s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		if !it.Exists() {
			return notFound()
		}
		it.Erase()
		return nil
	})
	return err
}

func (s *service) remove(ctx context.Context, _ *casemate.Launch, in *nameIn) (any, error) {
	return nil, s.erase(ctx, in.Name)
}

// removes is DeleteParameters. Every name was decided on before the first is deleted.
func (s *service) removes(ctx context.Context, _ *casemate.Launch, in *namesIn) (any, error) {
	gone, missing := []string{}, []string{}
	for _, name := range in.Names {
		err := s.erase(ctx, name)
		switch {
		case err == nil:
			gone = append(gone, name)
		case casemate.CodeOf(err) == casemate.NotFound:
			missing = append(missing, name)
		default:
			return nil, err
		}
	}
	return struct{ DeletedParameters, InvalidParameters []string }{gone, missing}, nil
}

type labelIn struct {
	Name             string
	ParameterVersion int
	Labels           []string
}

// version finds the version that a request speaks of, the last when it names none.
func (in *labelIn) version(it *secret.Item) (*secret.Version, error) {
	if !it.Exists() {
		return nil, notFound()
	}
	if in.ParameterVersion == 0 {
		return &it.Versions[len(it.Versions)-1], nil
	}
	if v := it.Version(strconv.Itoa(in.ParameterVersion)); v != nil {
		return v, nil
	}
	return nil, noVersion()
}

// relabel changes the labels of one version and reports those that could not be taken.
func (s *service) relabel(ctx context.Context, in *labelIn, f func(it *secret.Item, v *secret.Version, label string) bool) (done, bad []string, number int, err error) {
	name, _, err := split(s.Place, in.Name)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(in.Labels) == 0 || len(in.Labels) > maxLabels {
		return nil, nil, 0, invalid("1 to 10 labels are given at once.")
	}
	_, err = s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		done, bad = []string{}, []string{}
		v, err := in.version(it)
		if err != nil {
			return err
		}
		number, _ = strconv.Atoi(v.ID) // the service made it
		for _, label := range in.Labels {
			if f(it, v, label) {
				done = append(done, label)
			} else {
				bad = append(bad, label)
			}
		}
		if len(v.Stages) > maxLabels {
			return shape.Failure(casemate.Invalid, "ParameterVersionLabelLimitExceeded", "A version of a parameter has at most 10 labels.")
		}
		return nil
	})
	return done, bad, number, err
}

// label is LabelParameterVersion: a label moves from whichever version had it. One that cannot be a label is reported, and
// the others are set.
func (s *service) label(ctx context.Context, _ *casemate.Launch, in *labelIn) (any, error) {
	_, bad, number, err := s.relabel(ctx, in, func(it *secret.Item, v *secret.Version, label string) bool {
		if !isLabel(label) {
			return false
		}
		it.Move(label, v.ID)
		return true
	})
	return struct {
		InvalidLabels    []string
		ParameterVersion int
	}{bad, number}, err
}

// unlabel is UnlabelParameterVersion: a label that is on another version stays there and is reported.
func (s *service) unlabel(ctx context.Context, _ *casemate.Launch, in *labelIn) (any, error) {
	if in.ParameterVersion == 0 {
		return nil, invalid("The version whose labels are removed must be given.")
	}
	done, bad, _, err := s.relabel(ctx, in, func(it *secret.Item, v *secret.Version, label string) bool {
		if !slices.Contains(v.Stages, label) {
			return false
		}
		it.Move(label, "")
		return true
	})
	return struct{ RemovedLabels, InvalidLabels []string }{done, bad}, err
}

// tagged adds tags to those there are, within AWS' bounds.
func tagged(have map[string]string, add []tagging) (map[string]string, error) {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	for _, t := range add {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") || !utf8.ValidString(t.Key+t.Value) {
			return nil, invalid("a tag has a key of 1 to 128 characters that does not begin with aws:, and a value of at most 256")
		}
		all[t.Key] = t.Value
	}
	if len(all) > maxTags {
		return nil, shape.Failure(casemate.Invalid, "TooManyTagsError", "a parameter has at most 50 tags")
	}
	return all, nil
}
