package control

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"casemate"
	"casemate/catalog"
)

// publishIn is a request of PublishVersion.
type publishIn struct {
	target
	CodeSha256  string
	Description string
	RevisionId  string
}

// publishVersion is PublishVersion. What has not changed since it was last published keeps its number.
func (d *desk) publishVersion(ctx context.Context, l *casemate.Launch, in *publishIn) (any, error) {
	var v *casemate.Version
	f, err := d.alter(ctx, l, &in.target, nil, func(_ *catalog.App, f *catalog.Function) error {
		if err := expected(f, in.RevisionId); err != nil {
			return err
		}
		if have := sum(f.Latest().Code); in.CodeSha256 != "" && in.CodeSha256 != have {
			return parameter("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", clip(in.CodeSha256), have)
		}
		v = publish(f, in.Description)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v = f.Published(v.Number); v == nil {
		return nil, d.missing(&in.target)
	}
	return d.describe(f, v, v.Name()), nil
}

type versionsIn struct {
	target
	listIn
}

type versionsOut struct {
	Versions   []*configuration
	NextMarker string `json:",omitempty"`
}

// listVersions is ListVersionsByFunction: $LATEST first, then what was published, oldest first.
func (d *desk) listVersions(_ context.Context, _ *casemate.Launch, in *versionsIn) (any, error) {
	f, _ := d.Apps.Snapshot().Find(in.name)
	if f == nil {
		return nil, d.missing(&in.target)
	}
	p, after, err := begin[*configuration](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	last := -1 // number behind which the page begins; $LATEST is 0
	if after != "" {
		if last, err = strconv.Atoi(after); err != nil {
			return nil, parameter("Invalid marker")
		}
	}
	if last < 0 {
		p.add("0", d.describe(f, f.Latest(), catalog.Latest))
	}
	versions := slices.Clone(f.Versions)
	slices.SortFunc(versions, func(a, b *casemate.Version) int { return cmp.Compare(a.Number, b.Number) })
	for _, v := range versions {
		if !v.Draft() && v.Number > last && !p.add(strconv.Itoa(v.Number), d.describe(f, v, v.Name())) {
			break
		}
	}
	return versionsOut{p.items, p.next}, nil
}
