package deploy

import (
	"strings"
	"testing"

	"casemate/deploy/bundle"
)

const aliasTemplate = `
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev}}
Resources:
  Job:
    Type: AWS::Serverless::Function
    Properties:
      AutoPublishAlias: live
      Handler: index.handler
      Runtime: python3.12
      Environment: {Variables: {STAGE: !Ref Stage}}
      InlineCode: "def handler(event, context): return 1"
  First: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Job}}
  Old: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !Ref Job, Name: old, FunctionVersion: !GetAtt First.Version}}
`

func TestAliasesOfATemplateLeadToTheirVersions(t *testing.T) {
	d, _ := deployer(t)
	deploys := func(text, stage string) *Outcome {
		t.Helper()
		packed, err := packedTemplate(t, templateProject(t, text), bundle.Template{Parameters: map[string]string{"Stage": stage}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.Apply(t.Context(), packed, "uid/0")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	leads := func(qualifier string) int {
		t.Helper()
		a, _ := d.cfg.Catalog.Snapshot().App("shop")
		if v := a.Functions["shop-Job"].Qualified(qualifier, ""); v != nil {
			return v.Number
		}
		return 0
	}
	if out := deploys(aliasTemplate, "dev"); !strings.Contains(out.Plan.String(), "alias shop-Job:live: leads to version 1") || leads("live") != 1 || leads("old") != 1 {
		t.Fatalf("%d, %d\n%s", leads("live"), leads("old"), out.Plan)
	}
	if out := deploys(aliasTemplate, "dev"); out.Changed {
		t.Errorf("the second deploy changes\n%s", out.Plan)
	}
	if deploys(aliasTemplate, "prod"); leads("live") != 2 || leads("old") != 1 {
		t.Errorf("live leads to %d, old to %d", leads("live"), leads("old"))
	}
	canary := strings.ReplaceAll(aliasTemplate, "Name: old, ", "Name: old, RoutingConfig: {AdditionalVersionWeights: [{FunctionVersion: '2', FunctionWeight: 1.0}]}, ")
	if deploys(canary, "prod"); leads("old") != 2 {
		t.Errorf("all events of old run %d", leads("old"))
	}
	if _, err := d.Rollback(t.Context(), RollbackRequest{Function: "shop-Job", To: 1}, "uid/0"); err != nil || leads("live") != 1 {
		t.Errorf("after going back live leads to %d, %v", leads("live"), err)
	}
	if deploys(strings.Replace(aliasTemplate, "AutoPublishAlias: live", "Description: no alias", 1), "prod"); leads("live") != 0 {
		t.Errorf("live leads to %d though it is not in the template", leads("live"))
	}
}

// A URL of an alias leads to what the alias leads to, and takes those that the manifest says, as that of a function does.
func TestURLOfAnAlias(t *testing.T) {
	d, _ := deployer(t)
	text := strings.Replace(aliasTemplate, "      AutoPublishAlias: live\n", "      AutoPublishAlias: live\n      FunctionUrlConfig: {AuthType: AWS_IAM}\n", 1) +
		"  U: {Type: AWS::Lambda::Url, Properties: {AuthType: AWS_IAM, TargetFunctionArn: !GetAtt Job.Arn, Qualifier: old}}\n"
	for n, stage := range []string{"dev", "prod"} {
		packed, err := packedTemplate(t, templateProject(t, text), bundle.Template{Parameters: map[string]string{"Stage": stage}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Apply(t.Context(), packed, "uid/0"); err != nil {
			t.Fatal(err)
		}
		a, _ := d.cfg.Catalog.Snapshot().App("shop")
		leads := map[string]int{}
		for _, r := range a.Routes {
			if !r.URL || r.ByAPI() || r.URLAuth() != "AWS_IAM" {
				t.Errorf("%+v", r)
			}
			leads[r.Alias()] = a.Functions[r.Function].Qualified(r.Alias(), "").Number
		}
		if len(leads) != 2 || leads["live"] != n+1 || leads["old"] != 1 {
			t.Error(leads)
		}
	}
}
