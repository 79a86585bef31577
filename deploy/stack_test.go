package deploy

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"casemate"
	"casemate/deploy/diff"
	"casemate/sam"
)

const shopTemplate = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev}
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: orders/
      Handler: index.handler
      Runtime: nodejs20.x
      Environment: {Variables: {STAGE: !Ref Stage}}
      Policies:
        - SQSSendMessagePolicy: {QueueName: !GetAtt Jobs.QueueName}
      Events:
        Post: {Type: HttpApi, Properties: {Path: /orders, Method: post}}
  Tick:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      Runtime: python3.12
      InlineCode: |
        def handler(event, context): return 1
  Jobs: {Type: "AWS::SQS::Queue"}
  Pictures: {Type: "AWS::S3::Bucket"}
Metadata:
  Casemate:
    open: {reason: a public demonstration, expires: 2027-01-31}
Outputs:
  Url: {Value: !Sub "https://${ServerlessHttpApi}.execute-api.${AWS::Region}.amazonaws.com/orders"}
`

func templateProject(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "template.yaml", text)
	write(t, dir, "orders/index.js", "exports.handler = async () => 1")
	return dir
}

func packedTemplate(t testing.TB, dir string, q Template) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	q.File, q.Stack = "template.yaml", "shop"
	_, err := PackTemplate(dir, q.File, setting(), Options{Template: &q}, &b)
	return b.Bytes(), err
}

// Lambda checklist: 89
func TestTemplateDeploysTwiceAndChangesOnce(t *testing.T) {
	d, _ := deployer(t)
	d.cfg.Address = func() sam.Address { return sam.Address{HTTP: "http://127.0.0.1:8080", Domain: "lambda-url.localhost"} }
	dir := templateProject(t, shopTemplate)
	bundle, err := packedTemplate(t, dir, Template{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := packedTemplate(t, dir, Template{}); err != nil || !bytes.Equal(again, bundle) {
		t.Errorf("the same files make another bundle: %v", err)
	}
	out, err := d.Apply(t.Context(), bundle, "uid/0")
	if err != nil {
		t.Fatal(err)
	}
	if !out.Changed || out.Plan.Changes[0].Kind != diff.KindPermission || out.Versions["shop-Orders"] != 1 || out.Versions["shop-Tick"] != 1 {
		t.Errorf("%+v", out)
	}
	text := out.Plan.String()
	for _, want := range []string{"open to everybody until 2027-01-31", "not served yet\n", "template.yaml:25:3: Resources/Pictures: AWS::S3::Bucket is not made",
		"Resources/Orders: isolation warm", "Url: http://127.0.0.1:8080/orders", "function shop-Orders may: Allow sqs:SendMessage"} {
		if !strings.Contains(text, want) {
			t.Errorf("the deploy does not say %q:\n%s", want, text)
		}
	}
	if out, err = d.Apply(t.Context(), bundle, "uid/0"); err != nil || out.Changed || len(out.Plan.Changes) > 0 {
		t.Errorf("the second deploy changes something: %+v, %v", out, err)
	}
	other, err := packedTemplate(t, dir, Template{Parameters: map[string]string{"Stage": "prod"}})
	if err != nil {
		t.Fatal(err)
	}
	if out, err = d.Apply(t.Context(), other, "uid/0"); err != nil || out.Versions["shop-Orders"] != 2 || out.Versions["shop-Tick"] != 1 {
		t.Errorf("a parameter: %+v, %v", out, err)
	}
}

// Lambda checklist: 89
func TestRefusedTemplateLeavesTheOldStack(t *testing.T) {
	d, _ := deployer(t)
	bundle, err := packedTemplate(t, templateProject(t, shopTemplate), Template{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), bundle, "uid/0"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"an open route":             {"  Casemate:\n    open: {reason: a public demonstration, expires: 2027-01-31}", "  Casemate: {environment: dev}", "template.yaml:16:9: Resources/Orders/Properties/Events/Post/Properties: anybody may call POST /orders"},
		"a key":                     {"Jobs: {Type: \"AWS::SQS::Queue\"}", "Jobs: {Type: \"AWS::KMS::Key\"}", "template.yaml:24:16: "},
		"the manifest's own checks": {"expires: 2027-01-31", "expires: 2020-01-31", "template.yaml:16:9: the exception has expired"},
		"a bucket of code":          {"CodeUri: orders/", "CodeUri: s3://bucket/key", "template.yaml:9:16: Resources/Orders/Properties/CodeUri: code in a bucket"},
	} {
		text := strings.Replace(shopTemplate, c.old, c.new, 1)
		if text == shopTemplate {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if c.old[0] == 'J' {
			text = strings.Replace(text, "        - SQSSendMessagePolicy: {QueueName: !GetAtt Jobs.QueueName}\n", "        - AWSLambdaBasicExecutionRole\n", 1)
		}
		if _, err := packedTemplate(t, templateProject(t, text), Template{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: packing said %v", name, err)
		}
		forged := smuggle(t, bundle, text)
		if _, err := d.Apply(t.Context(), forged, "uid/0"); casemate.CodeOf(err) != casemate.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the node said %v", name, err)
		}
	}
	if a, _ := d.cfg.Catalog.Snapshot().App("shop"); a.Generation != 1 || len(a.Functions) != 2 {
		t.Errorf("the old stack does not serve on: %+v", a)
	}
}

// smuggle puts another template into a bundle, as somebody would whose own tool translates nothing.
func smuggle(t *testing.T, bundle []byte, text string) []byte {
	t.Helper()
	r, err := open(bundle, setting(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	files := map[string][]byte{templateFile: []byte(text)}
	for name, code := range r.code {
		data := make([]byte, code.Size())
		if _, err := code.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		files[codeFolder+name+".zip"] = data
	}
	for name, data := range files {
		if err := plain(z, name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := packRequest(z, r.options); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTemplateNeedsItsRequest(t *testing.T) {
	d, _ := deployer(t)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	if err := plain(z, templateFile, []byte(shopTemplate)); err != nil {
		t.Fatal(err)
	}
	if err := packRequest(z, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Plan(t.Context(), out.Bytes()); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a template without the name of its stack: %v", err)
	}
	_, err := PackTemplate(t.TempDir(), "nosuch.yaml", setting(), Options{Template: &Template{File: "nosuch.yaml", Stack: "shop"}}, &out)
	if casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("no template: %v", err)
	}
}

func TestStackNameIsOneThatAnAppCanHave(t *testing.T) {
	for in, want := range map[string]string{"/x/My_Shop": "my-shop", "/x/9lives": "app-9lives", "/": "app", "/x/-a-": "a", "/x/" + strings.Repeat("a", 80): strings.Repeat("a", 63)} {
		if got := StackName(in, "template.yaml"); got != want {
			t.Errorf("%s: %s, not %s", in, got, want)
		}
	}
	for _, c := range []struct{ dir, file, want string }{{"/x/shop/.aws-sam/build", "template.yaml", "shop"}, {"/x/shop/.serverless", "a.json", "shop"},
		{"/x/cdk.out", "Shop-Web.template.json", "shop-web"}, {"/x/cdk.out", "template.json", "cdk-out"}, {"/", ".template.json", "app"}} {
		if got := StackName(c.dir, c.file); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}
