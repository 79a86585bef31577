package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/catalog/route"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/policy"
	"casemate/shield"
)

// keptVersions bounds how many versions of a function are kept, the one in force always among them.
const keptVersions = 50

// draft is the app as a bundle wants it, with what has to be stored before it can be swapped in.
type draft struct {
	app   *catalog.App
	docs  map[string][]byte            // contract documents by digest
	code  map[string]*io.SectionReader // by digest
	fresh map[string]bool              // functions with a version that did not exist
}

// compose makes the app that a bundle describes. current is nil for a new app. Every check of content is made here:
// code, contracts, key sets, installed runtimes.
func (d *Deployer) compose(b *bundle.Contents, current *catalog.App) (*draft, error) {
	m := b.Manifest
	out := &draft{docs: map[string][]byte{}, code: map[string]*io.SectionReader{}, fresh: map[string]bool{},
		app: &catalog.App{Name: m.App, Functions: map[string]*catalog.Function{}, Roles: map[string]catalog.Role{}, Note: b.Options.Note}}
	found := &manifest.Problems{File: manifest.File}
	if b.Stack != nil {
		found.File = b.Stack.File
	}
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		f, ptr := m.Functions[name], "/functions/"+manifest.Escape(name)
		if !d.cfg.Installed(casemate.Runtime(f.Runtime)) {
			if !b.Options.LeaveOut {
				found.Add(m.At(ptr+"/runtime"), ptr+"/runtime", "install it, or deploy with --leave-out", "%s, the runtime of %s, is not on this machine", f.Runtime, name)
			}
			out.app.LeftOut = append(out.app.LeftOut, name)
			continue
		}
		if err := b.Inspect(name, d.cfg.Inspect); err != nil {
			e := casemate.AsError(err)
			found.Add(m.At(ptr+"/code"), ptr+"/code", e.Hint, "the code of %s: %s", name, e.Error())
			continue
		}
		children, ok := d.children(m, name, found)
		if !ok {
			continue
		}
		if err := d.function(out, b, name, b.Code[name], children, current, found); err != nil {
			return nil, err
		}
	}
	d.reserve(out, m, found)
	env, err := d.environment(b)
	if err != nil {
		return nil, err
	}
	out.app.Environment = env
	d.routes(out, b, found)
	hookSecrets(out.app, m, found)
	if err := d.rights(out.app, m); err != nil {
		return nil, err
	}
	d.queues(out.app, current, m, found)
	d.told(out.app, m, found)
	d.schedules(out.app, m)
	d.issuers(out.app, b, found)
	d.budgets(out.app, m, found)
	d.certificates(b, found)
	if err := found.Err(); err != nil {
		return nil, err
	}
	if len(out.app.Functions) == 0 {
		return nil, &casemate.Error{Code: casemate.Unavailable, Message: "no function of this app has its runtime on this machine", Hint: "install one: casemate doctor shows what is there"}
	}
	return out, nil
}

// function adds a function with its version: the one it already has when nothing is different, a new one otherwise.
func (d *Deployer) function(out *draft, b *bundle.Contents, name string, r *io.SectionReader, children []casemate.Child, current *catalog.App, found *manifest.Problems) error {
	m := b.Manifest
	digest, err := digestOf(r)
	if err != nil {
		return fmt.Errorf("reading the code of %s: %w", name, err)
	}
	v := version(m, name, d.cfg.Place)
	v.Code, v.CodeSize, v.Children = digest, r.Size(), children
	v.Layers, _ = d.layers(out, b, name, found)
	if c := m.Functions[name].Contract; c != nil { // what is wrong with it is said in found
		v.Contract, _ = contract(out.docs, b, c, "/functions/"+manifest.Escape(name)+"/contract", nil, found)
	}
	if v.ID, err = identity(v); err != nil {
		return err
	}
	f := &catalog.Function{}
	if current != nil && current.Functions[name] != nil {
		f.Versions, f.Managed = inherited(current.Functions[name])
	}
	top := 0
	for _, old := range f.Versions {
		if top = max(top, old.Number); old.ID == v.ID {
			f.Live = old.Number
		}
	}
	if f.Live == 0 {
		v.Number, v.Created = top+1, d.cfg.Clock().UTC()
		f.Versions, f.Live = append(f.Versions, v), v.Number
		out.fresh[name] = true
		out.code[digest] = r
	}
	aliases(f, m, name, found)
	trim(f)
	out.app.Functions[name] = f
	return nil
}

// children fixes the content of the programs that a function may execute: that of this machine, now. One that is not there,
// or not what the manifest pins, is a problem.
func (d *Deployer) children(m *manifest.Manifest, name string, found *manifest.Problems) (list []casemate.Child, ok bool) {
	ok = true
	for i, c := range m.Functions[name].Children {
		if !strings.HasPrefix(c.Path, bundle.TaskDir) && !inLayers(c.Path) {
			ptr := fmt.Sprintf("/functions/%s/children/%d", manifest.Escape(name), i)
			digest, err := d.cfg.Program(c.Path)
			switch {
			case err != nil:
				found.Add(m.At(ptr), ptr, casemate.AsError(err).Hint, "the program %s: %s", c.Path, casemate.AsError(err).Message)
				ok = false
			case c.SHA256 != "" && c.SHA256 != digest:
				found.Add(m.At(ptr), ptr, "look at what changed it; pin the new digest if it is right: sha256:"+digest, "the program %s on this machine is not the one that is pinned", c.Path)
				ok = false
			}
			c.SHA256 = digest
		}
		list = append(list, casemate.Child{Path: c.Path, SHA256: c.SHA256})
	}
	return list, ok
}

// trim forgets the oldest versions beyond the bound, never the one in force, nor one that an alias leads to.
func trim(f *catalog.Function) {
	for i := 0; len(f.Versions) > keptVersions; {
		if f.Versions[i].Number == f.Live || f.Aliased(f.Versions[i].Number) {
			i++
			continue
		}
		f.Versions = slices.Delete(f.Versions, i, i+1)
	}
}

func digestOf(r *io.SectionReader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, r.Size())); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// identity is the hash over all that makes a version what it is: not its number, nor when it was made.
func identity(v *casemate.Version) (string, error) {
	c := *v
	c.ID, c.Number, c.Created = "", 0, time.Time{}
	b, err := json.Marshal(c) // maps are written sorted, so equal versions are equal bytes
	if err != nil {
		return "", fmt.Errorf("naming a version of %s: %w", v.Function, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// version is a function of the manifest with every default filled in, so that a later change of a default makes a new
// version instead of changing an old one.
func version(m *manifest.Manifest, name string, place casemate.Place) *casemate.Version {
	f, l := m.Functions[name], casemate.DefaultLimits()
	fill(&l.Timeout, time.Duration(f.Timeout))
	fill(&l.InitTimeout, time.Duration(f.InitTimeout))
	fill(&l.MemoryMB, f.Memory.MB())
	fill(&l.TmpMB, f.Tmp.MB())
	fill(&l.CPU, int(f.CPU))
	fill(&l.Concurrency, f.Concurrency)
	fill(&l.Request, int64(f.MaxBody))
	fill(&l.Streamed, int64(f.MaxStream))
	fill(&l.Rate, f.Rate.Rate)
	fill(&l.Reserved, f.Reserved)
	if f.Quota != nil {
		l.Day, l.Month = int64(f.Quota.Day), int64(f.Quota.Month)
	}
	fill(&l.Lifetime, time.Duration(f.Lifetime))
	fill(&l.Events, f.MaxEvents)
	fill(&l.Output, int64(f.Output))
	fill(&l.Connections, f.Connections)
	fill(&l.Traffic, int64(f.Traffic))
	v := &casemate.Version{App: m.App, Function: name, ARN: place.FunctionARN(name), Account: place.Account, Runtime: casemate.Runtime(f.Runtime),
		Handler: f.Handler, Env: f.Env, Limits: l, Isolation: casemate.IsolationRequest, Role: catalog.ExecutionRole(name),
		Async: casemate.AsyncPolicy{Retries: 2, MaxAge: 6 * time.Hour}, Tenant: f.Tenant, Spare: f.Provisioned}
	if f.Screen != nil {
		s := screenOf(f.Screen)
		v.Screen = &s
	}
	if f.Leaks != nil {
		l := leaksOf(f.Leaks)
		v.Leaks = &l
	}
	v.Logging = loggingOf(f.Log)
	few := casemate.Managed{AtOnce: f.AtOnce}
	fill(&v.Isolation, casemate.Isolation(f.Isolation))
	if a := f.Async; a != nil {
		fill(&v.Async.MaxAge, time.Duration(a.MaxAge))
		if a.Retries != nil {
			v.Async.Retries = *a.Retries
		}
		if t := (casemate.Destinations{OnSuccess: destination(place, a.OnSuccess), OnFailure: destination(place, a.OnFailure), DeadLetter: destination(place, a.DeadLetter)}); t != (casemate.Destinations{}) {
			few.Told = &t
		}
	}
	if few != (casemate.Managed{}) {
		v.Managed = &few
	}
	return v
}

// fill sets to what the manifest says, when it says something.
func fill[T comparable](to *T, said T) {
	var zero T
	if said != zero {
		*to = said
	}
}

// routes adds the routes and function URLs of the functions that are there.
func (d *Deployer) routes(out *draft, b *bundle.Contents, found *manifest.Problems) {
	m := b.Manifest
	for _, key := range slices.Sorted(maps.Keys(m.Routes)) {
		r := m.Routes[key]
		method, path, err := route.Parse(key)
		if err != nil || out.app.Functions[r.Function] == nil {
			continue // refused before, or left out
		}
		x := casemate.Route{ID: key, Host: r.Host, Method: method, Path: path, Flow: step(m, key), Keep: keep(r.Cache), Stage: r.Stage}
		if r.Payload != "2.0" {
			x.Payload = r.Payload
		}
		if r.Resource != "" {
			if x.Object, _, err = policy.Object(d.cfg.Place, r.Resource); err != nil {
				continue // refused before
			}
		}
		d.way(out, b, x, r, "/routes/"+manifest.Escape(key), found)
	}
	for _, name := range slices.Sorted(maps.Keys(out.app.Functions)) {
		if u := m.Functions[name].URL; u != nil {
			x := casemate.Route{ID: "$default", Host: catalog.URLID(d.cfg.Place.FunctionARN(name)), Method: "ANY", Path: "$default", URL: true}
			d.way(out, b, x, u.Route(name), "/functions/"+manifest.Escape(name)+"/url", found)
		}
		for _, alias := range slices.Sorted(maps.Keys(m.Functions[name].Aliases)) {
			if u := m.Functions[name].Aliases[alias].URL; u != nil {
				x := casemate.Route{ID: "$default", Host: catalog.URLID(catalog.Qualify(d.cfg.Place.FunctionARN(name), alias)), Method: "ANY", Path: "$default", URL: true,
					Managed: &casemate.ManagedURL{Qualifier: alias, Declared: true}}
				d.way(out, b, x, u.Route(name), "/functions/"+manifest.Escape(name)+"/aliases/"+manifest.Escape(alias)+"/url", found)
			}
		}
	}
}

// way adds a route or a function URL, with what both have in common: r is what the manifest says of it at ptr.
func (d *Deployer) way(out *draft, b *bundle.Contents, x casemate.Route, r *manifest.Route, ptr string, found *manifest.Problems) {
	x.App, x.Function, x.Auth = b.Manifest.App, r.Function, authOf(b, r.Auth, r)
	x.Rate, x.Request, x.Total = r.Rate.Rate, int64(r.MaxBody), limitOf(r.Total)
	x.Screen, x.Leaks, x.Browser = screenOf(r.Screen), leaksOf(r.Leaks), r.Browser(x.Method)
	x.Response, x.Timeout = responseOf(r), time.Duration(r.Timeout)
	if c := r.Contract; c != nil {
		var err error
		if x.Contract, err = contract(out.docs, b, c, ptr+"/contract", &x, found); err != nil {
			return // said in found
		}
		if c.Answers != "block" {
			x.Answers = c.Answers
		}
	}
	out.app.Routes = append(out.app.Routes, x)
}

// rights adds roles, guardrails and resource policies. The manifest was checked, so an error here is our own.
func (d *Deployer) rights(a *catalog.App, m *manifest.Manifest) (err error) {
	list := func(in []manifest.Statement, what, resource string) (out []casemate.Statement) {
		for _, s := range in {
			x, perr := s.Parse(m.Origin(s.Mark, what), resource)
			if perr != nil {
				err = fmt.Errorf("reading a statement of %s: %w", what, perr)
			}
			out = append(out, x)
		}
		return out
	}
	role := func(ptr, what string, grants []string, own, boundary []manifest.Statement) (r catalog.Role) {
		for i, text := range grants {
			s, gerr := policy.Grant(d.cfg.Place, m.App, text, m.Origin(m.At(fmt.Sprintf("%s/grants/%d", ptr, i)), what))
			if gerr != nil {
				err = fmt.Errorf("reading a grant of %s: %w", what, gerr)
			}
			r.Statements = append(r.Statements, s)
		}
		r.Statements = append(r.Statements, list(own, what, "")...)
		r.Boundary = list(boundary, what+" boundary", "")
		return r
	}
	for name := range a.Functions {
		f := m.Functions[name]
		a.Roles[catalog.ExecutionRole(name)] = role("/functions/"+manifest.Escape(name), "function "+name, f.Grants, f.Statements, f.Boundary)
	}
	for name, r := range m.Roles {
		held := role("/roles/"+manifest.Escape(name), "role "+name, r.Grants, r.Statements, r.Boundary)
		held.Plan, held.Trust = r.Plan, list(r.Trust, "trust of role "+name, d.cfg.Place.RoleARN(name))
		a.Roles[name] = held
	}
	askers(a, m, d.cfg.Place)
	a.Plans = plans(m)
	a.Guardrails = list(m.Guardrails, "guardrail", "")
	if rerr := d.attached(a, m); rerr != nil {
		return rerr
	}
	return err
}

// issuers adds the trusted issuers, with their key sets.
func (d *Deployer) issuers(a *catalog.App, b *bundle.Contents, found *manifest.Problems) {
	for n, i := range b.Manifest.Auth.JWT {
		x := casemate.Issuer{App: a.Name, Issuer: i.Issuer, Audience: i.Audience, KeySetURL: i.Keys.URL, Algorithms: i.Algorithms,
			RoleClaim: i.RoleClaim, Roles: i.Roles, Role: i.Role, Exchange: i.Role == "" && i.RoleClaim == "", Plan: i.Plan, Discover: i.Keys == (manifest.Keys{}), Scopes: i.Scopes, Clients: i.Clients, Tokens: i.Tokens}
		if i.Keys.File != "" {
			x.KeySet = string(b.Files[i.Keys.File])
		}
		err := checkKeys(x.KeySet)
		if err == nil && d.cfg.Issuer != nil {
			err = d.cfg.Issuer(x)
		}
		if err != nil {
			ptr := fmt.Sprintf("/auth/jwt/%d", n)
			found.Add(b.Manifest.At(ptr), ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Error())
		}
		a.Issuers = append(a.Issuers, x)
	}
}

// checkKeys refuses a key set that is none, or that holds what must not leave its owner.
func checkKeys(doc string) error {
	if doc == "" {
		return nil
	}
	const hint = "export the public keys as a JWK set (RFC 7517)"
	if err := shield.Scan([]byte(doc), shield.Bounds{}); err != nil {
		return casemate.Errorf(casemate.Invalid, hint, "the key set is not well-formed: %w", err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(doc), &set); err != nil || len(set.Keys) == 0 {
		return casemate.Errorf(casemate.Invalid, hint, "the key set holds no keys")
	}
	for _, k := range set.Keys {
		for _, private := range [...]string{"d", "p", "q", "k"} {
			if _, ok := k[private]; ok {
				return casemate.Errorf(casemate.Invalid, hint, "the key set holds a private or shared key")
			}
		}
	}
	return nil
}
