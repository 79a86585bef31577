package sam

import "testing"

// Lambda checklist: 57
func TestTimeoutsOfIntegrations(t *testing.T) {
	m, _ := manifestOf(t, app(`
Events:
  A: {Type: Api, Properties: {Path: /a, Method: get, TimeoutInMillis: 60000, Auth: {ApiKeyRequired: true}}}
  B: {Type: HttpApi, Properties: {Path: /b, Method: get, TimeoutInMillis: 5000, Auth: {Authorizer: AWS_IAM}}}
`, `
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: v1
    DefinitionBody:
      swagger: "2.0"
      info: {title: shop}
      securityDefinitions: {api_key: {type: apiKey, name: x-api-key, in: header}}
      paths:
        /c:
          get: {security: [{api_key: []}], x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, timeoutInMillis: 120000, uri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations"}}
`))
	for path, want := range map[string]string{
		"routes|GET /a|timeout": `"60000ms"`, "routes|GET /b|timeout": `"5000ms"`, "routes|GET /c|timeout": `"120000ms"`,
	} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s", path, s)
		}
	}
}

// Words of the manifest need no quotes under Metadata, although CloudFormation takes them for booleans.
func TestWordsThatLookLikeBooleans(t *testing.T) {
	m, _ := manifestOf(t, app(`
Events:
  A: {Type: Api, Properties: {Path: /a, Method: get, Auth: {ApiKeyRequired: true}}}
Environment: {Variables: {FLAG: off}}
`, `
ServerlessRestApi:
  Type: AWS::Serverless::Api
  Metadata: {Casemate: {leaks: {traces: off}}}
  Properties: {StageName: v1}
`))
	for path, want := range map[string]string{"functions|shop-F|env": `{"FLAG":"false"}`, "routes|GET /a|leaks": `{"traces":"off"}`} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s", path, s)
		}
	}

}
