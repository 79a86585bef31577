package catalog

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/catalog/route"
)

// App is the whole state of one application. It is immutable once it was swapped in; its bytes are a blob and the
// catalog's key only names them, so every generation stays what it was.
type App struct {
	Name       string                          `json:"name"`
	Generation int                             `json:"generation"` // 1, 2, 3 ... counts swaps
	Functions  map[string]*Function            `json:"functions"`
	Routes     []casemate.Route                `json:"routes,omitempty"` // function URLs included
	Roles      map[string]Role                 `json:"roles,omitempty"`  // execution roles included, see ExecutionRole
	Plans      map[string]*casemate.Plan       `json:"plans,omitempty"`
	Guardrails []casemate.Statement            `json:"guardrails,omitempty"`
	Resources  map[string][]casemate.Statement `json:"resources,omitempty"` // by ARN
	Issuers    []casemate.Issuer               `json:"issuers,omitempty"`
	Budgets    []casemate.Budget               `json:"budgets,omitempty"`   // ceilings in money on what this app spends
	Queues     map[string]*casemate.Queue      `json:"queues,omitempty"`    // that it declares, by name
	Mappings   map[string]*casemate.Mapping    `json:"mappings,omitempty"`  // event sources of its functions, by id
	Schedules  map[string]*casemate.Schedule   `json:"schedules,omitempty"` // of its functions, by name
	LeftOut    []string                        `json:"left_out,omitempty"`  // functions whose runtime is missing here
	Template   *Template                       `json:"template,omitempty"`  // that it was deployed from; nil: a manifest

	Environment string    `json:"environment,omitempty"` // that it belongs to; empty: none
	At          time.Time `json:"at"`
	By          string    `json:"by,omitempty"` // principal's name
	Note        string    `json:"note,omitempty"`

	gone bool // the app is taken away: it holds nothing but its name (Remove)
}

// Template is what an app keeps of the SAM or CloudFormation template that it was deployed from.
type Template struct {
	Parameters map[string]string `json:"parameters,omitempty"` // values that were given, by name; secrets are not here
	Sealed     map[string]string `json:"sealed,omitempty"`     // of a NoEcho parameter, under which name the vault has its value
	Exports    map[string]string `json:"exports,omitempty"`    // what other stacks may import
	Imports    []string          `json:"imports,omitempty"`    // what it imports, by name
}

// Function is a function's versions, oldest first, and the number of the one in force.
type Function struct {
	Live     int                 `json:"live"`
	Versions []*casemate.Version `json:"versions"`

	Managed *Managed `json:"managed,omitempty"` // set where Lambda's API wrote something
}

// Number gives a version by number, nil when there is none.
func (f *Function) Number(n int) *casemate.Version {
	for _, v := range f.Versions {
		if v.Number == n {
			return v
		}
	}
	return nil
}

// Role is what one role may do. No boundary statement means no boundary.
type Role struct {
	Statements []casemate.Statement `json:"statements,omitempty"`
	Boundary   []casemate.Statement `json:"boundary,omitempty"`
	Trust      []casemate.Statement `json:"trust,omitempty"` // who may assume it; none: nobody
	Plan       string               `json:"plan,omitempty"`  // usage plan of holders that have none of their own
}

// share has equal texts of an app that was read stand in memory once: with 100,000 functions it is hundreds of bytes each.
func (a *App) share() {
	have := map[string]string{}
	for role := range a.Roles {
		have[role] = role
	}
	for name, f := range a.Functions {
		have[name] = name
		if f == nil {
			continue
		}
		for _, v := range f.Versions {
			if v == nil {
				continue
			}
			one(&v.App, a.Name)
			one(&v.Function, name)
			again(have, &v.Role)
			again(have, &v.Account)
			again(have, (*string)(&v.Runtime))
			again(have, (*string)(&v.Isolation))
		}
	}
	a.Routes = slices.Clone(a.Routes) // without the room that reading left for more
	for i := range a.Routes {
		r := &a.Routes[i]
		one(&r.App, a.Name)
		if method, path, ok := strings.Cut(r.ID, " "); ok {
			one(&r.Method, method)
			one(&r.Path, path)
		}
		again(have, &r.Function)
		for k := range r.Auth.Kinds {
			again(have, (*string)(&r.Auth.Kinds[k]))
		}
	}
}

// again gives a text the memory of an equal one that was there before.
func again(have map[string]string, to *string) {
	if same, ok := have[*to]; ok {
		*to = same
		return
	}
	have[*to] = *to
}

// one gives an equal text the memory of another.
func one(to *string, same string) {
	if *to == same {
		*to = same
	}
}

// ExecutionRole names the role that a function runs as. Its slash keeps it apart from roles of callers.
func ExecutionRole(function string) string { return "function/" + function }

// URLID is the first label of a function's URL, "<id>.lambda-url.<domain>": 32 characters from the hash of its ARN.
func URLID(arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20]))
}

// ContractID names a contract: the digest of its document, and where in it the schema is.
func ContractID(digest, where string) string { return digest + "#" + where }

// check refuses an app that does not hold together. It is the last look on every path in: deploy, rollback and boot.
func (a *App) check(place casemate.Place) error {
	bad := func(format string, args ...any) error {
		return casemate.Errorf(casemate.Invalid, "deploy the app again", "app "+a.Name+": "+format, args...)
	}
	if a.Name == "" || len(a.Functions) == 0 {
		return bad("it has no name or no function")
	}
	for name, f := range a.Functions {
		if f == nil || f.Number(f.Live) == nil {
			return bad("function %s has no version in force", name)
		}
		if !f.checkAliases() {
			return bad("an alias of function %s leads to no version", name)
		}
		for _, v := range f.Versions {
			if v == nil || v.Function != name || v.App != a.Name || v.ARN != place.FunctionARN(name) || v.Role != ExecutionRole(name) || !isDigest(v.Code) || !isDigest(v.ID) || !layersStand(v.Layers) {
				return bad("a version of %s is not its own", name)
			}
		}
	}
	for role := range a.Roles {
		if fn, exec := strings.CutPrefix(role, "function/"); exec && a.Functions[fn] == nil || role == "" {
			return bad("role %q belongs to no function", role)
		}
	}
	for arn := range a.Resources {
		fn, function := owner(place, arn)
		mine, _, _ := strings.Cut(place.RouteARN(a.Name, "", ""), "$")
		if function && a.Functions[fn] == nil || strings.Contains(arn, ":execute-api:") && !strings.HasPrefix(arn, mine) ||
			!strings.HasPrefix(arn, "arn:aws:") || strings.Contains(arn, ":iam:") {
			return bad("%s is not a resource of this app", arn)
		}
	}
	for i := range a.Budgets {
		if err := a.Budgets[i].Check(); err != nil || a.Budgets[i].App != a.Name {
			return bad("a budget is not its own")
		}
	}
	for i := range a.Routes {
		if err := a.checkRoute(place, &a.Routes[i]); err != nil {
			return err
		}
	}
	for _, s := range a.Guardrails {
		if s.Effect != casemate.Deny {
			return bad("a guardrail of an app can only deny")
		}
	}
	if err := a.checkSchedules(); err != nil {
		return err
	}
	if err := a.checkMappings(); err != nil {
		return err
	}
	return a.checkLimits()
}

func (a *App) checkRoute(place casemate.Place, r *casemate.Route) error {
	if f := a.Functions[r.Function]; r.App != a.Name || f == nil {
		return casemate.Errorf(casemate.Invalid, "name a function of this app", "route %s leads to no function of app %s", r.ID, a.Name)
	}
	if len(r.Auth.Kinds) == 0 && r.Auth.Open == nil {
		return casemate.Errorf(casemate.Invalid, "auth: [key]", "route %s says nothing about credentials", r.ID)
	}
	if w, x := r.Auth.Webhook, r.Auth.Authorizer; (w != nil) != slices.Contains(r.Auth.Kinds, casemate.CredentialWebhook) ||
		(x != nil) != slices.Contains(r.Auth.Kinds, casemate.CredentialAuthorizer) || w != nil && w.App != a.Name || (r.Auth.Certificate != nil) != slices.Contains(r.Auth.Kinds, casemate.CredentialCertificate) || x != nil && (x.App != a.Name || a.Functions[x.Function] == nil) {
		return casemate.Errorf(casemate.Invalid, "deploy the app again", "route %s takes a sender, a certificate or an authorizer that is not there", r.ID)
	}
	if err := checkBrowser(r); err != nil {
		return err
	}
	if r.URL {
		if r.Host != URLID(Qualify(place.FunctionARN(r.Function), r.Alias())) || a.Functions[r.Function].Qualified(r.Alias(), "") == nil {
			return casemate.Errorf(casemate.Invalid, "deploy the app again", "the URL of %s is not its own", r.Function)
		}
		return nil
	}
	method, path, err := route.Parse(r.ID)
	if err == nil && (method != r.Method || path != r.Path) {
		err = casemate.Errorf(casemate.Invalid, "deploy the app again", "route %s is not what its key says", r.ID)
	}
	return err
}

// layersStand reports whether what is at /opt can be fetched as it was deployed.
func layersStand(list []casemate.Layer) bool {
	return len(list) <= casemate.MaxLayers && !slices.ContainsFunc(list, func(l casemate.Layer) bool { return !isDigest(l.Code) })
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// parseFunction reads "name", "name:qualifier", a partial or a whole function ARN
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestSyntax). An ARN of another place is
// not found.
func parseFunction(place casemate.Place, s string) (name, qualifier string, err error) {
	rest := s
	if tail, ok := strings.CutPrefix(s, "arn:"); ok {
		if rest, ok = strings.CutPrefix("arn:"+tail, place.FunctionARN("")); !ok {
			return "", "", notFound("function", s)
		}
	} else if _, tail, ok := strings.Cut(s, ":function:"); ok {
		if !strings.HasPrefix(s, place.Account+":function:") {
			return "", "", notFound("function", s)
		}
		rest = tail
	}
	name, qualifier, has := strings.Cut(rest, ":")
	if name == "" || len(name) > 64 || has && qualifier == "" || strings.Contains(qualifier, ":") {
		return "", "", notFound("function", s)
	}
	return name, qualifier, nil
}

func notFound(what, name string) error {
	if len(name) > 140 {
		name = name[:140]
	}
	return casemate.Errorf(casemate.NotFound, "casemate list shows what is deployed", "there is no %s %s", what, strconv.Quote(name))
}

// encode gives the app's bytes: JSON with sorted keys, so that equal apps are equal bytes.
func (a *App) encode() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("writing app %s: %w", a.Name, err)
	}
	return b, nil
}

// roles lists the names of the app's roles, sorted.
func (a *App) roles() []string { return slices.Sorted(maps.Keys(a.Roles)) }

// callers lists the names of the app's roles that are no execution roles, sorted: whose those are is whose the functions are.
func (a *App) callers() []string {
	return slices.DeleteFunc(a.roles(), func(role string) bool { return strings.HasPrefix(role, ExecutionRole("")) })
}
