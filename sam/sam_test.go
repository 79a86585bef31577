package sam

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/sam/template"
)

func setting() Setting {
	return Setting{App: "shop", Place: casemate.DefaultPlace, Arch: "x86_64", URL: func(f string) string { return "https://" + f + ".lambda-url.example/" }}
}

// made translates a template, or gives what is wrong with it.
func made(t testing.TB, text string, s Setting) (*Translation, template.Problems) {
	t.Helper()
	parsed, found := template.Parse("template.yaml", []byte(text))
	if len(found) > 0 {
		t.Fatal(found)
	}
	stack, found := Resolve(parsed, template.Inputs{}, s)
	if len(found) > 0 {
		t.Fatal(found)
	}
	return Translate(stack, s)
}

const hello = `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Timeout: 5, Runtime: python3.12}
  Api: {Auth: {ApiKeyRequired: true}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: hello/
      Handler: app.handler
      MemorySize: 256
      Environment: {Variables: {STAGE: dev, JOBS: !Ref Jobs}}
      VpcConfig: {SubnetIds: [a]}
      Policies:
        - AWSLambdaBasicExecutionRole
        - SQSSendMessagePolicy: {QueueName: !GetAtt Jobs.QueueName}
        - Statement: [{Effect: Allow, Action: "dynamodb:GetItem", Resource: !GetAtt Orders.Arn}]
      Events:
        Get: {Type: Api, Properties: {Path: "/hello/{name}", Method: get}}
        Pictures: {Type: S3, Properties: {Bucket: x, Events: "s3:ObjectCreated:*"}}
  Jobs: {Type: "AWS::SQS::Queue"}
  Orders: {Type: "AWS::DynamoDB::Table"}
Outputs:
  Url: {Value: !Sub "https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod/hello/"}
`

func TestTranslateMakesAManifest(t *testing.T) {
	got, found := made(t, hello, setting())
	if len(found) > 0 {
		t.Fatal(found)
	}
	var m any
	if err := json.Unmarshal(got.Manifest.Data, &m); err != nil {
		t.Fatal(err)
	}
	text, _ := json.MarshalIndent(m, "", " ")
	t.Logf("%s", text)
	for _, n := range got.Notes {
		t.Log(n)
	}
	t.Log(got.Outputs[0].Value.Text, got.APIs)
	_ = strings.TrimSpace
	_ = time.Now
}
