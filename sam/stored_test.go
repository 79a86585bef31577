package sam

import (
	"slices"
	"strings"
	"testing"

	"casemate/sam/template"
)

// Ref of a secret is its ARN, which ends in what is drawn when it is made: whoever may read the one may read the other.
func TestRefOfASecretIsItsWholeARN(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
	for policy, want := range map[string]string{
		"AWSSecretsManagerGetSecretValuePolicy: {SecretArn: !Ref G}":                                                `["` + arn + `prod/db","` + arn + `prod/db-??????"]`,
		"Statement: [{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: [!Ref G, 'arn:aws:s3:::b']}]": `["` + arn + `prod/db","arn:aws:s3:::b","` + arn + `prod/db-??????"]`,
		"Statement: [{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Sub '${G}-*'}]":              `"` + arn + `prod/db-*"`,
		"Statement: [{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: '" + arn + "elsewhere'}]":     `"` + arn + `elsewhere"`,
	} {
		parsed, found := template.Parse("template.yaml", []byte(app("Policies: [{"+policy+"}]", "G: {Type: AWS::SecretsManager::Secret, Properties: {Name: prod/db, GenerateSecretString: {}}}")))
		if len(found) > 0 {
			t.Fatal(found)
		}
		stack, found := Resolve(parsed, template.Inputs{}, setting())
		if len(found) > 0 {
			t.Fatal(found)
		}
		got, found := Translate(stack, setting())
		if len(found) > 0 {
			t.Fatal(found)
		}
		if s := string(got.Manifest.Data); !strings.Contains(s, want) {
			t.Errorf("%s: no %s in %s", policy, want, s)
		}
	}
}

// Values reach the store and nothing else: no manifest, no note, no message.
func TestStoredValuesAreInNoManifest(t *testing.T) {
	parsed, found := template.Parse("template.yaml", []byte("Parameters: {Token: {Type: String, NoEcho: true}}\n"+app("Policies: [SSMParameterReadPolicy: {ParameterName: !Ref P}]", `
S: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: !Sub "token=${Token}", Description: d}}
G: {Type: AWS::SecretsManager::Secret, Properties: {Name: prod/db, GenerateSecretString: {PasswordLength: 20, SecretStringTemplate: '{"user": "a"}', GenerateStringKey: password}}}
P: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Ref Token}}
L: {Type: AWS::SSM::Parameter, Properties: {Name: /a/b, Type: StringList, Value: "x,y"}}
`)))
	if len(found) > 0 {
		t.Fatal(found)
	}
	stack, found := Resolve(parsed, template.Inputs{Parameters: map[string]string{"Token": "hunter2"}}, setting())
	if len(found) > 0 {
		t.Fatal(found)
	}
	got, found := Translate(stack, setting())
	if len(found) > 0 {
		t.Fatal(found)
	}
	names := map[string]Stored{}
	for _, s := range got.Stored {
		names[s.Name] = s
	}
	if names["shop/S"].Value != "token=hunter2" || names["shop_P"].Value != "hunter2" || names["/a/b"].Type != "StringList" || names["prod/db"].Generate == nil ||
		string(names["prod/db"].Generate.Password) != `{"PasswordLength":20}` {
		t.Errorf("%+v", names)
	}
	if s := string(got.Manifest.Data); strings.Contains(s, "hunter2") || !strings.Contains(s, ":parameter/shop_P") {
		t.Errorf("the manifest is %s", s)
	}
	for _, n := range got.Notes {
		if strings.Contains(n.String(), "hunter2") || n.Class == Weak && strings.HasPrefix(n.Path, "Resources/S") {
			t.Error(n)
		}
	}
	for rest, want := range map[string]string{
		"S: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: a, GenerateSecretString: {}}}":                                                               "side by side",
		"S: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {SecretStringTemplate: 'x', GenerateStringKey: k}}}":                                 "no JSON mapping",
		"S: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {PasswordLenght: 3}}}":                                                               "PasswordLength",
		"S: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: a, KmsKeyId: k}}":                                                                            "the key cannot be used",
		"S: {Type: AWS::SSM::Parameter, Properties: {Type: SecureString, Value: a}}":                                                                                    "no type of a parameter",
		"S: {Type: AWS::SSM::Parameter, Properties: {Type: String}}":                                                                                                    "has no Value",
		"S: {Type: AWS::SSM::Parameter, Properties: {Name: a, Type: String, Value: a}}\nT: {Type: AWS::SSM::Parameter, Properties: {Name: /a, Type: String, Value: b}}": "is called",
	} {
		if said := refusal(t, app("", rest)); !strings.Contains(said, want) || !strings.Contains(said, "template.yaml:") {
			t.Errorf("%s: %s", rest, said)
		}
	}
}

func TestSecretReferencesStayOutOfTheEnvironment(t *testing.T) {
	for _, ref := range []string{"{{resolve:secretsmanager:prod/db:SecretString:password}}", "{{resolve:ssm-secure:/token:1}}"} {
		if said := refusal(t, app("Environment: {Variables: {A: '"+ref+"'}}", "")); !strings.Contains(said, "would be kept in clear") || !strings.Contains(said, "secretsmanager:GetSecretValue") {
			t.Errorf("%s: %s", ref, said)
		}
	}
}

func TestWebSocketsAreNamed(t *testing.T) {
	_, got := manifestOf(t, app("", `
Chat: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
Route: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Chat, RouteKey: $connect}}
Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Chat, StageName: prod}}
`))
	for _, id := range []string{"Chat", "Route", "Stage"} {
		if !slices.ContainsFunc(got.Notes, func(n Note) bool { return n.Path == "Resources/"+id && n.Class == NotServed }) {
			t.Errorf("nobody is told about %s: %v", id, got.Notes)
		}
	}
}
