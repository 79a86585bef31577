package control

import (
	"context"
	"maps"
	"strings"
	"unicode/utf8"

	"casemate"
	"casemate/catalog"
)

// Bounds of tags (https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html).
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// tagIn is a request about the tags of a function, which it names by its ARN.
type tagIn struct {
	target
	Resource string
	Tags     map[string]string
	TagKeys  []string
}

func (t *tagIn) function() *target {
	t.FunctionName = t.Resource
	return &t.target
}

type tagsOut struct {
	Tags map[string]string
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return parameter("a function has at most %d tags", maxTags)
	}
	for key, value := range tags {
		if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKey || utf8.RuneCountInString(value) > maxTagValue || strings.HasPrefix(strings.ToLower(key), "aws:") {
			return parameter("a tag's key has 1 to %d characters and does not begin with aws:, and its value has at most %d", maxTagKey, maxTagValue)
		}
	}
	return nil
}

// tagged refuses what is no function's own ARN.
func (d *desk) tagged(in *tagIn) error {
	if in.Resource != d.Place.FunctionARN(in.name) {
		return parameter("only functions have tags here, by their unqualified ARN: %s", clip(in.Resource))
	}
	return nil
}

// listTags is ListTags.
func (d *desk) listTags(_ context.Context, _ *casemate.Launch, in *tagIn) (any, error) {
	if err := d.tagged(in); err != nil {
		return nil, err
	}
	f, _ := d.Apps.Snapshot().Find(in.name)
	if f == nil {
		return nil, d.missing(&in.target)
	}
	out := tagsOut{Tags: f.Manages().Tags}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	return out, nil
}

// tag is TagResource. The app that a function was made in stays its app, whatever the tag says afterwards.
func (d *desk) tag(ctx context.Context, l *casemate.Launch, in *tagIn) (any, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, d.retag(ctx, l, in, func(m *catalog.Managed) error {
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		maps.Copy(m.Tags, in.Tags)
		return checkTags(m.Tags)
	})
}

// untag is UntagResource.
func (d *desk) untag(ctx context.Context, l *casemate.Launch, in *tagIn) (any, error) {
	return nil, d.retag(ctx, l, in, func(m *catalog.Managed) error {
		for _, key := range in.TagKeys {
			delete(m.Tags, key)
		}
		return nil
	})
}

func (d *desk) retag(ctx context.Context, l *casemate.Launch, in *tagIn, write func(*catalog.Managed) error) error {
	if err := d.tagged(in); err != nil {
		return err
	}
	_, err := d.alter(ctx, l, &in.target, nil, func(_ *catalog.App, f *catalog.Function) error { return write(f.Manage()) })
	return err
}
