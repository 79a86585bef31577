package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/internal/casetest/vault"
)

const memoryTemplate = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String}
  Token: {Type: String, NoEcho: true, MinLength: 8}
Resources:
  Job:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      Runtime: python3.12
      Environment: {Variables: {STAGE: !Ref Stage}}
      InlineCode: "def handler(event, context): return 1"
  Jobs: {Type: "AWS::SQS::Queue"}
Outputs:
  Arn: {Value: !GetAtt Jobs.Arn, Export: {Name: !Sub "${AWS::StackName}-jobs"}}
`

// memorized deploys a template as the command line does: it asks what may be left unsaid first.
func memorized(t *testing.T, d *Deployer, stack, text string, parameters map[string]string) (*Outcome, error) {
	t.Helper()
	r, err := d.Recall(t.Context(), HistoryRequest{App: stack})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	q := bundle.Template{File: "template.yaml", Stack: stack, Parameters: parameters, Recalled: r}
	if _, err := bundle.PackTemplate(templateProject(t, text), q.File, setting(), bundle.Options{Template: &q}, &b); err != nil {
		return nil, err
	}
	return d.Apply(t.Context(), []byte(b.String()), "uid/0")
}

func TestSecondDeployRemembersParameters(t *testing.T) {
	d, _ := deployer(t)
	held := vault.New()
	d.cfg.Vault = held
	if _, err := memorized(t, d, "shop", memoryTemplate, nil); err == nil || !strings.Contains(err.Error(), "Stage has no value") {
		t.Errorf("without values: %v", err)
	}
	given := map[string]string{"Stage": "prod", "Token": "hunter2-hunter2"}
	if _, err := memorized(t, d, "shop", memoryTemplate, given); err != nil {
		t.Fatal(err)
	}
	app, _ := d.cfg.Catalog.Snapshot().App("shop")
	if text, err := json.Marshal(app); err != nil || strings.Contains(string(text), "hunter2") || app.Template.Parameters["Stage"] != "prod" || len(held.Held) != 1 {
		t.Errorf("the catalog has %s, the vault %d values, %v", text, len(held.Held), err)
	}
	if r, err := d.Recall(t.Context(), HistoryRequest{App: "shop"}); err != nil || len(r.Kept) != 1 || r.Parameters["Token"] != "" {
		t.Errorf("the node tells %+v, %v", r, err)
	}
	if out, err := memorized(t, d, "shop", memoryTemplate, nil); err != nil || out.Changed {
		t.Errorf("the second deploy: %+v, %v", out, err)
	}
	if out, err := memorized(t, d, "shop", memoryTemplate, map[string]string{"Stage": "dev"}); err != nil || out.Versions["shop-Job"] != 2 {
		t.Errorf("another value: %+v, %v", out, err)
	}
	if _, err := memorized(t, d, "shop", memoryTemplate, map[string]string{"Token": "correct-horse"}); err != nil || len(held.Held) != 1 {
		t.Errorf("the vault has %d values, %v", len(held.Held), err)
	}
	if _, err := memorized(t, d, "shop", memoryTemplate, map[string]string{"Token": "short"}); err == nil || strings.Contains(err.Error(), "short") && !strings.Contains(err.Error(), "MinLength") {
		t.Errorf("a value that is too short: %v", err)
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "shop"}); err != nil || len(held.Held) != 0 {
		t.Errorf("after deletion the vault has %d values, %v", len(held.Held), err)
	}
}

func TestStacksImportWhatOthersExport(t *testing.T) {
	d, _ := deployer(t)
	worker := strings.NewReplacer("      Environment: {Variables: {STAGE: !Ref Stage}}\n", "      Events: {Jobs: {Type: SQS, Properties: {Queue: !ImportValue shop-jobs}}}\n",
		"  Jobs: {Type: \"AWS::SQS::Queue\"}\n", "", "!GetAtt Jobs.Arn", "x", "  Token: {Type: String, NoEcho: true, MinLength: 8}\n", "").Replace(memoryTemplate)
	given := map[string]string{"Stage": "prod"}
	if _, err := memorized(t, d, "work", worker, given); err == nil || !strings.Contains(err.Error(), `nothing exports "shop-jobs"`) || !strings.Contains(err.Error(), "template.yaml:") {
		t.Errorf("before it is exported: %v", err)
	}
	shop := strings.Replace(memoryTemplate, "  Token: {Type: String, NoEcho: true, MinLength: 8}\n", "", 1)
	if _, err := memorized(t, d, "shop", shop, given); err != nil {
		t.Fatal(err)
	}
	if _, err := memorized(t, d, "work", worker, given); err != nil {
		t.Fatal(err)
	}
	if app, _ := d.cfg.Catalog.Snapshot().App("work"); len(app.Mappings) != 1 {
		t.Errorf("the mapping of an imported queue: %+v", app.Mappings)
	}
	if _, err := memorized(t, d, "shop", strings.Replace(shop, ", Export: {Name: !Sub \"${AWS::StackName}-jobs\"}", "", 1), nil); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("an export that is imported goes: %v", err)
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "shop"}); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("the stack that exports goes: %v", err)
	}
	if _, err := memorized(t, d, "twin", strings.Replace(shop, "${AWS::StackName}-jobs", "shop-jobs", 1), given); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("the same name twice: %v", err)
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "work"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delete(t.Context(), DeleteRequest{App: "shop"}); err != nil {
		t.Error(err)
	}
}
