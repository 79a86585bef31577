package control

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
)

// alter edits one function that is there, through the checks of a deploy. lent are the roles that the caller was found to be
// allowed to pass.
func (d *desk) alter(ctx context.Context, l *casemate.Launch, t *target, lent []string, edit func(a *catalog.App, f *catalog.Function) error) (*catalog.Function, error) {
	_, app := d.Apps.Snapshot().Find(t.name)
	if app == "" {
		return nil, d.missing(t)
	}
	err := d.Apps.Edit(ctx, l, app, lent, func(a *catalog.App) error {
		f := a.Functions[t.name]
		if f == nil {
			return d.missing(t)
		}
		return edit(a, f)
	})
	if err != nil {
		return nil, err
	}
	f, _ := d.Apps.Snapshot().Find(t.name)
	if f == nil {
		return nil, d.missing(t)
	}
	return f, nil
}

// expected refuses a write that was made for another state of the function.
func expected(f *catalog.Function, revision string) error {
	if revision == "" || revision == f.Revision() {
		return nil
	}
	return stale("GetFunction")
}

func stale(call string) error {
	return failure(casemate.Conflict, codeRevision, "The Revision Id provided does not match the latest Revision Id. Call the %s API to retrieve the latest Revision Id", call)
}

// rewrite puts a changed copy of the version in force in its place, as a draft: the one draft that there is, or a new one with
// the number that publishing will give it. What changes nothing leaves the version.
func (d *desk) rewrite(f *catalog.Function, change func(v *casemate.Version) error) error {
	was := f.Latest()
	v := *was
	v.Env, v.Layers = maps.Clone(v.Env), slices.Clone(v.Layers)
	m := casemate.Managed{}
	if v.Managed != nil {
		m = *v.Managed
	}
	v.Managed = &m
	if err := change(&v); err != nil {
		return err
	}
	f.Manage()
	if alike(was, &v) {
		return nil
	}
	m.Draft = true
	v.ID, v.Created, v.Number = "", d.Clock().UTC(), 0
	for _, x := range f.Versions {
		v.Number = max(v.Number, x.Number+1)
	}
	f.Versions = slices.DeleteFunc(f.Versions, func(x *casemate.Version) bool {
		if x.Draft() {
			v.Number = x.Number
		}
		return x.Draft()
	})
	f.Versions, f.Live = append(f.Versions, &v), v.Number
	return nil
}

// alike reports whether two versions are the same but for whether they are published.
func alike(a, b *casemate.Version) bool {
	x, y := *a, *b
	x.Managed, y.Managed = settings(a), settings(b)
	if len(x.Env) == 0 && len(y.Env) == 0 {
		x.Env, y.Env = nil, nil
	}
	if len(x.Layers) == 0 && len(y.Layers) == 0 {
		x.Layers, y.Layers = nil, nil
	}
	return reflect.DeepEqual(x, y)
}

// settings is what the API was told about a version, without whether it is published.
func settings(v *casemate.Version) *casemate.Managed {
	if v.Managed == nil {
		return &casemate.Managed{}
	}
	m := *v.Managed
	m.Draft = false
	return &m
}

// publish gives the version in force its number. One that has one keeps it, and its description.
func publish(f *catalog.Function, description string) *casemate.Version {
	v := f.Latest()
	if !v.Draft() {
		return v
	}
	p := *v
	if p.Managed = settings(v); *p.Managed == (casemate.Managed{}) {
		p.Managed = nil
	}
	p.ID = ""
	for i, x := range f.Versions {
		if x == v {
			f.Versions[i] = &p
		}
	}
	m := f.Manage()
	if description != "" {
		if m.Notes == nil {
			m.Notes = map[int]string{}
		}
		m.Notes[p.Number] = description
	}
	return &p
}

// role reads the ARN of a role that a function is to run as, and asks the policy whether the caller may pass it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html). It comes before anything is said about the role.
func (d *desk) role(l *casemate.Launch, function, arn string) (role string, lent []string, err error) {
	e := *l.Event
	e.Context = maps.Clone(e.Context)
	if e.Context == nil {
		e.Context = map[string][]string{}
	}
	e.Context["iam:passedtoservice"] = []string{"lambda.amazonaws.com"}
	asked := *l
	asked.Event = &e
	if verdict := d.Judge(&asked, "iam:PassRole", arn); verdict.Verdict != casemate.Allowed {
		return "", nil, &casemate.Error{Code: casemate.Forbidden, AWS: codeDenied, Rule: verdict.Statement, Hint: verdict.Hint,
			Message: "User: " + who(l) + " is not authorized to perform: iam:PassRole on resource: " + arn}
	}
	role, here := strings.CutPrefix(arn, d.Place.RoleARN(""))
	if role == catalog.ExecutionRole(function) {
		return "", nil, nil // its own
	}
	snap := d.Apps.Snapshot()
	if fn, execution := strings.CutPrefix(role, catalog.ExecutionRole("")); execution {
		if f, _ := snap.Find(fn); f != nil && f.Manages().Role != "" {
			here = false // a role that is itself another one lends nothing
		}
	}
	if !here || !snap.HasRole(role) {
		return "", nil, parameter("The role defined for the function cannot be assumed by Lambda.")
	}
	return role, []string{borrows(function, role)}, nil
}

// borrows is how an edit says that a function takes a role; see deploy.Borrows.
func borrows(function, role string) string { return "function " + function + " as role " + role }

// who is the caller as AWS names it.
func who(l *casemate.Launch) string {
	if l.Principal.ARN != "" {
		return l.Principal.ARN
	}
	return l.Principal.Name()
}
