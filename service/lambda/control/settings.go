package control

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/lambda"
)

// maxEnvironment is the most that a function's own variables take, in bytes
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxEnvironment = 4 << 10

const sixHours = 6 * time.Hour

// settingsIn is what CreateFunction and UpdateFunctionConfiguration say about a version. What is not said stays.
type settingsIn struct {
	Role             string
	Runtime          *string
	Handler          *string
	Description      string
	Timeout          int
	MemorySize       int
	Environment      *struct{ Variables map[string]string }
	EphemeralStorage struct{ Size int }
	LoggingConfig    *struct{ LogFormat, ApplicationLogLevel, SystemLogLevel, LogGroup string }
	TracingConfig    struct{ Mode string }
	TenancyConfig    struct{ TenantIsolationMode string }
	Layers           *[]string
	DeadLetterConfig *deadLetter

	// What is refused when it is more than nothing.
	KMSKeyArn         string
	VpcConfig         vpc
	FileSystemConfigs []json.RawMessage
	SnapStart         struct{ ApplyOn string }
	ImageConfig       map[string]json.RawMessage

	CapacityProviderConfig *struct{}
}

// vpc is a network of AWS's. Without a subnet it is none, whatever else it says.
type vpc struct {
	SubnetIds, SecurityGroupIds []string
	Ipv6AllowedForDualStack     bool
}

// updateIn is a request of UpdateFunctionConfiguration.
type updateIn struct {
	target
	settingsIn
	RevisionId  string
	Description *string // "" clears it
}

// refused names what has a meaning on Lambda that nothing has here.
func (in *settingsIn) refused() error {
	switch {
	case len(in.VpcConfig.SubnetIds) > 0 || len(in.VpcConfig.SecurityGroupIds) > 0:
		return parameter("VpcConfig is not supported: a function reaches only what its role grants by name")
	case in.KMSKeyArn != "":
		return parameter("KMSKeyArn is not supported: what is stored is encrypted with the node's keys")
	case len(in.FileSystemConfigs) > 0:
		return parameter("FileSystemConfigs is not supported")
	case in.SnapStart.ApplyOn == "PublishedVersions":
		return parameter("SnapStart is not supported")
	case len(in.ImageConfig) > 0:
		return parameter("ImageConfig is not supported: container images are not served here")
	case in.CapacityProviderConfig != nil:
		return parameter("CapacityProviderConfig is not supported: there are no capacity providers here; PerExecutionEnvironmentMaxConcurrency is sandbox_concurrency of a function's manifest")
	case in.LoggingConfig != nil && in.LoggingConfig.LogGroup != "":
		return parameter("LoggingConfig.LogGroup is not supported: a function's log is its own")
	}
	return nil
}

// apply writes what was said into a version.
func (in *settingsIn) apply(v *casemate.Version) error {
	if err := in.refused(); err != nil {
		return err
	}
	if in.Runtime != nil {
		v.Runtime = casemate.Runtime(*in.Runtime)
	}
	if in.Handler != nil {
		v.Handler = *in.Handler
	}
	if in.Description != "" {
		v.Managed.Description = in.Description
	}
	if in.Timeout != 0 {
		v.Limits.Timeout = time.Duration(in.Timeout) * time.Second
	}
	if in.MemorySize != 0 {
		v.Limits.MemoryMB = in.MemorySize
	}
	if in.EphemeralStorage.Size != 0 {
		v.Limits.TmpMB = in.EphemeralStorage.Size
	}
	if in.TenancyConfig.TenantIsolationMode == "PER_TENANT" {
		v.Isolation = casemate.IsolationTenant
	}
	if in.TracingConfig.Mode != "" {
		v.Managed.Tracing = in.TracingConfig.Mode
	}
	if x := in.DeadLetterConfig; x != nil { // whether the function may send there is asked when the app is checked
		told := v.Told()
		told.DeadLetter = x.TargetArn
		if v.Managed.Told = &told; told == (casemate.Destinations{}) {
			v.Managed.Told = nil
		}
	}
	if l := in.LoggingConfig; l != nil {
		if err := in.logging(v); err != nil {
			return err
		}
	}
	if in.Environment != nil {
		if err := checkEnvironment(in.Environment.Variables); err != nil {
			return err
		}
		v.Env = in.Environment.Variables
	}
	return nil
}

func (in *settingsIn) logging(v *casemate.Version) error {
	l := in.LoggingConfig
	if l.LogFormat != "JSON" {
		if l.ApplicationLogLevel != "" || l.SystemLogLevel != "" {
			return parameter("To use ApplicationLogLevel or SystemLogLevel, you must set LogFormat to JSON.")
		}
		v.Logging = nil
		return nil
	}
	v.Logging = &casemate.Logging{Format: "JSON", Level: l.ApplicationLogLevel, System: l.SystemLogLevel}
	return nil
}

// checkEnvironment refuses variables that Lambda sets itself, and more than it takes. Values may be secrets: none is repeated.
func checkEnvironment(env map[string]string) error {
	var reserved []string
	n := len("{}")
	for name, value := range env {
		if lambda.Reserved(name) {
			reserved = append(reserved, name)
		}
		n += len(name) + len(value) + len(`"":"",`)
	}
	if len(reserved) > 0 {
		slices.Sort(reserved)
		return parameter("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(reserved, ", "))
	}
	if n-1 > maxEnvironment && len(env) > 0 {
		return parameter("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.")
	}
	return nil
}

// updateConfiguration is UpdateFunctionConfiguration.
func (d *desk) updateConfiguration(ctx context.Context, l *casemate.Launch, in *updateIn) (any, error) {
	role, lent := "", []string(nil)
	if in.Role != "" {
		var err error
		if role, lent, err = d.role(l, in.name, in.Role); err != nil {
			return nil, err
		}
	}
	f, err := d.alter(ctx, l, &in.target, lent, func(_ *catalog.App, f *catalog.Function) error {
		if err := expected(f, in.RevisionId); err != nil {
			return err
		}
		err := d.rewrite(f, func(v *casemate.Version) error {
			family := v.Runtime.Family()
			if err := in.apply(v); err != nil {
				return err
			}
			if err := d.putLayers(l, in.Layers, v); err != nil {
				return err
			}
			if in.Description != nil {
				v.Managed.Description = *in.Description
			}
			if (v.Runtime.Family() == "wasm") != (family == "wasm") {
				return parameter("a module and a deployment package cannot take each other's place: create the function again")
			}
			return d.runs(v)
		})
		if err == nil && in.Role != "" {
			f.Manage().Role = role
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return updating(d.describe(f, f.Latest(), "")), nil
}
