package sam

import (
	"strings"

	"casemate/sam/template"
)

// parts adds the routes of an API that is written as single resources: the methods of a REST API, the routes of an HTTP API. Each is
// read as the operation of a definition that says the same
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigateway-method.html,
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigatewayv2-route.html).
func (t *translator) parts(a *api) {
	schemes := map[string]*authorizer{"api_key": {kind: "key"}, "AWS_IAM": {kind: "sigv4"}}
	for i := range t.stack.Resources {
		if r := &t.stack.Resources[i]; strings.HasSuffix(r.Type, "::Authorizer") && t.apiOf(r) == a {
			if schemes[r.ID] = t.authorizerResource(a, r); schemes[r.ID] == nil {
				schemes[r.ID] = &authorizer{} // refused: who names it need not be told again
			}
		}
	}
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if t.apiOf(r) != a {
			continue
		}
		switch r.Type {
		case "AWS::ApiGateway::Method":
			t.method(a, r, schemes)
		case "AWS::ApiGatewayV2::Route":
			t.routeResource(a, r, schemes)
		}
	}
}

// apiOf is the API that a resource is a part of; nil: of none that is in the template.
func (t *translator) apiOf(r *template.Resource) *api {
	key := "ApiId"
	if strings.HasPrefix(r.Type, "AWS::ApiGateway::") {
		key = "RestApiId"
	}
	v, ok := r.Properties.Get(key)
	if !ok || v.Unknown != "" || !strings.HasPrefix(r.Type, "AWS::ApiGateway") {
		return nil
	}
	return t.apis[t.apiID(v)]
}

// method adds the route of a method of a REST API.
func (t *translator) method(a *api, r *template.Resource, schemes map[string]*authorizer) {
	path := "Resources/" + r.ID + "/Properties"
	verb, ok := r.Properties.StringAt("HttpMethod", path, &t.found)
	under, _ := r.Properties.Get("ResourceId")
	where, known := t.resourcePath(a, under, 0)
	if !ok || !known {
		t.bad(r.At, path, "HttpMethod: GET, and the ResourceId of an AWS::ApiGateway::Resource of this API", "the method has no place in the API")
		return
	}
	in, _ := r.Properties.Get("Integration")
	made := mapping(in.At)
	for _, m := range in.Members {
		if m.Key != "IntegrationResponses" {
			set(made, lower(m.Key), m.Value)
		} else if len(m.Value.List) > 0 { // as a definition has them
			x := m.Value.List[0]
			given, _ := x.Get("ResponseParameters")
			all, by := mapping(x.At), mapping(x.At)
			set(all, "responseParameters", given)
			set(by, "default", *all)
			set(made, "responses", *by)
		}
	}
	for _, m := range r.Properties.Members {
		if m.Key == "RequestValidatorId" || m.Key == "RequestModels" {
			t.note(NotServed, r.Type, m.KeyAt, path+"/"+m.Key, "bodies are held to a contract: Metadata: Casemate: contract: {file: ...}")
		}
	}
	key := routeKey(strings.ToUpper(verb), where)
	t.operation(a, *mapping(r.At), t.asOperation(r, *made, path), key, path, schemes)
}

// resourcePath is the path of an AWS::ApiGateway::Resource of an API, by its id.
func (t *translator) resourcePath(a *api, v template.Value, depth int) (string, bool) {
	if v.Unknown != "" || v.Text == "" || depth > 64 {
		return "", false
	}
	if v.Text == t.names.root(a.id) {
		return "/", true
	}
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if r.Type != "AWS::ApiGateway::Resource" || v.Text != t.names.part(r.ID) || t.apiOf(r) != a {
			continue
		}
		parent, _ := r.Properties.Get("ParentId")
		part, _ := r.Properties.Get("PathPart")
		above, ok := t.resourcePath(a, parent, depth+1)
		return strings.TrimSuffix(above, "/") + "/" + part.Text, ok && part.Unknown == "" && part.Text != ""
	}
	return "", false
}

// routeResource adds a route of an HTTP API.
func (t *translator) routeResource(a *api, r *template.Resource, schemes map[string]*authorizer) {
	path := "Resources/" + r.ID + "/Properties"
	key, ok := r.Properties.StringAt("RouteKey", path, &t.found)
	if !ok {
		t.bad(r.At, path, "RouteKey: GET /hello", "the route has no RouteKey")
		return
	}
	target, _ := r.Properties.Get("Target")
	for i := range t.stack.Resources {
		x := &t.stack.Resources[i]
		if x.Type != "AWS::ApiGatewayV2::Integration" || target.Text != "integrations/"+t.names.part(x.ID) || t.apiOf(x) != a {
			continue
		}
		made := mapping(x.At)
		for _, m := range x.Properties.Members {
			name := lower(m.Key)
			switch m.Key {
			case "IntegrationType":
				name = "type"
			case "IntegrationUri":
				name = "uri"
			case "RequestParameters", "ResponseParameters":
				t.bad(m.KeyAt, "Resources/"+x.ID+"/Properties/"+m.Key, "leave it out", "the function would get another event than it expects")
			}
			set(made, name, m.Value)
		}
		t.operation(a, *mapping(r.At), t.asOperation(r, *made, path), key, path, schemes)
		return
	}
	t.bad(r.At, path+"/Target", `Target: !Sub "integrations/${Integration}"`, "the route leads to no integration of this API")
}

// asOperation is a method or a route as the operation of a definition.
func (t *translator) asOperation(r *template.Resource, integration template.Value, path string) template.Member {
	op := mapping(r.At)
	set(op, "x-amazon-apigateway-integration", integration)
	for _, m := range r.Properties.Members {
		if !partProperties[m.Key] { // a word that is spelled wrong would open the route
			t.bad(m.KeyAt, path+"/"+m.Key, template.Nearest(m.Key, keys(partProperties)), "%s has no such property", r.Type)
		}
	}
	kind, said := r.Properties.Get("AuthorizationType")
	if said {
		t.wants(kind, path+"/AuthorizationType", template.String)
	}
	all := mapping(kind.At)
	scopes := texts(kind.At, t.scopes(r.Properties, path)...)
	switch kind.Text {
	case "", "NONE":
		if id, ok := r.Properties.Get("AuthorizerId"); ok {
			t.bad(id.At, path+"/AuthorizerId", "AuthorizationType: CUSTOM or JWT", "an authorizer is named, and nobody is asked for a credential")
		}
	case "AWS_IAM":
		set(all, "AWS_IAM", texts(kind.At))
	default:
		id, _ := r.Properties.Get("AuthorizerId")
		of := ""
		for _, x := range t.resources {
			if strings.HasSuffix(x.Type, "::Authorizer") && id.Unknown == "" && id.Text == t.names.part(x.ID) && t.apiOf(x) == t.apiOf(r) {
				of = x.ID
			}
		}
		if of == "" {
			t.bad(kind.At, path+"/AuthorizerId", "refer to an authorizer of this API", "the authorizer of %s is not known here", kind.Quoted())
		}
		set(all, of, scopes)
	}
	if key, _ := r.Properties.BoolAt("ApiKeyRequired", path, &t.found); key {
		set(all, "api_key", texts(r.At))
	}
	if len(all.Members) > 0 {
		set(op, "security", template.Value{Kind: template.List, At: r.At, List: []template.Value{*all}})
	}
	return template.Member{Key: r.ID, KeyAt: r.At, Value: *op}
}

// authorizerResource reads an authorizer that is a resource, as the x-amazon-apigateway-authorizer that says the same.
func (t *translator) authorizerResource(a *api, r *template.Resource) *authorizer {
	path := "Resources/" + r.ID + "/Properties"
	own := mapping(r.At)
	for _, m := range r.Properties.Members {
		switch m.Key {
		case "Type", "AuthorizerType":
			set(own, "type", text(m.Value.At, strings.ToLower(m.Value.Text)))
		case "JwtConfiguration":
			config := mapping(m.Value.At)
			for _, x := range m.Value.Members {
				set(config, lower(x.Key), x.Value)
			}
			set(own, "jwtConfiguration", *config)
		case "ProviderARNs":
			t.bad(m.KeyAt, path+"/"+m.Key, userPoolHint, "a user pool does not say for whom its tokens are")
			return nil
		default:
			set(own, lower(m.Key), m.Value)
		}
	}
	source, _ := own.Get("identitySource")
	if _, jwt := own.Get("jwtConfiguration"); jwt && len(source.List) == 1 {
		set(own, "identitySource", source.List[0])
	}
	name := r.ID
	if v, ok := r.Properties.Get("Name"); ok && v.Unknown == "" && v.Text != "" {
		name = v.Text
	}
	header := strings.TrimPrefix(source.Text, "method.request.header.")
	return t.definedAuthorizer(a, template.Member{Key: name, KeyAt: r.At, Value: *own}, *own, header, path)
}

// part names what belongs to an API and is read with it.
func (t *translator) part(r *template.Resource) {
	if t.apiOf(r) == nil {
		t.bad(r.At, "Resources/"+r.ID, "declare the API in the template", "it is a part of an API that is not in the template")
	}
}

// stage tells functions the stage of an API; what else it says has no meaning here.
func (t *translator) stageResource(r *template.Resource) {
	t.part(r)
	for _, m := range r.Properties.Members {
		at := "Resources/" + r.ID + "/Properties/" + m.Key
		switch m.Key {
		case "Variables", "StageVariables":
			t.note(NotServed, r.Type, m.KeyAt, at, "functions get no stage variables")
		case "MethodSettings", "RouteSettings", "DefaultRouteSettings":
			t.note(NotServed, r.Type, m.KeyAt, at, "rates stand under Metadata: Casemate: rate")
		case "ClientCertificateId":
			t.bad(m.KeyAt, at, "leave it out", "functions are called by the node itself")
		}
	}
	name, _ := r.Properties.Get("StageName")
	if a := t.apiOf(r); a != nil && name.Unknown == "" && name.Text != a.stage {
		t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "an API has one stage here: functions are told %s", a.stage)
	}
}

// staged is the stage that the resources of a template give an API.
func (t *translator) staged(a *api) string {
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if !strings.HasSuffix(r.Type, "::Stage") && !strings.HasSuffix(r.Type, "::Deployment") || t.apiOf(r) != a {
			continue
		}
		if v, ok := r.Properties.Get("StageName"); ok && v.Unknown == "" && v.Text != "" {
			return v.Text
		}
	}
	return ""
}

// usagePlanResource becomes the plan of the role of callers.
func (t *translator) usagePlanResource(r *template.Resource) {
	path := "Resources/" + r.ID + "/Properties"
	if t.plan != "" {
		t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "callers have one plan, %s: more of them stand under Metadata: Casemate: plans", t.plan)
		return
	}
	t.usagePlan(&api{id: r.ID, typ: r.Type}, r.Properties, path)
}

// keyResource names a key that is not made.
func (t *translator) keyResource(r *template.Resource) {
	t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "keys are not made by a template: casemate keys create --role %s-callers", t.App)
}

// modelResource names what bodies would be checked by.
func (t *translator) modelResource(r *template.Resource) {
	t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "bodies are held to a contract: Metadata: Casemate: contract: {file: ...}")
}

// domainResource names a domain, which an operator gives.
func (t *translator) domainResource(r *template.Resource) {
	if v, ok := r.Properties.Get("MutualTlsAuthentication"); ok {
		t.bad(v.At, "Resources/"+r.ID+"/Properties/MutualTlsAuthentication", "certificates: and auth: [certificate:<name>] under Metadata: Casemate", "certificates of callers cannot be read from a bucket")
	}
	t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "routes answer for every host and without a base path: host: under Metadata: Casemate of the API; certificates are the node's, casemate up --tls")
}

// partProperties are those that methods and routes have.
var partProperties = map[string]bool{"ApiId": true, "ApiKeyRequired": true, "AuthorizationScopes": true, "AuthorizationType": true, "AuthorizerId": true, "HttpMethod": true, "Integration": true,
	"MethodResponses": true, "ModelSelectionExpression": true, "OperationName": true, "RequestModels": true, "RequestParameters": true, "RequestValidatorId": true, "ResourceId": true,
	"RestApiId": true, "RouteKey": true, "RouteResponseSelectionExpression": true, "Target": true}

// lower is a key of a resource as definitions write it: AuthorizerUri is authorizerUri there.
func lower(key string) string {
	if key == "" {
		return key
	}
	return strings.ToLower(key[:1]) + key[1:]
}

// part is the id of what belongs to an API, and root that of the path / of a REST API: they only tell them apart.
func (n *names) part(id string) string { return n.api("part/" + id) }

func (n *names) root(api string) string { return n.api("root/" + api) }

// partTypes are those that others refer to by such an id.
var partTypes = map[string]bool{"AWS::ApiGateway::Resource": true, "AWS::ApiGateway::Authorizer": true, "AWS::ApiGateway::Deployment": true,
	"AWS::ApiGatewayV2::Integration": true, "AWS::ApiGatewayV2::Authorizer": true, "AWS::ApiGatewayV2::Deployment": true}
