package control

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"casemate"
	"casemate/catalog"
)

// aliasIn is a request about one alias.
type aliasIn struct {
	target
	Name            string
	FunctionVersion string
	Description     *string
	RoutingConfig   *struct{ AdditionalVersionWeights map[string]float64 }
	RevisionId      string
}

// aliasOut is what Lambda tells of an alias (https://docs.aws.amazon.com/lambda/latest/api/API_AliasConfiguration.html).
type aliasOut struct {
	AliasArn        string
	Name            string
	FunctionVersion string
	Description     string
	RoutingConfig   *routing `json:",omitempty"`
	RevisionId      string
}

type routing struct {
	AdditionalVersionWeights map[string]float64
}

func (d *desk) aliasOf(function, name string, a *catalog.Alias) *aliasOut {
	arn := d.Place.FunctionARN(function)
	out := &aliasOut{AliasArn: arn + ":" + name, Name: name, FunctionVersion: numbered(a.Version), Description: a.Description, RevisionId: a.Revision(arn, name)}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &routing{map[string]float64{}}
		for n, w := range a.Weights {
			out.RoutingConfig.AdditionalVersionWeights[numbered(n)] = w
		}
	}
	return out
}

// numbered is how a request and an answer name the version that an alias leads to.
func numbered(n int) string {
	if n == 0 {
		return catalog.Latest
	}
	return strconv.Itoa(n)
}

// version reads a version that an alias is to lead to.
func (d *desk) version(f *catalog.Function, function, text string) (int, error) {
	if text == catalog.Latest {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text || f.Published(n) == nil {
		return 0, d.missing(&target{name: function, Qualifier: text})
	}
	return n, nil
}

// point writes where an alias leads.
func (d *desk) point(f *catalog.Function, in *aliasIn, a *catalog.Alias) (err error) {
	if in.FunctionVersion != "" {
		if a.Version, err = d.version(f, in.name, in.FunctionVersion); err != nil {
			return err
		}
	}
	if in.Description != nil {
		a.Description = *in.Description
	}
	if in.RoutingConfig != nil {
		a.Weights = nil
		weights := in.RoutingConfig.AdditionalVersionWeights
		if len(weights) > 1 {
			return parameter("Number of items in AdditionalVersionWeights cannot be greater than 1")
		}
		for text, w := range weights {
			n, err := d.version(f, in.name, text)
			if err != nil {
				return err
			}
			if n == 0 || a.Version == 0 {
				return parameter("$LATEST is not supported for an alias pointing to more than 1 version")
			}
			a.Weights = map[int]float64{n: w}
		}
	}
	if _, twice := a.Weights[a.Version]; twice {
		return parameter("Invalid function version %d. Function version %d is already included in routing configuration.", a.Version, a.Version)
	}
	if a.Version == 0 && len(a.Weights) > 0 {
		return parameter("$LATEST is not supported for an alias pointing to more than 1 version")
	}
	a.Edits++
	return nil
}

// createAlias is CreateAlias.
func (d *desk) createAlias(ctx context.Context, l *casemate.Launch, in *aliasIn) (any, error) {
	f, err := d.alter(ctx, l, &in.target, nil, func(_ *catalog.App, f *catalog.Function) error {
		if f.Manages().Aliases[in.Name] != nil {
			return conflict("Alias already exists: %s", d.Place.FunctionARN(in.name)+":"+in.Name)
		}
		a := &catalog.Alias{}
		if err := d.point(f, in, a); err != nil {
			return err
		}
		m := f.Manage()
		if m.Aliases == nil {
			m.Aliases = map[string]*catalog.Alias{}
		}
		a.Edits = m.Edits // one that was deleted and is made again has another revision
		m.Aliases[in.Name] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.told(f, in)
}

// told is what a write of an alias answers.
func (d *desk) told(f *catalog.Function, in *aliasIn) (any, error) {
	a := f.Manages().Aliases[in.Name]
	if a == nil {
		return nil, d.noAlias(in)
	}
	return d.aliasOf(in.name, in.Name, a), nil
}

func (d *desk) noAlias(in *aliasIn) error {
	return failure(casemate.NotFound, codeMissing, "Cannot find alias arn: %s", d.Place.FunctionARN(in.name)+":"+in.Name)
}

// updateAlias is UpdateAlias.
func (d *desk) updateAlias(ctx context.Context, l *casemate.Launch, in *aliasIn) (any, error) {
	f, err := d.alter(ctx, l, &in.target, nil, func(_ *catalog.App, f *catalog.Function) error {
		was := f.Manages().Aliases[in.Name]
		if was == nil {
			return d.noAlias(in)
		}
		if in.RevisionId != "" && in.RevisionId != was.Revision(d.Place.FunctionARN(in.name), in.Name) {
			return stale("GetAlias")
		}
		a := *was
		if err := d.point(f, in, &a); err != nil {
			return err
		}
		f.Manage().Aliases[in.Name] = &a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.told(f, in)
}

// getAlias is GetAlias.
func (d *desk) getAlias(_ context.Context, _ *casemate.Launch, in *aliasIn) (any, error) {
	f, _ := d.Apps.Snapshot().Find(in.name)
	if f == nil {
		return nil, d.missing(&in.target)
	}
	return d.told(f, in)
}

// deleteAlias is DeleteAlias. One that is not there is no error, as on Lambda.
func (d *desk) deleteAlias(ctx context.Context, l *casemate.Launch, in *aliasIn) (any, error) {
	_, err := d.alter(ctx, l, &in.target, nil, func(a *catalog.App, f *catalog.Function) error {
		if f.Manages().Aliases[in.Name] == nil {
			return nil
		}
		delete(f.Manage().Aliases, in.Name)
		a.Forget(d.Place, in.name, in.Name)
		return nil
	})
	return nil, err
}

type aliasesIn struct {
	target
	listIn
}

type aliasesOut struct {
	Aliases    []*aliasOut
	NextMarker string `json:",omitempty"`
}

// listAliases is ListAliases, by name. FunctionVersion narrows it to those that lead to one version.
func (d *desk) listAliases(_ context.Context, _ *casemate.Launch, in *aliasesIn) (any, error) {
	f, _ := d.Apps.Snapshot().Find(in.name)
	if f == nil {
		return nil, d.missing(&in.target)
	}
	p, after, err := begin[*aliasOut](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	aliases := f.Manages().Aliases
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		a := aliases[name]
		if name <= after || in.FunctionVersion != "" && in.FunctionVersion != numbered(a.Version) {
			continue
		}
		if !p.add(name, d.aliasOf(in.name, name, a)) {
			break
		}
	}
	return aliasesOut{p.items, p.next}, nil
}
