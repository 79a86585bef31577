package control

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/catalog/code"
	"casemate/deploy"
	"casemate/policy"
	published "casemate/service/lambda/layer"
	"casemate/shield"
	"casemate/store"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// office is the operations on a real catalog, behind the checks of real deploys.
type office struct {
	t       *testing.T
	catalog *catalog.Catalog
	deploys *deploy.Deployer
	all     map[string]casemate.Operation
	now     time.Time
	may     bool     // what the policy says when an operation asks it
	deny    string   // what it denies all the same: an action
	aloud   []string // what the operator was told
}

func (o *office) Snapshot() *catalog.Snapshot { return o.catalog.Snapshot() }

func (o *office) Edit(ctx context.Context, l *casemate.Launch, app string, lent []string, edit func(*catalog.App) error) error {
	guard := deploy.Guard{Beyond: func(_ string, what []string) error {
		if slices.Equal(what, lent) {
			return nil
		}
		return casemate.Errorf(casemate.Forbidden, "", "beyond: %s", what)
	}}
	return o.deploys.For(app).Under(guard).Edit(ctx, app, l.Principal.Name(), edit)
}

func (o *office) Keep(ctx context.Context, r casemate.Runtime, data []byte) (string, error) {
	return o.deploys.Keep(ctx, r, data)
}

// newOffice has a function price with version 1, and an alias prod for it.
func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, now: noon, may: true, all: map[string]casemate.Operation{}}
	s := store.Memory(func() time.Time { return o.now })
	var err error
	o.catalog, err = catalog.Open(t.Context(), catalog.Config{Store: s, Place: casemate.DefaultPlace, Contract: shield.Compile, Compile: func(p casemate.Policies) (casemate.Decider, error) {
		return policy.Compile(p)
	}})
	if err != nil {
		t.Fatal(err)
	}
	o.deploys, err = deploy.New(deploy.Config{Catalog: o.catalog, Blobs: s.Blobs(), Place: casemate.DefaultPlace, Clock: func() time.Time { return o.now },
		Program: func(string) (string, error) { return strings.Repeat("ab", 32), nil }, Installed: func(casemate.Runtime) bool { return true }, Inspect: func([]byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := s.Blobs().Put(t.Context(), strings.NewReader("code"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := published.Open(published.Config{Store: s, Place: casemate.DefaultPlace, Clock: func() time.Time { return o.now }, Inspect: func(r io.ReaderAt, size int64) (int64, []string, error) {
		c, err := code.InspectLayer(r, size, code.Bounds{})
		return c.Bytes, c.Extensions, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	limits := casemate.DefaultLimits()
	v := &casemate.Version{App: "shop", Function: "price", Number: 1, ID: strings.Repeat("a", 64), Code: digest, CodeSize: 4, ARN: casemate.DefaultPlace.FunctionARN("price"),
		Account: casemate.DefaultPlace.Account, Runtime: "wasm", Role: catalog.ExecutionRole("price"), Limits: limits, Async: casemate.AsyncPolicy{Retries: 2, MaxAge: 6 * time.Hour}, Created: noon}
	f := &catalog.Function{Live: 1, Versions: []*casemate.Version{v}}
	f.Manage().Aliases = map[string]*catalog.Alias{"prod": {Version: 1}}
	a := &catalog.App{Name: "shop", Functions: map[string]*catalog.Function{"price": f}, Roles: map[string]catalog.Role{catalog.ExecutionRole("price"): {}}}
	if err := o.catalog.Swap(t.Context(), a, 0); err != nil {
		t.Fatal(err)
	}
	for _, x := range Operations(Config{Apps: o, Place: casemate.DefaultPlace, Clock: func() time.Time { return o.now }, Architecture: "x86_64", Installed: func(r casemate.Runtime) bool { return r != "java21" }, Judge: func(_ *casemate.Launch, action, _ string) casemate.Decision {
		if o.may && action != o.deny {
			return casemate.Decision{Verdict: casemate.Allowed}
		}
		return casemate.Decision{}
	}, Standing: Standing{Layers: layers, Layer: layers.Find, Concurrency: 100, URL: func(id string) string { return "https://" + id + ".lambda-url.localhost/" }, Ready: func(v *casemate.Version) int { return v.Spare - 1 },
		Aloud: func(what string, _ time.Duration) { o.aloud = append(o.aloud, what) }}}) {
		o.all[x.Name] = x
	}
	return o
}

// ask has an operation decide on its resource and run. What it answers is JSON; an error is its code and its words.
func (o *office) ask(operation, question string) string {
	o.t.Helper()
	op, ok := o.all[operation]
	if !ok {
		o.t.Fatalf("there is no %s", operation)
	}
	if _, err := op.Resource(casemate.DefaultPlace, []byte(question)); err != nil {
		return said(err)
	}
	out, err := op.Run(o.t.Context(), &casemate.Launch{Payload: []byte(question), Principal: &casemate.Principal{Kind: casemate.KindAccess, ID: "user/till"}, Event: &casemate.Event{}})
	if err != nil {
		return said(err)
	}
	if out == nil {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		o.t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func said(err error) string {
	e := casemate.AsError(err)
	return e.AWS + ": " + e.Message
}

// steps asks one thing after the other; what is wanted is the answer, or a part of it between stars.
func (o *office) steps(list [][3]string) {
	o.t.Helper()
	for _, s := range list {
		got := o.ask(s[0], s[1])
		part, is := strings.CutPrefix(s[2], "*")
		if is && !strings.Contains(got, strings.TrimSuffix(part, "*")) || !is && got != s[2] {
			o.t.Errorf("%s %s\n  is %s\nwant %s", s[0], s[1], got, s[2])
		}
	}
}

const priceARN = "arn:aws:lambda:us-east-1:000000000000:function:price"

// Lambda checklist: 75
func TestPermissions(t *testing.T) {
	o := newOffice(t)
	const s3 = `{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + priceARN + `","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"},"StringEquals":{"AWS:SourceAccount":"111111111111"}}}`
	quoted, _ := json.Marshal(s3)
	o.steps([][3]string{
		{"GetPolicy", `{"FunctionName":"price"}`, "ResourceNotFoundException: The resource you requested does not exist."},
		{"AddPermission", `{"FunctionName":"price","StatementId":"s3","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::b","SourceAccount":"111111111111"}`, `{"Statement":` + string(quoted) + `}`},
		{"AddPermission", `{"FunctionName":"price","StatementId":"s3","Action":"lambda:InvokeFunction","Principal":"*"}`, "ResourceConflictException: The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement."},
		{"AddPermission", `{"FunctionName":"price","StatementId":"acc","Action":"lambda:GetFunction","Principal":"111111111111"}`, `*\"Principal\":{\"AWS\":\"arn:aws:iam::111111111111:root\"},\"Action\":\"lambda:GetFunction\"*`},
		{"AddPermission", `{"FunctionName":"price","StatementId":"all","Action":"lambda:InvokeFunction","Principal":"*","InvokedViaFunctionUrl":true}`, `*\"Principal\":\"*\",\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"` + priceARN + `\",\"Condition\":{\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"true\"}}*`},
		{"AddPermission", `{"FunctionName":"price","StatementId":"url","Action":"lambda:InvokeFunctionUrl","Principal":"*","FunctionUrlAuthType":"NONE"}`, `*{\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}*`},
		{"AddPermission", `{"FunctionName":"price","Qualifier":"prod","StatementId":"p","Action":"lambda:InvokeFunction","Principal":"events.amazonaws.com"}`, `*\"Resource\":\"` + priceARN + `:prod\"*`},
		{"AddPermission", `{"FunctionName":"price:1","StatementId":"p","Action":"lambda:InvokeFunction","Principal":"events.amazonaws.com"}`, `*\"Resource\":\"` + priceARN + `:1\"*`},
		{"GetPolicy", `{"FunctionName":"price","Qualifier":"prod"}`, `*{"Policy":"{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[{\"Sid\":\"p\",*`},
		{"AddPermission", `{"FunctionName":"price","Qualifier":"$LATEST","StatementId":"p","Action":"lambda:InvokeFunction","Principal":"*"}`, "InvalidParameterValueException: We currently do not support adding policies for $LATEST."},
		{"AddPermission", `{"FunctionName":"price","Qualifier":"7","StatementId":"p","Action":"lambda:InvokeFunction","Principal":"*"}`, "ResourceNotFoundException: Function not found: " + priceARN + ":7"},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x","Action":"lambda:InvokeFunction","Principal":"nobody"}`, "InvalidParameterValueException: The provided principal was invalid. Please check the principal and try again."},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x","Action":"lambda:InvokeFunction","Principal":"arn:aws:iam::111111111111:role/*"}`, "*The provided principal was invalid.*"},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x","Action":"lambda:InvokeFunction","Principal":"*","FunctionUrlAuthType":"NONE"}`, "InvalidParameterValueException: FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x","Action":"lambda:InvokeFunction","Principal":"*","PrincipalOrgID":"o-1234567890"}`, "*PrincipalOrgID is not supported here*"},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x y","Action":"invoke","Principal":"*"}`, "*ValidationException: 2 validation errors detected: Value 'x y' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+); Value 'invoke' at 'action'*"},
		{"AddPermission", `{"FunctionName":"price","StatementId":"x","Action":"lambda:InvokeFunction","Principal":"*","RevisionId":"old"}`, "PreconditionFailedException: " + staleRevision},
		{"RemovePermission", `{"FunctionName":"price","StatementId":"s3","RevisionId":"old"}`, "PreconditionFailedException: " + staleRevision},
		{"RemovePermission", `{"FunctionName":"price","StatementId":"gone"}`, "ResourceNotFoundException: Statement gone is not found in resource policy."},
		{"RemovePermission", `{"FunctionName":"price:1","StatementId":"p"}`, ""},
		{"RemovePermission", `{"FunctionName":"price:1","StatementId":"p"}`, "ResourceNotFoundException: No policy is associated with the given resource."},
	})
	var before, after struct{ Policy, RevisionId string }
	o.read(&before, "GetPolicy", `{"FunctionName":"price"}`)
	if got := o.ask("RemovePermission", `{"FunctionName":"price","StatementId":"acc","RevisionId":"`+before.RevisionId+`"}`); got != "" {
		t.Error(got)
	}
	o.read(&after, "GetPolicy", `{"FunctionName":"price"}`)
	if before.RevisionId == after.RevisionId || strings.Contains(after.Policy, `"acc"`) || !strings.Contains(after.Policy, s3) {
		t.Errorf("%+v", after)
	}
}

func (o *office) read(to any, operation, question string) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.ask(operation, question)), to); err != nil {
		o.t.Fatal(operation, err)
	}
}

// TestPolicyLength: 20 KB of policy, to the byte, in Lambda's words.
//
// Lambda checklist: 75
func TestPolicyLength(t *testing.T) {
	o := newOffice(t)
	for i := range 200 {
		got := o.ask("AddPermission", fmt.Sprintf(`{"FunctionName":"price","StatementId":"%s%03d","Action":"lambda:InvokeFunction","Principal":"*"}`, strings.Repeat("s", 90), i))
		if !strings.HasPrefix(got, `{"Statement"`) {
			var size, limit int
			if n, _ := fmt.Sscanf(got, "PolicyLengthExceededException: The final policy size (%d) is bigger than the limit (%d).", &size, &limit); n != 2 || limit != 20480 || size <= limit {
				t.Error(got)
			}
			var p struct{ Policy string }
			o.read(&p, "GetPolicy", `{"FunctionName":"price"}`)
			if len(p.Policy) > 20480 || size-len(p.Policy) > 300 {
				t.Errorf("%d bytes are kept, %d were refused", len(p.Policy), size)
			}
			return
		}
	}
	t.Error("any number of statements is taken")
}

// TestPermissionsAreDecidedOn: what AddPermission wrote is what the policy in force allows, and nothing beyond its conditions.
//
// Lambda checklist: 75, 94
func TestPermissionsAreDecidedOn(t *testing.T) {
	o := newOffice(t)
	may := func(who *casemate.Principal, action, qualifier string, context map[string][]string) bool {
		return o.Snapshot().Policy.Decide(&casemate.AccessRequest{Principal: who, Action: action, Resource: catalog.Qualify(priceARN, qualifier), Account: casemate.DefaultPlace.Account, Now: noon, Context: context}).Verdict == casemate.Allowed
	}
	s3 := &casemate.Principal{Kind: casemate.KindRun, ID: "service/s3.amazonaws.com"}
	from := func(arn, account string) map[string][]string {
		return map[string][]string{"aws:sourcearn": {arn}, "aws:sourceaccount": {account}}
	}
	if may(s3, "lambda:InvokeFunction", "", from("arn:aws:s3:::b", "111111111111")) {
		t.Error("nobody has allowed it yet")
	}
	o.ask("AddPermission", `{"FunctionName":"price","StatementId":"s3","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com","SourceArn":"arn:aws:s3:::b","SourceAccount":"111111111111"}`)
	o.ask("AddPermission", `{"FunctionName":"price","StatementId":"till","Action":"lambda:InvokeFunction","Principal":"arn:aws:iam::000000000000:user/till","Qualifier":"prod"}`)
	o.ask("AddPermission", `{"FunctionName":"price","StatementId":"all","Action":"lambda:InvokeFunction","Principal":"*","InvokedViaFunctionUrl":true}`)
	till := &casemate.Principal{Kind: casemate.KindAccess, ID: "user/till", ARN: "arn:aws:iam::000000000000:user/till", Account: "000000000000"}
	sns := &casemate.Principal{Kind: casemate.KindRun, ID: "service/sns.amazonaws.com"}
	for name, c := range map[string]struct {
		got, want bool
	}{
		"the bucket that was named": {may(s3, "lambda:InvokeFunction", "", from("arn:aws:s3:::b", "111111111111")), true},
		"another bucket":            {may(s3, "lambda:InvokeFunction", "", from("arn:aws:s3:::c", "111111111111")), false},
		"another account":           {may(s3, "lambda:InvokeFunction", "", from("arn:aws:s3:::b", "222222222222")), false},
		"no bucket":                 {may(s3, "lambda:InvokeFunction", "", nil), false},
		"another service":           {may(sns, "lambda:InvokeFunction", "", from("arn:aws:s3:::b", "111111111111")), false},
		"another action":            {may(s3, "lambda:GetFunction", "", from("arn:aws:s3:::b", "111111111111")), false},
		"the alias that was named":  {may(till, "lambda:InvokeFunction", "prod", nil), true},
		"the function behind it":    {may(till, "lambda:InvokeFunction", "", nil), false},
		"anybody by the URL":        {may(nil, "lambda:InvokeFunction", "", map[string][]string{"lambda:invokedviafunctionurl": {"true"}}), true},
		"anybody in another way":    {may(nil, "lambda:InvokeFunction", "", nil), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", name, c.got)
		}
	}
	if o.ask("RemovePermission", `{"FunctionName":"price:prod","StatementId":"till"}`); may(till, "lambda:InvokeFunction", "prod", nil) {
		t.Error("a permission that was taken away still allows")
	}
}

// What cannot be chosen here is told as Lambda tells it of a function for which nothing was chosen.
func TestFixed(t *testing.T) {
	o := newOffice(t)
	o.steps([][3]string{
		{"GetFunctionCodeSigningConfig", `{"FunctionName":"price"}`, `{}`},
		{"GetFunctionCodeSigningConfig", `{"FunctionName":"gone"}`, "*ResourceNotFoundException: Function not found: arn:*"},
		{"GetFunctionRecursionConfig", `{"FunctionName":"price"}`, `{"RecursiveLoop":"Terminate"}`},
		{"GetFunctionRecursionConfig", `{"FunctionName":"gone"}`, "*ResourceNotFoundException: Function not found: arn:*"},
		{"GetRuntimeManagementConfig", `{"FunctionName":"price"}`, `{"FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:price:$LATEST","UpdateRuntimeOn":"Auto"}`},
		{"GetRuntimeManagementConfig", `{"FunctionName":"price","Qualifier":"7"}`, "*ResourceNotFoundException: Function not found: arn:*"},
	})
}

// Lambda checklist: 76
func TestConcurrency(t *testing.T) {
	o := newOffice(t)
	reserved := func() *int { return o.Snapshot().Function("price").Limits.Reserved }
	o.steps([][3]string{
		{"GetFunctionConcurrency", `{"FunctionName":"price"}`, `{}`},
		{"GetAccountSettings", `{}`, `{"AccountLimit":{"CodeSizeUnzipped":262144000,"CodeSizeZipped":52428800,"ConcurrentExecutions":100,"UnreservedConcurrentExecutions":100},"AccountUsage":{"TotalCodeSize":4,"FunctionCount":1}}`},
		{"PutFunctionConcurrency", `{"FunctionName":"price","ReservedConcurrentExecutions":90}`, `{"ReservedConcurrentExecutions":90}`},
		{"PutFunctionConcurrency", `{"FunctionName":"price","ReservedConcurrentExecutions":91}`, "InvalidParameterValueException: Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [10]."},
		{"PutFunctionConcurrency", `{"FunctionName":"price","ReservedConcurrentExecutions":-1}`, "ValidationException: 1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 0"},
		{"PutFunctionConcurrency", `{"FunctionName":"price:prod","ReservedConcurrentExecutions":1}`, "*This operation is permitted on Lambda functions only.*"},
		{"PutFunctionConcurrency", `{"FunctionName":"gone","ReservedConcurrentExecutions":1}`, "*ResourceNotFoundException: Function not found: arn:*"},
		{"GetAccountSettings", `{}`, `*"UnreservedConcurrentExecutions":10}*`},
		{"PutFunctionConcurrency", `{"FunctionName":"price","ReservedConcurrentExecutions":0}`, `{"ReservedConcurrentExecutions":0}`},
		{"GetFunctionConcurrency", `{"FunctionName":"price"}`, `{"ReservedConcurrentExecutions":0}`},
	})
	if r := reserved(); r == nil || *r != 0 {
		t.Errorf("0 is stored as %v", r)
	}
	o.steps([][3]string{{"DeleteFunctionConcurrency", `{"FunctionName":"price"}`, ""}, {"GetFunctionConcurrency", `{"FunctionName":"price"}`, `{}`}})
	if r := reserved(); r != nil {
		t.Errorf("%d is still reserved", *r)
	}
}

func TestProvisioned(t *testing.T) {
	o := newOffice(t)
	const none = "ProvisionedConcurrencyConfigNotFoundException: No Provisioned Concurrency Config found for this function"
	const state = `"RequestedProvisionedConcurrentExecutions":3,"AvailableProvisionedConcurrentExecutions":2,"AllocatedProvisionedConcurrentExecutions":2,"Status":"IN_PROGRESS","LastModified":"2026-11-22T12:00:00+0000"}`
	o.steps([][3]string{
		{"GetProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod"}`, none},
		{"PutProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"$LATEST","ProvisionedConcurrentExecutions":1}`, "*cannot be applied to unpublished function versions.*"},
		{"PutProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod","ProvisionedConcurrentExecutions":3}`, "{" + state},
		{"PutProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"1","ProvisionedConcurrentExecutions":3}`, "*ResourceConflictException: Alias can't be used*"},
		{"PutProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod","ProvisionedConcurrentExecutions":51}`, "*should not be greater than*"},
		{"GetProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod"}`, "{" + state},
		{"ListProvisionedConcurrencyConfigs", `{"FunctionName":"price"}`, `{"ProvisionedConcurrencyConfigs":[{"FunctionArn":"` + priceARN + `:prod",` + state + `]}`},
		{"PutFunctionConcurrency", `{"FunctionName":"price","ReservedConcurrentExecutions":2}`, "*Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function*"},
	})
	if v := o.Snapshot().Function("price"); v.Spare != 3 {
		t.Errorf("%d sandboxes are kept", v.Spare)
	}
	o.steps([][3]string{{"DeleteProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod"}`, ""}, {"DeleteProvisionedConcurrencyConfig", `{"FunctionName":"price","Qualifier":"prod"}`, none}})
	if v := o.Snapshot().Function("price"); v.Spare != 0 {
		t.Errorf("%d sandboxes are still kept", v.Spare)
	}
}

// Lambda checklist: 77
func TestEventInvokeConfig(t *testing.T) {
	o := newOffice(t)
	const none = "ResourceNotFoundException: The function " + priceARN + ":$LATEST doesn't have an EventInvokeConfig"
	of := func(qualifier, rest string) string {
		return `{"FunctionArn":"` + priceARN + `:` + qualifier + `","LastModified":1795348800,` + rest + `"DestinationConfig":{"OnSuccess":{},"OnFailure":{}}}`
	}
	resolve := func(function string) *casemate.AsyncPolicy {
		m, err := o.Snapshot().Resolve(&casemate.Event{Target: casemate.Target{Function: function}})
		if err != nil {
			t.Fatal(err)
		}
		return m.Async
	}
	o.steps([][3]string{
		{"GetFunctionEventInvokeConfig", `{"FunctionName":"price"}`, none},
		{"UpdateFunctionEventInvokeConfig", `{"FunctionName":"price","MaximumRetryAttempts":0}`, none},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price"}`, "InvalidParameterValueException: You must specify at least one of error handling or destination setting."},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price","MaximumRetryAttempts":3,"MaximumEventAgeInSeconds":59}`, "*2 validation errors detected: Value '3' at 'maximumRetryAttempts'*"},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price","MaximumRetryAttempts":0,"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sqs:us-east-1:000000000000:dead"}}}`, "*InvalidParameterValueException: the function price may not sqs:SendMessage on arn:aws:sqs:us-east-1:000000000000:dead, where*"},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price","DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sns:us-east-1:000000000000:dead"}}}`, "*InvalidParameterValueException: asynchronous events of price cannot be told of to arn:aws:sns*"},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price","MaximumRetryAttempts":0}`, of("$LATEST", `"MaximumRetryAttempts":0,`)},
		{"UpdateFunctionEventInvokeConfig", `{"FunctionName":"price","MaximumEventAgeInSeconds":60}`, of("$LATEST", `"MaximumRetryAttempts":0,"MaximumEventAgeInSeconds":60,`)},
		{"PutFunctionEventInvokeConfig", `{"FunctionName":"price:prod","MaximumRetryAttempts":1}`, of("prod", `"MaximumRetryAttempts":1,`)},
		{"GetFunctionEventInvokeConfig", `{"FunctionName":"price","Qualifier":"$LATEST"}`, of("$LATEST", `"MaximumRetryAttempts":0,"MaximumEventAgeInSeconds":60,`)},
		{"ListFunctionEventInvokeConfigs", `{"FunctionName":"price","MaxItems":1}`, `*"MaximumEventAgeInSeconds":60,"DestinationConfig":{"OnSuccess":{},"OnFailure":{}}}],"NextMarker":"` + marker("$LATEST") + `"}*`},
		{"ListFunctionEventInvokeConfigs", `{"FunctionName":"price","MaxItems":1,"Marker":"` + marker("$LATEST") + `"}`, `{"FunctionEventInvokeConfigs":[` + of("prod", `"MaximumRetryAttempts":1,`) + `]}`},
	})
	if p := resolve("price"); p == nil || p.Retries != 0 || p.MaxAge != time.Minute {
		t.Errorf("an event for the function is tried as %+v", p)
	}
	if p := resolve("price:prod"); p == nil || p.Retries != 1 || p.MaxAge != 6*time.Hour {
		t.Errorf("an event for the alias is tried as %+v", p)
	}
	if p := resolve("price:1"); p != nil {
		t.Errorf("an event for the version is tried as %+v", p)
	}
	o.steps([][3]string{{"DeleteFunctionEventInvokeConfig", `{"FunctionName":"price"}`, ""}, {"GetFunctionEventInvokeConfig", `{"FunctionName":"price"}`, none}})
}

// Lambda checklist: 77, 51
func TestFunctionURL(t *testing.T) {
	o := newOffice(t)
	const cors = `{"AllowHeaders":["X-Trace"],"AllowMethods":["*"],"AllowOrigins":["https://app.example.com"],"MaxAge":60}`
	id, aliased := catalog.URLID(priceARN), catalog.URLID(priceARN+":prod")
	of := func(id, arn, auth, cors, mode string) string {
		return `{"FunctionUrl":"https://` + id + `.lambda-url.localhost/","FunctionArn":"` + arn + `","AuthType":"` + auth + `",` + cors + `"CreationTime":"2026-11-22T12:00:00.000000Z","LastModifiedTime":"2026-11-22T12:00:00.000000Z","InvokeMode":"` + mode + `"}`
	}
	o.steps([][3]string{
		{"GetFunctionUrlConfig", `{"FunctionName":"price"}`, "ResourceNotFoundException: The resource you requested does not exist."},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price"}`, "ValidationException: 1 validation error detected: Value null at 'authType' failed to satisfy constraint: Member must not be null"},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price","AuthType":"AWS_IAM","Cors":` + cors + `}`, of(id, priceARN, "AWS_IAM", `"Cors":`+cors+`,`, "BUFFERED")},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price","AuthType":"AWS_IAM"}`, "ResourceConflictException: FunctionUrlConfig exists for this Lambda function"},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price","Qualifier":"nowhere","AuthType":"AWS_IAM"}`, "ResourceNotFoundException: Function not found: " + priceARN + ":nowhere"},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price","Qualifier":"prod","AuthType":"NONE","InvokeMode":"RESPONSE_STREAM"}`, of(aliased, priceARN+":prod", "NONE", "", "RESPONSE_STREAM")},
		{"ListFunctionUrlConfigs", `{"FunctionName":"price"}`, `{"FunctionUrlConfigs":[` + of(id, priceARN, "AWS_IAM", `"Cors":`+cors+`,`, "BUFFERED") + `,` + of(aliased, priceARN+":prod", "NONE", "", "RESPONSE_STREAM") + `]}`},
		{"UpdateFunctionUrlConfig", `{"FunctionName":"price","InvokeMode":"RESPONSE_STREAM"}`, of(id, priceARN, "AWS_IAM", `"Cors":`+cors+`,`, "RESPONSE_STREAM")},
		{"UpdateFunctionUrlConfig", `{"FunctionName":"price","Cors":{"AllowOrigins":["*"],"AllowCredentials":true}}`, "*every page there is could act as whoever visits it*"},
	})
	find := func(id string) *casemate.Match {
		m, err := o.Snapshot().Resolve(&casemate.Event{ID: "e", Target: casemate.Target{Host: id + ".lambda-url.localhost", Method: "GET", Path: "/x"}})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := find(aliased)
	if m.Action != invokeURL || m.Resource != priceARN+":prod" || m.ObjectAction != "lambda:InvokeFunction" || m.Object != m.Resource || !m.Route.Auth.Open.Live(noon) || m.Route.Auth.Open.Live(noon.AddDate(1, 0, 0)) {
		t.Errorf("%+v, %+v", m, m.Route.Auth.Open)
	}
	if m = find(id); m.Resource != priceARN || len(m.Route.Auth.Kinds) != 1 || m.Route.Auth.Kinds[0] != casemate.CredentialAccess || m.Route.Auth.Open != nil || m.Route.Browser.CORS.Headers[0] != "x-trace" {
		t.Errorf("%+v", m.Route)
	}
	if len(o.aloud) != 1 {
		t.Errorf("the operator heard %q", o.aloud)
	}
	o.may = false
	o.steps([][3]string{
		{"UpdateFunctionUrlConfig", `{"FunctionName":"price","AuthType":"NONE"}`, "*AccessDeniedException: User: user/till is not authorized to perform: casemate:OpenURL on resource: " + priceARN + "*"},
		{"CreateFunctionUrlConfig", `{"FunctionName":"price","Qualifier":"prod","AuthType":"NONE"}`, "*casemate:OpenURL*"},
		{"DeleteFunctionUrlConfig", `{"FunctionName":"price"}`, ""},
		{"DeleteFunctionUrlConfig", `{"FunctionName":"price"}`, "ResourceNotFoundException: The resource you requested does not exist."},
	})
	if find(aliased).Route.URLAuth() != "NONE" {
		t.Error("the URL of the alias went with the other")
	}
}

// archive is a zip of one file, in base64.
func archive(t *testing.T, name, content string) (encoded, sum string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(b.Bytes())
	return base64.StdEncoding.EncodeToString(b.Bytes()), base64.StdEncoding.EncodeToString(digest[:])
}

// Lambda checklist: 77
func TestLayers(t *testing.T) {
	o := newOffice(t)
	const arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools"
	data, sum := archive(t, "bin/tool", "x")
	var first struct {
		Content struct {
			CodeSha256 string
			CodeSize   int64
		}
		LayerArn, LayerVersionArn, CreatedDate string
		Version                                int
	}
	o.read(&first, "PublishLayerVersion", `{"LayerName":"tools","Description":"d","Content":{"ZipFile":"`+data+`"},"CompatibleRuntimes":["python3.12"],"LicenseInfo":"MIT"}`)
	if first.Content.CodeSha256 != sum || first.Content.CodeSize == 0 || first.LayerArn != arn || first.LayerVersionArn != arn+":1" || first.Version != 1 || first.CreatedDate != "2026-11-22T12:00:00.000+0000" {
		t.Errorf("%+v", first)
	}
	second, _ := archive(t, "bin/tool", "y")
	const told = `"Version":1,"Description":"d","CreatedDate":"2026-11-22T12:00:00.000+0000","CompatibleRuntimes":["python3.12"],"LicenseInfo":"MIT"}`
	o.steps([][3]string{
		{"PublishLayerVersion", `{"LayerName":"` + arn + `","Content":{"ZipFile":"` + second + `"}}`, `*"LayerVersionArn":"` + arn + `:2","Version":2*`},
		{"PublishLayerVersion", `{"LayerName":"tools","Content":{"ZipFile":"eA=="}}`, "*InvalidParameterValueException: Could not unzip uploaded file. Please check your file, then try to upload again.*"},
		{"PublishLayerVersion", `{"LayerName":"tools","Content":{}}`, "*Uploaded file must be a non-empty zip*"},
		{"PublishLayerVersion", `{"LayerName":"tools","Content":{"S3Bucket":"bucket","S3Key":"k"}}`, "*there is no object store here*"},
		{"PublishLayerVersion", `{"LayerName":"a b","Content":{"ZipFile":"eA=="}}`, "*ValidationException: 1 validation error detected: Value 'a b' at 'layerName'*"},
		{"GetLayerVersion", `{"LayerName":"tools","VersionNumber":1}`, `*` + told + `*`},
		{"GetLayerVersionByArn", `{"Arn":"` + arn + `:1"}`, `*` + told + `*`},
		{"GetLayerVersion", `{"LayerName":"tools","VersionNumber":7}`, "ResourceNotFoundException: The resource you requested does not exist."},
		{"GetLayerVersion", `{"LayerName":"tools","VersionNumber":0}`, "InvalidParameterValueException: Layer Version Cannot be less than 1."},
		{"ListLayers", `{}`, `*{"Layers":[{"LayerName":"tools","LayerArn":"` + arn + `","LatestMatchingVersion":{"LayerVersionArn":"` + arn + `:2"*`},
		{"ListLayers", `{"CompatibleRuntime":"python3.12"}`, `{"Layers":[{"LayerName":"tools","LayerArn":"` + arn + `","LatestMatchingVersion":{"LayerVersionArn":"` + arn + `:1",` + told + `}]}`},
		{"ListLayerVersions", `{"LayerName":"tools","MaxItems":1}`, `*{"NextMarker":"` + marker("2") + `","LayerVersions":[{"LayerVersionArn":"` + arn + `:2"*`},
		{"ListLayerVersions", `{"LayerName":"tools","MaxItems":1,"Marker":"` + marker("2") + `"}`, `{"LayerVersions":[{"LayerVersionArn":"` + arn + `:1",` + told + `]}`},
		{"ListLayerVersions", `{"LayerName":"gone"}`, `{"LayerVersions":[]}`},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Layers":["` + arn + `:7"]}`, "InvalidParameterValueException: Layer version " + arn + ":7 does not exist."},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Layers":["` + arn + `:1","` + arn + `:2"]}`, "*Two different versions of the same layer are not allowed*"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Layers":["` + arn + `:1"]}`, `*"Layers":[{"Arn":"` + arn + `:1","CodeSize":*`},
		{"DeleteLayerVersion", `{"LayerName":"tools","VersionNumber":1}`, ""},
		{"DeleteLayerVersion", `{"LayerName":"tools","VersionNumber":1}`, ""},
		{"GetLayerVersion", `{"LayerName":"tools","VersionNumber":1}`, "ResourceNotFoundException: The resource you requested does not exist."},
		{"GetFunctionConfiguration", `{"FunctionName":"price"}`, `*"Layers":[{"Arn":"` + arn + `:1","CodeSize":*`},
	})
	o.deny = "lambda:GetLayerVersion"
	o.steps([][3]string{
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Layers":["` + arn + `:2"]}`, "*lambda:GetLayerVersion on resource: " + arn + ":2*"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Timeout":4,"Layers":["` + arn + `:9"]}`, "*is not authorized to perform: lambda:GetLayerVersion*"}, // nor whether there is one
	})
	for name, want := range map[string]string{"PublishLayerVersion": arn, "GetLayerVersion": arn + ":1", "GetLayerVersionByArn": arn + ":1", "DeleteLayerVersion": arn + ":1", "ListLayers": "*"} {
		got, err := o.all[name].Resource(casemate.DefaultPlace, []byte(`{"LayerName":"tools","VersionNumber":1,"Arn":"`+arn+`:1","Content":{"ZipFile":"eA=="}}`))
		if err != nil || got != want {
			t.Errorf("%s is decided on %s, %v", name, got, err)
		}
	}
}

// TestPermissionsGiveNothingButLambda: who may write a function's policy does not thereby answer for a URL that is open to everybody.
func TestPermissionsGiveNothingButLambda(t *testing.T) {
	o := newOffice(t)
	o.ask("AddPermission", `{"FunctionName":"price","StatementId":"all","Action":"*","Principal":"arn:aws:iam::000000000000:user/till"}`)
	for action, want := range map[string]bool{OpenAction: false, "casemate:Deploy": false, "lambda:InvokeFunction": true} {
		d := o.catalog.Snapshot().Policy.Decide(&casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindAccess, ID: "user/till", Account: casemate.DefaultPlace.Account, ARN: "arn:aws:iam::000000000000:user/till"},
			Action: action, Resource: casemate.DefaultPlace.FunctionARN("price"), Account: casemate.DefaultPlace.Account, Now: noon})
		if (d.Verdict == casemate.Allowed) != want {
			t.Errorf("%s: %+v", action, d)
		}
	}
}
