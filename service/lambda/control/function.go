package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
)

// codeIn is where code comes from in a request.
type codeIn struct {
	ZipFile  []byte
	S3Bucket string
	S3Key    string
	ImageUri string
}

// createIn is a request of CreateFunction.
type createIn struct {
	target
	settingsIn
	Code          codeIn
	PackageType   string
	Publish       bool
	Tags          map[string]string
	Architectures []string
}

// updateCodeIn is a request of UpdateFunctionCode.
type updateCodeIn struct {
	target
	codeIn
	Publish       bool
	DryRun        bool
	RevisionId    string
	Architectures []string
}

// TagApp is the tag that says which app a function is made in, for which Lambda's API has no word.
const TagApp = "casemate:app"

// createFunction is CreateFunction. Its app is the one that the tag casemate:app names, which the caller must be allowed to deploy
// to, else "lambda".
func (d *desk) createFunction(ctx context.Context, l *casemate.Launch, in *createIn) (any, error) {
	if err := in.check(d); err != nil {
		return nil, err
	}
	app, err := d.appFor(l, in.Tags)
	if err != nil {
		return nil, err
	}
	role, lent, err := d.role(l, in.name, in.Role)
	if err != nil {
		return nil, err
	}
	if role == "" {
		return nil, parameter("The role defined for the function cannot be assumed by Lambda.")
	}
	v := d.blank(app, in.name)
	if err := in.apply(v); err != nil {
		return nil, err
	}
	if err := d.putLayers(l, in.Layers, v); err != nil {
		return nil, err
	}
	if err := d.runs(v); err != nil {
		return nil, err
	}
	if f, _ := d.Apps.Snapshot().Find(in.name); f != nil { // looked at again below: this spares storing the code
		return nil, conflict("Function already exist: %s", in.name)
	}
	if err := d.keep(ctx, v, in.Code.ZipFile); err != nil {
		return nil, err
	}
	err = d.Apps.Edit(ctx, l, app, lent, func(a *catalog.App) error {
		if a.Functions[in.name] != nil {
			return conflict("Function already exist: %s", in.name)
		}
		made := *v
		f := &catalog.Function{Live: 1, Versions: []*casemate.Version{&made}, Managed: &catalog.Managed{Tags: in.Tags, Role: role}}
		a.Functions[in.name], a.Roles[catalog.ExecutionRole(in.name)] = f, catalog.Role{}
		if in.Publish {
			publish(f, in.Description)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.made(in.name, in.Publish)
}

// made is what CreateFunction answers: as on Lambda, that it is being made. Who asks next is told that it is there.
func (d *desk) made(name string, published bool) (any, error) {
	f, _ := d.Apps.Snapshot().Find(name)
	if f == nil {
		return nil, d.missing(&target{name: name})
	}
	c := d.describe(f, f.Latest(), "")
	if published {
		c = d.describe(f, f.Latest(), f.Latest().Name())
	}
	c.State, c.StateReason, c.StateReasonCode, c.LastUpdateStatus = "Pending", "The function is being created.", "Creating", ""
	return c, nil
}

// updating is what an update answers, likewise.
func updating(c *configuration) *configuration {
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusCode = "InProgress", "The function is being created.", "Creating"
	return c
}

// check refuses what the API could not honour, in Lambda's words where it has any.
func (in *createIn) check(d *desk) error {
	if in.PackageType == "Image" || in.Code.ImageUri != "" {
		return parameter("container images are not served here: send a deployment package as Code.ZipFile")
	}
	if in.Qualifier != "" {
		return parameter("a function is created without a qualifier")
	}
	if len(in.name) > 64 {
		return failure(casemate.Invalid, codeModel, "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64", in.name)
	}
	if in.Runtime == nil || *in.Runtime == "" || in.Handler == nil && casemate.Runtime(*in.Runtime).Family() != "wasm" {
		return parameter("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	if err := d.machine(in.Architectures); err != nil {
		return err
	}
	return in.Code.check()
}

func (in *codeIn) check() error {
	switch {
	case in.ImageUri != "":
		return parameter("container images are not served here: send a deployment package as ZipFile")
	case in.S3Bucket != "" || in.S3Key != "":
		return parameter("Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist: there is no object store here, send the code as ZipFile")
	case len(in.ZipFile) == 0:
		return parameter("Please provide a source for function code.")
	case len(in.ZipFile) > maxZip:
		return failure(casemate.TooLarge, "RequestTooLargeException", "Zipped size must be smaller than %d bytes", maxZip)
	}
	return nil
}

// machine refuses code for another machine than this.
func (d *desk) machine(wanted []string) error {
	if len(wanted) > 0 && !slices.Contains(wanted, d.Architecture) {
		return parameter("this node runs code for %s, not for %s", d.Architecture, wanted[0])
	}
	return nil
}

// appFor is the app that the tags name. Another app than the API's own is somebody's: the policy is asked.
func (d *desk) appFor(l *casemate.Launch, tags map[string]string) (string, error) {
	app := tags[TagApp]
	if app == "" || app == DefaultApp {
		return DefaultApp, nil
	}
	if !isApp(app) {
		return "", parameter("the tag %s names no app: 1 to 40 lower-case letters, digits and hyphens, a letter first", TagApp)
	}
	arn := d.Place.PlatformARN("app", app)
	if verdict := d.Judge(l, "casemate:Deploy", arn); verdict.Verdict != casemate.Allowed {
		return "", &casemate.Error{Code: casemate.Forbidden, AWS: codeDenied, Rule: verdict.Statement, Hint: verdict.Hint,
			Message: "User: " + who(l) + " is not authorized to perform: casemate:Deploy on resource: " + arn}
	}
	return app, nil
}

// isApp reports whether a text may name an app.
func isApp(s string) bool {
	return s != "" && len(s) <= 40 && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// blank is a version with everything that a request may leave out.
func (d *desk) blank(app, name string) *casemate.Version {
	l := casemate.DefaultLimits()
	return &casemate.Version{App: app, Function: name, ARN: d.Place.FunctionARN(name), Account: d.Place.Account, Limits: l, Isolation: casemate.IsolationRequest,
		Role: catalog.ExecutionRole(name), Async: casemate.AsyncPolicy{Retries: 2, MaxAge: sixHours}, Number: 1, Created: d.Clock().UTC(), Managed: &casemate.Managed{Draft: true}}
}

// runs refuses a runtime that is not on this machine: a function that could not start is not made.
func (d *desk) runs(v *casemate.Version) error {
	if !d.Installed(v.Runtime) {
		return parameter("The runtime parameter of %s is not supported on this node for creating or updating AWS Lambda functions.", v.Runtime)
	}
	return nil
}

// keep stores code for a version.
func (d *desk) keep(ctx context.Context, v *casemate.Version, zip []byte) error {
	digest, err := d.Apps.Keep(ctx, v.Runtime, zip)
	switch casemate.CodeOf(err) {
	case casemate.Invalid:
		return parameter("Could not unzip uploaded file. Please check your file, then try to upload again. (%s)", casemate.AsError(err).Error())
	case casemate.TooLarge:
		return parameter("Unzipped size must be smaller than 262144000 bytes (%s)", casemate.AsError(err).Error())
	}
	if err != nil {
		return fmt.Errorf("storing code: %w", err)
	}
	v.Code, v.CodeSize = digest, int64(len(zip))
	return nil
}

// updateCode is UpdateFunctionCode.
func (d *desk) updateCode(ctx context.Context, l *casemate.Launch, in *updateCodeIn) (any, error) {
	if err := in.codeIn.check(); err != nil {
		return nil, err
	}
	if err := d.machine(in.Architectures); err != nil {
		return nil, err
	}
	now, _ := d.Apps.Snapshot().Find(in.name)
	if now == nil {
		return nil, d.missing(&in.target)
	}
	if err := expected(now, in.RevisionId); err != nil {
		return nil, err
	}
	code := *now.Latest()
	if err := d.keep(ctx, &code, in.ZipFile); err != nil {
		return nil, err
	}
	if in.DryRun {
		return d.describe(now, &code, catalog.Latest), nil
	}
	f, err := d.alter(ctx, l, &in.target, nil, func(_ *catalog.App, f *catalog.Function) error {
		if err := expected(f, in.RevisionId); err != nil {
			return err
		}
		if f.Latest().Runtime.Family() != code.Runtime.Family() {
			return conflict("The function was changed meanwhile. Please try again.")
		}
		if err := d.rewrite(f, func(v *casemate.Version) error { v.Code, v.CodeSize = code.Code, code.CodeSize; return nil }); err != nil {
			return err
		}
		if in.Publish {
			publish(f, "")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	qualifier := ""
	if in.Publish {
		qualifier = f.Latest().Name()
	}
	return updating(d.describe(f, f.Latest(), qualifier)), nil
}

// deleteFunction is DeleteFunction: the whole of a function, or one version of it.
func (d *desk) deleteFunction(ctx context.Context, l *casemate.Launch, in *target) (any, error) {
	if in.Qualifier == catalog.Latest {
		return nil, parameter("$LATEST version cannot be deleted without deleting the function.")
	}
	_, app := d.Apps.Snapshot().Find(in.name)
	if app == "" {
		return nil, d.missing(in)
	}
	err := d.Apps.Edit(ctx, l, app, nil, func(a *catalog.App) error {
		f := a.Functions[in.name]
		switch {
		case f == nil:
			return d.missing(in)
		case in.Qualifier != "":
			return d.deleteVersion(a, f, in)
		}
		return remove(a, in.name, d.Place)
	})
	return nil, err
}

// deleteVersion takes a published version away. The one in force goes on as a draft: $LATEST has no number.
func (d *desk) deleteVersion(a *catalog.App, f *catalog.Function, in *target) error {
	v := f.Qualified(in.Qualifier, "")
	if _, alias := f.Manages().Aliases[in.Qualifier]; alias {
		return parameter("Deletion of aliases is not currently supported.")
	}
	if v == nil {
		return nil // as on Lambda: it is gone
	}
	if f.Aliased(v.Number) {
		return conflict("Version %s is currently being used by an alias", in.Qualifier)
	}
	a.Forget(d.Place, in.name, in.Qualifier)
	m := f.Manage()
	delete(m.Notes, v.Number)
	if v.Number == f.Live {
		top := 0
		for _, x := range f.Versions {
			top = max(top, x.Number)
		}
		draft := *v
		s := *settings(v)
		s.Draft = true
		draft.Managed, draft.Number, draft.ID = &s, top+1, ""
		f.Versions, f.Live = append(f.Versions, &draft), draft.Number
	}
	f.Versions = slices.DeleteFunc(f.Versions, func(x *casemate.Version) bool { return x.Number == v.Number })
	return nil
}

// remove takes a function out of its app, with its URL, its event source mappings, its policies and its execution role. One that a route of the app's
// manifest leads to, or that decides about callers, stays: a route to nothing would be refused.
func remove(a *catalog.App, name string, place casemate.Place) error {
	for i := range a.Routes {
		r := &a.Routes[i]
		if r.Function == name && !r.URL || r.Auth.Authorizer != nil && r.Auth.Authorizer.Function == name && r.Function != name {
			return conflict("route %s of app %s needs the function: take it out of the manifest, and deploy", r.ID, a.Name)
		}
	}
	a.Forget(place, name, "")
	delete(a.Functions, name)
	delete(a.Roles, catalog.ExecutionRole(name))
	for id, m := range a.Mappings {
		if m.Function == name {
			delete(a.Mappings, id)
			delete(a.Roles, m.Role())
		}
	}
	return nil
}
