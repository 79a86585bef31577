package sam

import (
	"strings"
	"testing"
	"time"

	"casemate"
)

// A REST API of single resources and methods, and an HTTP API of routes and integrations, come to routes with their credentials.
func TestPartsOfAnAPI(t *testing.T) {
	const uri = "!Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations'"
	m, got := manifestOf(t, app("", `R: {Type: AWS::ApiGateway::RestApi, Properties: {Name: r, Policy: ''}}
Items: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref R, ParentId: !GetAtt R.RootResourceId, PathPart: items}}
One: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref R, ParentId: !Ref Items, PathPart: '{id}'}}
Ask: {Type: AWS::ApiGateway::Authorizer, Properties: {RestApiId: !Ref R, Name: ask, Type: TOKEN, IdentitySource: method.request.header.X-Token, AuthorizerUri: `+uri+`}}
Get: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !Ref One, HttpMethod: get, AuthorizationType: CUSTOM, AuthorizerId: !Ref Ask, Integration: {Type: AWS_PROXY, IntegrationHttpMethod: POST, Uri: `+uri+`}}}
Post: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !Ref Items, HttpMethod: POST, AuthorizationType: NONE, ApiKeyRequired: true, Integration: {Type: AWS_PROXY, Uri: `+uri+`}}}
Pre: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !Ref Items, HttpMethod: OPTIONS, AuthorizationType: NONE, Integration: {Type: MOCK, IntegrationResponses: [{StatusCode: 204, ResponseParameters: {method.response.header.Access-Control-Allow-Origin: "'https://a.example'", method.response.header.Access-Control-Allow-Headers: "'X-A,X-B'"}}]}}}
S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: !Ref R, StageName: v1, DeploymentId: x}}
H: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: h, ProtocolType: HTTP}}
I: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref H, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt F.Arn, PayloadFormatVersion: '2.0'}}
J: {Type: AWS::ApiGatewayV2::Authorizer, Properties: {ApiId: !Ref H, Name: J, AuthorizerType: JWT, IdentitySource: [$request.header.Authorization], JwtConfiguration: {Issuer: 'https://i.example', Audience: [a]}}}
W: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref H, RouteKey: GET /w, Target: !Sub 'integrations/${I}', AuthorizationType: JWT, AuthorizerId: !Ref J, AuthorizationScopes: [read]}}
X: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref H, RouteKey: $default, Target: !Join [/, [integrations, !Ref I]], AuthorizationType: AWS_IAM}}`))
	for path, want := range map[string]string{
		"routes|GET /items/{id}":       `{"auth":["authorizer:ask"],"function":"shop-F","payload":"rest","stage":"v1"}`,
		"routes|POST /items":           `{"auth":["key"],"cors":{"headers":["X-A","X-B"],"origins":["https://a.example"]},"function":"shop-F","payload":"rest","stage":"v1"}`,
		"routes|GET /w":                `{"auth":["jwt"],"function":"shop-F","scopes":["read"]}`,
		"routes|$default":              `{"auth":["sigv4"],"function":"shop-F"}`,
		"authorizers|ask|identity":     `["header x-token"]`,
		"roles|shop-ask|grants":        `["call GET /items/{id}"]`,
		"roles|shop-callers|grants":    `["call *","call POST /items"]`,
		"auth|jwt":                     `[{"algorithms":["RS256","RS384","RS512"],"audience":["a"],"issuer":"https://i.example","role":"shop-j"}]`,
		"routes|OPTIONS /items|method": "",
	} {
		if x := at(m, path); x != want {
			t.Errorf("%s is %s, not %s", path, x, want)
		}
	}
	if len(got.Outputs) != 0 {
		t.Error(got.Outputs)
	}
}

// Whom an API's parts would let in is never guessed: what is not understood stops the deploy.
func TestPartsThatAreNotUnderstood(t *testing.T) {
	const r = "R: {Type: AWS::ApiGateway::RestApi, Properties: {Name: r}}\n"
	const h = "H: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: h, ProtocolType: HTTP}}\n"
	const to = "Integration: {Type: AWS_PROXY, Uri: !GetAtt F.Arn}"
	const m = r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !GetAtt R.RootResourceId, HttpMethod: GET, "
	const custom = "C: {Type: 'Custom::X', Properties: {ServiceToken: x}}\n"
	for _, c := range []struct{ rest, want string }{
		{r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !GetAtt R.RootResourceId, HttpMethod: GET, AuthorizationType: CUSTOM, AuthorizerId: x, " + to + "}}", "M/Properties/AuthorizerId: the authorizer of"},
		{r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: x, HttpMethod: GET, AuthorizationType: AWS_IAM, " + to + "}}", "the method has no place in the API"},
		{r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !GetAtt R.RootResourceId, HttpMethod: GET, AuthorizationType: NONE, " + to + "}}", "anybody may call GET /"},
		{r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !GetAtt R.RootResourceId, HttpMethod: GET, AuthorizationType: AWS_IAM, ApiKeyRequired: true, " + to + "}}", "cannot ask for two at once"},
		{r + "M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref R, ResourceId: !GetAtt R.RootResourceId, HttpMethod: GET, AuthorizationType: AWS_IAM, Integration: {Type: HTTP_PROXY, Uri: 'https://x.example'}}}", "an integration of type"},
		{r + "A: {Type: AWS::ApiGateway::Authorizer, Properties: {RestApiId: !Ref R, Name: a, Type: COGNITO_USER_POOLS, ProviderARNs: [x]}}", "A/Properties/ProviderARNs: a user pool does not say"},
		{h + "W: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref H, RouteKey: GET /w, Target: integrations/x, AuthorizationType: AWS_IAM}}", "the route leads to no integration of this API"},
		{m + "AuthorizationType: [AWS_IAM], " + to + "}}", "M/Properties/AuthorizationType: a text is wanted here"},
		{m + "AuthorizationTyp: AWS_IAM, " + to + "}}", "M/Properties/AuthorizationTyp: AWS::ApiGateway::Method has no such property (did you mean AuthorizationType?)"},
		{m + "AuthorizerId: x, " + to + "}}", "M/Properties/AuthorizerId: an authorizer is named, and nobody is asked"},
		{m + "AuthorizationType: AWS_IAM, AuthorizationScopes: read, " + to + "}}", "M/Properties/AuthorizationScopes: a list is wanted here"},
		{custom + m + "AuthorizationType: AWS_IAM, AuthorizationScopes: !GetAtt C.Scopes, " + to + "}}", "M/Properties/AuthorizationScopes: C.Scopes is only known after deployment"},
		{custom + m + "AuthorizationType: AWS_IAM, AuthorizationScopes: [!GetAtt C.Scope], " + to + "}}", "M/Properties/AuthorizationScopes: C.Scope is only known after deployment"},
		{"A: {Type: AWS::Serverless::Api, Properties: {DefinitionBody: {paths: {/x: {get: {security: [{AWS_IAM: read}], x-amazon-apigateway-integration: {type: aws_proxy, uri: !GetAtt F.Arn}}}}}}}", "/security: a list is wanted here"},
		{"W: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: abc, RouteKey: GET /w}}", "W: it is a part of an API that is not in the template"},
	} {
		s := setting()
		if !strings.Contains(c.want, "anybody may call") {
			s.Open = &casemate.Exception{Reason: "a shop", Expires: time.Now()} // which is for what says that it is open
		}
		if _, found := made(t, app("", c.rest), s); !strings.Contains(found.Err().Error(), c.want) {
			t.Errorf("%s\n%v\nnot %s", c.rest, found, c.want)
		}
	}
}

// What is in a bucket is taken from beside the template, where its tool says that it lies there.
func TestAssets(t *testing.T) {
	s := setting()
	s.Assets = map[string]string{"abc.zip": "asset.abc", "app.zip": "app.zip"}
	for code, want := range map[string]string{"{S3Bucket: b, S3Key: abc.zip}": "asset.abc", "{S3Bucket: !Ref B, S3Key: x/y/app.zip}": "app.zip", "{S3Bucket: b, S3Key: no.zip}": ""} {
		text := app("", "B: {Type: AWS::S3::Bucket}\nG: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.12, Handler: a.b, Code: "+code+"}}")
		got, found := made(t, text, s)
		if (want == "") != (len(found) > 0) || want != "" && !strings.Contains(string(got.Manifest.Data), `"code": "`+want+`"`) {
			t.Errorf("%s: %v", code, found)
		}
	}
	m, _ := manifestOf(t, app("", "G: {Type: AWS::Lambda::Function, Metadata: {'aws:asset:path': asset.z, 'aws:asset:property': Code}, Properties: {Runtime: python3.12, Handler: a.b, Code: {S3Bucket: b, S3Key: z.zip}, Layers: [!Ref L]}}\n"+
		"L: {Type: AWS::Lambda::LayerVersion, Metadata: {'aws:asset:path': asset.l, 'aws:asset:property': Content}, Properties: {Content: {S3Bucket: b, S3Key: l.zip}}}"))
	if at(m, "functions|shop-G|code") != `"asset.z"` || at(m, "functions|shop-G|layers") != `["./asset.l"]` {
		t.Error(m)
	}
}

// The command line does not know the node's processor: the node refuses code for another one.
func TestProcessorIsTheNodes(t *testing.T) {
	text := app("CodeUri: b\nRuntime: provided.al2023\nHandler: bootstrap\nArchitectures: [arm64]", "")
	s := setting()
	for arch, want := range map[string]int{"": 0, "arm64": 0, "x86_64": 1} {
		s.Arch = arch
		if _, found := made(t, text, s); len(found) != want {
			t.Errorf("%q: %v", arch, found)
		}
	}
}
