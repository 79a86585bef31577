package control

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"time"

	"casemate"
	"casemate/catalog"
)

// configuration is what Lambda tells of a version
// (https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html).
type configuration struct {
	FunctionName, FunctionArn string
	Runtime                   casemate.Runtime `json:",omitempty"`
	Role                      string
	Handler                   string `json:",omitempty"`
	CodeSize                  int64
	Description               string
	Timeout                   int
	MemorySize                int
	LastModified              string
	CodeSha256                string
	Version                   string
	DeadLetterConfig          *deadLetter  `json:",omitempty"`
	Environment               *environment `json:",omitempty"`
	TracingConfig             mode
	RevisionId                string
	Layers                    []layer `json:",omitempty"`
	State                     string
	StateReason               string `json:",omitempty"`
	StateReasonCode           string `json:",omitempty"`
	LastUpdateStatus          string `json:",omitempty"`
	LastUpdateStatusReason    string `json:",omitempty"`
	LastUpdateStatusCode      string `json:"LastUpdateStatusReasonCode,omitempty"`
	PackageType               string
	Architectures             []string
	EphemeralStorage          size
	SnapStart                 snapStart
	LoggingConfig             logging
	TenancyConfig             *tenancy `json:",omitempty"`
}

type environment struct{ Variables map[string]string }
type deadLetter struct{ TargetArn string }
type mode struct{ Mode string }
type size struct{ Size int }
type snapStart struct{ ApplyOn, OptimizationStatus string }
type tenancy struct{ TenantIsolationMode string }
type logging struct {
	LogFormat           string
	ApplicationLogLevel string `json:",omitempty"`
	SystemLogLevel      string `json:",omitempty"`
	LogGroup            string
}
type layer struct {
	Arn      string
	CodeSize int64
}

// The states of functions here: what an edit makes serves once it is answered.
const (
	stateActive = "Active"
	successful  = "Successful"
)

// describe tells of a version under the qualifier that it was asked for by.
func (d *desk) describe(f *catalog.Function, v *casemate.Version, qualifier string) *configuration {
	c := &configuration{FunctionName: v.Function, FunctionArn: v.ARN, Runtime: v.Runtime, Role: d.roleOf(f, v), Handler: v.Handler, CodeSize: v.CodeSize,
		Description: v.Description(), Timeout: seconds(v.Limits.Timeout), MemorySize: v.Limits.MemoryMB, LastModified: v.Created.UTC().Format("2006-01-02T15:04:05.000-0700"),
		CodeSha256: sum(v.Code), Version: v.Name(), TracingConfig: mode{"PassThrough"}, RevisionId: f.RevisionOf(v, qualifier), State: stateActive, LastUpdateStatus: successful,
		PackageType: "Zip", Architectures: []string{d.Architecture}, EphemeralStorage: size{v.Limits.TmpMB}, SnapStart: snapStart{"None", "Off"},
		LoggingConfig: logging{LogFormat: "Text", LogGroup: "/aws/lambda/" + v.Function}}
	if qualifier == "" || qualifier == catalog.Latest {
		c.Version = catalog.Latest
	}
	if qualifier != "" {
		c.FunctionArn += ":" + qualifier
	}
	if v.Managed != nil && v.Managed.Tracing != "" {
		c.TracingConfig.Mode = v.Managed.Tracing
	}
	if arn := v.Told().DeadLetter; arn != "" {
		c.DeadLetterConfig = &deadLetter{arn}
	}
	if v.Isolation == casemate.IsolationTenant {
		c.TenancyConfig = &tenancy{"PER_TENANT"}
	}
	if g := v.Logging; g.JSON() {
		c.LoggingConfig = logging{"JSON", orInfo(g.Level), orInfo(g.System), c.LoggingConfig.LogGroup}
	}
	for _, y := range v.Layers {
		if y.ARN != "" {
			c.Layers = append(c.Layers, layer{y.ARN, y.Size})
		}
	}
	if note := f.Manages().Notes[v.Number]; note != "" && c.Version != catalog.Latest {
		c.Description = note
	}
	if len(v.Env) > 0 {
		c.Environment = &environment{v.Env}
	}
	return c
}

// roleOf is the ARN of the role that a function runs as: the one that it was given, else its own.
func (d *desk) roleOf(f *catalog.Function, v *casemate.Version) string {
	if role := f.Manages().Role; role != "" {
		return d.Place.RoleARN(role)
	}
	return d.Place.RoleARN(v.Role)
}

// orInfo is a level of a JSON log; the default is INFO.
func orInfo(level string) string {
	if level == "" {
		return "INFO"
	}
	return level
}

// seconds rounds up: Lambda knows whole ones.
func seconds(t time.Duration) int { return int((t + time.Second - 1) / time.Second) }

// sum is a digest as Lambda writes it.
func sum(digest string) string {
	b, _ := hex.DecodeString(digest) // the catalog holds digests alone
	return base64.StdEncoding.EncodeToString(b)
}

type functionOut struct {
	Configuration *configuration
	Code          struct{ RepositoryType string }
	Tags          map[string]string `json:",omitempty"`
	Concurrency   *reserved         `json:",omitempty"`
}

type reserved struct{ ReservedConcurrentExecutions int }

// getFunction is GetFunction. There is no object store that code could be fetched from, so no Location is given.
func (d *desk) getFunction(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	f, _, v, err := d.find(in)
	if err != nil {
		return nil, err
	}
	out := functionOut{Configuration: d.describe(f, v, in.Qualifier), Tags: f.Manages().Tags}
	out.Code.RepositoryType = "Casemate"
	if r := f.Latest().Limits.Reserved; r != nil {
		out.Concurrency = &reserved{*r}
	}
	return out, nil
}

// getConfiguration is GetFunctionConfiguration.
func (d *desk) getConfiguration(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	f, _, v, err := d.find(in)
	if err != nil {
		return nil, err
	}
	return d.describe(f, v, in.Qualifier), nil
}

type listOut struct {
	Functions  []*configuration
	NextMarker string `json:",omitempty"`
}

// listFunctions is ListFunctions: those of manifests and those of the API, by name.
func (d *desk) listFunctions(_ context.Context, _ *casemate.Launch, in *listIn) (any, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	snap := d.Apps.Snapshot()
	names, more := snap.Page(after, in.most(maxPage))
	out := listOut{Functions: []*configuration{}}
	for _, name := range names {
		f, _ := snap.Find(name)
		out.Functions = append(out.Functions, d.describe(f, f.Latest(), ""))
		if in.FunctionVersion == "ALL" {
			for _, v := range f.Versions {
				if !v.Draft() {
					out.Functions = append(out.Functions, d.describe(f, v, v.Name()))
				}
			}
		}
	}
	if more {
		out.NextMarker = marker(names[len(names)-1])
	}
	return out, nil
}
