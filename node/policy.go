package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/audit"
	"casemate/authn"
	"casemate/authn/operator"
	"casemate/catalog"
	"casemate/deploy"
	"casemate/policy"
	"casemate/policy/analysis"
	"casemate/secret"
	"casemate/service/secrets"
	"casemate/service/ssm"
)

// PolicyQuestion asks why, who or what. Either Record is set, or Request, or Action and Resource.
type PolicyQuestion struct {
	As       string              `json:"as,omitempty"`      // role/clerk, function/price, key/ck_..., nobody
	Request  string              `json:"request,omitempty"` // "GET /orders/7": the action, resource and object are the route's
	Host     string              `json:"host,omitempty"`    // of Request
	Action   string              `json:"action,omitempty"`
	Resource string              `json:"resource,omitempty"`
	Context  map[string][]string `json:"context,omitempty"` // condition keys: jwt:sub, aws:SourceIp, aws:PrincipalTag/team
	Record   string              `json:"record,omitempty"`
}

// Explained is one decision with all that led to it.
type Explained struct {
	Principal string             `json:"principal"`
	Role      string             `json:"role,omitempty"`
	Action    string             `json:"action"`
	Resource  string             `json:"resource"`
	Was       *casemate.Decision `json:"was,omitempty"` // of a record
	Missing   []string           `json:"missing,omitempty"`
	policy.Explanation
}

// HistoryQuestion says how far back the record is read.
type HistoryQuestion struct {
	Since time.Duration `json:"since,omitempty"` // 0: all there is
	Limit int           `json:"limit,omitempty"` // records, the newest; 0: 10,000
	Role  string        `json:"role,omitempty"`  // only this one
	App   string        `json:"app,omitempty"`   // tighten: only this one's roles
	All   bool          `json:"all,omitempty"`   // unused: those in use, too; tighten: roles that nobody used, too
}

// maxHistory bounds how many records one question reads.
const maxHistory = 100_000

func (n *node) policyBuiltins(d *deploy.Deployer) map[string]builtin {
	return map[string]builtin{
		"policy.explain": question("casemate:ExplainPolicy", "policy", func(ctx context.Context, _ *casemate.Launch, q PolicyQuestion) (any, error) { return n.explain(ctx, q) }),
		"policy.whocan":  question("casemate:ExplainPolicy", "policy", func(_ context.Context, _ *casemate.Launch, q PolicyQuestion) (any, error) { return n.whoCan(q) }),
		"policy.whatcan": question("casemate:ExplainPolicy", "policy", func(ctx context.Context, _ *casemate.Launch, q PolicyQuestion) (any, error) { return n.whatCan(ctx, q) }),
		"policy.unused":  question("casemate:ExplainPolicy", "policy", func(ctx context.Context, _ *casemate.Launch, q HistoryQuestion) (any, error) { return n.unused(ctx, q) }),
		"policy.tighten": question("casemate:ExplainPolicy", "policy", func(ctx context.Context, _ *casemate.Launch, q HistoryQuestion) (any, error) {
			return n.tighten(ctx, q)
		}),
		"policy.simulate": {action: "casemate:PlanDeploy", kind: "app", body: bundleLimit, named: true, run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			if err := n.judge(l, "casemate:ExplainPolicy", "policy", "*"); err != nil { // it tells what others did
				return nil, err
			}
			_, next, err := d.For(l.Event.Resource).Under(deploy.Guard{App: func(app string) error { return n.judge(l, "casemate:PlanDeploy", "app", app) }}).Preview(ctx, l.Payload)
			if err != nil {
				return nil, err
			}
			return n.simulate(ctx, HistoryQuestion{}, next)
		}},
	}
}

// policies is what is in force, as the policy room compiled it.
func (n *node) policies() (*policy.Set, error) { return asSet(n.catalog.Snapshot().Policy) }

func asSet(d casemate.Decider) (*policy.Set, error) {
	s, ok := d.(*policy.Set)
	if !ok || s == nil {
		return nil, casemate.Errorf(casemate.Unavailable, "deploy something", "no policy is loaded")
	}
	return s, nil
}

// history reads records, the newest first, into each.
func (n *node) history(ctx context.Context, q HistoryQuestion, each func(*casemate.Record)) error {
	if q.Limit < 0 || q.Limit > maxHistory || q.Since < 0 {
		return &casemate.Error{Code: casemate.Invalid, Field: "limit", Message: fmt.Sprintf("at most %d records are read", maxHistory), Hint: "say less"}
	}
	left := q.Limit
	if left == 0 {
		left = 10_000
	}
	f := audit.Filter{Newest: true}
	if q.Since > 0 {
		f.From = time.Now().Add(-q.Since)
	}
	for left > 0 {
		f.Limit = min(left, 1000)
		list, err := n.audit.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range list {
			each(&list[i].Record)
		}
		if left -= len(list); len(list) < f.Limit {
			return nil
		}
		f.Before = list[len(list)-1].Seq
	}
	return nil
}

// caller is the principal that a name stands for, as far as policies look at it.
func (n *node) caller(name string) (*casemate.Principal, error) {
	place := n.cfg.Place
	kind, rest, _ := strings.Cut(name, "/")
	p := &casemate.Principal{Account: place.Account, ID: name, Claims: map[string]string{}, Tags: map[string]string{}}
	switch kind {
	case "nobody", "anonymous":
		return &casemate.Principal{Claims: p.Claims, Tags: p.Tags}, nil
	case "role":
		if _, ok := operator.Policies()[rest]; ok {
			p.Kind = casemate.KindOperator
		} else if rest != authn.RoleOperator && !n.catalog.Snapshot().HasRole(rest) {
			return nil, noCaller("role", rest)
		} else {
			p.Kind = casemate.KindKey
		}
		p.Role, p.ARN = rest, place.RoleARN(rest)
		return p, nil
	case "operator":
		o, err := n.operators.Get(rest)
		if err != nil {
			return nil, noCaller("operator", rest)
		}
		p.Kind, p.Role, p.ARN = casemate.KindOperator, operator.RoleOf(o.Roles), place.RoleARN(operator.RoleOf(o.Roles))
		return p, nil
	case "function":
		v := n.catalog.Snapshot().Function(rest)
		if v == nil {
			return nil, noCaller("function", rest)
		}
		p.Kind, p.Role, p.ARN = casemate.KindRun, v.Role, place.RoleARN(v.Role)
		return p, nil
	case "schedule", "mapping":
		if !n.catalog.Snapshot().HasRole(name) {
			return nil, noCaller(kind, rest)
		}
		p.Kind, p.Role, p.ARN = casemate.PrincipalKind(kind), name, place.RoleARN(name)
		return p, nil
	case "key":
		for _, k := range n.identity.ListKeys() {
			if k.ID == rest {
				p.Kind, p.Role, p.Scope, p.ARN = casemate.KindKey, k.Role, k.Scope, place.RoleARN(k.Role)
				return p, nil
			}
		}
		return nil, noCaller("key", rest)
	}
	return nil, &casemate.Error{Code: casemate.Invalid, Field: "as", Message: fmt.Sprintf("%q is no caller", name), Hint: "role/NAME, function/NAME, operator/NAME, schedule/APP/NAME, key/ck_... or nobody; claims go with --context jwt:sub=..."}
}

func noCaller(what, name string) error {
	return &casemate.Error{Code: casemate.NotFound, Field: "as", Message: fmt.Sprintf("there is no %s %q", what, name), Hint: "casemate policy who-can, casemate keys list and casemate list show what there is"}
}

// asked are the requests that a question stands for: of a route with an object there are two.
func (n *node) asked(q PolicyQuestion, p *casemate.Principal) ([]*casemate.AccessRequest, error) {
	r := &casemate.AccessRequest{Principal: p, Action: q.Action, Resource: q.Resource, Account: n.cfg.Place.Account, Now: time.Now(),
		Context: map[string][]string{"aws:securetransport": {"true"}}, Params: map[string]string{}}
	all := []*casemate.AccessRequest{r}
	if q.Request != "" {
		method, path, ok := strings.Cut(q.Request, " ")
		if !ok || q.Action != "" || q.Resource != "" {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "request", Message: "is METHOD /path, and instead of an action and a resource", Hint: `--request "GET /orders/7"`}
		}
		m, err := n.catalog.Resolve(&casemate.Event{Source: casemate.SourceHTTP, Target: casemate.Target{Method: method, Path: path, Host: q.Host}})
		if err != nil {
			return nil, err
		}
		r.Action, r.Resource, r.Route = m.Action, m.Resource, m.Pattern
		maps.Copy(r.Params, m.Params)
		if m.Object != "" {
			o := *r
			o.Action, o.Resource, o.Route = m.ObjectAction, m.Object, ""
			all = append(all, &o)
		}
	}
	if r.Action == "" || r.Resource == "" {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "action", Message: "an action and a resource are needed", Hint: `lambda:InvokeFunction and an ARN, or --request "GET /orders/7"`}
	}
	for _, x := range all {
		for key, values := range q.Context {
			analysis.Put(x, casemate.Fact{Key: key, Values: values})
		}
	}
	return all, nil
}

func (n *node) explain(ctx context.Context, q PolicyQuestion) ([]Explained, error) {
	set, err := n.policies()
	if err != nil {
		return nil, err
	}
	if q.Record != "" {
		return n.explainRecord(ctx, set, q.Record)
	}
	p, err := n.caller(q.As)
	if err != nil {
		return nil, err
	}
	requests, err := n.asked(q, p)
	if err != nil {
		return nil, err
	}
	var out []Explained
	for _, r := range requests {
		out = append(out, Explained{Principal: p.Name(), Role: p.Role, Action: r.Action, Resource: r.Resource, Explanation: set.Explain(r)})
	}
	return out, nil
}

func (n *node) explainRecord(ctx context.Context, set *policy.Set, id string) ([]Explained, error) {
	e, err := n.audit.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	out := []Explained{}
	for _, q := range analysis.Questions(&e.Record, n.cfg.Place.Account) {
		r, a := &q.Request, q.Ask(set)
		out = append(out, Explained{Principal: r.Principal.Name(), Role: r.Principal.Role, Action: r.Action, Resource: r.Resource, Was: &q.Was, Missing: a.Missing, Explanation: set.Explain(r)})
	}
	if len(out) == 0 {
		return nil, casemate.Errorf(casemate.NotFound, "casemate audit show "+id+" says how far it came", "the policy was not asked about this event: it ended before")
	}
	return out, nil
}

// whoCan asks for every role that there is, and for nobody.
func (n *node) whoCan(q PolicyQuestion) ([]analysis.Right, error) {
	set, err := n.policies()
	if err != nil {
		return nil, err
	}
	names := []string{"nobody", "role/" + authn.RoleOperator}
	for _, role := range operator.RoleNames() {
		names = append(names, "role/"+operator.RoleOf([]string{role}))
	}
	for _, role := range slices.Sorted(maps.Keys(n.catalog.Snapshot().Roles())) {
		if !strings.HasPrefix(role, catalog.ExecutionRole("")) {
			role = "role/" + role
		}
		names = append(names, role)
	}
	out := []analysis.Right{}
	for _, name := range names {
		p, err := n.caller(name)
		if err != nil {
			return nil, err
		}
		requests, err := n.asked(q, p)
		if err != nil {
			return nil, err
		}
		out = append(out, all(set, name, requests))
	}
	return out, nil
}

// all is the right to every one of several requests: the first that is lacking tells.
func all(set *policy.Set, name string, requests []*casemate.AccessRequest) analysis.Right {
	var out analysis.Right
	for i, r := range requests {
		right := analysis.Can(set, r)
		if right.Who = name; i == 0 || right.Can == analysis.No {
			keys := out.Keys
			out = right
			out.Keys = append(keys, out.Keys...)
		} else if right.Can == analysis.If {
			out.Can, out.Keys = analysis.If, append(out.Keys, right.Keys...)
		}
		if out.Can == analysis.No {
			break
		}
	}
	slices.Sort(out.Keys)
	out.Keys = slices.Compact(out.Keys)
	return out
}

// whatCan asks for one caller about every route, object, function, secret and parameter that there is.
func (n *node) whatCan(ctx context.Context, q PolicyQuestion) ([]analysis.Right, error) {
	set, err := n.policies()
	if err != nil {
		return nil, err
	}
	p, err := n.caller(q.As)
	if err != nil {
		return nil, err
	}
	out := []analysis.Right{}
	add := func(requests ...*casemate.AccessRequest) {
		for _, r := range requests {
			r.Principal, r.Account, r.Now = p, n.cfg.Place.Account, time.Now()
			for key, values := range q.Context {
				analysis.Put(r, casemate.Fact{Key: key, Values: values})
			}
		}
		if right := all(set, q.As, requests); right.Can != analysis.No {
			out = append(out, right)
		}
	}
	snap := n.catalog.Snapshot()
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for i := range app.Routes {
			if r := &app.Routes[i]; !r.URL {
				add(routeRequests(n.cfg.Place, r)...)
			}
		}
		for _, fn := range slices.Sorted(maps.Keys(app.Functions)) {
			arn := n.cfg.Place.FunctionARN(fn)
			for _, action := range []string{"lambda:InvokeFunction", "lambda:InvokeFunctionUrl"} {
				add(&casemate.AccessRequest{Action: action, Resource: arn, Context: map[string][]string{}, Params: map[string]string{}})
			}
		}
		for _, action := range []string{"casemate:Deploy", "casemate:Rollback"} {
			add(&casemate.AccessRequest{Action: action, Resource: n.cfg.Place.PlatformARN("app", name), Context: map[string][]string{}, Params: map[string]string{}})
		}
	}
	reads, err := n.secretReads(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range reads {
		add(r)
	}
	return out, nil
}

// secretReads are what reading each secret and parameter asks for.
func (n *node) secretReads(ctx context.Context) (out []*casemate.AccessRequest, err error) {
	for _, k := range []struct {
		kind   secret.Kind
		action string
		arn    func(place casemate.Place, name string) string
	}{{secret.KindSecret, "secretsmanager:GetSecretValue", secrets.ARN}, {secret.KindParameter, "ssm:GetParameter", ssm.ARN}} {
		items, err := n.secrets.List(ctx, n.cfg.Place.Account, k.kind)
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			out = append(out, &casemate.AccessRequest{Action: k.action, Resource: k.arn(n.cfg.Place, it.ID.Name), Context: map[string][]string{}, Params: map[string]string{}})
		}
	}
	return out, nil
}

// routeRequests are what a request of a route asks, with its parameters left open.
func routeRequests(place casemate.Place, r *casemate.Route) []*casemate.AccessRequest {
	arn := place.RouteARN(r.App, r.Method, r.Path)
	one := &casemate.AccessRequest{Action: "execute-api:Invoke", Resource: arn, Route: arn, Context: map[string][]string{}, Params: map[string]string{}}
	if r.Object == nil {
		return []*casemate.AccessRequest{one}
	}
	params := map[string]string{}
	for seg := range strings.SplitSeq(r.Path, "/") {
		if name := strings.TrimRight(strings.TrimLeft(seg, "{"), "+}"); name != seg {
			params[name] = "{" + name + "}"
		}
	}
	action, object, err := r.Object.Of(r.Method, params)
	if err != nil {
		return []*casemate.AccessRequest{one}
	}
	return []*casemate.AccessRequest{one, {Action: action, Resource: object, Context: map[string][]string{}, Params: map[string]string{}}}
}

// usage counts what every role's grants were used for.
func (n *node) usage(ctx context.Context, q HistoryQuestion) (*analysis.Usage, error) {
	set, err := n.policies()
	if err != nil {
		return nil, err
	}
	roles := n.catalog.Snapshot().Roles()
	if q.Role != "" {
		if _, ok := roles[q.Role]; !ok {
			return nil, noCaller("role", q.Role)
		}
		roles = map[string][]casemate.Statement{q.Role: roles[q.Role]}
	}
	u := analysis.NewUsage(set, n.cfg.Place.Account, roles)
	return u, n.history(ctx, q, u.Add)
}

func (n *node) unused(ctx context.Context, q HistoryQuestion) ([]analysis.Grant, error) {
	u, err := n.usage(ctx, q)
	if err != nil {
		return nil, err
	}
	out := []analysis.Grant{}
	for _, g := range u.Grants() {
		if q.All || g.Unused() || g.Redundant() {
			out = append(out, g)
		}
	}
	return out, nil
}

func (n *node) simulate(ctx context.Context, q HistoryQuestion, next casemate.Decider) (*analysis.Report, error) {
	set, err := asSet(next)
	if err != nil {
		return nil, err
	}
	replay := analysis.NewReplay(set, n.cfg.Place.Account)
	if err := n.history(ctx, q, replay.Add); err != nil {
		return nil, err
	}
	r := replay.Report()
	return &r, nil
}

// Tightened is what tighten proposes, and what history says to it.
type Tightened struct {
	App     string            `json:"app"`
	Changes []analysis.Change `json:"changes"`
	Proof   *analysis.Report  `json:"proof"` // the changed policies against history: denials must be 0
}

// tighten proposes changes to an app's roles and replays history against them.
func (n *node) tighten(ctx context.Context, q HistoryQuestion) (*Tightened, error) {
	app, _ := n.catalog.Snapshot().App(q.App)
	if app == nil {
		return nil, casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no app %q", q.App)
	}
	u, err := n.usage(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &Tightened{App: q.App, Changes: []analysis.Change{}}
	next := *app
	next.Roles = maps.Clone(app.Roles)
	for _, c := range u.Tighten(q.All) {
		role, mine := next.Roles[c.Role]
		if !mine {
			continue
		}
		out.Changes = append(out.Changes, c)
		if c.Grant == "" {
			continue // written out: its author changes it
		}
		kept := slices.DeleteFunc(slices.Clone(role.Statements), func(s casemate.Statement) bool { return s.Origin == c.Origin })
		for _, text := range c.With {
			s, err := policy.Grant(n.cfg.Place, q.App, text, "tighten")
			if err != nil {
				return nil, err
			}
			kept = append(kept, s)
		}
		role.Statements = kept
		next.Roles[c.Role] = role
	}
	decider, err := n.catalog.Preview(ctx, &next, nil)
	if err != nil {
		return nil, err
	}
	out.Proof, err = n.simulate(ctx, q, decider)
	return out, err
}
