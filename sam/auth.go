package sam

import (
	"slices"
	"strings"
	"time"

	"casemate/sam/template"
)

// auth is what an API asks of its callers.
type auth struct {
	standard    string // authorizer of routes that name none
	key         bool   // routes ask for an API key
	authorizers map[string]*authorizer
}

// authorizer is one of an API, as the manifest has it.
type authorizer struct {
	kind   string // jwt, sigv4, authorizer:<name>
	role   string
	scopes []string
	routes []string // route keys that ask it, for the grants of its role
}

// authOf translates the Auth of an API
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-api-apiauth.html).
func (t *translator) authOf(a *api) *auth {
	out := &auth{authorizers: map[string]*authorizer{"AWS_IAM": {kind: "sigv4"}}}
	v, _ := a.props.Get("Auth")
	path := a.path() + "/Auth"
	for _, m := range v.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "DefaultAuthorizer":
			out.standard = m.Value.Text
			t.wants(m.Value, at, template.String)
		case "ApiKeyRequired":
			out.key, _ = v.BoolAt(m.Key, path, &t.found)
		case "Authorizers":
			for _, x := range m.Value.Members {
				made := t.authorizer(a, x, at+"/"+x.Key)
				if made == nil {
					made = &authorizer{} // refused: who names it need not be told again
				}
				out.authorizers[x.Key] = made
			}
		case "UsagePlan":
			t.usagePlan(a, m.Value, at)
		case "ResourcePolicy", "EnableIamAuthorizer", "AddDefaultAuthorizerToCorsPreflight", "AddApiKeyRequiredToCorsPreflight":
		case "InvokeRole":
			t.note(Ignored, a.typ, m.KeyAt, at, "functions are called by the node itself")
		default:
			t.bad(m.KeyAt, at, "", "there is no such property")
		}
	}
	if out.standard != "" && out.authorizers[out.standard] == nil {
		t.bad(v.At, path+"/DefaultAuthorizer", template.Nearest(out.standard, keys(out.authorizers)), "there is no authorizer %s", out.standard)
	}
	return out
}

// authorizer translates one authorizer: a function of the template, or an issuer of tokens.
func (t *translator) authorizer(a *api, m template.Member, path string) *authorizer {
	v := m.Value
	name := t.senderName(m.Key)
	if pool, ok := v.Get("UserPoolArn"); ok {
		t.bad(pool.At, path+"/UserPoolArn", userPoolHint, "a user pool does not say for whom its tokens are")
		return nil
	}
	if _, ok := v.Get("JwtConfiguration"); ok {
		return t.tokens(a, name, v, path)
	}
	fn, ok := v.Get("FunctionArn")
	if !ok {
		t.bad(m.KeyAt, path, "FunctionArn: !GetAtt Authorizer.Arn, or JwtConfiguration", "an authorizer is a function or an issuer of tokens")
		return nil
	}
	f := t.functionOf(fn)
	if f == nil {
		t.bad(fn.At, path+"/FunctionArn", "declare the function in the template", "there is no such function in the template")
		return nil
	}
	x := mapping(m.KeyAt)
	set(x, "function", text(fn.At, f.name))
	t.request(a, x, v, path)
	role := t.App + "-" + name
	set(x, "role", text(m.KeyAt, role))
	t.put("authorizers", name, *x)
	t.note(Honoured, a.typ, m.KeyAt, path, "authorizer %s, with the role %s", name, role)
	return &authorizer{kind: "authorizer:" + name, role: role, scopes: t.scopes(v, path)}
}

const userPoolHint = "name the pool's issuer under Metadata: Casemate: auth: {jwt: [...]} of the template, and auth: [jwt] of the API"

// request translates how an authorizer function is asked.
func (t *translator) request(a *api, x *template.Value, v template.Value, path string) {
	kind, _ := v.Get("FunctionPayloadType")
	if kind.Text != "REQUEST" && !a.http {
		set(x, "type", text(v.At, "token"))
	} else {
		set(x, "type", text(v.At, "request"))
	}
	if a.http {
		format, _ := v.Get("AuthorizerPayloadFormatVersion")
		if format.Text != "" {
			set(x, "format", text(format.At, format.Text))
		}
		set(x, "ttl", text(v.At, "none"))
	}
	id, _ := v.Get("Identity")
	for _, m := range id.Members {
		at := path + "/Identity/" + m.Key
		switch m.Key {
		case "Header":
			add(x, "identity", text(m.Value.At, "header "+strings.ToLower(m.Value.Text)))
		case "Headers":
			for _, h := range m.Value.List {
				add(x, "identity", text(h.At, "header "+strings.ToLower(h.Text)))
			}
		case "QueryStrings":
			for _, q := range m.Value.List {
				add(x, "identity", text(q.At, "query "+q.Text))
			}
		case "ValidationExpression":
			set(x, "validate", text(m.Value.At, m.Value.Text))
		case "ReauthorizeEvery":
			if n, ok := id.IntAt(m.Key, path+"/Identity", 0, 3600, &t.found); ok && n > 0 {
				set(x, "ttl", text(m.Value.At, unit(n, "s")))
			} else if ok {
				set(x, "ttl", text(m.Value.At, "none"))
			}
		default:
			t.bad(m.KeyAt, at, "Headers: [...] or QueryStrings: [...]", "an authorizer is asked by headers and query strings alone")
		}
	}
}

// tokens translates a JWT authorizer of an HTTP API. API Gateway takes algorithms of RSA alone
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html).
func (t *translator) tokens(a *api, name string, v template.Value, path string) *authorizer {
	c, _ := v.Get("JwtConfiguration")
	issuer, ok := c.StringAt("issuer", path+"/JwtConfiguration", &t.found)
	audience, _ := c.Get("audience")
	if !ok || len(audience.List) == 0 {
		t.bad(v.At, path+"/JwtConfiguration", "JwtConfiguration: {issuer: https://..., audience: [...]}", "an issuer and an audience are wanted here")
		return nil
	}
	if s, ok := v.Get("IdentitySource"); ok && !strings.EqualFold(s.Text, "$request.header.Authorization") {
		t.bad(s.At, path+"/IdentitySource", "$request.header.Authorization", "tokens come in the header authorization alone")
		return nil
	}
	role := t.App + "-" + name
	x := mapping(v.At)
	set(x, "issuer", text(c.At, issuer))
	set(x, "audience", audience)
	set(x, "algorithms", texts(c.At, "RS256", "RS384", "RS512"))
	set(x, "role", text(v.At, role))
	jwt, _ := t.doc.Get("auth")
	if jwt.Kind != template.Map {
		jwt = *mapping(v.At)
	}
	add(&jwt, "jwt", *x)
	set(t.doc, "auth", jwt)
	t.note(Honoured, a.typ, v.At, path, "tokens of %s, with the role %s", issuer, role)
	return &authorizer{kind: "jwt", role: role, scopes: t.scopes(v, path)}
}

func (t *translator) scopes(v template.Value, path string) (all []string) {
	s, said := v.Get("AuthorizationScopes")
	if said && !t.wants(s, path+"/AuthorizationScopes", template.List) { // or tokens without one would do
		return nil
	}
	for _, x := range s.List {
		if t.wants(x, path+"/AuthorizationScopes", template.String) {
			all = append(all, x.Text)
		}
	}
	return all
}

// senderName is a name as the manifest has it: small letters, digits and hyphens.
func (t *translator) senderName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	if clean == "" || clean[0] < 'a' {
		clean = "a" + clean
	}
	all, _ := t.doc.Get("authorizers")
	for base, n := clean, 2; ; n++ {
		if _, taken := all.Get(clean); !taken {
			return clean
		}
		clean = base + "-" + unit(n, "")
	}
}

// access says who may call a route. What AWS leaves open is open here when somebody says so, with a reason and an end.
func (t *translator) access(r *template.Value, w *way) {
	name, key, scopes := w.api.auth.standard, w.api.auth.key, []string(nil)
	path := w.path + "/Auth"
	for _, m := range w.auth.Members {
		switch m.Key {
		case "Authorizer":
			name = m.Value.Text
			t.wants(m.Value, path, template.String)
		case "ApiKeyRequired":
			key, _ = w.auth.BoolAt(m.Key, path, &t.found)
		case "AuthorizationScopes":
			scopes = t.scopes(w.auth, path)
		case "ResourcePolicy", "OverrideApiAuth":
		case "InvokeRole":
			t.note(Ignored, w.api.typ, m.KeyAt, path+"/"+m.Key, "functions are called by the node itself")
		default:
			t.bad(m.KeyAt, path+"/"+m.Key, "", "there is no such property")
		}
	}
	if name == "NONE" && w.api.auth.standard == "" {
		t.bad(w.at, path+"/Authorizer", "leave it out", "NONE says something only where the API has a DefaultAuthorizer")
		return
	}
	kinds := w.kinds
	if x := w.api.auth.authorizers[name]; x != nil && !w.said {
		kinds = append(kinds, x.kind)
		x.routes = append(x.routes, w.key)
		if scopes == nil {
			scopes = x.scopes
		}
		if x.role != "" {
			t.mayCall(x.role, w)
		}
	} else if name != "" && name != "NONE" && !w.said {
		t.bad(w.at, path, template.Nearest(name, keys(w.api.auth.authorizers)), "there is no authorizer %s", name)
		return
	}
	if key && slices.ContainsFunc(kinds, func(k string) bool { return k != "key" }) {
		t.bad(w.at, path, "leave out ApiKeyRequired, or the authorizer", "a route takes one of its credentials, and cannot ask for a key besides an authorizer")
		return
	}
	if key {
		kinds = []string{"key"}
	}
	if len(scopes) == 0 {
		scopes = w.scopes
	}
	if len(scopes) > 0 {
		set(r, "scopes", texts(w.at, strings.Join(scopes, " or ")))
	}
	t.policyOf(w)
	t.admit(r, w, kinds)
}

// mayCall grants a role of an authorizer the route.
func (t *translator) mayCall(role string, w *way) {
	all, _ := t.doc.Get("roles")
	r, ok := all.Get(role)
	if !ok {
		r = *mapping(w.at)
	}
	add(&r, "grants", text(w.at, "call "+callable(w.key)))
	t.put("roles", role, r)
}

// admit writes who gets in.
func (t *translator) admit(r *template.Value, w *way, kinds []string) {
	own, said := w.api.meta.Get("auth") // for routes that ask for nothing
	if said = said && len(kinds) == 0 && own.Kind == template.List; said {
		for _, k := range own.List {
			kinds = append(kinds, k.Text)
		}
	}
	if slices.Contains(kinds, "key") || slices.Contains(kinds, "sigv4") || slices.Contains(kinds, "AWS_IAM") {
		t.callers = append(t.callers, w.key)
	}
	switch {
	case said:
		set(r, "auth", own)
	case len(kinds) > 0:
		set(r, "auth", texts(w.at, kinds...))
	case own.Kind == template.Map: // {none: {reason, expires}}
		set(r, "auth", own)
		t.note(Weak, w.api.typ, w.at, w.path, "%s is open to everybody, as the exception says", w.key)
	default:
		apiOpen, _ := w.api.meta.Get("open")
		x, ok := t.exception(w.at, w.function.open, apiOpen, t.open)
		if !ok {
			if t.saidInMetadata("routes", w.key) {
				return
			}
			t.bad(w.at, w.path, openHint, "anybody may call %s: the template asks for no credential", w.key)
			return
		}
		set(r, "auth", x)
		t.note(Weak, w.api.typ, w.at, w.path, "%s is open to everybody, as the exception says", w.key)
	}
}

const openHint = "Auth: {ApiKeyRequired: true} or an authorizer; or Metadata: Casemate: auth: [key] on the API; or, to leave it open, " +
	"Metadata: Casemate: open: {reason, expires}, or casemate deploy --allow-open REASON"

// saidInMetadata reports whether the template's own Metadata gives an entry of a section its auth.
func (t *translator) saidInMetadata(section, name string) bool {
	m, _ := t.stack.Metadata.Get("Casemate")
	all, _ := m.Get(section)
	x, _ := all.Get(name)
	_, ok := x.Get("auth")
	return ok
}

// exception is the first of those that are there as the manifest has it, else that of the deploy.
func (t *translator) exception(at template.Position, list ...template.Value) (template.Value, bool) {
	none := mapping(at)
	for _, v := range list {
		if v.Kind == template.Map {
			set(none, "none", v)
			return *none, true
		}
	}
	if t.Open == nil {
		return template.Value{}, false
	}
	x := mapping(at)
	set(x, "reason", text(at, t.Open.Reason))
	set(x, "expires", text(at, t.Open.Expires.UTC().Format(time.DateOnly)))
	set(none, "none", *x)
	return *none, true
}

// usagePlan becomes the plan of the role of callers.
func (t *translator) usagePlan(a *api, v template.Value, path string) {
	if how, _ := v.Get("CreateUsagePlan"); how.Text == "NONE" {
		return
	}
	p := mapping(v.At)
	if q, ok := v.Get("Quota"); ok {
		period, _ := q.Get("Period")
		key := map[string]string{"DAY": "day", "MONTH": "month"}[period.Text]
		if n, ok := q.IntAt("Limit", path+"/Quota", 1, 1<<40, &t.found); ok && key != "" {
			set(p, key, number(q.At, n))
		} else if ok {
			t.bad(q.At, path+"/Quota", "Period: DAY or MONTH", "there is no quota of a %s", strings.ToLower(period.Text))
		}
	}
	if r, ok := v.Get("Throttle"); ok {
		rate, _ := r.Get("RateLimit")
		burst, _ := r.Get("BurstLimit")
		s := rate.Text + "/s"
		if burst.Text != "" {
			s += " burst " + burst.Text
		}
		set(p, "rate", text(r.At, s))
	}
	if len(p.Members) == 0 {
		t.note(Ignored, a.typ, v.At, path, "the usage plan limits nothing")
		return
	}
	name := t.App + "-" + a.id
	t.put("plans", name, *p)
	t.plan = name
	t.note(Honoured, a.typ, v.At, path, "usage plan %s, of the role %s-callers", name, t.App)
}

// policyOf keeps the address ranges of a resource policy; what else one may say is refused
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-api-resourcepolicystatement.html).
func (t *translator) policyOf(w *way) {
	apiAuth, _ := w.api.props.Get("Auth")
	for _, from := range []struct {
		v    template.Value
		path string
	}{{apiAuth, w.api.path() + "/Auth"}, {w.auth, w.path + "/Auth"}} {
		p, ok := from.v.Get("ResourcePolicy")
		if !ok {
			continue
		}
		for _, m := range p.Members {
			operator := map[string]string{"IpRangeWhitelist": "NotIpAddress", "IpRangeBlacklist": "IpAddress"}[m.Key]
			if operator == "" {
				t.bad(m.KeyAt, from.path+"/ResourcePolicy/"+m.Key, "IpRangeWhitelist or IpRangeBlacklist; accounts and endpoints have no meaning here", "this part of a resource policy cannot be kept")
				continue
			}
			t.deny(w, m, operator)
		}
	}
}

// deny keeps requests of some addresses from a route.
func (t *translator) deny(w *way, m template.Member, operator string) {
	ranges := mapping(m.KeyAt)
	set(ranges, "aws:SourceIp", m.Value)
	condition := mapping(m.KeyAt)
	set(condition, operator, *ranges)
	s := mapping(m.KeyAt)
	set(s, "Effect", text(m.KeyAt, "Deny"))
	set(s, "Principal", text(m.KeyAt, "*"))
	set(s, "Action", text(m.KeyAt, "execute-api:Invoke"))
	set(s, "Condition", *condition)
	t.attach("route/"+w.key, *s)
}
