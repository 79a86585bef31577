package sam

import (
	"slices"
	"strings"

	"casemate/sam/template"
)

// definition reads the routes of an inline OpenAPI or Swagger document, by their integrations
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html). Routes that events declare are
// added to them, as SAM does.
func (t *translator) definition(a *api, doc template.Value, path string) {
	paths, ok := doc.Get("paths")
	if !ok || paths.Kind != template.Map {
		t.bad(doc.At, path, "paths: {/hello: {get: ...}}", "the definition has no paths")
		return
	}
	if v, ok := doc.Get("x-amazon-apigateway-policy"); ok {
		t.bad(v.At, path+"/x-amazon-apigateway-policy", "resources: route/... under Metadata: Casemate", "the resource policy of an API cannot be kept as it is")
	}
	if v, ok := doc.Get("x-amazon-apigateway-cors"); ok && len(a.cors.origins) == 0 {
		a.cors = t.openAPICors(a, v, path+"/x-amazon-apigateway-cors")
	}
	schemes := t.schemes(a, doc, path)
	for _, p := range paths.Members {
		for _, m := range p.Value.Members {
			at := path + "/paths/" + strings.ReplaceAll(p.Key, "/", "~1") + "/" + m.Key
			method := strings.ToUpper(m.Key)
			switch {
			case m.Key == "x-amazon-apigateway-any-method":
				method = "ANY"
			case !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method):
				continue // parameters, summary and the like
			}
			t.operation(a, doc, m, routeKey(method, p.Key), at, schemes)
		}
	}
}

func (t *translator) openAPICors(a *api, v template.Value, path string) cors {
	renamed := mapping(v.At)
	for _, m := range v.Members {
		if m.Key != "" {
			renamed.Members = append(renamed.Members, template.Member{Key: strings.ToUpper(m.Key[:1]) + m.Key[1:], KeyAt: m.KeyAt, Value: m.Value})
		}
	}
	return t.cors(a, *renamed, path)
}

// operation adds the route of one operation.
func (t *translator) operation(a *api, doc template.Value, m template.Member, key, path string, schemes map[string]*authorizer) {
	in, ok := m.Value.Get("x-amazon-apigateway-integration")
	if !ok {
		for _, w := range a.routes { // an event declares what is called
			if w.key == key {
				return
			}
		}
		t.bad(m.KeyAt, path, "x-amazon-apigateway-integration, or an event of a function", "the operation leads to nothing")
		return
	}
	kind, _ := in.Get("type")
	uri, _ := in.Get("uri")
	switch lower := strings.ToLower(kind.Text); {
	case lower == "mock" && strings.HasPrefix(key, "OPTIONS "):
		t.preflight(a, in, strings.TrimPrefix(key, "OPTIONS "), m.KeyAt, path)
		return
	case lower != "aws_proxy":
		t.bad(in.At, path, "type: aws_proxy", "an integration of type %s is not made", kind.Quoted())
		return
	}
	f := t.functionOf(uri)
	if f == nil {
		t.bad(in.At, path, "uri: with the Arn of a function of this template", "the integration leads to no function of the template")
		return
	}
	w := &way{api: a, function: f, key: key, at: m.KeyAt, path: path}
	for i, o := range a.routes { // the definition says more than the event, but for whom the event lets in
		if o.key == key && o.function == f {
			w.auth, w.path = o.auth, o.path
			a.routes = slices.Delete(a.routes, i, i+1)
			break
		}
	}
	if format, ok := in.Get("payloadFormatVersion"); ok {
		w.payload = format.Text
	} else if a.http {
		w.payload = "1.0" // of an integration that names none
	}
	transfer, _ := in.Get("responseTransferMode")
	w.stream = transfer.Text == "STREAM"
	w.millis, _ = in.IntAt("timeoutInMillis", path, 50, 900_000, &t.found)
	security, said := m.Value.Get("security")
	if !said {
		security, said = doc.Get("security")
	}
	if said && len(security.List) > 0 && len(w.auth.Members) == 0 {
		t.secured(w, security, schemes)
	}
	t.way(w)
}

// secured translates the security of an operation: its schemes are alternatives, those of one entry must all hold
// (https://spec.openapis.org/oas/v3.0.3#security-requirement-object).
func (t *translator) secured(w *way, security template.Value, schemes map[string]*authorizer) {
	w.said = true
	for _, s := range security.List {
		if len(s.Members) != 1 {
			t.bad(s.At, w.path+"/security", "one scheme an entry", "a route takes one of its credentials, and cannot ask for two at once")
			continue
		}
		m := s.Members[0]
		x := schemes[m.Key]
		if x == nil {
			if m.Key != "NONE" {
				t.bad(m.KeyAt, w.path+"/security", template.Nearest(m.Key, keys(schemes)), "there is no security scheme %s that can be kept", m.Key)
			}
			continue
		}
		w.kinds = append(w.kinds, x.kind)
		for _, scope := range m.Value.List {
			if t.wants(scope, w.path+"/security", template.String) {
				w.scopes = append(w.scopes, scope.Text)
			}
		}
		if m.Value.Kind != template.Null { // or tokens without a scope would do
			t.wants(m.Value, w.path+"/security", template.List)
		}
		if x.role != "" {
			t.mayCall(x.role, w)
		}
	}
}

// schemes are the security schemes of a definition.
func (t *translator) schemes(a *api, doc template.Value, path string) map[string]*authorizer {
	out := map[string]*authorizer{"api_key": {kind: "key"}, "AWS_IAM": {kind: "sigv4"}} // as SAM calls them
	for name, x := range a.auth.authorizers {
		out[name] = x
	}
	all, ok := doc.Get("securityDefinitions") // Swagger 2
	path += "/securityDefinitions"
	if !ok {
		components, _ := doc.Get("components")
		all, _ = components.Get("securitySchemes")
	}
	for _, m := range all.Members {
		own, custom := m.Value.Get("x-amazon-apigateway-authorizer")
		method, _ := m.Value.Get("x-amazon-apigateway-authtype")
		kind, _ := m.Value.Get("type")
		header, _ := m.Value.Get("name")
		switch {
		case strings.EqualFold(method.Text, "awsSigv4"):
			out[m.Key] = &authorizer{kind: "sigv4"}
		case custom:
			if x := t.definedAuthorizer(a, m, own, header.Text, path+"/"+m.Key); x != nil {
				out[m.Key] = x
			}
		case kind.Text == "apiKey" && strings.EqualFold(header.Text, "x-api-key"):
			out[m.Key] = &authorizer{kind: "key"}
		}
	}
	return out
}

// definedAuthorizer reads x-amazon-apigateway-authorizer, as what SAM writes for the Auth of an API.
func (t *translator) definedAuthorizer(a *api, m template.Member, own template.Value, header, path string) *authorizer {
	v := mapping(m.KeyAt)
	kind, _ := own.Get("type")
	if jwt, ok := own.Get("jwtConfiguration"); ok {
		set(v, "JwtConfiguration", jwt)
		if source, ok := own.Get("identitySource"); ok {
			set(v, "IdentitySource", source)
		}
		return t.authorizer(a, template.Member{Key: m.Key, KeyAt: m.KeyAt, Value: *v}, path)
	}
	uri, ok := own.Get("authorizerUri")
	if !ok || !slices.Contains([]string{"token", "request"}, kind.Text) {
		t.bad(own.At, path, "type: token, request or jwt", "an authorizer of type %s cannot be kept", kind.Quoted())
		return nil
	}
	set(v, "FunctionArn", uri)
	set(v, "FunctionPayloadType", text(kind.At, strings.ToUpper(kind.Text)))
	id := mapping(own.At)
	for _, s := range []struct{ from, to string }{{"identityValidationExpression", "ValidationExpression"}, {"authorizerResultTtlInSeconds", "ReauthorizeEvery"}} {
		if x, ok := own.Get(s.from); ok {
			set(id, s.to, x)
		}
	}
	source, ok := own.Get("identitySource")
	if kind.Text == "token" {
		set(id, "Header", text(kind.At, header))
	} else if ok {
		t.identitySource(id, source, path)
	}
	set(v, "Identity", *id)
	if format, ok := own.Get("authorizerPayloadFormatVersion"); ok {
		set(v, "AuthorizerPayloadFormatVersion", format)
	}
	return t.authorizer(a, template.Member{Key: m.Key, KeyAt: m.KeyAt, Value: *v}, path)
}

// identitySource reads "method.request.header.Authorization, method.request.querystring.tenant" and "$request.header.Authorization".
func (t *translator) identitySource(id *template.Value, v template.Value, path string) {
	for _, s := range items(v) {
		parts := strings.SplitN(strings.TrimPrefix(strings.TrimPrefix(s, "method."), "$"), ".", 3)
		to := ""
		if len(parts) == 3 && parts[0] == "request" {
			to = map[string]string{"header": "Headers", "querystring": "QueryStrings"}[parts[1]]
		}
		if to == "" {
			t.bad(v.At, path+"/identitySource", "method.request.header.Authorization", "an authorizer is asked by headers and query strings alone")
			continue
		}
		add(id, to, text(v.At, parts[2]))
	}
}
