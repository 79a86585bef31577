package deploy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/catalog/route"
	"casemate/deploy/diff"
)

// Guard asks on behalf of the caller of a deploy. A nil function asks nobody: the Deployer's owner has decided already.
type Guard struct {
	// App: the caller did not name an app, and the body does. May it do this to that one?
	App func(app string) error
	// Beyond: the app would reach beyond itself in the ways of what. May the caller let it?
	Beyond func(app string, what []string) error
	// Layer: may the caller read this published layer, by its version's ARN? What it may not is listed to Beyond.
	Layer func(arn string) error
	// Keeper keeps what templates declare; nil: nothing can be kept, and such a template is refused.
	Keeper Keeper
}

// Under gives a Deployer that asks g. Who may deploy one app is not thereby an operator: what an app of theirs does to
// others needs a grant of its own.
func (d *Deployer) Under(g Guard) *Deployer { return &Deployer{cfg: d.cfg, only: d.only, guard: g} }

// beyond lists how next reaches beyond its own app and current did not: roles of callers that may more than call its
// own routes and functions, functions that may more than call those, reach named hosts and use what is named after the
// app (its secrets, parameters, tables), guardrails (they hold on the whole node, so that losing one counts as well), routes that
// take requests which another app's routes match, too, queues that are there and no app's, and issuers that another app trusts
// under the same name.
func (d *Deployer) beyond(current, next *catalog.App) []string {
	if current == nil {
		current = &catalog.App{}
	}
	var what []string
	for _, name := range slices.Sorted(maps.Keys(next.Roles)) {
		who, within := "role "+name, d.within
		if fn, ok := strings.CutPrefix(name, catalog.ExecutionRole("")); ok {
			who, within = "function "+fn, d.withinFunction
		}
		if d.lends(current.Roles[name], next.Roles[name], func(s *casemate.Statement) bool { return within(next, s) }) {
			what = append(what, "trust of "+who)
		}
		had := known(current.Roles[name].Statements)
		free := len(current.Roles[name].Boundary) > 0 && !same(current.Roles[name].Boundary, next.Roles[name].Boundary) ||
			!denies(current.Roles[name].Statements, next.Roles[name].Statements)
		for _, s := range next.Roles[name].Statements {
			if (free || !had[diff.Text(s)]) && !within(next, &s) {
				what = append(what, who)
				break
			}
		}
	}
	what = append(what, borrowed(current, next)...)
	what = append(what, d.mounted(current, next)...)
	if !same(current.Guardrails, next.Guardrails) {
		what = append(what, "guardrails")
	}
	what = append(what, d.resources(current, next)...)
	what = append(what, d.found(current, next)...)
	if current.Environment != next.Environment {
		what = append(what, "environment "+cmp.Or(next.Environment, "none"))
	}
	snap := d.cfg.Catalog.Snapshot()
	for _, name := range snap.Apps() {
		if name == next.Name {
			continue
		}
		other, _ := snap.App(name)
		what = append(what, meets(current, next, other)...)
	}
	return what
}

// found lists the queues that next takes over from nobody: not those that are named after the app. Who declares a queue says
// where its dead letters go, and so who reads what others sent.
func (d *Deployer) found(current, next *catalog.App) (what []string) {
	for _, name := range slices.Sorted(maps.Keys(next.Queues)) {
		if current.Queues[name] == nil && d.cfg.Found != nil && !d.named(next, "sqs", d.cfg.Place.QueueARN(name)) && d.cfg.Found(next.Name, name) {
			what = append(what, "queue "+name+", which is there")
		}
	}
	return what
}

// borrowed lists the functions that take a role of callers which they did not take before.
func borrowed(current, next *catalog.App) (what []string) {
	for _, name := range slices.Sorted(maps.Keys(next.Functions)) {
		had := ""
		if f := current.Functions[name]; f != nil {
			had = f.Manages().Role
		}
		if role := next.Functions[name].Manages().Role; role != "" && role != had {
			what = append(what, Borrows(name, role))
		}
	}
	return what
}

// Borrows is how Guard.Beyond is told that a function takes a role: whoever passed it one may let that through.
func Borrows(function, role string) string { return "function " + function + " as role " + role }

// within reports whether a statement lets its holder do no more than call this app. A Deny takes nothing from others:
// it binds the holder of the role.
func (d *Deployer) within(a *catalog.App, s *casemate.Statement) bool {
	if s.Effect == casemate.Deny {
		return true
	}
	if len(s.NotAction) > 0 || len(s.NotResource) > 0 || len(s.Action) == 0 || len(s.Resource) == 0 {
		return false
	}
	for _, action := range s.Action {
		action = strings.ToLower(action)
		if !strings.HasPrefix(action, "execute-api:") && !strings.HasPrefix(action, "lambda:invoke") && !strings.EqualFold(action, ActionAuthorize) {
			return false
		}
	}
	for _, resource := range s.Resource {
		if !d.own(a, resource) {
			return false
		}
	}
	return true
}

// withinFunction reports whether a statement of an execution role stays with the app: its own functions and routes, hosts
// by name (addresses are the inside of somebody's network), and what is named after the app.
func (d *Deployer) withinFunction(a *catalog.App, s *casemate.Statement) bool {
	if d.within(a, s) {
		return true
	}
	if len(s.NotAction) > 0 || len(s.NotResource) > 0 || len(s.Action) == 0 || len(s.Resource) == 0 || byAddress(s) {
		return false
	}
	hosts := d.cfg.Place.PlatformARN("host", "")
	for _, resource := range s.Resource {
		host, is := strings.CutPrefix(resource, hosts)
		for _, action := range s.Action {
			service, _, _ := strings.Cut(strings.ToLower(action), ":")
			switch {
			case is && strings.EqualFold(action, "casemate:Connect") && isHostGrant(host):
			case !is && service != "" && !strings.ContainsAny(service, "*?") && d.named(a, service, resource):
			default:
				return false
			}
		}
	}
	return true
}

// byAddress reports a statement that names a network: with it every other statement of the role that matches an address
// there lets the function reach it.
func byAddress(s *casemate.Statement) bool {
	for _, keys := range s.Condition {
		for key := range keys {
			if strings.EqualFold(key, "casemate:Address") {
				return true
			}
		}
	}
	return false
}

// isHostGrant takes NAME:PORT and *.NAME:PORT, as the short form writes them, and no pattern that is wider or that an
// address matches: "*.0.0.1" is one. No name ends in a label that begins with a digit.
func isHostGrant(s string) bool {
	name, port, ok := strings.Cut(strings.TrimPrefix(s, "*."), ":")
	if !ok || strings.Trim(port, "0123456789") != "" || port == "" {
		return false
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; last == "" || last[0] >= '0' && last[0] <= '9' {
		return false
	}
	return strings.Contains(name, ".") && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// named reports whether a resource's name is the app's, or begins with it and a character that no app's name has. A shorter
// name would be a longer app's as well.
func (d *Deployer) named(a *catalog.App, service, resource string) bool {
	here := d.cfg.Place.Region + ":" + d.cfg.Place.Account + ":"
	stem, ok := map[string]string{"secretsmanager": here + "secret:", "ssm": here + "parameter/", "dynamodb": here + "table/",
		"s3": "::", "sqs": here, "sns": here, "events": here + "event-bus/"}[service]
	rest, found := strings.CutPrefix(resource, "arn:aws:"+service+":"+stem)
	if !ok || !found {
		return false
	}
	return found && bears(rest, a.Name)
}

// bears reports whether a name is an app's, or begins with it and a character that no app's name has.
func bears(name, app string) bool {
	rest, found := strings.CutPrefix(name, app)
	return found && (rest == "" || strings.ContainsRune("/._", rune(rest[0])))
}

// own reports whether everything that a resource pattern matches is the app's: the pattern begins with the whole of a
// name that is, wildcards come behind it.
func (d *Deployer) own(a *catalog.App, pattern string) bool {
	if stem, _, _ := strings.Cut(d.cfg.Place.RouteARN(a.Name, "", ""), "$"); strings.HasPrefix(pattern, stem) {
		return true
	}
	for fn := range a.Functions {
		if arn := d.cfg.Place.FunctionARN(fn); pattern == arn || strings.HasPrefix(pattern, arn+":") {
			return true
		}
	}
	return false
}

// meets lists what next newly shares with another app.
func meets(current, next, other *catalog.App) (what []string) {
	for i := range next.Routes {
		r := &next.Routes[i]
		if r.URL || slices.ContainsFunc(current.Routes, func(x casemate.Route) bool { return x.ID == r.ID && x.Host == r.Host }) {
			continue
		}
		for k := range other.Routes {
			if o := &other.Routes[k]; !o.URL && route.Overlap(r, o) {
				what = append(what, "route "+r.ID+" beside "+o.ID+" of app "+other.Name)
			}
		}
	}
	for _, i := range next.Issuers {
		for _, o := range other.Issuers {
			if i.Issuer == o.Issuer && !slices.ContainsFunc(current.Issuers, func(x casemate.Issuer) bool { return diff.Text(x) == diff.Text(i) }) {
				what = append(what, "issuer "+i.Issuer+", which app "+other.Name+" trusts, too")
			}
		}
	}
	return what
}

func known(list []casemate.Statement) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[diff.Text(s)] = true
	}
	return set
}

// denies reports whether every Deny of a is in b as well.
func denies(a, b []casemate.Statement) bool {
	have := known(b)
	return !slices.ContainsFunc(a, func(s casemate.Statement) bool { return s.Effect == casemate.Deny && !have[diff.Text(s)] })
}

func same(a, b []casemate.Statement) bool { return maps.Equal(known(a), known(b)) }
