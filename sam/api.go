package sam

import (
	"strconv"
	"strings"

	"casemate/catalog/route"
	"casemate/sam/template"
)

// api is one API: a resource, or the one that SAM makes for events that name none.
type api struct {
	id     string
	http   bool // an HTTP API; otherwise a REST API
	at     template.Position
	typ    string
	props  template.Value
	meta   template.Value // Metadata: Casemate: of it
	stage  string
	host   string
	cors   cors
	auth   *auth
	routes []*way

	preflights map[string]cors // what an integration of type mock answers to OPTIONS, by path
}

// way is one route of an API.
type way struct {
	api      *api
	key      string // "GET /orders/{id}"
	function *function
	at       template.Position
	path     string         // in the template
	auth     template.Value // Auth of the event
	kinds    []string       // credentials that a definition asks for itself
	scopes   []string
	said     bool // the definition says who may call
	payload  string
	stream   bool
	millis   int // that a request may take; 0: the default of its API
}

// api adds an API; r is nil for an implicit one.
func (t *translator) api(id string, r *template.Resource) *api {
	a := &api{id: id, http: id == implicitHTTP}
	if r != nil {
		a.at, a.typ, a.props = r.At, r.Type, r.Properties
		a.http = r.Type == "AWS::Serverless::HttpApi" || r.Type == "AWS::ApiGatewayV2::Api"
		a.meta, _ = r.Metadata.Get("Casemate")
	}
	if stage, ok := a.props.Get("StageName"); ok && stage.Unknown == "" {
		a.stage = stage.Text
	} else if a.http {
		a.stage = "$default"
	} else {
		a.stage = "Prod"
	}
	t.apis[id] = a
	if s := t.staged(a); s != "" {
		a.stage = s
	}
	return a
}

func (a *api) path() string { return "Resources/" + a.id + "/Properties" }

// apiProperties says what becomes of each property of an API. "" is translated.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-api.html and sam-resource-httpapi.html
var apiProperties = map[string]string{
	"StageName": "", "Name": "", "Description": "", "Auth": "", "Cors": "", "CorsConfiguration": "", "DefinitionBody": "", "DefinitionUri": "", "Domain": "", "Models": "",
	"Body": "", "Parameters": "the definition says it", "BodyS3Location": "", "RouteKey": "", "Target": "", "CredentialsArn": "", "DefaultRouteSettings": "", "RouteSettings": "", "MethodSettings": "", "FailOnWarnings": "", "OpenApiVersion": "", "MergeDefinitions": "",
	"AccessLogSetting": "requests are in the node's own record: casemate records", "AccessLogSettings": "requests are in the node's own record: casemate records",
	"EndpointConfiguration": "the node listens where it was told to", "TracingEnabled": "traces go where the node sends them", "Tags": "nothing here is found by tags",
	"PropagateTags": "nothing here is found by tags", "BinaryMediaTypes": "binary bodies are told from texts by themselves", "MinimumCompressionSize": "answers are not compressed",
	"CacheClusterEnabled": "answers are cached where a route says so: Metadata: Casemate: cache", "CacheClusterSize": "there is no cache to size",
	"CanarySetting": "a deploy puts the new version in force at once", "DisableExecuteApiEndpoint": "there is no address but the node's", "Mode": "there is nothing to import into",
	"GatewayResponses": "errors have the node's own form", "StageVariables": "", "Variables": "", "AlwaysDeploy": "every change is deployed", "SecurityPolicy": "the node speaks TLS 1.2 and 1.3",
	"ApiKeySourceType": "", "Policy": "", "ProtocolType": "", "FailOnWarning": "",
}

// settings translates what belongs to an API as a whole.
func (t *translator) settings(a *api) {
	for _, m := range a.props.Members {
		path := a.path() + "/" + m.Key
		why, known := apiProperties[m.Key]
		switch {
		case !known:
			t.bad(m.KeyAt, path, template.Nearest(m.Key, keys(apiProperties)), "%s has no such property", a.typ)
		case why != "":
			t.note(Ignored, a.typ, m.KeyAt, path, "%s", why)
		default:
			t.setting(a, m, path)
		}
	}
	a.auth = t.authOf(a)
}

func (t *translator) setting(a *api, m template.Member, path string) {
	switch m.Key {
	case "Cors", "CorsConfiguration":
		a.cors = t.cors(a, m.Value, path)
	case "Domain":
		if host, ok := m.Value.StringAt("DomainName", path, &t.found); ok {
			a.host = strings.ToLower(host)
			t.note(Honoured, a.typ, m.KeyAt, path, "routes answer for the host %s alone; its certificate is the node's: casemate up --tls", a.host)
		}
		if v, ok := m.Value.Get("MutualTlsAuthentication"); ok {
			t.bad(v.At, path+"/MutualTlsAuthentication", "certificates: and auth: [certificate:<name>] under Metadata: Casemate", "certificates of callers cannot be read from a bucket")
		}
	case "BodyS3Location", "Target", "CredentialsArn", "RouteKey":
		t.bad(m.KeyAt, path, "Body, or an AWS::ApiGatewayV2::Route with its integration", "this is not read here")
	case "DefinitionUri":
		if _, s3 := m.Value.Get("Bucket"); s3 || m.Value.Scalar() {
			t.bad(m.KeyAt, path, "put the definition into the template: DefinitionBody", "a definition in another place cannot be had")
		}
	case "Policy":
		if m.Value.Scalar() && m.Value.Text == "" && m.Value.Unknown == "" {
			return
		}
		t.bad(m.KeyAt, path, "resources: route/... under Metadata: Casemate", "the resource policy of an API cannot be kept as it is")
	case "StageVariables", "Variables":
		t.note(NotServed, a.typ, m.KeyAt, path, "functions get no stage variables")
	case "Models":
		t.note(NotServed, a.typ, m.KeyAt, path, "bodies are held to a contract: Metadata: Casemate: contract: {file: ...}")
	case "MethodSettings", "RouteSettings", "DefaultRouteSettings":
		t.note(NotServed, a.typ, m.KeyAt, path, "rates stand under Metadata: Casemate: rate")
	case "ApiKeySourceType":
		if m.Value.Text != "HEADER" {
			t.bad(m.Value.At, path, "leave it out", "API keys come in the header x-api-key alone")
		}
	}
}

// event adds the route of an Api or HttpApi event.
func (t *translator) event(f *function, name string, typ string, props template.Value, at template.Position, path string) {
	id, key := implicitREST, "RestApiId"
	if typ == "HttpApi" {
		id, key = implicitHTTP, "ApiId"
	}
	if v, ok := props.Get(key); ok {
		if id = t.apiID(v); id == "" {
			t.bad(v.At, path+"/"+key, "refer to an API of this template", "there is no such API in the template")
			return
		}
	}
	a := t.apis[id]
	if a == nil {
		a = t.api(id, nil)
		a.at, a.typ, a.props = at, "AWS::Serverless::"+typ, t.stack.Globals[typ]
	}
	method, pathOf := "ANY", ""
	if v, ok := props.StringAt("Method", path, &t.found); ok {
		method = strings.ToUpper(strings.ReplaceAll(strings.ToUpper(v), "X-AMAZON-APIGATEWAY-ANY-METHOD", "ANY"))
	} else if typ == "Api" {
		t.bad(at, path, "Method: get", "the event has no Method")
	}
	if v, ok := props.StringAt("Path", path, &t.found); ok {
		pathOf = v
	} else if typ == "Api" {
		t.bad(at, path, "Path: /hello", "the event has no Path")
		return
	}
	w := &way{api: a, function: f, at: at, path: path, key: routeKey(method, pathOf)}
	w.auth, _ = props.Get("Auth")
	for _, m := range props.Members {
		switch m.Key {
		case "Method", "Path", "RestApiId", "ApiId", "Auth", "PayloadFormatVersion":
		case "TimeoutInMillis":
			w.millis, _ = props.IntAt(m.Key, path, 50, 900_000, &t.found)
		case "ResponseTransferMode":
			w.stream = m.Value.Text == "STREAM"
		case "RequestModel", "RequestParameters", "RouteSettings":
			t.note(NotServed, a.typ, m.KeyAt, path+"/"+m.Key, "requests are held to a contract, and rates set, under Metadata: Casemate: routes")
		default:
			t.bad(m.KeyAt, path+"/"+m.Key, "", "an event of type %s has no such property", typ)
		}
	}
	if v, ok := props.Get("PayloadFormatVersion"); ok && t.wants(v, path+"/PayloadFormatVersion", template.String) {
		w.payload = v.Text
	}
	t.way(w)
}

// way adds a route that is well formed, once.
func (t *translator) way(w *way) {
	if _, _, err := route.Parse(w.key); err != nil {
		t.bad(w.at, w.path, "", "%v", err)
		return
	}
	for _, o := range w.api.routes {
		if o.key == w.key {
			if o.function != w.function {
				t.bad(w.at, w.path, "", "%s leads to %s already", w.key, o.function.ID)
			}
			return
		}
	}
	w.api.routes = append(w.api.routes, w)
}

func routeKey(method, path string) string {
	if path == "" || path == "$default" {
		return "$default"
	}
	return method + " " + path
}

// apiID finds an API by its logical id or by what Ref answers for it.
func (t *translator) apiID(v template.Value) string {
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if isAPI(r.ID, r.Type) && (v.Text == r.ID || v.Text == t.names.api(r.ID)) {
			return r.ID
		}
	}
	for _, id := range []string{implicitREST, implicitHTTP} {
		if v.Text == id || v.Text == t.names.api(id) {
			return id
		}
	}
	return ""
}

// routes writes the routes of every API into the manifest, and the role of those who call them.
func (t *translator) routes() {
	for _, id := range keys(t.apis) {
		a := t.apis[id]
		t.settings(a)
		if body, ok := a.props.Get("DefinitionBody"); ok {
			t.definition(a, body, a.path()+"/DefinitionBody")
		}
		if body, ok := a.props.Get("Body"); ok {
			t.definition(a, body, a.path()+"/Body")
		}
		t.parts(a)
		for _, w := range a.routes {
			t.route(w)
		}
		if len(a.routes) > 0 {
			t.note(Honoured, a.typ, a.at, "Resources/"+id, "%s, at the root of the node's address and not below a stage", counting(len(a.routes), "route"))
		} else {
			t.note(Ignored, a.typ, a.at, "Resources/"+id, "no function has a route of it")
		}
	}
	t.callersRole()
}

// route writes one route. What Metadata says of its API is laid over it.
func (t *translator) route(w *way) {
	r := mapping(w.at)
	set(r, "function", text(w.at, w.function.name))
	if host := w.api.host; host != "" {
		set(r, "host", text(w.at, host))
	}
	if w.stream {
		set(r, "response", text(w.at, "stream"))
	}
	if w.millis > 0 {
		set(r, "timeout", text(w.at, strconv.Itoa(w.millis)+"ms"))
	}
	switch {
	case !w.api.http:
		set(r, "payload", text(w.at, "rest"))
	case w.payload != "" && w.payload != "2.0":
		set(r, "payload", text(w.at, w.payload))
	}
	if w.api.stage != "$default" {
		set(r, "stage", text(w.at, w.api.stage))
	}
	if c, ok := w.api.corsOf(w).of(w); ok {
		set(r, "cors", c)
	}
	t.access(r, w)
	over := *mapping(w.at)
	for _, m := range w.api.meta.Members {
		if m.Key != "open" && m.Key != "auth" {
			over.Members = append(over.Members, m)
		}
	}
	merge(r, over)
	if all, _ := t.doc.Get("routes"); all.Kind == template.Map {
		if _, twice := all.Get(w.key); twice {
			t.bad(w.at, w.path, "give one a Domain, or Metadata: Casemate: host", "another API of this template has the route %s", w.key)
			return
		}
	}
	t.put("routes", w.key, *r)
}

// callersRole is the role for keys and signatures of callers: each may call the routes that take them, and nothing else.
func (t *translator) callersRole() {
	if len(t.callers) == 0 {
		return
	}
	r := mapping(t.doc.At)
	for _, k := range t.callers {
		add(r, "grants", text(t.doc.At, "call "+callable(k)))
	}
	if t.plan != "" {
		set(r, "plan", text(t.doc.At, t.plan))
	}
	name := t.App + "-callers"
	t.put("roles", name, *r)
	t.note(Honoured, "", t.doc.At, "Resources", "role %s may call the routes that take keys and signatures: casemate keys create --role %s", name, name)
}

// callable is a route as a grant names it.
func callable(key string) string {
	if key == "$default" {
		return "*"
	}
	return key
}
