package sam

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestAliasesOfATemplate(t *testing.T) {
	m, got := manifestOf(t, app(`
FunctionName: orders
AutoPublishAlias: live
DeploymentPreference: {Type: Canary10Percent5Minutes, Hooks: {PreTraffic: !Ref F}}
`, `
V1: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref F}}
Try:
  Type: AWS::Lambda::Alias
  Properties:
    FunctionName: !GetAtt F.Arn
    Name: try
    FunctionVersion: !GetAtt V1.Version
    RoutingConfig: {AdditionalVersionWeights: [{FunctionVersion: "7", FunctionWeight: 0.25}]}
P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref Try, Action: lambda:InvokeFunction, Principal: "111122223333"}}
`)+"Outputs:\n  A: {Value: !Ref F.Alias}\n  B: {Value: !Ref Try}\n")
	for path, want := range map[string]string{"functions|orders|aliases|live": "{}", "functions|orders|versions": `["V1"]`,
		"functions|orders|aliases|try": `{"other":"7","version":"V1","weight":"0.25"}`} {
		if s := at(m, path); s != want {
			t.Errorf("%s is %s, want %s", path, s, want)
		}
	}
	if s := at(m, "resources|function/orders:try"); !strings.Contains(s, "111122223333") || at(m, "resources|function/orders") != "" {
		t.Errorf("the permission is about more than the alias: %s", at(m, "resources"))
	}
	for i, want := range []string{":function:orders:live", ":function:orders:try"} {
		if s := got.Outputs[i].Value.Text; !strings.HasSuffix(s, want) {
			t.Errorf("%s is %s", got.Outputs[i].Name, s)
		}
	}
	if !slices.ContainsFunc(got.Notes, func(n Note) bool {
		return n.Class == NotServed && strings.HasSuffix(n.Path, "DeploymentPreference") && strings.Contains(n.Text, "no hook")
	}) {
		t.Errorf("nobody is told about the hook: %v", got.Notes)
	}
	for rest, want := range map[string]string{
		"A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: x, FunctionVersion: !GetAtt F.Arn}}":                                                                                                       "is no version",
		"A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: live, FunctionVersion: $LATEST}}\nB: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: live, FunctionVersion: $LATEST}}": "has an alias \"live\" already",
		"A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: nobody, Name: x, FunctionVersion: $LATEST}}":                                                                                                             "no such function",
		"A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: x, Versoin: 1}}":                                                                                                                           "no such property",
	} {
		if said := refusal(t, app("", rest)); !strings.Contains(said, want) || !strings.Contains(said, "template.yaml:") {
			t.Errorf("%s: %s", rest, said)
		}
	}
}

func TestProvisionedAlias(t *testing.T) {
	m, _ := manifestOf(t, app("", "A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: x, FunctionVersion: $LATEST, Description: d, ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}}}"))
	var f struct {
		Provisioned int
		Aliases     map[string]struct{ Description string }
	}
	if err := json.Unmarshal([]byte(at(m, "functions|shop-F")), &f); err != nil || f.Provisioned != 2 || f.Aliases["x"].Description != "d" {
		t.Errorf("%+v, %v", f, err)
	}
}

// A permission keeps each of its conditions, and one that is misspelt stops the deploy: without it more callers would be let in.
func TestPermissionKeepsItsConditions(t *testing.T) {
	const p = "P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Action: lambda:InvokeFunction, Principal: '111122223333', %}}"
	m, _ := manifestOf(t, app("", strings.Replace(p, "%", "InvokedViaFunctionUrl: true, SourceAccount: '111122223333'", 1)))
	if s := at(m, "resources|function/shop-F"); !strings.Contains(s, `"lambda:InvokedViaFunctionUrl":"true"`) || !strings.Contains(s, `"aws:SourceAccount"`) {
		t.Error(s)
	}
	if said := refusal(t, app("", strings.Replace(p, "%", "SourceAcount: '111122223333'", 1))); !strings.Contains(said, "no such property") || !strings.Contains(said, "SourceAccount") {
		t.Error(said)
	}
}

// A URL stands on the alias that it names, by a qualifier or by the alias's ARN, and on that of AutoPublishAlias; what refers to it
// gets that address.
func TestURLOfAlias(t *testing.T) {
	m, got := manifestOf(t, app("", `A: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: live, FunctionVersion: $LATEST}}
B: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref F, Name: try, FunctionVersion: $LATEST}}
U: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !GetAtt F.Arn, Qualifier: live}}
N: {Type: AWS::Serverless::Function, Properties: {FunctionName: named, CodeUri: g, Runtime: python3.12, Handler: a.b}}
O: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !GetAtt N.Arn}}
V: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !Ref B, InvokeMode: RESPONSE_STREAM}}
G: {Type: AWS::Serverless::Function, Properties: {FunctionName: !Sub "${AWS::StackName}-G", CodeUri: g, Runtime: python3.12, Handler: a.b, AutoPublishAlias: now, FunctionUrlConfig: {AuthType: AWS_IAM}}}`)+
		"\nOutputs: {U: {Value: !GetAtt U.FunctionUrl}, V: {Value: !GetAtt V.FunctionUrl}, G: {Value: !GetAtt GUrl.FunctionUrl}, O: {Value: !GetAtt O.FunctionUrl}}\n")
	for path, want := range map[string]string{"functions|shop-F|url": "", "functions|shop-F|aliases|live|url": `{"auth":["sigv4"]}`,
		"functions|shop-F|aliases|try|url": `{"auth":["sigv4"],"response":"stream"}`, "functions|shop-G|url": "", "functions|shop-G|aliases|now|url": `{"auth":["sigv4"]}`} {
		if x := at(m, path); x != want {
			t.Errorf("%s is %s, not %s", path, x, want)
		}
	}
	for i, want := range []string{"https://shop-Flive.", "https://shop-Ftry.", "https://shop-Gnow.", "https://named."} {
		if x := got.Outputs[i].Value.Text; !strings.HasPrefix(x, want) {
			t.Error(x, want)
		}
	}
	_, found := made(t, app("", "U: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !GetAtt F.Arn, Qualifier: live}}"), setting())
	if !strings.Contains(found.Err().Error(), `the URL stands on "live", and the function has no such alias`) {
		t.Error(found)
	}
}
