package control

import (
	"context"
	"maps"
	"slices"
	"time"

	"casemate"
	"casemate/catalog"
)

// codeNoProvision is what Lambda says where nothing is provisioned.
const codeNoProvision = "ProvisionedConcurrencyConfigNotFoundException"

// concurrency are the operations on how many runs there are at once.
func (d *desk) concurrency() []casemate.Operation {
	return []casemate.Operation{
		onFunction(d, "PutFunctionConcurrency", askBody, d.putConcurrency),
		onFunction(d, "GetFunctionConcurrency", askBody, d.getConcurrency),
		onFunction(d, "DeleteFunctionConcurrency", askBody, d.deleteConcurrency),
		onFunction(d, "PutProvisionedConcurrencyConfig", askBody, d.putProvisioned),
		onFunction(d, "GetProvisionedConcurrencyConfig", askBody, d.getProvisioned),
		onFunction(d, "ListProvisionedConcurrencyConfigs", askBody, d.listProvisioned),
		onFunction(d, "DeleteProvisionedConcurrencyConfig", askBody, d.deleteProvisioned),
		onAll(d, "GetAccountSettings", d.getAccount),
	}
}

type concurrencyIn struct {
	target
	ReservedConcurrentExecutions int
}

// concurrencyOut is without a number where nothing is reserved.
type concurrencyOut struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

// whole refuses a qualifier where only a function as a whole has what is asked about.
func (t *target) whole() error {
	if t.Qualifier != "" {
		return parameter("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return nil
}

// putConcurrency is PutFunctionConcurrency. 0 stops the function.
func (d *desk) putConcurrency(ctx context.Context, l *casemate.Launch, in *concurrencyIn) (any, error) {
	if err := in.whole(); err != nil {
		return nil, err
	}
	n := in.ReservedConcurrentExecutions
	err := d.change(ctx, l, &in.target, func(_ *catalog.App, f *catalog.Function) error {
		if most := d.Concurrency - d.least() - d.reserved(in.name); n > most {
			return parameter("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", d.least())
		}
		for _, v := range f.Versions {
			if v.Spare > n {
				return parameter("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
			}
		}
		f.Manage()
		f.Replace(func(v *casemate.Version) { v.Limits.Reserved = &n })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return concurrencyOut{&n}, nil
}

// least is what must be left of the node for functions without runs of their own: a tenth, as of AWS's accounts.
func (d *desk) least() int { return max(d.Concurrency/10, 1) }

// reserved is what all functions but one have set aside.
func (d *desk) reserved(but string) (sum int) {
	s := d.Apps.Snapshot()
	for _, name := range s.Apps() {
		a, _ := s.App(name)
		for fn, f := range a.Functions {
			if r := f.Latest().Limits.Reserved; r != nil && fn != but {
				sum += *r
			}
		}
	}
	return sum
}

// getConcurrency is GetFunctionConcurrency.
func (d *desk) getConcurrency(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	if err := in.whole(); err != nil {
		return nil, err
	}
	f, _, _, err := d.find(in)
	if err != nil {
		return nil, err
	}
	return concurrencyOut{f.Latest().Limits.Reserved}, nil
}

// deleteConcurrency is DeleteFunctionConcurrency.
func (d *desk) deleteConcurrency(ctx context.Context, l *casemate.Launch, in *target) (any, error) {
	if err := in.whole(); err != nil {
		return nil, err
	}
	return nil, d.change(ctx, l, in, func(_ *catalog.App, f *catalog.Function) error {
		f.Manage()
		f.Replace(func(v *casemate.Version) { v.Limits.Reserved = nil })
		return nil
	})
}

type provisionedIn struct {
	target
	ProvisionedConcurrentExecutions int
	Marker                          string
	MaxItems                        int
}

// provisionedOut is what Lambda tells of sandboxes that are kept initialised; FunctionArn is told in lists alone.
type provisionedOut struct {
	FunctionArn string `json:",omitempty"`
	Requested   int    `json:"RequestedProvisionedConcurrentExecutions"`
	Available   int    `json:"AvailableProvisionedConcurrentExecutions"`
	Allocated   int    `json:"AllocatedProvisionedConcurrentExecutions"`
	Status      string
	LastModified
}

// LastModified is when, as these operations write it.
type LastModified struct {
	At string `json:"LastModified"`
}

func modified(t time.Time) LastModified {
	return LastModified{t.UTC().Format("2006-01-02T15:04:05-0700")}
}

// applies refuses what nothing can be provisioned for.
func (d *desk) applies(in *provisionedIn) error {
	if in.Qualifier == catalog.Latest || in.Qualifier == "" {
		return parameter("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	_, _, _, err := d.find(&in.target)
	return err
}

// putProvisioned is PutProvisionedConcurrencyConfig. Sandboxes are made from now on; those of a version are given back when it is
// set to another number.
func (d *desk) putProvisioned(ctx context.Context, l *casemate.Launch, in *provisionedIn) (any, error) {
	if err := d.applies(in); err != nil {
		return nil, err
	}
	now, n := d.Clock(), in.ProvisionedConcurrentExecutions
	err := d.change(ctx, l, &in.target, func(_ *catalog.App, f *catalog.Function) error {
		v, list := f.Qualified(in.Qualifier, ""), f.Manage().Keeps().Provisioned
		if v == nil {
			return d.missing(&in.target)
		}
		for q := range list {
			if q != in.Qualifier && f.Qualified(q, "") == v {
				return conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
			}
		}
		if most := v.Limits.Concurrency; n > most {
			return parameter("Requested Provisioned Concurrency should not be greater than the concurrency of the function [%d].", most)
		}
		if r := v.Limits.Reserved; r != nil && n > *r {
			return parameter("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
		list[in.Qualifier] = &catalog.Provisioned{Count: n, Modified: now}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f, _, v, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	return d.provisioned(f, v, in.Qualifier), nil
}

// provisioned is the state of what a qualifier has; nil where it has nothing.
func (d *desk) provisioned(f *catalog.Function, v *casemate.Version, qualifier string) *provisionedOut {
	s := f.Manages().Standing
	if s == nil || s.Provisioned[qualifier] == nil {
		return nil
	}
	p := s.Provisioned[qualifier]
	ready := min(d.Ready(v), p.Count)
	out := &provisionedOut{Requested: p.Count, Available: ready, Allocated: ready, Status: "READY", LastModified: modified(p.Modified)}
	if ready < p.Count {
		out.Status = "IN_PROGRESS"
	}
	return out
}

func noProvision() error {
	return failure(casemate.NotFound, codeNoProvision, "No Provisioned Concurrency Config found for this function")
}

// getProvisioned is GetProvisionedConcurrencyConfig.
func (d *desk) getProvisioned(_ context.Context, _ *casemate.Launch, in *provisionedIn) (any, error) {
	if err := d.applies(in); err != nil {
		return nil, err
	}
	f, _, v, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	out := d.provisioned(f, v, in.Qualifier)
	if out == nil {
		return nil, noProvision()
	}
	return out, nil
}

// listProvisioned is ListProvisionedConcurrencyConfigs.
func (d *desk) listProvisioned(_ context.Context, _ *casemate.Launch, in *provisionedIn) (any, error) {
	f, _, _, err := d.find(&in.target)
	if err != nil {
		return nil, err
	}
	p, after, err := begin[*provisionedOut](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	if s := f.Manages().Standing; s != nil {
		for _, q := range slices.Sorted(maps.Keys(s.Provisioned)) {
			v := f.Qualified(q, "")
			if q <= after || v == nil {
				continue
			}
			x := d.provisioned(f, v, q)
			x.FunctionArn = catalog.Qualify(v.ARN, q)
			if !p.add(q, x) {
				break
			}
		}
	}
	return struct {
		ProvisionedConcurrencyConfigs []*provisionedOut
		NextMarker                    string `json:",omitempty"`
	}{p.items, p.next}, nil
}

// deleteProvisioned is DeleteProvisionedConcurrencyConfig.
func (d *desk) deleteProvisioned(ctx context.Context, l *casemate.Launch, in *provisionedIn) (any, error) {
	if err := d.applies(in); err != nil {
		return nil, err
	}
	return nil, d.change(ctx, l, &in.target, func(_ *catalog.App, f *catalog.Function) error {
		list := f.Manage().Keeps().Provisioned
		if list[in.Qualifier] == nil {
			return noProvision()
		}
		delete(list, in.Qualifier)
		return nil
	})
}

// getAccount is GetAccountSettings: what the node has and what is used of it. How much code it may hold in all is its disk's to say.
func (d *desk) getAccount(_ context.Context, _ *casemate.Launch, _ *struct{}) (any, error) {
	var out struct {
		AccountLimit struct{ CodeSizeUnzipped, CodeSizeZipped, ConcurrentExecutions, UnreservedConcurrentExecutions int64 }
		AccountUsage struct{ TotalCodeSize, FunctionCount int64 }
	}
	out.AccountLimit.CodeSizeUnzipped, out.AccountLimit.CodeSizeZipped = maxUnzipped, maxZip
	out.AccountLimit.ConcurrentExecutions = int64(d.Concurrency)
	out.AccountLimit.UnreservedConcurrentExecutions = int64(max(d.Concurrency-d.reserved(""), 0))
	s := d.Apps.Snapshot()
	for _, name := range s.Apps() {
		a, _ := s.App(name)
		for _, f := range a.Functions {
			out.AccountUsage.FunctionCount++
			for _, v := range f.Versions {
				out.AccountUsage.TotalCodeSize += v.CodeSize
			}
		}
	}
	return out, nil
}
