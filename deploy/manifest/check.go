package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"casemate"
	"casemate/catalog/route"
	"casemate/policy"
	"casemate/shield"
)

// Setting is what reading a manifest depends on besides its text.
type Setting struct {
	Place casemate.Place
	Now   time.Time
}

// MaxException is the longest life of an exception.
const MaxException = 366 * 24 * time.Hour

// Parse reads and checks a manifest. The error is a *Problems with all that is wrong; warnings stand in
// Manifest.Warnings. name is the file's name in messages and origins.
func Parse(name string, data []byte, s Setting) (*Manifest, error) {
	return parse(name, data, s, func(*yaml.Node) {})
}

// parse reads a manifest; placed sees its nodes before anything names their places.
func parse(name string, data []byte, s Setting, placed func(root *yaml.Node)) (*Manifest, error) {
	m := &Manifest{name: name, marks: map[string]Mark{}}
	found := &Problems{File: name}
	root, err := shield.ParseYAML(data)
	if err != nil {
		spot := Mark{1, 1}
		message := err.Error()
		if x, ok := err.(*shield.Spot); ok {
			spot, message = Mark{max(x.Line, 1), max(x.Column, 1)}, x.Message
		}
		found.Add(spot, "", "", "%s", message)
		return nil, found
	}
	placed(root)
	d := &decoder{found: found, marks: m.marks}
	d.value(root, reflect.ValueOf(m).Elem(), "", "")
	c := &checker{Manifest: m, Setting: s, found: found}
	c.all()
	if err := found.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// checker holds one manifest against the rules that no type can express.
type checker struct {
	*Manifest
	Setting
	found *Problems
}

func (c *checker) bad(ptr, hint, format string, args ...any) {
	c.found.Add(c.At(ptr), ptr, hint, format, args...)
}

func (c *checker) warn(ptr, hint, format string, args ...any) {
	at := c.At(ptr)
	c.Warnings = append(c.Warnings, Problem{at.Line, at.Column, ptr, fmt.Sprintf(format, args...), hint})
}

// At is the place of ptr, or of the closest thing around it.
func (m *Manifest) At(ptr string) Mark {
	for ptr != "" {
		if x, ok := m.marks[ptr]; ok {
			return x
		}
		ptr = ptr[:strings.LastIndexByte(ptr, '/')]
	}
	return Mark{1, 1}
}

// Name is the file that the manifest was read from, as messages name it.
func (m *Manifest) Name() string { return m.name }

// Origin names a place and what stands there, for statements.
func (m *Manifest) Origin(at Mark, what string) string {
	return fmt.Sprintf("%s:%d %s", m.name, at.Line, what)
}

func (c *checker) all() {
	if c.Functions != nil && len(c.Functions) == 0 {
		c.bad("/functions", "", "an app needs a function")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		c.function("/functions/"+Escape(name), name, c.Functions[name])
	}
	c.routes()
	c.limits()
	c.senders()
	c.budgets()
	c.certificates()
	c.flows()
	c.queues()
	c.schedules()
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		r, ptr := c.Roles[name], "/roles/"+Escape(name)
		c.rights(ptr, "role "+name, r.Grants, r.Statements, r.Boundary)
		c.trust(ptr+"/trust", name, r.Trust)
	}
	for i := range c.Auth.JWT {
		c.issuer(fmt.Sprintf("/auth/jwt/%d", i), &c.Auth.JWT[i])
	}
	for i, s := range c.statements("/guardrails", "guardrail", c.Guardrails, "") {
		if s.Effect != casemate.Deny {
			c.bad(fmt.Sprintf("/guardrails/%d", i), "grant it to a role instead", "a guardrail of an app can only deny")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resources)) {
		c.attached("/resources/"+Escape(name), name, c.Resources[name])
	}
}

func (c *checker) function(ptr, name string, f *Function) {
	family := casemate.Runtime(f.Runtime).Family()
	if (family == "nodejs" || family == "python") && f.Handler == "" {
		c.bad(ptr, "handler: index.handler", "the runtime %s needs a handler", f.Runtime)
	}
	if wasm := strings.HasSuffix(f.Code, ".wasm"); f.Code != "" && wasm != (family == "wasm") && family != "" {
		c.bad(ptr+"/code", "wasm takes a .wasm module, the others a folder or a .zip", "%s is no code for %s", f.Code, f.Runtime)
	}
	c.file(ptr+"/code", f.Code)
	c.contract(ptr+"/contract", f.Contract, false)
	c.screen(ptr+"/screen", f.Screen)
	size := 0
	for _, k := range slices.Sorted(maps.Keys(f.Env)) {
		size += len(k) + len(f.Env[k])
		if reservedEnv(k) {
			c.bad(ptr+"/env/"+k, "choose another name", "%s is set by the platform", k)
		}
	}
	if size > 4<<10 {
		c.bad(ptr+"/env", "keep data in the code or a store", "the environment is larger than 4 KB")
	}
	c.rights(ptr, "function "+name, f.Grants, f.Statements, f.Boundary)
	c.sandbox(ptr, f, family)
	c.layers(ptr, f, family)
	c.aliases(ptr, name, f)
	c.log(ptr, f, family)
	if f.URL != nil {
		c.way(ptr+"/url", f.URL.Route(name), f, true)
		c.browser(ptr+"/url", "ANY", f.URL.Route(name))
	}
}

// sandbox checks what says how sandboxes are shared and what they may execute.
func (c *checker) sandbox(ptr string, f *Function, family string) {
	if f.Tenant != "" && f.Isolation != string(casemate.IsolationTenant) {
		c.bad(ptr+"/tenant", "isolation: tenant", "only isolation tenant has a tenant key")
	}
	if f.Isolation != string(casemate.IsolationTenant) && f.Isolation != string(casemate.IsolationWarm) {
		for key, said := range map[string]bool{"lifetime": f.Lifetime > 0, "max_events": f.MaxEvents > 0} {
			if said {
				c.bad(ptr+"/"+key, "isolation: tenant or warm", "a sandbox of isolation request sees one event")
			}
		}
	}
	c.atOnce(ptr, f, family)
	if f.Isolation == string(casemate.IsolationTenant) && f.Provisioned > 0 {
		c.bad(ptr+"/provisioned", "isolation: request or warm", "whose tenant a sandbox will be is not known before its event")
	}
	if limit := f.Concurrency; f.Provisioned > 0 && f.Provisioned > or(limit, casemate.DefaultLimits().Concurrency) {
		c.bad(ptr+"/provisioned", "raise concurrency, or lower this", "more than may run at once")
	}
	if len(f.Children) > 0 && family == "wasm" {
		c.bad(ptr+"/children", "leave it out", "WebAssembly has no processes")
	}
	for i, text := range f.Grants {
		if verb, _, _ := strings.Cut(strings.TrimPrefix(text, "deny "), " "); family == "wasm" && verb != "connect" {
			c.warn(fmt.Sprintf("%s/grants/%d", ptr, i), "leave it out, or write the function for another runtime", "a WebAssembly function reaches hosts alone (connect): it has no way to use this")
		}
	}
	for i, child := range f.Children {
		at := fmt.Sprintf("%s/children/%d", ptr, i)
		if slices.ContainsFunc(f.Children[:i], func(o Child) bool { return o.Path == child.Path }) {
			c.bad(at, "", "%s stands here twice", child.Path)
		}
		for _, part := range []string{"/proc/", "/dev/", "/sys/", "/tmp/"} {
			if strings.HasPrefix(child.Path, part) {
				c.bad(at, "name a program of the system or of /var/task", "nothing is executed from %s", part)
			}
		}
	}
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// reservedEnv lists what Lambda sets itself
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
func reservedEnv(k string) bool {
	switch k {
	case "_HANDLER", "_X_AMZN_TRACE_ID", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR":
		return true
	case "AWS_LAMBDA_EXEC_WRAPPER", "AWS_NODEJS_CONNECTION_REUSE_ENABLED", "AWS_XRAY_CONTEXT_MISSING", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE":
		return false // what functions are told to set
	}
	return strings.HasPrefix(k, "AWS_") || strings.HasPrefix(k, "CASEMATE_")
}

// file refuses a path that is not plainly below the manifest's folder.
func (c *checker) file(ptr, name string) {
	if name == "" {
		return
	}
	if path.IsAbs(name) || strings.Contains(name, `\`) || path.Clean(name) != strings.TrimSuffix(name, "/") ||
		name == ".." || strings.HasPrefix(name, "../") || strings.Contains(name, ":") {
		c.bad(ptr, "give it relative to the manifest, without .. and with /", "%q is not a plain path below the manifest", name)
	}
}

// room checks that a route does not promise more than its function takes.
func (c *checker) room(ptr string, body Size, f *Function) {
	if f != nil && f.MaxBody > 0 && body > f.MaxBody {
		c.bad(ptr, "raise max_body of the function, or lower this one", "more than the function takes, %s", f.MaxBody)
	}
}

func (c *checker) auth(ptr string, a RouteAuth, url bool) {
	for i, k := range a.Kinds {
		c.takes(ptr, a.Kinds, k, url)
		if slices.Index(a.Kinds, k) < i {
			c.bad(ptr, "", "%s stands here twice", k)
		}
		if k == "jwt" && len(c.Auth.JWT) == 0 {
			c.bad(ptr, "name an issuer under auth: jwt:", "tokens are taken here, and no issuer is trusted")
		}
	}
	if a.None == nil {
		return
	}
	switch left := a.None.Expires.Sub(c.Now); {
	case left <= 0:
		c.bad(ptr, "choose a later day, or ask for credentials", "the exception has expired")
	case left > MaxException:
		c.bad(ptr, "choose a day within a year", "an exception lasts a year at most")
	case len(strings.TrimSpace(a.None.Reason)) < 3:
		c.bad(ptr, "say why everybody may call this", "an open route needs a reason")
	}
	c.warn(ptr, "", "open to everybody until %s: %s", a.None.Expires.Format(time.DateOnly), a.None.Reason)
}

func (c *checker) routes() {
	taken := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(c.Routes)) {
		r, ptr := c.Routes[key], "/routes/"+Escape(key)
		method, p, err := route.Parse(key)
		if err != nil {
			c.bad(ptr, casemate.AsError(err).Hint, "%s", err)
		} else if shape := r.Host + " " + method + " " + route.Shape(p); taken[shape] != "" {
			c.bad(ptr, "", "%q and %q match the same requests", key, taken[shape])
		} else {
			taken[shape] = key
		}
		f := c.Functions[r.Function]
		if f == nil && r.Function != "" {
			c.bad(ptr+"/function", meant(r.Function, slices.Sorted(maps.Keys(c.Functions))), "there is no function %q in this app", r.Function)
		}
		c.way(ptr, r, f, false)
		c.object(ptr+"/resource", p, r)
		c.cache(ptr+"/cache", key, r)
		c.within(ptr+"/timeout", r, f)
		c.browser(ptr, method, r)
	}
}

// way checks what routes and function URLs have in common.
func (c *checker) way(ptr string, r *Route, f *Function, url bool) {
	c.auth(ptr+"/auth", r.Auth, url)
	c.tokens(ptr, r)
	c.room(ptr+"/max_body", r.MaxBody, f)
	c.contract(ptr+"/contract", r.Contract, true)
	c.screen(ptr+"/screen", r.Screen)
	c.response(ptr, r, f)
	if r.Total != nil {
		c.limit(ptr+"/total", *r.Total)
	}
}

func (c *checker) issuer(ptr string, i *Issuer) {
	c.file(ptr+"/keys/file", i.Keys.File)
	c.scopes(ptr+"/scopes", i.Scopes)
	switch {
	case i.Keys.File != "" && i.Keys.URL != "":
		c.bad(ptr+"/keys", "keys: {file: jwks.json} or keys: {url: https://...}", "give one of file and url")
	case i.Keys.File == "" && i.Keys.URL == "" && !matches(issuerLike, i.Issuer):
		c.bad(ptr, "keys: {file: jwks.json} or keys: {url: https://...}", "its keys can only be looked up where the issuer is an https address")
	}
	if !c.exchanged(i) && (i.RoleClaim == "") == (i.Role == "") || (i.RoleClaim == "") != (len(i.Roles) == 0) {
		c.bad(ptr, "role_claim with roles, role for every token, or a role whose trust: names the issuer", "give role_claim and roles, or role, not both")
	}
	names := slices.Sorted(maps.Keys(c.Roles))
	for _, v := range slices.Sorted(maps.Keys(i.Roles)) {
		if c.Roles[i.Roles[v]] == nil {
			c.bad(ptr+"/roles/"+Escape(v), meant(i.Roles[v], names), "there is no role %q in this app", i.Roles[v])
		}
	}
	if i.Role != "" && c.Roles[i.Role] == nil {
		c.bad(ptr+"/role", meant(i.Role, names), "there is no role %q in this app", i.Role)
	}
}

// rights checks what a role may do, with its boundary.
func (c *checker) rights(ptr, what string, grants []string, own, boundary []Statement) {
	for i, text := range grants {
		at := fmt.Sprintf("%s/grants/%d", ptr, i)
		s, err := policy.Grant(c.Place, c.App, text, c.Origin(c.At(at), what))
		if err != nil {
			c.bad(at, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
			continue
		}
		c.wide(at, s, strings.Contains(text, "*") || isWideNetwork(s))
		c.leadsNowhere(at, text)
		c.provided(at, text)
	}
	for i, s := range c.statements(ptr+"/statements", what, own, "") {
		c.wide(fmt.Sprintf("%s/statements/%d", ptr, i), s, false)
	}
	c.statements(ptr+"/boundary", what+" boundary", boundary, "")
}

// leadsNowhere warns of a grant to call a route that this app does not have: a slip of the pen there shuts callers out, and
// a deny shuts nobody out. Patterns are left alone, and so is every grant where a route takes any method or any path.
func (c *checker) leadsNowhere(ptr, text string) {
	object, is := strings.CutPrefix(strings.TrimPrefix(text, "deny "), "call ")
	if !is || strings.Contains(object, "*") || c.Routes[object] != nil {
		return
	}
	known := slices.Sorted(maps.Keys(c.Routes))
	for _, id := range known {
		if strings.HasPrefix(id, "ANY ") || id == "$default" || leadsTo(object, id) {
			return
		}
	}
	c.warn(ptr, meant(object, known), "there is no route %q in this app", object)
}

// leadsTo reports whether a grant names one place, or a variable, where a route has a parameter: "GET /orders/${jwt:sub}".
func leadsTo(object, route string) bool {
	have, want := strings.Split(object, "/"), strings.Split(route, "/")
	for i, w := range want {
		switch {
		case i >= len(have):
			return false
		case strings.HasPrefix(w, "{") && strings.HasSuffix(w, "+}"):
			return true
		case have[i] != w && (!strings.HasPrefix(w, "{") || strings.HasPrefix(have[i], "{") || have[i] == ""):
			return false
		}
	}
	return len(have) == len(want)
}

// provided warns of a grant on a service that no node has: it says what may be done one day, and allows nothing now.
func (c *checker) provided(ptr, text string) {
	_, object, _ := strings.Cut(strings.TrimPrefix(text, "deny "), " ")
	kind, _, _ := strings.Cut(object, "/")
	switch kind {
	case "table", "bucket", "topic", "bus":
		c.warn(ptr, "secrets, parameters, queues, functions and hosts are there", "Casemate has no %s service yet: calls to it are refused", kind)
	}
}

// statements has the policy room read each statement. For a resource policy, resource is its ARN.
func (c *checker) statements(ptr, what string, in []Statement, resource string) []casemate.Statement {
	out := make([]casemate.Statement, len(in))
	for i, s := range in {
		parsed, err := s.Parse(c.Origin(s.Mark, what), resource)
		if err != nil {
			e := casemate.AsError(err)
			c.bad(fmt.Sprintf("%s/%d", ptr, i), e.Hint, "%s", e.Error())
			continue
		}
		out[i] = parsed
	}
	return out
}

// wide warns of an Allow that names no action or no resource in particular; open says that its short form does not.
func (c *checker) wide(ptr string, s casemate.Statement, open bool) {
	if s.Effect != casemate.Allow {
		return
	}
	star := func(l []string) bool {
		return slices.ContainsFunc(l, func(x string) bool {
			return strings.Trim(x, "*:") == "" || strings.HasSuffix(x, ":*") && strings.Count(x, ":") == 1
		})
	}
	if open || star(s.Action) || len(s.NotAction) > 0 || slices.Contains(s.Resource, "*") || len(s.NotResource) > 0 {
		c.warn(ptr, "name the actions and resources that are needed", "a wide grant: it reaches more than one thing")
	}
}

// isWideNetwork reports a connect that holds more than one address.
func isWideNetwork(s casemate.Statement) bool {
	return slices.ContainsFunc(s.Condition["IpAddress"]["casemate:Address"], func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && !p.IsSingleIP()
	})
}

// Parse reads one statement through the policy room. A statement of a resource policy that names no resource is about
// the one it is attached to, and may be about no other.
func (s Statement) Parse(origin, resource string) (casemate.Statement, error) {
	return s.ParseOn(origin, resource, []string{resource})
}

// ParseOn is Parse for a resource whose policy stands under one ARN and is about several patterns; no ARN: an identity policy.
func (s Statement) ParseOn(origin, resource string, patterns []string) (casemate.Statement, error) {
	if len(s.JSON) == 0 {
		return casemate.Statement{}, casemate.Errorf(casemate.Invalid, "write an IAM statement", "the statement is empty")
	}
	read := policy.Parse
	var body map[string]json.RawMessage
	if err := json.Unmarshal(s.JSON, &body); err != nil {
		return casemate.Statement{}, fmt.Errorf("reading a statement: %w", err)
	}
	if resource != "" {
		read = policy.ParseResource
		if _, ok := body["Resource"]; !ok && body["NotResource"] == nil {
			text, err := json.Marshal(patterns)
			if err != nil {
				return casemate.Statement{}, fmt.Errorf("writing a statement: %w", err)
			}
			body["Resource"] = text
		}
	}
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{body}})
	if err != nil {
		return casemate.Statement{}, fmt.Errorf("writing a statement: %w", err)
	}
	list, err := read(doc, origin)
	if err != nil {
		return casemate.Statement{}, err
	}
	if len(list) != 1 {
		return casemate.Statement{}, casemate.Errorf(casemate.Invalid, "write one statement an entry", "%d statements", len(list))
	}
	for _, r := range append(list[0].Resource, list[0].NotResource...) {
		if resource != "" && r != resource && !slices.Contains(patterns, r) && !strings.HasPrefix(r, resource+":") && !strings.HasPrefix(r, resource+"/") {
			return casemate.Statement{}, casemate.Errorf(casemate.Invalid, "leave Resource out", "a resource policy is about %s alone", resource)
		}
	}
	return list[0], nil
}
