package sam

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"casemate/sam/template"
)

// property translates one property of a function; v is its value at path.
type property func(t *translator, f *function, v template.Value, path string)

// properties of AWS::Serverless::Function and AWS::Lambda::Function
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html,
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-function.html).
func properties() map[string]property {
	return map[string]property{
		"FunctionName": nothing, "Description": nothing, "Handler": copied("handler"), "Runtime": runtime, "CodeUri": code, "Code": code, "InlineCode": inlineCode,
		"Timeout": timeout, "MemorySize": sized("memory"), "EphemeralStorage": tmp, "Environment": environment, "Architectures": architectures,
		"Policies": policies, "Role": role, "PermissionsBoundary": boundary, "AssumeRolePolicyDocument": trust, "RolePath": ignored("a path says nothing here"),
		"ReservedConcurrentExecutions": counted("reserved_concurrency"), "ProvisionedConcurrencyConfig": provisioned, "EventInvokeConfig": invokeConfig,
		"FunctionUrlConfig": functionURL, "Events": events, "DeadLetterQueue": deadLetters, "DeadLetterConfig": deadLetters, "TenancyConfig": tenancy,
		"PackageType": packageType, "LoggingConfig": logging, "AutoPublishAlias": autoAlias,
		"Layers":                  layers,
		"FileSystemConfigs":       later("there is no shared file system: nothing is mounted"),
		"CapacityProviderConfig":  later("there are no capacity providers, the function runs on the node; several events of one sandbox at once: sandbox_concurrency under Metadata: Casemate"),
		"FunctionScalingConfig":   later("there are no capacity providers to scale on"),
		"DeploymentPreference":    preference,
		"DurableConfig":           later("there are no durable executions"),
		"Tracing":                 ignored("traces go where the node sends them: casemate up --otlp"),
		"TracingConfig":           ignored("traces go where the node sends them: casemate up --otlp"),
		"VpcConfig":               ignored("a sandbox has no network but what grants name: connect HOST:PORT under Metadata: Casemate: grants"),
		"Tags":                    ignored("nothing here is found by tags"),
		"PropagateTags":           ignored("nothing here is found by tags"),
		"SnapStart":               ignored("sandboxes start from what is kept ready anyway"),
		"RuntimeManagementConfig": ignored("the runtime is what is installed on the node"),
		"VersionDescription":      ignored("the history of a deploy has its note"), "VersionDeletionPolicy": ignored("the last 50 versions are kept"),
		"AutoPublishCodeSha256": ignored("a version is named by what is in it"), "AutoPublishAliasAllProperties": ignored("every change makes a version"),
		"RecursiveLoop":        ignored("loops are cut, whatever this says"),
		"ImageUri":             refused("ship a folder or a zip", "container images are not run"),
		"ImageConfig":          refused("ship a folder or a zip", "container images are not run"),
		"KmsKeyArn":            refused("leave it out: what the node keeps is encrypted under its own key", "the key cannot be used here"),
		"SourceKMSKeyArn":      refused("leave it out", "the key cannot be used here"),
		"CodeSigningConfigArn": refused("leave it out; casemate signs what it deploys", "signatures of AWS Signer are not checked here"),
	}
}

func nothing(*translator, *function, template.Value, string) {}

func ignored(why string) property {
	return func(t *translator, f *function, v template.Value, path string) {
		t.note(Ignored, f.Type, v.At, path, "%s", why)
	}
}

func later(why string) property {
	return func(t *translator, f *function, v template.Value, path string) {
		t.note(NotServed, f.Type, v.At, path, "%s", why)
	}
}

func refused(hint, why string) property {
	return func(t *translator, _ *function, v template.Value, path string) { t.bad(v.At, path, hint, "%s", why) }
}

// function translates the properties of one function.
func (t *translator) function(f *function) {
	known := properties()
	for _, m := range f.Properties.Members {
		at := f.path() + "/" + m.Key
		p := known[m.Key]
		if p == nil {
			t.bad(m.KeyAt, at, template.Nearest(m.Key, keys(known)), "%s has no such property", f.Type)
			continue
		}
		p(t, f, m.Value, at)
	}
	t.defaults(f)
	t.note(Honoured, f.Type, f.At, "Resources/"+f.ID, "function %s", f.name)
}

// defaults says what is missing, unless Metadata says it.
func (t *translator) defaults(f *function) {
	own, _ := f.Metadata.Get("Casemate")
	said := func(keys ...string) bool {
		for _, k := range keys {
			if _, ok := f.Properties.Get(k); ok {
				return true
			}
			if _, ok := own.Get(k); ok {
				return true
			}
		}
		return f.image()
	}
	if !said("Runtime", "runtime") {
		t.bad(f.At, f.path(), "Runtime: python3.12", "the function has no Runtime")
	}
	if !said("CodeUri", "InlineCode", "Code", "code") {
		t.bad(f.At, f.path(), "CodeUri: src/", "the function has no code")
	}
	if v, ok := f.Metadata.Get("BuildMethod"); ok {
		if _, ok := own.Get("build"); !ok {
			t.note(Weak, f.Type, v.At, "Resources/"+f.ID+"/Metadata/BuildMethod", "nothing is built: deploy what sam build writes, or say how under Metadata: Casemate: build")
		}
	}
}

// isolate gives a function AWS's way of reusing sandboxes, where Metadata says no other.
func (t *translator) isolate(f *function) {
	m, _ := f.Metadata.Get("Casemate")
	if _, said := m.Get("isolation"); said {
		return
	}
	if _, said := f.doc.Get("isolation"); said {
		return
	}
	if v, ok := f.doc.Get("runtime"); ok && v.Text == "wasm" {
		return
	}
	set(f.doc, "isolation", text(f.At, "warm"))
	t.note(Weak, f.Type, f.At, "Resources/"+f.ID, "isolation warm: events share a sandbox, as on AWS; Metadata: Casemate: isolation: request gives each its own")
}

func (f *function) image() bool {
	v, _ := f.Properties.Get("PackageType")
	_, uri := f.Properties.Get("ImageUri")
	return v.Text == "Image" || uri
}

func copied(key string) property {
	return func(t *translator, f *function, v template.Value, path string) {
		if t.wants(v, path, template.String) {
			set(f.doc, key, text(v.At, v.Text))
		}
	}
}

// wants reports whether a value is known and of a kind; otherwise it is a problem.
func (t *translator) wants(v template.Value, path string, k template.Kind) bool {
	switch {
	case v.Unknown != "":
		t.bad(v.At, path, "write the value out", "%s is only known after deployment", v.Unknown)
	case v.Kind != k && !(k == template.String && v.Scalar()):
		t.bad(v.At, path, "", "%s is wanted here, this is %s", k, v.Kind)
	default:
		return true
	}
	return false
}

// older are runtimes that are gone, and which newer one takes their place.
var older = map[string]string{"nodejs": "nodejs18.x", "nodejs10.x": "nodejs18.x", "nodejs12.x": "nodejs18.x", "nodejs14.x": "nodejs18.x", "nodejs16.x": "nodejs18.x",
	"python3.6": "python3.9", "python3.7": "python3.9", "python3.8": "python3.9", "provided": "provided.al2"}

// foreign are the families that have no runtime here.
var foreign = regexp.MustCompile(`^(java|dotnet|ruby|go)`)

func runtime(t *translator, f *function, v template.Value, path string) {
	if !t.wants(v, path, template.String) {
		return
	}
	name := v.Text
	if newer := older[name]; newer != "" {
		t.note(Weak, f.Type, v.At, path, "%s is gone: the function runs as %s", name, newer)
		name = newer
	}
	if foreign.MatchString(name) {
		t.bad(v.At, path, "ship a bootstrap and say Runtime: provided.al2023", "there is no runtime %s here", name)
		return
	}
	set(f.doc, "runtime", text(v.At, name))
}

// code takes a folder, a zip or a module beside the template; what lies in S3 cannot be had.
func code(t *translator, f *function, v template.Value, at string) {
	const local = "name a folder beside the template: sam build writes one to .aws-sam/build"
	if v.Kind == template.Map {
		zip, inline := v.Get("ZipFile")
		if inline {
			inlineCode(t, f, zip, at+"/ZipFile")
			return
		}
		if uri, image := v.Get("ImageUri"); image {
			t.bad(uri.At, at+"/ImageUri", "ship a folder or a zip", "container images are not run")
			return
		}
		if where, ok := t.asset(f.Resource, v, "Code", "CodeUri"); ok {
			set(f.doc, "code", text(v.At, where))
			return
		}
		t.bad(v.At, at, local, "code in a bucket cannot be had")
		return
	}
	if !t.wants(v, at, template.String) {
		return
	}
	if strings.Contains(v.Text, "://") {
		t.bad(v.At, at, local, "code in a bucket cannot be had")
		return
	}
	set(f.doc, "code", text(v.At, cmp.Or(path.Join(t.Within, v.Text), ".")))
}

// inlineCode is packed as Lambda names it: index.py, or index.js
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-lambda-function-code.html).
func inlineCode(t *translator, f *function, v template.Value, at string) {
	if !t.wants(v, at, template.String) {
		return
	}
	name := map[bool]string{true: "index.py", false: "index.js"}[t.family(f) == "python"]
	if t.family(f) != "python" && t.family(f) != "nodejs" {
		t.bad(v.At, at, "CodeUri: src/", "only Node.js and Python have code in the template")
		return
	}
	t.inline[f.name] = File{name, v.Text}
	set(f.doc, "code", text(v.At, "inline/"+f.name+".zip"))
}

func (t *translator) family(f *function) string {
	v, _ := f.Properties.Get("Runtime")
	return strings.TrimRight(strings.TrimSuffix(v.Text, ".x"), "0123456789.")
}

func timeout(t *translator, f *function, v template.Value, path string) {
	if n, ok := f.Properties.IntAt("Timeout", f.path(), 1, 900, &t.found); ok {
		set(f.doc, "timeout", text(v.At, unit(n, "s")))
	}
}

func sized(key string) property {
	return func(t *translator, f *function, v template.Value, path string) {
		if n, ok := f.Properties.IntAt(path[strings.LastIndexByte(path, '/')+1:], f.path(), 128, 32768, &t.found); ok {
			set(f.doc, key, text(v.At, unit(n, "MB")))
		}
	}
}

func tmp(t *translator, f *function, v template.Value, path string) {
	if n, ok := v.IntAt("Size", path, 512, 10240, &t.found); ok {
		set(f.doc, "tmp", text(v.At, unit(n, "MB")))
	}
}

func counted(key string) property {
	return func(t *translator, f *function, v template.Value, path string) {
		if n, ok := f.Properties.IntAt(path[strings.LastIndexByte(path, '/')+1:], f.path(), 0, 1000, &t.found); ok {
			set(f.doc, key, number(v.At, n))
		}
	}
}

func provisioned(t *translator, f *function, v template.Value, path string) {
	if n, ok := v.IntAt("ProvisionedConcurrentExecutions", path, 1, 64, &t.found); ok {
		set(f.doc, "provisioned", number(v.At, n))
	}
}

// environment keeps variables that are known; one that waits for what is not served is left out and named. What the secret store
// would have put in clear into a version is refused.
func environment(t *translator, f *function, v template.Value, path string) {
	vars, _ := v.Get("Variables")
	env := mapping(v.At)
	for _, m := range vars.Members {
		at := path + "/Variables/" + m.Key
		switch {
		case strings.Contains(m.Value.Unknown, "resolve:secretsmanager") || strings.Contains(m.Value.Unknown, "resolve:ssm-secure"):
			t.bad(m.Value.At, at, "read it when the function runs, with a policy for secretsmanager:GetSecretValue", "a secret in the environment would be kept in clear in every version")
		case strings.Contains(m.Value.Unknown, "resolve:ssm:"):
			t.note(NotServed, f.Type, m.KeyAt, at, "%s is not read at a deploy: the variable is left out; read it when the function runs, with SSMParameterReadPolicy", m.Value.Unknown)
		case m.Value.Unknown != "":
			t.note(NotServed, f.Type, m.KeyAt, at, "%s is not known: the variable is left out", m.Value.Unknown)
		case !m.Value.Scalar():
			t.bad(m.Value.At, at, "", "a text is wanted here, this is %s", m.Value.Kind)
		default:
			if m.Value.Secret {
				t.note(Weak, f.Type, m.KeyAt, at, "a NoEcho parameter is kept in clear in every version; a secret is read when the function runs: casemate secret set")
			}
			if m.Value.Text != "" {
				set(env, m.Key, text(m.Value.At, m.Value.Text))
				env.Members[len(env.Members)-1].KeyAt = m.KeyAt
			} else {
				t.note(Ignored, f.Type, m.KeyAt, at, "an empty variable is left out")
			}
		}
	}
	if len(env.Members) > 0 {
		set(f.doc, "env", *env)
	}
}

// architectures: code for another processor does not run. Scripts do, unless they bring native modules. Where it is not known which the
// node has, the node says so.
func architectures(t *translator, f *function, v template.Value, path string) {
	for _, x := range v.List {
		if !t.wants(x, path, template.String) || x.Text == t.Arch || t.Arch == "" {
			continue
		}
		if t.family(f) == "nodejs" || t.family(f) == "python" {
			t.note(Weak, f.Type, x.At, path, "the node is %s, not %s: native modules in the code must be for it", t.Arch, x.Text)
			continue
		}
		t.bad(x.At, path, "build for "+t.Arch+" and say Architectures: ["+t.Arch+"]", "the node is %s and runs no code for %s", t.Arch, x.Text)
	}
}

func packageType(t *translator, _ *function, v template.Value, path string) {
	if v.Text != "Zip" {
		t.bad(v.At, path, "ship a folder or a zip", "container images are not run")
	}
}

func tenancy(t *translator, f *function, v template.Value, path string) {
	if mode, ok := v.StringAt("TenantIsolationMode", path, &t.found); ok && mode == "PER_TENANT" {
		set(f.doc, "isolation", text(v.At, "tenant"))
	} else if ok {
		t.bad(v.At, path, "TenantIsolationMode: PER_TENANT", "%s is no mode of tenant isolation", mode)
	}
}

// logging: https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
func logging(t *translator, f *function, v template.Value, path string) {
	log := mapping(v.At)
	format, _ := v.Get("LogFormat")
	for _, m := range v.Members {
		switch m.Key {
		case "LogFormat":
			set(log, "format", text(m.Value.At, strings.ToLower(m.Value.Text)))
		case "ApplicationLogLevel", "SystemLogLevel":
			if format.Text == "JSON" {
				set(log, map[string]string{"ApplicationLogLevel": "level", "SystemLogLevel": "platform"}[m.Key], text(m.Value.At, strings.ToLower(m.Value.Text)))
			}
		default:
			t.note(Ignored, f.Type, m.KeyAt, path+"/"+m.Key, "logs of a function stand under its own name: casemate logs %s", f.name)
		}
	}
	if len(log.Members) > 0 && format.Text != "" {
		set(f.doc, "log", *log)
	}
}

// invokeConfig: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
func invokeConfig(t *translator, f *function, v template.Value, path string) {
	now := asyncOf(f, v.At)
	async := &now
	for _, m := range v.Members {
		switch m.Key {
		case "MaximumRetryAttempts":
			if n, ok := v.IntAt(m.Key, path, 0, 2, &t.found); ok {
				set(async, "retries", number(m.Value.At, n))
			}
		case "MaximumEventAgeInSeconds":
			if n, ok := v.IntAt(m.Key, path, 60, 21600, &t.found); ok {
				set(async, "max_age", text(m.Value.At, unit(n, "s")))
			}
		case "DestinationConfig":
			t.destinationConfig(f, async, m.Value, path+"/"+m.Key)
		case "FunctionName":
		case "Qualifier":
			if m.Value.Text != "$LATEST" {
				t.note(Ignored, f.Type, m.KeyAt, path+"/"+m.Key, "it holds for every asynchronous event of %s, not for those of %s alone", f.name, m.Value.Quoted())
			}
		default:
			t.bad(m.KeyAt, path+"/"+m.Key, "", "there is no such property")
		}
	}
	if len(async.Members) > 0 {
		set(f.doc, "async", *async)
	}
}
