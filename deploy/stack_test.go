package deploy

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"casemate"
	"casemate/deploy/bundle"
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

func packedTemplate(t testing.TB, dir string, q bundle.Template) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	q.File, q.Stack = "template.yaml", "shop"
	_, err := bundle.PackTemplate(dir, q.File, setting(), bundle.Options{Template: &q}, &b)
	return b.Bytes(), err
}

// Lambda checklist: 89
func TestTemplateDeploysTwiceAndChangesOnce(t *testing.T) {
	d, _ := deployer(t)
	d.cfg.Address = func() sam.Address { return sam.Address{HTTP: "http://127.0.0.1:8080", Domain: "lambda-url.localhost"} }
	dir := templateProject(t, shopTemplate)
	packed, err := packedTemplate(t, dir, bundle.Template{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := packedTemplate(t, dir, bundle.Template{}); err != nil || !bytes.Equal(again, packed) {
		t.Errorf("the same files make another bundle: %v", err)
	}
	out, err := d.Apply(t.Context(), packed, "uid/0")
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
	if out, err = d.Apply(t.Context(), packed, "uid/0"); err != nil || out.Changed || len(out.Plan.Changes) > 0 {
		t.Errorf("the second deploy changes something: %+v, %v", out, err)
	}
	other, err := packedTemplate(t, dir, bundle.Template{Parameters: map[string]string{"Stage": "prod"}})
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
	packed, err := packedTemplate(t, templateProject(t, shopTemplate), bundle.Template{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), packed, "uid/0"); err != nil {
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
		if _, err := packedTemplate(t, templateProject(t, text), bundle.Template{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: packing said %v", name, err)
		}
		forged := smuggle(t, packed, text)
		if _, err := d.Apply(t.Context(), forged, "uid/0"); casemate.CodeOf(err) != casemate.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the node said %v", name, err)
		}
	}
	if a, _ := d.cfg.Catalog.Snapshot().App("shop"); a.Generation != 1 || len(a.Functions) != 2 {
		t.Errorf("the old stack does not serve on: %+v", a)
	}
}

// smuggle puts another template into a bundle, as somebody would whose own tool translates nothing.
func smuggle(t *testing.T, packed []byte, text string) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, f := range z.File {
		data, err := fs.ReadFile(z, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == "template" {
			data = []byte(text)
		}
		entries = append(entries, entry{f.Name, string(data)})
	}
	return bundleOf(t, zip.Store, entries...)
}

func TestTemplateNeedsItsRequest(t *testing.T) {
	d, _ := deployer(t)
	if _, err := d.Plan(t.Context(), bundleOf(t, zip.Store, entry{"template", shopTemplate}, entry{"request.json", "{}"})); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a template without the name of its stack: %v", err)
	}
}
