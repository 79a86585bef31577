package control

import (
	"context"
	"slices"
	"time"

	"casemate"
	"casemate/catalog"
)

// Standing is what the operations need that are about neither code nor versions; all of it but Aloud.
type Standing struct {
	Layers      Layers
	Layer       func(arn string) (casemate.Layer, error) // that a function gets by the ARN of its version
	Concurrency int                                      // runs at once of the whole node
	URL         func(id string) string                   // of a function URL, by its first label
	Ready       func(v *casemate.Version) int            // sandboxes of a version that are there
	Aloud       func(what string, lasts time.Duration)   // tells the operator of something that is open to everybody; nil: nobody
}

// standing are the operations on what a function has beside code, configuration and versions.
func (d *desk) standing() []casemate.Operation {
	return slices.Concat(d.permissions(), d.concurrency(), d.urls(), d.invokeConfigs(), d.fixed(), d.layerOperations())
}

// change edits the function that a request is about, in its app.
func (d *desk) change(ctx context.Context, l *casemate.Launch, t *target, do func(a *catalog.App, f *catalog.Function) error) error {
	_, app := d.Apps.Snapshot().Find(t.name)
	if app == "" {
		return d.missing(t)
	}
	return d.Apps.Edit(ctx, l, app, nil, func(a *catalog.App) error {
		f := a.Functions[t.name]
		if f == nil {
			return d.missing(t)
		}
		return do(a, f)
	})
}
