package secrets

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/secret"
	"casemate/service/shape"
)

const description = "description" // key in Item.About

type tag struct {
	Key   string
	Value string
}

// summary is what may be known about a secret: the answer of DescribeSecret, and one of ListSecrets.
type summary struct {
	ARN              string
	Name             string
	Description      string `json:",omitempty"`
	CreatedDate      *shape.Moment
	LastChangedDate  *shape.Moment
	LastAccessedDate *shape.Moment `json:",omitempty"`
	DeletedDate      *shape.Moment `json:",omitempty"`
	Tags             []tag
	PrimaryRegion    string
	RotationEnabled  bool
	Versions         map[string][]string `json:"VersionIdsToStages,omitempty"`
	Listed           map[string][]string `json:"SecretVersionsToStages,omitempty"` // ListSecrets' word for the same
}

// summary never holds a value: what is sealed with the item (tags, description, dates) is all it reads.
func (s *service) summary(ctx context.Context, it *secret.Item) summary {
	o := summary{ARN: ARN(s.Place, it.ID.Name), Name: it.ID.Name, Description: it.About[description], CreatedDate: shape.At(it.Created),
		LastChangedDate: shape.At(it.Changed), LastAccessedDate: shape.At(s.Room.Touched(ctx, it)), DeletedDate: shape.At(it.Marked), Tags: []tag{},
		PrimaryRegion: s.Place.Region}
	for _, k := range slices.Sorted(maps.Keys(it.Tags)) {
		o.Tags = append(o.Tags, tag{k, it.Tags[k]})
	}
	return o
}

// stages lists the versions that have any, as Secrets Manager shows them.
func stages(it *secret.Item) map[string][]string {
	m := map[string][]string{}
	for _, v := range it.Versions {
		if len(v.Stages) > 0 {
			m[v.ID] = v.Stages
		}
	}
	return m
}

// describe is DescribeSecret. It answers for a secret that is marked for deletion as well, with the day of that.
func (s *service) describe(ctx context.Context, _ *casemate.Launch, name string, _ *target) (any, error) {
	it, err := s.Room.Get(ctx, s.id(name))
	if err != nil {
		return nil, err
	}
	o := s.summary(ctx, it)
	o.Versions = stages(it)
	return o, nil
}

// filter is one of ListSecrets and BatchGetSecretValue: Key is name, description, tag-key, tag-value or all.
type filter struct {
	Key    string
	Values []string
}

type listIn struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             int
	NextToken              string
	SortOrder              string
}

// list is ListSecrets. As on AWS it is granted on all secrets or not at all, because it names every one.
func (s *service) list(ctx context.Context, _ *casemate.Launch, in *listIn) (any, error) {
	items, next, err := s.page(ctx, in)
	if err != nil {
		return nil, err
	}
	out := []summary{}
	for _, it := range items {
		o := s.summary(ctx, it)
		o.Listed = stages(it)
		out = append(out, o)
	}
	return struct {
		SecretList []summary
		NextToken  string `json:",omitempty"`
	}{out, next}, nil
}

// page is a part of the list, by name. The token is the name that came last: pages neither repeat nor lose what stays.
func (s *service) page(ctx context.Context, in *listIn) (page []*secret.Item, next string, err error) {
	most := in.MaxResults
	if most == 0 {
		most = 100
	}
	if most < 1 || most > 100 {
		return nil, "", parameter("MaxResults must be from 1 to 100")
	}
	if in.SortOrder != "" && in.SortOrder != "asc" && in.SortOrder != "desc" {
		return nil, "", parameter("SortOrder must be asc or desc")
	}
	for _, f := range in.Filters {
		if !slices.Contains([]string{"name", "description", "tag-key", "tag-value", "all"}, f.Key) || len(f.Values) == 0 || len(f.Values) > 10 {
			return nil, "", parameter("a filter has one of the keys name, description, tag-key, tag-value and all, and 1 to 10 values")
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(in.NextToken)
	if err != nil {
		return nil, "", shape.Failure(casemate.Invalid, "InvalidNextTokenException", "The NextToken value is invalid.")
	}
	items, err := s.Room.List(ctx, s.Place.Account, secret.KindSecret)
	if err != nil {
		return nil, "", err
	}
	if in.SortOrder == "desc" {
		slices.Reverse(items)
	}
	for _, it := range items {
		c := strings.Compare(it.ID.Name, string(after))
		if len(after) > 0 && (c == 0 || (c < 0) != (in.SortOrder == "desc")) || !it.Purge.IsZero() && !in.IncludePlannedDeletion || !matches(it, in.Filters) {
			continue
		}
		if len(page) == most {
			return page, base64.RawURLEncoding.EncodeToString([]byte(page[most-1].ID.Name)), nil
		}
		page = append(page, it)
	}
	return page, "", nil
}

// matches holds when every filter has a value that fits; one with "!" in front fits what does not.
func matches(it *secret.Item, filters []filter) bool {
	for _, f := range filters {
		var texts []string
		keys, values := slices.Collect(maps.Keys(it.Tags)), slices.Collect(maps.Values(it.Tags))
		switch f.Key {
		case "name":
			texts = []string{it.ID.Name}
		case "description":
			texts = []string{it.About[description]}
		case "tag-key":
			texts = keys
		case "tag-value":
			texts = values
		default:
			texts = slices.Concat([]string{it.ID.Name, it.About[description]}, keys, values)
		}
		if !slices.ContainsFunc(f.Values, func(want string) bool { return fits(f.Key, texts, want) }) {
			return false
		}
	}
	return true
}

// fits compares as Secrets Manager does: by prefix and with case, but for descriptions and "all", which are words without.
func fits(key string, texts []string, want string) bool {
	want, not := strings.CutPrefix(want, "!")
	found := slices.ContainsFunc(texts, func(have string) bool {
		if key == "description" || key == "all" {
			return strings.Contains(strings.ToLower(have), strings.ToLower(want))
		}
		return strings.HasPrefix(have, want)
	})
	return found != not
}
