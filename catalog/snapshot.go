package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog/route"
)

// Snapshot is everything that exists at one moment. It never changes.
type Snapshot struct {
	Revision string // changes with the content
	Policy   casemate.Decider
	Policies string // revision of the policies in force

	place     casemate.Place
	heads     map[string]head
	apps      map[string]*App
	functions *table[*Function]
	roles     *table[string] // role of callers to app; an execution role is where its function is
	plans     map[string]*casemate.Plan
	urls      *table[*casemate.Route]
	routes    *table[*route.Bucket]
	contracts map[string]map[string]casemate.Contract // by app and Route.Contract

	organisation     []casemate.Statement // guardrails that were set on the node
	guardrailsDigest string
	left             []LeftOut
	parts            string // digest of what belongs to which environment; "" when nothing does
}

// app is the one that the function belongs to. A function without a version is refused before it is asked.
func (f *Function) app() string { return f.Versions[0].App }

func emptySnapshot(place casemate.Place) *Snapshot {
	return &Snapshot{place: place, heads: map[string]head{}, apps: map[string]*App{}, functions: newTable[*Function](),
		roles: newTable[string](), urls: newTable[*casemate.Route](), routes: newTable[*route.Bucket](),
		contracts: map[string]map[string]casemate.Contract{}}
}

// App gives one app and the store's revision of it, to be expected by Swap; nil and 0 when there is none. The app must
// not be changed.
func (s *Snapshot) App(name string) (*App, uint64) { return s.apps[name], s.heads[name].revision }

// Apps lists the names of all apps, sorted.
func (s *Snapshot) Apps() []string { return slices.Sorted(maps.Keys(s.apps)) }

// Function gives the version in force of a function, and nil when there is none.
func (s *Snapshot) Function(name string) *casemate.Version {
	if f, ok := s.functions.get(name); ok {
		return f.Number(f.Live)
	}
	return nil
}

// Owner names the app that a function belongs to, "" when there is none.
func (s *Snapshot) Owner(function string) string {
	if f, ok := s.functions.get(function); ok {
		return f.app()
	}
	return ""
}

// Issuers lists every trusted issuer.
func (s *Snapshot) Issuers() (all []casemate.Issuer) {
	for _, name := range s.Apps() {
		all = append(all, s.apps[name].Issuers...)
	}
	return all
}

// HasRole reports whether a role of callers exists.
func (s *Snapshot) HasRole(name string) bool {
	_, ok := s.role(name)
	return ok
}

// Statements are what a role may do, in the order they were written; none for a role that does not exist. They must not be
// changed.
func (s *Snapshot) Statements(role string) []casemate.Statement { return s.Role(role).Statements }

// Role is a role as it holds, whoever it has its statements from; nothing for one that does not exist. It must not be changed.
func (s *Snapshot) Role(name string) Role {
	r, _ := s.role(name)
	return r
}

// role gives a role as it holds: an execution role that has its statements and its boundary from another one has what that one
// has now. It is one step and no more: who lends borrows nothing.
func (s *Snapshot) role(name string) (Role, bool) {
	r, f, ok := s.written(name)
	if !ok || f == nil || f.Manages().Role == "" {
		return r, ok
	}
	from, lender, _ := s.written(f.Manages().Role)
	if lender != nil && lender.Manages().Role != "" {
		from = Role{}
	}
	r.Statements, r.Boundary = from.Statements, from.Boundary
	return r, true
}

// written gives a role as its app has it, and its function when it is an execution role.
func (s *Snapshot) written(name string) (Role, *Function, bool) {
	app, ok := "", false
	fn, execution := strings.CutPrefix(name, ExecutionRole(""))
	var f *Function
	if execution {
		if f, ok = s.functions.get(fn); ok {
			app = f.app()
		}
	} else {
		app, ok = s.roles.get(name)
	}
	if !ok || s.apps[app] == nil {
		return Role{}, nil, false
	}
	r, ok := s.apps[app].Roles[name]
	return r, f, ok
}

// builder makes the next snapshot beside the one in force.
type builder struct {
	*Snapshot
	cfg  *Config
	load func(digest string) ([]byte, error)

	guardrails *Guardrails // nil: those of the snapshot before
}

// next applies the apps to old. Nothing of old changes; an error leaves nothing behind.
func (b *builder) next(old *Snapshot, changed []*App, heads map[string]head) error {
	b.Snapshot = &Snapshot{place: old.place, heads: maps.Clone(old.heads), apps: maps.Clone(old.apps), organisation: old.organisation, guardrailsDigest: old.guardrailsDigest, left: without(old.left, changed)}
	if b.guardrails != nil {
		b.organisation, b.guardrailsDigest = b.guardrails.Statements, b.guardrails.digest()
	}
	maps.Copy(b.heads, heads)
	for _, a := range changed {
		if a.gone {
			delete(b.apps, a.Name)
			delete(b.heads, a.Name)
			continue
		}
		if err := a.check(b.place); err != nil {
			return err
		}
		b.apps[a.Name] = a
	}
	if err := b.checkQueues(changed); err != nil {
		return err
	}
	if err := b.names(old, changed); err != nil {
		return err
	}
	if err := b.plan(old, changed); err != nil {
		return err
	}
	if err := b.paths(old, changed); err != nil {
		return err
	}
	if err := b.contract(old, changed); err != nil {
		return err
	}
	if err := b.policy(old, changed); err != nil {
		return err
	}
	h := sha256.New()
	for _, name := range b.Apps() {
		fmt.Fprintf(h, "%s %s\n", name, b.heads[name].Digest)
	}
	b.Revision = hex.EncodeToString(h.Sum(nil)[:8])
	return nil
}

// names gives functions and roles their owner: a name belongs to one app.
func (b *builder) names(old *Snapshot, changed []*App) error {
	var dropF, dropR []string
	setF, setR := map[string]*Function{}, map[string]string{}
	for _, a := range changed {
		if was := old.apps[a.Name]; was != nil {
			dropF = slices.AppendSeq(dropF, maps.Keys(was.Functions))
			dropR = append(dropR, was.callers()...)
		}
		for name, f := range a.Functions {
			if o, ok := old.functions.get(name); ok && o.app() != a.Name {
				return taken("function", name, o.app())
			} else if o := setF[name]; o != nil {
				return taken("function", name, o.app())
			}
			setF[name] = f
		}
		for _, name := range a.callers() {
			if app, ok := old.roles.get(name); ok && app != a.Name {
				return taken("role", name, app)
			}
			_, platform := b.cfg.Base.Identity[name]
			if app := setR[name]; app != "" || platform {
				return taken("role", name, app)
			}
			setR[name] = a.Name
		}
	}
	b.functions, b.roles = old.functions.change(dropF, setF), old.roles.change(dropR, setR)
	return nil
}

func taken(what, name, app string) error {
	owner := "the app " + app
	if app == "" {
		owner = "the platform"
	}
	return casemate.Errorf(casemate.Conflict, "choose another name: on a node every name is one app's", "the %s %s belongs to %s already", what, name, owner)
}

// paths rebuilds the buckets that the changed apps have, or had, routes in.
func (b *builder) paths(old *Snapshot, changed []*App) error {
	lists, urls := map[string][]*casemate.Route{}, map[string]*casemate.Route{}
	var gone []string
	touch := func(k, app string) {
		have, ok := lists[k]
		if !ok {
			if was, ok := old.routes.get(k); ok {
				have = slices.Clone(was.List)
			}
		}
		lists[k] = slices.DeleteFunc(have, func(r *casemate.Route) bool { return r.App == app })
	}
	for _, a := range changed {
		if was := old.apps[a.Name]; was != nil {
			for i := range was.Routes {
				if was.Routes[i].URL {
					gone = append(gone, was.Routes[i].Host)
				} else {
					touch(route.KeyOf(&was.Routes[i]), a.Name)
				}
			}
		}
		fresh := map[string]bool{}
		for i := range a.Routes {
			r := &a.Routes[i]
			if r.URL {
				urls[r.Host] = r
				continue
			}
			k := route.KeyOf(r)
			if !fresh[k] {
				touch(k, a.Name)
				fresh[k] = true
			}
			lists[k] = append(lists[k], r)
		}
	}
	set := map[string]*route.Bucket{}
	var drop []string
	for k, list := range lists {
		if len(list) == 0 {
			drop = append(drop, k)
			continue
		}
		var err error
		if set[k], err = route.NewBucket(list); err != nil {
			return err
		}
	}
	b.routes, b.urls = old.routes.change(drop, set), old.urls.change(gone, urls)
	return nil
}

// contract compiles the contracts that are new to their app; those that no route and no version has any more are let go.
func (b *builder) contract(old *Snapshot, changed []*App) error {
	b.contracts = maps.Clone(old.contracts)
	for _, a := range changed {
		mine := map[string]casemate.Contract{}
		add := func(id, what string) error {
			if id == "" || mine[id] != nil {
				return nil
			}
			if c := old.contracts[a.Name][id]; c != nil {
				mine[id] = c
				return nil
			}
			c, err := b.compileContract(id)
			if err != nil {
				return fmt.Errorf("%s of app %s: %w", what, a.Name, err)
			}
			mine[id] = c
			return nil
		}
		for i := range a.Routes {
			if err := add(a.Routes[i].Contract, "route "+a.Routes[i].ID); err != nil {
				return err
			}
		}
		for name, f := range a.Functions {
			for _, v := range f.Versions {
				if err := add(v.Contract, "function "+name); err != nil {
					return err
				}
			}
		}
		if b.contracts[a.Name] = mine; a.gone {
			delete(b.contracts, a.Name)
		}
	}
	return nil
}

// policy compiles the policies again when those of a changed app are others than before.
func (b *builder) policy(old *Snapshot, changed []*App) error {
	parts := b.environments()
	b.parts = digestOf(parts)
	same := old.Policy != nil && b.guardrailsDigest == old.guardrailsDigest && b.parts == old.parts
	for _, a := range changed {
		was := old.apps[a.Name]
		same = same && was != nil && sum(was) == sum(a)
	}
	if same {
		b.Policy, b.Policies = old.Policy, old.Policies
		return nil
	}
	base := b.cfg.Base
	p := casemate.Policies{Identity: maps.Clone(base.Identity), Boundary: maps.Clone(base.Boundary),
		Resource: maps.Clone(base.Resource), Guardrails: slices.Concat(base.Guardrails, b.organisation)}
	for _, m := range [...]*map[string][]casemate.Statement{&p.Identity, &p.Boundary, &p.Resource} {
		if *m == nil {
			*m = map[string][]casemate.Statement{}
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "guardrails %s environments %s\n", b.guardrailsDigest, b.parts)
	for _, name := range b.Apps() {
		a := b.apps[name]
		fmt.Fprintf(h, "%s %x\n", name, sum(a))
		for role := range a.Roles {
			r, _ := b.role(role)
			if len(r.Statements) > 0 {
				p.Identity[role] = r.Statements
			}
			if len(r.Boundary) > 0 {
				p.Boundary[role] = r.Boundary
			}
			if len(r.Trust) > 0 {
				p.Resource[b.place.RoleARN(role)] = r.Trust
			}
		}
		for arn, statements := range a.Resources {
			if _, taken := p.Resource[arn]; taken {
				return casemate.Errorf(casemate.Conflict, "leave it to the app that has one", "app %s has a policy for %s, and so has another app", name, arn)
			}
			p.Resource[arn] = statements
		}
		p.Guardrails = append(p.Guardrails, a.Guardrails...)
	}
	p.Environments = parts
	if !allowsAny(base.Guardrails) && !allowsAny(b.organisation) && len(p.Guardrails) > 0 {
		// Guardrails must allow as well; those of apps only deny, so something has to allow the rest, as in AWS.
		p.Guardrails = append(p.Guardrails, casemate.Statement{Sid: "Rest", Effect: casemate.Allow, Action: []string{"*"},
			Resource: []string{"*"}, Origin: "guardrail of the platform"})
	}
	p.Revision = hex.EncodeToString(h.Sum(nil)[:8])
	d, err := b.cfg.Compile(p)
	if err != nil {
		return fmt.Errorf("compiling the policies: %w", refused(err))
	}
	b.Policy, b.Policies = d, p.Revision
	return nil
}

// sum is the hash of an app's policies.
func sum(a *App) [sha256.Size]byte {
	lent := map[string]string{}
	for name, f := range a.Functions {
		if role := f.Manages().Role; role != "" {
			lent[name] = role
		}
	}
	data, err := json.Marshal([]any{a.Roles, a.Guardrails, a.Resources, lent})
	if err != nil {
		return sha256.Sum256([]byte(a.Name + err.Error())) // never equal to another app's
	}
	return sha256.Sum256(data)
}
