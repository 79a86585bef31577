package control

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"casemate"
	"casemate/catalog"
)

// invokeConfigs are the operations on how queued events are tried.
func (d *desk) invokeConfigs() []casemate.Operation {
	return []casemate.Operation{
		onFunction(d, "PutFunctionEventInvokeConfig", askBody, d.putInvokeConfig),
		onFunction(d, "UpdateFunctionEventInvokeConfig", askBody, d.updateInvokeConfig),
		onFunction(d, "GetFunctionEventInvokeConfig", askBody, d.getInvokeConfig),
		onFunction(d, "ListFunctionEventInvokeConfigs", askBody, d.listInvokeConfigs),
		onFunction(d, "DeleteFunctionEventInvokeConfig", askBody, d.deleteInvokeConfig),
	}
}

type destination struct {
	Destination string `json:",omitempty"`
}

type destinations struct{ OnSuccess, OnFailure destination }

type invokeConfigIn struct {
	target
	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds *int
	DestinationConfig        *destinations
	Marker                   string
	MaxItems                 int
}

type invokeConfigOut struct {
	FunctionArn              string
	LastModified             float64 // seconds
	MaximumRetryAttempts     *int    `json:",omitempty"`
	MaximumEventAgeInSeconds *int    `json:",omitempty"`
	DestinationConfig        destinations
}

// put notes what the request says in c. Whether a destination is of this node, and the function may send there, is asked when
// the app is checked.
func (in *invokeConfigIn) put(c *catalog.EventInvoke, now time.Time) error {
	if x := in.DestinationConfig; x != nil {
		c.OnSuccess, c.OnFailure = &x.OnSuccess.Destination, &x.OnFailure.Destination
	}
	if in.MaximumRetryAttempts != nil {
		c.Retries = in.MaximumRetryAttempts
	}
	if in.MaximumEventAgeInSeconds != nil {
		age := time.Duration(*in.MaximumEventAgeInSeconds) * time.Second
		c.MaxAge = &age
	}
	c.Modified = now
	return nil
}

// putInvokeConfig is PutFunctionEventInvokeConfig: what was set before is gone.
func (d *desk) putInvokeConfig(ctx context.Context, l *casemate.Launch, in *invokeConfigIn) (any, error) {
	if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
		return nil, parameter("You must specify at least one of error handling or destination setting.")
	}
	return d.setInvokeConfig(ctx, l, in, func(*catalog.EventInvoke) *catalog.EventInvoke { return &catalog.EventInvoke{} })
}

// updateInvokeConfig is UpdateFunctionEventInvokeConfig: what the request does not name stays.
func (d *desk) updateInvokeConfig(ctx context.Context, l *casemate.Launch, in *invokeConfigIn) (any, error) {
	return d.setInvokeConfig(ctx, l, in, func(old *catalog.EventInvoke) *catalog.EventInvoke {
		if old == nil {
			return nil
		}
		c := *old
		return &c
	})
}

func (d *desk) setInvokeConfig(ctx context.Context, l *casemate.Launch, in *invokeConfigIn, from func(old *catalog.EventInvoke) *catalog.EventInvoke) (any, error) {
	if _, _, _, err := d.find(&in.target); err != nil {
		return nil, err
	}
	now := d.Clock()
	err := d.change(ctx, l, &in.target, func(_ *catalog.App, f *catalog.Function) error {
		all := f.Manage().Keeps().Invoke
		c := from(all[in.key()])
		if c == nil {
			return d.noInvokeConfig(&in.target)
		}
		all[in.key()] = c
		return in.put(c, now)
	})
	if err != nil {
		return nil, err
	}
	return d.getInvokeConfig(ctx, l, in)
}

// key is what the configuration of a qualifier is kept under.
func (t *target) key() string {
	if t.Qualifier == catalog.Latest {
		return ""
	}
	return t.Qualifier
}

// latestARN is a function's ARN with its qualifier, $LATEST where it has none.
func (d *desk) latestARN(name, qualifier string) string {
	if qualifier == "" {
		qualifier = catalog.Latest
	}
	return d.Place.FunctionARN(name) + ":" + qualifier
}

func (d *desk) noInvokeConfig(t *target) error {
	return failure(casemate.NotFound, codeMissing, "The function %s doesn't have an EventInvokeConfig", d.latestARN(t.name, t.Qualifier))
}

// getInvokeConfig is GetFunctionEventInvokeConfig.
func (d *desk) getInvokeConfig(_ context.Context, _ *casemate.Launch, in *invokeConfigIn) (any, error) {
	f, _, _, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	if s := f.Manages().Standing; s != nil && s.Invoke[in.key()] != nil {
		return d.invokeConfig(in.name, in.key(), s.Invoke[in.key()]), nil
	}
	return nil, d.noInvokeConfig(&in.target)
}

func (d *desk) invokeConfig(name, qualifier string, c *catalog.EventInvoke) *invokeConfigOut {
	out := &invokeConfigOut{FunctionArn: d.latestARN(name, qualifier), LastModified: float64(c.Modified.UnixMilli()) / 1000, MaximumRetryAttempts: c.Retries}
	if c.MaxAge != nil {
		age := int(*c.MaxAge / time.Second)
		out.MaximumEventAgeInSeconds = &age
	}
	if c.OnSuccess != nil {
		out.DestinationConfig.OnSuccess.Destination = *c.OnSuccess
	}
	if c.OnFailure != nil {
		out.DestinationConfig.OnFailure.Destination = *c.OnFailure
	}
	return out
}

// listInvokeConfigs is ListFunctionEventInvokeConfigs.
func (d *desk) listInvokeConfigs(_ context.Context, _ *casemate.Launch, in *invokeConfigIn) (any, error) {
	f, _, _, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	p, after, err := begin[*invokeConfigOut](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	if s := f.Manages().Standing; s != nil {
		for _, q := range slices.Sorted(maps.Keys(s.Invoke)) {
			if name := cmp.Or(q, catalog.Latest); name > after && !p.add(name, d.invokeConfig(in.name, q, s.Invoke[q])) {
				break
			}
		}
	}
	return struct {
		FunctionEventInvokeConfigs []*invokeConfigOut
		NextMarker                 string `json:",omitempty"`
	}{p.items, p.next}, nil
}

// deleteInvokeConfig is DeleteFunctionEventInvokeConfig.
func (d *desk) deleteInvokeConfig(ctx context.Context, l *casemate.Launch, in *invokeConfigIn) (any, error) {
	return nil, d.change(ctx, l, &in.target, func(_ *catalog.App, f *catalog.Function) error {
		all := f.Manage().Keeps().Invoke
		if all[in.key()] == nil {
			return d.noInvokeConfig(&in.target)
		}
		delete(all, in.key())
		return nil
	})
}
