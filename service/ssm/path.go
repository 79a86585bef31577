package ssm

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/secret"
	"casemate/service/shape"
)

// filter is one of ParameterFilters.
type filter struct {
	Key    string
	Option string
	Values []string
}

type pathIn struct {
	Path             string
	Recursive        bool
	ParameterFilters []filter
	WithDecryption   bool
	MaxResults       int
	NextToken        string
}

// checkPath refuses what is no hierarchy: it begins with a slash, and "/" alone is all of them.
func checkPath(path string) error {
	if path == "/" {
		return nil
	}
	if !strings.HasPrefix(path, "/") {
		return invalid("The parameter path must begin with a slash.")
	}
	return checkName(strings.TrimSuffix(path, "/"))
}

// below reports whether a kept name is in a hierarchy: directly, or with recursive at any depth.
func below(path, name string, recursive bool) bool {
	path = strings.Trim(path, "/")
	if path != "" {
		rest, ok := strings.CutPrefix(name, path+"/")
		if !ok {
			return false
		}
		name = rest
	}
	return recursive || !strings.Contains(name, "/")
}

// most bounds what one record tells of parameters that were left out.
const mostRefused = 50

// byPath reads a hierarchy. Stricter than AWS, where the path alone decides: each parameter of it has to be granted, too,
// and one that is not is left out and noted.
func (s *service) byPath(ctx context.Context, l *casemate.Launch, in *pathIn) (any, error) {
	if err := checkPath(in.Path); err != nil {
		return nil, err
	}
	if err := checkFilters(in.ParameterFilters, "Type", "Label"); err != nil {
		return nil, err
	}
	items, err := s.Room.List(ctx, s.Place.Account, secret.KindParameter)
	if err != nil {
		return nil, err
	}
	out := listOut{Parameters: parameters{}}
	items = slices.DeleteFunc(items, func(it *secret.Item) bool {
		if !below(in.Path, it.ID.Name, in.Recursive) || !matches(it, in.ParameterFilters) {
			return true
		}
		arn := ARN(s.Place, it.ID.Name)
		d := s.Judge(l, "ssm:GetParametersByPath", arn)
		if d.Verdict != casemate.Allowed && len(out.refused) < mostRefused {
			out.refused = append(out.refused, casemate.Effect{At: s.Clock(), Kind: casemate.EffectSecret, Target: arn, Verdict: casemate.Denied, Reason: d.Reason, Grant: d.Hint})
		}
		return d.Verdict != casemate.Allowed
	})
	from, to, next, err := page(names(items), strings.Compare, in.NextToken, in.MaxResults, 10)
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	for _, it := range items[from:to] {
		p, err := s.reveal(ctx, it, chosen(it, in.ParameterFilters), in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p)
	}
	return out, nil
}

// chosen is the version that a filter by label names, else the last.
func chosen(it *secret.Item, filters []filter) *secret.Version {
	for _, f := range filters {
		for _, label := range f.Values {
			if v := it.Staged(label); f.Key == "Label" && v != nil {
				return v
			}
		}
	}
	return &it.Versions[len(it.Versions)-1]
}

// names are those of items, as pages are cut by them.
func names(items []*secret.Item) []string {
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.ID.Name
	}
	return out
}

// checkFilters refuses keys that are not known and options that the key does not take: a filter that was dropped would
// give more than was asked for.
func checkFilters(filters []filter, known ...string) error {
	for _, f := range filters {
		switch {
		case !slices.Contains(known, f.Key) && !strings.HasPrefix(f.Key, "tag:") || strings.HasPrefix(f.Key, "tag:") && !slices.Contains(known, "tag"):
			return shape.Failure(casemate.Invalid, "InvalidFilterKey", "The specified key isn't valid. Known here: "+strings.Join(known, ", ")+".")
		case len(f.Values) == 0 || len(f.Values) > 50:
			return shape.Failure(casemate.Invalid, "InvalidFilterValue", "The filter value isn't valid: 1 to 50 are taken.")
		case f.Key == "Path" && !slices.Contains([]string{"", "OneLevel", "Recursive"}, f.Option),
			f.Key == "Name" && !slices.Contains([]string{"", "Equals", "BeginsWith", "Contains"}, f.Option),
			f.Key != "Path" && f.Key != "Name" && f.Option != "" && f.Option != "Equals":
			return shape.Failure(casemate.Invalid, "InvalidFilterOption", "The specified filter option isn't valid.")
		}
	}
	return nil
}

// matches holds when every filter has a value that fits.
func matches(it *secret.Item, filters []filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(want string) bool { return f.fits(it, want) }) {
			return false
		}
	}
	return true
}

// fits compares one value. Names are compared without the slash in front, as they are kept.
func (f *filter) fits(it *secret.Item, want string) bool {
	name, bare := it.ID.Name, strings.TrimPrefix(want, "/")
	switch f.Key {
	case "Name":
		switch f.Option {
		case "BeginsWith":
			return strings.HasPrefix(name, bare)
		case "Contains":
			return strings.Contains("/"+name, want)
		}
		return name == bare
	case "Path":
		return below(want, name, f.Option == "Recursive")
	case "Type":
		return it.About[aboutType] == want
	case "Label":
		return it.Staged(want) != nil
	case "Tier":
		return it.Versions[len(it.Versions)-1].About[aboutTier] == want
	}
	value, ok := it.Tags[strings.TrimPrefix(f.Key, "tag:")]
	return ok && value == want
}

type describeIn struct {
	ParameterFilters []filter
	MaxResults       int
	NextToken        string
}

type described struct {
	ARN              string
	Name             string
	Type             string
	Version          int
	Tier             string
	DataType         string
	Description      string `json:",omitempty"`
	AllowedPattern   string `json:",omitempty"`
	LastModifiedUser string `json:",omitempty"`
	LastModifiedDate shape.Moment
	Policies         []string
}

// describe is DescribeParameters: what is known about parameters but their values. It is granted on all of them or not at
// all.
func (s *service) describe(ctx context.Context, _ *casemate.Launch, in *describeIn) (any, error) {
	if err := checkFilters(in.ParameterFilters, "Name", "Path", "Type", "Tier", "tag"); err != nil {
		return nil, err
	}
	items, err := s.Room.List(ctx, s.Place.Account, secret.KindParameter)
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(it *secret.Item) bool { return !matches(it, in.ParameterFilters) })
	from, to, next, err := page(names(items), strings.Compare, in.NextToken, in.MaxResults, 50)
	if err != nil {
		return nil, err
	}
	out := []described{}
	for _, it := range items[from:to] {
		v := &it.Versions[len(it.Versions)-1]
		number, _ := strconv.Atoi(v.ID) // the service made it
		out = append(out, described{ARN: ARN(s.Place, it.ID.Name), Name: it.About[aboutName], Type: it.About[aboutType], Version: number,
			Tier: v.About[aboutTier], DataType: "text", Description: v.About[aboutDescription], AllowedPattern: v.About[aboutPattern],
			LastModifiedUser: v.About[aboutUser], LastModifiedDate: shape.Moment(v.Created), Policies: []string{}})
	}
	return struct {
		Parameters []described
		NextToken  string `json:",omitempty"`
	}{out, next}, nil
}

type tagging struct {
	Key   string
	Value string
}

type tagIn struct {
	ResourceType string
	ResourceID   string `json:"ResourceId"`
	Tags         []tagging
	TagKeys      []string
}

// changeTags changes the tags of a parameter that has to be there.
func (s *service) changeTags(ctx context.Context, in *tagIn, f func(it *secret.Item) error) error {
	if in.ResourceType != "Parameter" {
		return shape.Failure(casemate.Invalid, "InvalidResourceType", "The resource type isn't valid: Parameter is the one here.")
	}
	name, _, err := split(s.Place, in.ResourceID)
	if err != nil {
		return err
	}
	_, err = s.Room.Change(ctx, s.id(name), func(it *secret.Item) error {
		if !it.Exists() {
			return shape.Failure(casemate.NotFound, "InvalidResourceId", "The resource ID isn't valid. Verify that you entered the correct ID and try again.")
		}
		return f(it)
	})
	return err
}

func (s *service) tag(ctx context.Context, _ *casemate.Launch, in *tagIn) (any, error) {
	return nil, s.changeTags(ctx, in, func(it *secret.Item) (err error) {
		it.Tags, err = tagged(it.Tags, in.Tags)
		return err
	})
}

func (s *service) untag(ctx context.Context, _ *casemate.Launch, in *tagIn) (any, error) {
	return nil, s.changeTags(ctx, in, func(it *secret.Item) error {
		for _, k := range in.TagKeys {
			delete(it.Tags, k)
		}
		return nil
	})
}

func (s *service) tags(ctx context.Context, _ *casemate.Launch, in *tagIn) (any, error) {
	name, _, err := split(s.Place, in.ResourceID)
	if err != nil {
		return nil, err
	}
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	out := []tagging{}
	for _, k := range slices.Sorted(maps.Keys(it.Tags)) {
		out = append(out, tagging{k, it.Tags[k]})
	}
	return struct{ TagList []tagging }{out}, nil
}
