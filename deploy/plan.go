package deploy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

// The sections of a plan, in the order a person should read them: who may what comes first.
const (
	KindPermission = "permission"
	KindRoute      = "route"
	KindFunction   = "function"
	KindLimit      = "limit"
)

// Change is one difference between what is in force and what would be.
type Change struct {
	Kind    string `json:"kind"`
	Op      string `json:"op"` // add, remove, change
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Wider   bool   `json:"wider,omitempty"` // it lets somebody or something do more than before

	Statement *casemate.Statement `json:"statement,omitempty"` // of a permission: what is decided on
}

// Plan is what a deploy or rollback would change, permissions first.
type Plan struct {
	App        string             `json:"app"`
	Generation int                `json:"generation"` // in force; 0: the app is new
	Changes    []Change           `json:"changes"`
	New        []string           `json:"new,omitempty"`      // functions that get a new version
	LeftOut    []string           `json:"left_out,omitempty"` // functions whose runtime is not on this machine
	Warnings   []manifest.Problem `json:"warnings,omitempty"`
	Template   *Stack             `json:"template,omitempty"` // what there is to say about a template; nil: a manifest was deployed
}

// Empty reports whether nothing would change.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Summary is one line for a history.
func (p *Plan) Summary() string {
	n, wider := map[string]int{}, 0
	for _, c := range p.Changes {
		n[c.Kind]++
		if c.Wider {
			wider++
		}
	}
	var parts []string
	for _, k := range [...]string{KindPermission, KindRoute, KindFunction, KindLimit} {
		if n[k] == 1 {
			parts = append(parts, "1 "+k)
		} else if n[k] > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n[k], k))
		}
	}
	if len(parts) == 0 {
		return "no change"
	}
	if wider > 0 && p.Generation > 0 {
		parts = append(parts, fmt.Sprintf("%d of them wider than before", wider))
	}
	return strings.Join(parts, ", ")
}

// String is the plan for a person: "+" comes, "-" goes, "~" changes, "!" lets more through than before.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", p.App, p.Summary())
	if p.Generation == 0 {
		b.WriteString(" (new app)")
	}
	b.WriteByte('\n')
	kind := ""
	for _, c := range p.Changes {
		if c.Kind != kind {
			kind = c.Kind
			fmt.Fprintf(&b, "%ss\n", kind)
		}
		sign := map[string]string{"add": "+", "remove": "-", "change": "~"}[c.Op]
		if c.Wider {
			sign += "!"
		}
		fmt.Fprintf(&b, "  %-2s %s: %s\n", sign, c.Subject, c.Text)
	}
	for _, f := range p.LeftOut {
		fmt.Fprintf(&b, "LEFT OUT: function %s and its routes: its runtime is not on this machine\n", f)
	}
	file := manifest.File
	if p.Template != nil {
		file = p.Template.File
		p.Template.write(&b)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s:%d:%d: %s", file, w.Line, w.Column, w.Message)
		if w.Hint != "" {
			fmt.Fprintf(&b, " (%s)", w.Hint)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

type comparer struct{ changes []Change }

func (c *comparer) say(kind, op, subject string, wider bool, format string, args ...any) {
	c.changes = append(c.changes, Change{Kind: kind, Op: op, Subject: subject, Text: fmt.Sprintf(format, args...), Wider: wider})
}

// compare lists what differs between two states of an app; current is nil for a new one.
func compare(current, next *catalog.App) *Plan {
	p := &Plan{App: next.Name, LeftOut: next.LeftOut}
	if current == nil {
		current = &catalog.App{}
	}
	p.Generation = current.Generation
	c := &comparer{}
	for _, role := range union(current.Roles, next.Roles) {
		was, is := current.Roles[role], next.Roles[role]
		subject := "role " + role
		if fn, ok := strings.CutPrefix(role, catalog.ExecutionRole("")); ok {
			subject = "function " + fn + " may"
		} else if _, had := current.Roles[role]; !had && len(is.Statements) == 0 {
			c.say(KindPermission, "add", subject, false, "may nothing")
		}
		c.statements(subject, was.Statements, is.Statements)
		if len(was.Boundary) > 0 && len(is.Boundary) == 0 {
			c.say(KindPermission, "remove", subject, true, "has no boundary any more")
		} else if len(was.Boundary) == 0 && len(is.Boundary) > 0 {
			c.say(KindPermission, "add", subject, false, "gets a boundary")
		}
		c.statements(subject+" within its boundary", was.Boundary, is.Boundary)
		c.statements("trust of "+subject, was.Trust, is.Trust)
	}
	if current.Environment != next.Environment {
		c.say(KindPermission, "change", "app "+next.Name, p.Generation > 0, "belongs to environment %s instead of %s", cmp.Or(next.Environment, "none"), cmp.Or(current.Environment, "none"))
	}
	c.statements("guardrail of every app", current.Guardrails, next.Guardrails)
	for _, arn := range union(current.Resources, next.Resources) {
		c.statements("resource policy of "+arn[strings.LastIndexByte(arn, ':')+1:], current.Resources[arn], next.Resources[arn])
	}
	c.issuers(current.Issuers, next.Issuers)
	c.routes(current, next)
	for _, name := range union(current.Functions, next.Functions) {
		c.function(name, current.Functions[name], next.Functions[name])
	}
	c.plans(current, next)
	c.budgets(current.Budgets, next.Budgets)
	c.mappings(current, next)
	c.schedules(current, next)
	rank := map[string]int{KindPermission: 0, KindRoute: 1, KindFunction: 2, KindLimit: 3}
	sort.SliceStable(c.changes, func(i, j int) bool { // within a kind, what lets more through first
		a, b := &c.changes[i], &c.changes[j]
		if a.Kind != b.Kind || p.Generation == 0 {
			return rank[a.Kind] < rank[b.Kind]
		}
		return a.Wider && !b.Wider
	})
	p.Changes = c.changes
	return p
}

func union[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// statements compares two lists as sets; where a statement stands in its file does not count.
func (c *comparer) statements(subject string, was, is []casemate.Statement) {
	old, fresh := byText(was), byText(is)
	for _, t := range union(old, fresh) {
		_, had := old[t]
		s, has := fresh[t]
		switch {
		case has && !had:
			c.statement("add", subject, s.Effect == casemate.Allow, s)
		case had && !has:
			c.statement("remove", subject, old[t].Effect == casemate.Deny, old[t])
		}
	}
}

func (c *comparer) statement(op, subject string, wider bool, s casemate.Statement) {
	c.changes = append(c.changes, Change{KindPermission, op, subject, phrase(s), wider, &s})
}

func byText(l []casemate.Statement) map[string]casemate.Statement {
	m := map[string]casemate.Statement{}
	for _, s := range l {
		m[textOf(s)] = s
	}
	return m
}

func textOf(v any) string {
	if s, ok := v.(casemate.Statement); ok {
		s.Origin = ""
		v = s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// phrase is a statement in one line: as the grant that it was written as, or spelled out.
func phrase(s casemate.Statement) string {
	if at, grant, ok := strings.Cut(s.Origin, " grant "); ok {
		if text, err := strconv.Unquote(grant); err == nil {
			place, _, _ := strings.Cut(at, " ")
			return text + " (" + place + ")"
		}
	}
	part := func(word string, not, l []string) string {
		if len(not) > 0 {
			return word + " other than " + strings.Join(not, ", ")
		}
		return word + strings.Join(l, ", ")
	}
	text := string(s.Effect) + " " + part("", s.NotAction, s.Action) + " on " + part("", s.NotResource, s.Resource)
	if len(s.Principal)+len(s.NotPrincipal) > 0 {
		text += " for " + textOf(s.Principal)
		if len(s.NotPrincipal) > 0 {
			text = strings.TrimSuffix(text, "null") + "all but " + textOf(s.NotPrincipal)
		}
	}
	if len(s.Condition) > 0 {
		text += " if " + textOf(s.Condition)
	}
	if s.Origin != "" {
		text += " (" + s.Origin + ")"
	}
	return text
}

func (c *comparer) issuers(was, is []casemate.Issuer) {
	index := func(l []casemate.Issuer) map[string]string {
		m := map[string]string{}
		for _, i := range l {
			m[i.Issuer] += textOf(i)
		}
		return m
	}
	old, fresh := index(was), index(is)
	for _, name := range union(old, fresh) {
		switch {
		case old[name] == "":
			c.say(KindPermission, "add", "issuer "+name, true, "its tokens are taken")
		case fresh[name] == "":
			c.say(KindPermission, "remove", "issuer "+name, false, "its tokens are taken no more")
		case old[name] != fresh[name]:
			c.say(KindPermission, "change", "issuer "+name, true, "its keys, algorithms, audience or roles are others")
		}
	}
}

func routeKey(r casemate.Route) string {
	if r.URL {
		return "URL of " + strings.TrimSuffix(r.Function+":"+r.Alias(), ":")
	}
	return "route " + strings.TrimSpace(r.Host+" "+r.ID)
}

func (c *comparer) routes(current, next *catalog.App) {
	index := func(l []casemate.Route) map[string]casemate.Route {
		m := map[string]casemate.Route{}
		for _, r := range l {
			m[routeKey(r)] = r
		}
		return m
	}
	old, fresh := index(current.Routes), index(next.Routes)
	for _, k := range union(old, fresh) {
		was, had := old[k]
		is, has := fresh[k]
		if !has {
			if was.ByAPI() { // nobody who reads the manifest knows of it: it stands with what is looked at first
				c.say(KindPermission, "remove", k, false, "it was made through Lambda's API and the manifest has none: its callers are turned away")
			}
			c.say(KindRoute, "remove", k, false, "leads to %s no more", was.Function)
			continue
		}
		if !had {
			c.say(KindRoute, "add", k, false, "leads to %s", is.Function)
		} else if was.Function != is.Function {
			c.say(KindRoute, "change", k, false, "leads to %s instead of %s", is.Function, was.Function)
		}
		c.auth(k, was.Auth, is.Auth)
		c.asked(k, was.Auth, is.Auth)
		c.object(k, was.Object, is.Object)
		c.steps(k, was, is)
		if was.Contract != is.Contract {
			c.contract(k, was.Contract, is.Contract)
		}
		c.answers(k, was.Answers, is.Answers)
		c.response(k, was.Response, is.Response)
		c.within(k, had, &was, &is)
		if had && (was.Payload != is.Payload || was.Stage != is.Stage) {
			c.say(KindRoute, "change", k, false, "requests and answers have payload format %s at stage %s", cmp.Or(is.Payload, "2.0"), cmp.Or(is.Stage, "default"))
		}
		c.clean(k, was.Screen, is.Screen, was.Leaks, is.Leaks)
		c.browser(k, was.Browser, is.Browser)
		if had || is.Total != (casemate.Limit{}) {
			c.rooms(k+" over all callers", was.Total, is.Total)
		}
		if had && was.Rate != is.Rate {
			c.say(KindLimit, "change", k, is.Rate.PerSecond == 0 || was.Rate.PerSecond > 0 && is.Rate.PerSecond > was.Rate.PerSecond, "rate %s instead of %s", rateText(is.Rate), rateText(was.Rate))
		}
		if had && was.Request != is.Request {
			c.say(KindLimit, "change", k, is.Request == 0 || was.Request > 0 && is.Request > was.Request, "max_body %s instead of %s", bodyText(is.Request), bodyText(was.Request))
		}
	}
}

func (c *comparer) contract(k, was, is string) {
	switch {
	case was == "":
		c.say(KindRoute, "add", k, false, "requests have a contract")
	case is == "":
		c.say(KindRoute, "remove", k, true, "requests have no contract any more")
	default:
		c.say(KindRoute, "change", k, false, "requests have another contract")
	}
}

// auth says who gets in, or does not any more: a permission, wherever it is written.
func (c *comparer) auth(k string, was, is casemate.Auth) {
	for _, kind := range is.Kinds {
		if !slices.Contains(was.Kinds, kind) {
			c.say(KindPermission, "add", k, len(was.Kinds) > 0, "takes %s", withArticle(credentialText(kind)))
		}
	}
	for _, kind := range was.Kinds {
		if !slices.Contains(is.Kinds, kind) {
			c.say(KindPermission, "remove", k, false, "takes no %s any more", credentialText(kind))
		}
	}
	switch {
	case is.Open != nil && (was.Open == nil || !was.Open.Expires.Equal(is.Open.Expires) || was.Open.Reason != is.Open.Reason):
		c.say(KindPermission, "add", k, was.Open == nil || is.Open.Expires.After(was.Open.Expires), "open to everybody until %s: %s", is.Open.Expires.Format(time.DateOnly), is.Open.Reason)
	case is.Open == nil && was.Open != nil:
		c.say(KindPermission, "remove", k, false, "open to everybody no more")
	}
}

// withArticle is a noun with a or an, by its first letter.
func withArticle(noun string) string {
	if noun != "" && strings.Contains("aeiou", noun[:1]) {
		return "an " + noun
	}
	return "a " + noun
}

func credentialText(k casemate.CredentialKind) string {
	if k == casemate.CredentialBearer {
		return "token"
	}
	if k == casemate.CredentialAccess {
		return "signature of AWS (sigv4)"
	}
	return string(k)
}

func rateText(r casemate.Rate) string {
	if r.PerSecond == 0 {
		return "by default"
	}
	return fmt.Sprintf("%g/s burst %d", r.PerSecond, r.Burst)
}

func bodyText(n int64) string {
	if n == 0 {
		return "of the function"
	}
	return manifest.Size(n).String()
}

func (c *comparer) function(name string, was, is *catalog.Function) {
	subject := "function " + name
	if is == nil {
		c.say(KindFunction, "remove", subject, false, "is gone, with its versions")
		return
	}
	n := is.Number(is.Live)
	var old []casemate.Child
	if was != nil {
		old = was.Number(was.Live).Children
	}
	c.children(subject, old, n.Children)
	c.extensions(subject, layersOf(was), n.Layers)
	if was == nil {
		c.say(KindFunction, "add", subject, false, "version %d: %s, %d MB, %s, %s a sandbox", n.Number, n.Runtime, n.Limits.MemoryMB, n.Limits.Timeout, n.Isolation)
		screen, leaks := n.ByName()
		c.clean(subject, casemate.Screen{}, screen, casemate.Leaks{}, leaks)
		c.aliases(name, nil, is)
		return
	}
	c.aliases(name, was, is)
	o := was.Number(was.Live)
	if o.ID == n.ID {
		return
	}
	if o.Contract != n.Contract {
		c.contract(subject, o.Contract, n.Contract)
	}
	var parts []string
	differs := func(what string, a, b any) {
		if textOf(a) != textOf(b) {
			parts = append(parts, what)
		}
	}
	differs("code", o.Code, n.Code)
	differs("layers", o.Layers, n.Layers)
	differs("runtime", o.Runtime, n.Runtime)
	differs("handler", o.Handler, n.Handler)
	differs("environment", o.Env, n.Env)
	differs("async", o.Async, n.Async)
	differs("destinations", o.Told(), n.Told())
	differs("tenant key", o.Tenant, n.Tenant)
	differs("provisioned", o.Spare, n.Spare)
	differs("screen", o.Screen, n.Screen)
	differs("leaks", o.Leaks, n.Leaks)
	differs("log", o.Logging, n.Logging)
	wasIn, wasOut := o.ByName()
	isIn, isOut := n.ByName()
	c.clean(subject, wasIn, isIn, wasOut, isOut)
	c.standing(subject, o, n)
	if o.Isolation != n.Isolation {
		parts = append(parts, fmt.Sprintf("isolation %s instead of %s", n.Isolation, o.Isolation))
	}
	if was, is := o.AtOnce(), n.AtOnce(); was != is {
		c.say(KindLimit, "change", subject, is > was, "sandbox_concurrency %d instead of %d", is, was)
		parts = append(parts, "several events in a sandbox")
	}
	if o.Limits != n.Limits {
		c.limits(subject, o.Limits, n.Limits)
		parts = append(parts, "limits")
	}
	sharing := map[casemate.Isolation]int{casemate.IsolationRequest: 0, casemate.IsolationTenant: 1, casemate.IsolationWarm: 2}
	c.say(KindFunction, "change", subject, sharing[n.Isolation] > sharing[o.Isolation], "version %d instead of %d: %s", n.Number, o.Number, strings.Join(parts, ", "))
}

// program names one with what fixes its content: a digest, or that of the code that it is in.
func program(c casemate.Child) string {
	if c.SHA256 == "" {
		return c.Path + " of its own code"
	}
	return fmt.Sprintf("%s (sha256 %.12s)", c.Path, c.SHA256)
}

// children says what a function may execute, or may not any more: a permission.
func (c *comparer) children(subject string, was, is []casemate.Child) {
	for _, x := range is {
		if !slices.Contains(was, x) {
			c.say(KindPermission, "add", subject+" may", true, "execute %s", program(x))
		}
	}
	for _, x := range was {
		if !slices.Contains(is, x) {
			c.say(KindPermission, "remove", subject+" may", false, "execute %s", program(x))
		}
	}
}

func (c *comparer) limits(subject string, was, is casemate.Limits) {
	say := func(what string, more bool, a, b any) {
		if a != b {
			c.say(KindLimit, "change", subject, more, "%s %v instead of %v", what, b, a)
		}
	}
	say("timeout", is.Timeout > was.Timeout, was.Timeout, is.Timeout)
	say("init_timeout", is.InitTimeout > was.InitTimeout, was.InitTimeout, is.InitTimeout)
	say("memory in MB", is.MemoryMB > was.MemoryMB, was.MemoryMB, is.MemoryMB)
	say("cpu in thousandths of a core", is.CPU == 0 || was.CPU > 0 && is.CPU > was.CPU, was.CPU, is.CPU)
	say("tmp in MB", is.TmpMB > was.TmpMB, was.TmpMB, is.TmpMB)
	say("concurrency", is.Concurrency > was.Concurrency, was.Concurrency, is.Concurrency)
	say("max_body", is.Request > was.Request, manifest.Size(was.Request), manifest.Size(is.Request))
	say("lifetime", is.Lifetime > was.Lifetime, was.Lifetime, is.Lifetime)
	say("max_events", is.Events > was.Events, was.Events, is.Events)
	say("output", is.Output > was.Output, manifest.Size(was.Output), manifest.Size(is.Output))
	say("connections", is.Connections > was.Connections, was.Connections, is.Connections)
	say("traffic", is.Traffic > was.Traffic, manifest.Size(was.Traffic), manifest.Size(is.Traffic))
	say("rate", is.Rate.PerSecond > was.Rate.PerSecond, rateText(was.Rate), rateText(is.Rate))
}
