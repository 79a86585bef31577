package control

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
)

// maxPolicy is how long the policy of a function may be, in bytes of its JSON
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxPolicy = 20 << 10

// Lambda's words about permissions.
const (
	codePolicyLength = "PolicyLengthExceededException"
	badPrincipal     = "The provided principal was invalid. Please check the principal and try again."
	staleRevision    = "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"
	invokeURL        = "lambda:InvokeFunctionUrl"
)

// permissions are the operations on the policy that a function has of its own.
func (d *desk) permissions() []casemate.Operation {
	return []casemate.Operation{
		onFunction(d, "AddPermission", askBody, d.addPermission),
		onFunction(d, "GetPolicy", askBody, d.getPolicy),
		onFunction(d, "RemovePermission", askBody, d.removePermission),
	}
}

type permissionIn struct {
	target
	StatementId, Action, Principal, SourceArn, SourceAccount string
	EventSourceToken, PrincipalOrgID, FunctionUrlAuthType    string
	RevisionId                                               string
	InvokedViaFunctionUrl                                    bool
}

// statement is a statement of a policy as Lambda writes it: one of a kind is a text, more are a list.
type statement struct {
	Sid       string `json:",omitempty"`
	Effect    casemate.PolicyEffect
	Principal any                       `json:",omitempty"`
	Other     any                       `json:"NotPrincipal,omitempty"`
	Action    any                       `json:",omitempty"`
	NotAction any                       `json:",omitempty"`
	Resource  any                       `json:",omitempty"`
	Condition map[string]map[string]any `json:",omitempty"`
}

// whole is a policy.
type whole struct {
	Version, Id string
	Statement   []statement
}

// addPermission is AddPermission: a statement that allows somebody to do something with a function, its version or its alias. It
// is decided on with everything else from the next event on.
func (d *desk) addPermission(ctx context.Context, l *casemate.Launch, in *permissionIn) (any, error) {
	arn, err := d.attaches(&in.target)
	if err != nil {
		return nil, err
	}
	s, err := in.statement(arn, l.Principal.Name())
	if err != nil {
		return nil, err
	}
	err = d.change(ctx, l, &in.target, func(a *catalog.App, f *catalog.Function) error {
		if err := in.fresh(f, in.RevisionId); err != nil {
			return err
		}
		list := a.Resources[arn]
		if slices.ContainsFunc(list, func(x casemate.Statement) bool { return x.Sid == s.Sid }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", s.Sid)
		}
		list = append(slices.Clone(list), s)
		if n := len(document(list)); n > maxPolicy {
			return failure(casemate.Invalid, codePolicyLength, "The final policy size (%d) is bigger than the limit (%d).", n, maxPolicy)
		}
		if a.Resources == nil {
			a.Resources = map[string][]casemate.Statement{}
		}
		a.Resources[arn] = list
		return touch(f, in.Qualifier)
	})
	if err != nil {
		return nil, err
	}
	return struct{ Statement string }{string(encode(written(&s)))}, nil
}

// attaches is the ARN that a policy stands under; the function and the qualifier are there.
func (d *desk) attaches(t *target) (string, error) {
	if t.Qualifier == catalog.Latest {
		return "", parameter("We currently do not support adding policies for $LATEST.")
	}
	_, _, v, err := d.find(t)
	if err != nil {
		return "", err
	}
	return catalog.Qualify(v.ARN, t.Qualifier), nil
}

// statement is what the request allows.
func (in *permissionIn) statement(arn, by string) (casemate.Statement, error) {
	action := in.Action
	if action == "*" { // all of Lambda's, as there: what the platform asks besides, like OpenAction, a caller cannot give itself
		action = "lambda:*"
	}
	s := casemate.Statement{Sid: in.StatementId, Effect: casemate.Allow, Action: []string{action}, Resource: []string{arn}, Origin: "lambda:AddPermission by " + by}
	switch {
	case in.EventSourceToken != "":
		return s, parameter("EventSourceToken is not supported here: no event source sends one.")
	case in.PrincipalOrgID != "":
		return s, parameter("PrincipalOrgID is not supported here: this account belongs to no organization.")
	case in.FunctionUrlAuthType != "" && in.Action != invokeURL:
		return s, parameter("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	case in.InvokedViaFunctionUrl && in.Action != "lambda:InvokeFunction":
		return s, parameter("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
	}
	form, who, ok := principal(in.Principal)
	if !ok {
		return s, parameter("%s", badPrincipal)
	}
	s.Principal = map[string][]string{form: {who}}
	s.Condition = map[string]map[string][]string{}
	add := func(operator, key, value string) {
		if value == "" {
			return
		}
		if s.Condition[operator] == nil {
			s.Condition[operator] = map[string][]string{}
		}
		s.Condition[operator][key] = []string{value}
	}
	add("ArnLike", "AWS:SourceArn", in.SourceArn)
	add("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	add("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	if in.InvokedViaFunctionUrl {
		add("Bool", "lambda:InvokedViaFunctionUrl", "true")
	}
	if len(s.Condition) == 0 {
		s.Condition = nil
	}
	return s, nil
}

// principal reads whom a permission is for: everybody, an account, somebody's ARN or a service.
func principal(text string) (form, who string, ok bool) {
	switch {
	case text == "*":
		return "*", text, true
	case len(text) == 12 && strings.Trim(text, "0123456789") == "":
		return "AWS", "arn:aws:iam::" + text + ":root", true
	case strings.HasPrefix(text, "arn:"):
		f := strings.SplitN(text, ":", 6)
		ok = len(f) == 6 && (f[2] == "iam" || f[2] == "sts") && len(f[4]) == 12 && strings.Trim(f[4], "0123456789") == "" && f[5] != "" && !strings.ContainsAny(f[5], "*?$ ")
		return "AWS", text, ok
	}
	name, domain, _ := strings.Cut(text, ".")
	ok = name != "" && domain != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && (strings.HasSuffix(text, ".amazonaws.com") || strings.HasSuffix(text, ".amazon.com"))
	return "Service", text, ok
}

// getPolicy is GetPolicy: what a manifest attached is told as well.
func (d *desk) getPolicy(_ context.Context, _ *casemate.Launch, in *target) (any, error) {
	f, app, v, err := d.find(in)
	if err != nil {
		return nil, err
	}
	a, _ := d.Apps.Snapshot().App(app)
	list := a.Resources[catalog.Qualify(v.ARN, in.Qualifier)]
	if len(list) == 0 {
		return nil, failure(casemate.NotFound, codeMissing, "The resource you requested does not exist.")
	}
	return struct{ Policy, RevisionId string }{string(document(list)), revisionOf(f, v, in.Qualifier)}, nil
}

// removePermission is RemovePermission.
func (d *desk) removePermission(ctx context.Context, l *casemate.Launch, in *permissionIn) (any, error) {
	arn, err := d.attaches(&in.target)
	if err != nil {
		return nil, err
	}
	return nil, d.change(ctx, l, &in.target, func(a *catalog.App, f *catalog.Function) error {
		if len(a.Resources[arn]) == 0 {
			return failure(casemate.NotFound, codeMissing, "No policy is associated with the given resource.")
		}
		if err := in.fresh(f, in.RevisionId); err != nil {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(a.Resources[arn]), func(x casemate.Statement) bool { return x.Sid == in.StatementId })
		if len(left) == len(a.Resources[arn]) {
			return failure(casemate.NotFound, codeMissing, "Statement %s is not found in resource policy.", clip(in.StatementId))
		}
		if a.Resources[arn] = left; len(left) == 0 {
			delete(a.Resources, arn)
		}
		return touch(f, in.Qualifier)
	})
}

// fresh refuses a change of what is not any more as its caller saw it.
func (in *permissionIn) fresh(f *catalog.Function, revision string) error {
	if v := f.Qualified(in.Qualifier, ""); revision == "" || v != nil && revision == revisionOf(f, v, in.Qualifier) {
		return nil
	}
	return failure(casemate.Conflict, codeRevision, "%s", staleRevision)
}

// revisionOf is the revision that the policy under a qualifier has: that of what it is about.
func revisionOf(f *catalog.Function, v *casemate.Version, qualifier string) string {
	if a := f.Manages().Aliases[qualifier]; a != nil {
		return a.Revision(v.ARN, qualifier)
	}
	return f.RevisionOf(v, qualifier)
}

// touch gives what a qualifier leads to another revision. That of a version does not change.
func touch(f *catalog.Function, qualifier string) error {
	m := f.Manage()
	if a := m.Aliases[qualifier]; a != nil {
		next := *a
		next.Edits++
		m.Aliases[qualifier] = &next
	}
	return nil
}

// document is a policy as Lambda writes it.
func document(list []casemate.Statement) []byte {
	p := whole{Version: "2012-10-17", Id: "default"}
	for i := range list {
		p.Statement = append(p.Statement, written(&list[i]))
	}
	return encode(p)
}

// encode is JSON with the characters that it is made of.
func encode(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // texts, lists and maps of texts always encode
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

func written(s *casemate.Statement) statement {
	w := statement{Sid: s.Sid, Effect: s.Effect, Principal: whoever(s.Principal), Other: whoever(s.NotPrincipal), Action: one(s.Action), NotAction: one(s.NotAction), Resource: one(s.Resource)}
	for operator, keys := range s.Condition {
		if w.Condition == nil {
			w.Condition = map[string]map[string]any{}
		}
		w.Condition[operator] = map[string]any{}
		for key, values := range keys {
			w.Condition[operator][key] = one(values)
		}
	}
	return w
}

func whoever(p map[string][]string) any {
	if len(p) == 0 {
		return nil
	}
	if _, all := p["*"]; all && len(p) == 1 {
		return "*"
	}
	out := map[string]any{}
	for form, values := range p {
		out[form] = one(values)
	}
	return out
}

func one(values []string) any {
	switch len(values) {
	case 0:
		return nil
	case 1:
		return values[0]
	}
	return values
}
