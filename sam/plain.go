package sam

import (
	"slices"
	"strings"

	"casemate/sam/template"
)

// without meaning are the types that say nothing about a node of one's own, by prefix; their reason is said.
var meaningless = []struct{ prefix, why string }{
	{"AWS::EC2::", "there is no VPC: what a function reaches is granted by name"},
	{"AWS::CloudWatch::", "metrics are scraped: casemate top, /metrics"},
	{"AWS::Logs::MetricFilter", "metrics are scraped: casemate top, /metrics"},
	{"AWS::Logs::SubscriptionFilter", "logs and records are exported by the node"},
	{"AWS::Logs::QueryDefinition", "logs are read with casemate logs"},
	{"AWS::Logs::LogGroup", "logs of a function stand under its own name, for as long as the node keeps them: casemate logs"},
	{"AWS::XRay::", "traces go where the node sends them"},
	{"AWS::ApplicationInsights::", "there is nothing to watch with"},
	{"AWS::ResourceGroups::", "an app is one group"},
	{"AWS::ServiceCatalog", "an app is one group"},
	{"AWS::ApplicationAutoScaling::", "sandboxes follow the load"},
	{"AWS::CodeDeploy::", "a deploy puts the new version in force at once"},
	{"AWS::ApiGateway::Account", "requests are in the node's own record"},
	{"AWS::ApiGateway::Deployment", "every change is deployed"},
	{"AWS::ApiGatewayV2::Deployment", "every change is deployed"},
	{"AWS::ApiGateway::Documentation", "it says nothing about who may call what"},
	{"AWS::ApiGateway::GatewayResponse", "errors have the node's own form"},
	{"AWS::CertificateManager::", "certificates are the node's: casemate up --tls"},
	{"AWS::Route53::", "names are the operator's to give"},
	{"AWS::CDK::", "it is about the tool that wrote the template"},
	{"AWS::SSM::Association", "there is no machine to manage"},
	{"AWS::Synthetics::", "there is nothing to watch with"},
	{"AWS::RUM::", "there is nothing to watch with"},
	{"AWS::Budgets::", "budgets stand under Metadata: Casemate: budgets"},
}

// guarded are the types that carry a security meaning which cannot be kept: they stop the deploy, with a way out.
var guarded = []struct{ prefix, what, hint string }{
	{"AWS::KMS::", "a key cannot be used here", "leave it out: what the node keeps is encrypted under its own key"},
	{"AWS::Lambda::CodeSigningConfig", "signatures of AWS Signer are not checked here", "leave it out; casemate signs what it deploys"},
	{"AWS::Signer::", "signatures of AWS Signer are not checked here", "leave it out; casemate signs what it deploys"},
	{"AWS::WAF", "its rules cannot be kept", "screen: and rate: under Metadata: Casemate: routes"},
	{"AWS::Cognito::", "there is no user pool", "name the issuer of an existing one under Metadata: Casemate: auth: {jwt: [...]} of the template"},
	{"AWS::IAM::User", "users are not made by a template", "casemate keys create, or casemate operators"},
	{"AWS::IAM::Group", "users are not made by a template", "casemate keys create, or casemate operators"},
	{"AWS::IAM::AccessKey", "access keys are not made by a template", "casemate access create"},
	{"AWS::IAM::OIDCProvider", "issuers are not trusted by a template's resource", "Metadata: Casemate: auth: {jwt: [...]} of the template"},
	{"AWS::IAM::SAMLProvider", "there is no SAML", "Metadata: Casemate: auth: {jwt: [...]} of the template"},
	{"AWS::SecretsManager::ResourcePolicy", "the policy of a secret is not read", "resources: secret/<name> under Metadata: Casemate"},
	{"AWS::Lambda::LayerVersionPermission", "layers are shared with nobody", "leave it out"},
	{"AWS::SecurityHub::", "it cannot be kept", "leave it out"}, {"AWS::GuardDuty::", "it cannot be kept", "leave it out"},
	{"AWS::ApiGateway::ClientCertificate", "functions are called by the node itself", "leave it out"},
}

// keepsNothing are policies of what is not made here. Any other policy that is not read stops the deploy.
var keepsNothing = []string{"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SNS::TopicInlinePolicy", "AWS::Events::EventBusPolicy"}

// own translates the types that Casemate serves.
func own() map[string]func(*translator, *template.Resource) {
	return map[string]func(*translator, *template.Resource){
		"AWS::IAM::Role": (*translator).assumed, "AWS::IAM::Policy": (*translator).attachedPolicy, "AWS::IAM::ManagedPolicy": (*translator).attachedPolicy,
		"AWS::IAM::RolePolicy": (*translator).attachedPolicy, "AWS::Lambda::Permission": (*translator).permission, "AWS::Lambda::Url": (*translator).urlResource,
		"AWS::Lambda::EventInvokeConfig": (*translator).invokeResource, "AWS::Lambda::Version": (*translator).versionResource, "AWS::Lambda::Alias": (*translator).aliasResource,
		"AWS::Scheduler::Schedule": (*translator).scheduleResource, "AWS::Events::Rule": (*translator).rule,
		"AWS::SQS::Queue": (*translator).queue, "AWS::SQS::QueuePolicy": (*translator).queuePolicy,
		"AWS::Serverless::LayerVersion": (*translator).layerVersion, "AWS::Lambda::LayerVersion": (*translator).layerVersion,
		"AWS::SecretsManager::Secret": (*translator).secret, "AWS::SSM::Parameter": (*translator).parameter, "AWS::Lambda::EventSourceMapping": (*translator).mappingResource,
		"AWS::ApiGateway::Resource": (*translator).part, "AWS::ApiGateway::Method": (*translator).part, "AWS::ApiGateway::Authorizer": (*translator).part,
		"AWS::ApiGatewayV2::Route": (*translator).part, "AWS::ApiGatewayV2::Integration": (*translator).part, "AWS::ApiGatewayV2::Authorizer": (*translator).part,
		"AWS::ApiGateway::Stage": (*translator).stageResource, "AWS::ApiGatewayV2::Stage": (*translator).stageResource,
		"AWS::ApiGateway::UsagePlan": (*translator).usagePlanResource, "AWS::ApiGateway::ApiKey": (*translator).keyResource, "AWS::ApiGateway::UsagePlanKey": (*translator).keyResource,
		"AWS::ApiGateway::Model": (*translator).modelResource, "AWS::ApiGateway::RequestValidator": (*translator).modelResource,
		"AWS::ApiGateway::DomainName": (*translator).domainResource, "AWS::ApiGatewayV2::DomainName": (*translator).domainResource,
		"AWS::ApiGateway::BasePathMapping": (*translator).domainResource, "AWS::ApiGatewayV2::ApiMapping": (*translator).domainResource,
	}
}

// resource translates one resource, whatever its type.
func (t *translator) resource(r *template.Resource) {
	path := "Resources/" + r.ID
	if d := r.DeletionPolicy; d == "Retain" || d == "Snapshot" {
		t.note(NotServed, r.Type, r.At, path+"/DeletionPolicy", "casemate delete takes functions, routes and roles away whatever this says; secrets, parameters and the record stay")
	}
	if do := own()[r.Type]; do != nil && !t.ofSocket(r) {
		do(t, r)
		return
	}
	switch {
	case r.Type == "AWS::Serverless::Function" || r.Type == "AWS::Lambda::Function":
		for _, f := range t.functions {
			if f.Resource == r {
				t.function(f)
			}
		}
		t.connectors(r)
		return
	case socket(r) || t.ofSocket(r):
		t.note(NotServed, r.Type, r.At, path, "there are no WebSockets: nothing calls the functions behind them")
		return
	case isAPI(r.ID, r.Type):
		return // translated with the other APIs
	case strings.HasPrefix(r.Type, "Custom::") || r.Type == "AWS::CloudFormation::CustomResource":
		t.note(NotServed, r.Type, r.At, path, "no custom resource is made: a deploy calls no function, and nothing is known of what one would answer")
		return
	case r.Type == "AWS::Serverless::Connector":
		t.note(NotServed, r.Type, r.At, path, "what a connector allows is not granted: say it in Policies")
		return
	case r.Type == "AWS::Serverless::Application" || r.Type == "AWS::CloudFormation::Stack":
		t.note(NotServed, r.Type, r.At, path, "a stack in a stack is not deployed: casemate deploy its template as an app of its own, and let one import what the other exports")
		return
	}
	for _, x := range guarded {
		if strings.HasPrefix(r.Type, x.prefix) {
			t.bad(r.TypeAt, path, x.hint, "%s: %s", r.Type, x.what)
			return
		}
	}
	for _, x := range meaningless {
		if strings.HasPrefix(r.Type, x.prefix) {
			t.note(Ignored, r.Type, r.At, path, "%s", x.why)
			return
		}
	}
	if strings.HasPrefix(r.Type, "AWS::ApiGateway") {
		t.bad(r.TypeAt, path, "leave it out", "%s has no meaning that could be kept here", r.Type)
		return
	}
	if slices.Contains(keepsNothing, r.Type) {
		t.note(NotServed, r.Type, r.At, path, "what it is about is not made: nobody can use it, and the policy has nothing to keep")
		return
	}
	if strings.HasSuffix(r.Type, "Policy") {
		t.bad(r.TypeAt, path, "leave it out, or say it in the policies of roles", "%s: the policy is not read", r.Type)
		return
	}
	t.note(NotServed, r.Type, r.At, path, "%s is not made; what functions may do with it stays granted", r.Type)
	t.connectors(r)
}

// socket reports an API of WebSockets.
func socket(r *template.Resource) bool {
	kind, _ := r.Properties.Get("ProtocolType")
	return r.Type == "AWS::ApiGatewayV2::Api" && kind.Text == "WEBSOCKET"
}

// ofSocket reports a part of an API of WebSockets of the template.
func (t *translator) ofSocket(r *template.Resource) bool {
	id, ok := r.Properties.Get("ApiId")
	if !ok || id.Unknown != "" || !strings.HasPrefix(r.Type, "AWS::ApiGatewayV2::") {
		return false
	}
	for _, o := range t.resources {
		if socket(o) && id.Text == t.names.api(o.ID) {
			return true
		}
	}
	return false
}

// connectors grant what they connect; a policy says the same in words that are read.
func (t *translator) connectors(r *template.Resource) {
	if r.Connectors.Kind == template.Map && len(r.Connectors.Members) > 0 {
		t.note(NotServed, r.Type, r.Connectors.At, "Resources/"+r.ID+"/Connectors", "what a connector allows is not granted: say it in Policies")
	}
}

// attachedPolicy was read with the roles that it names; one that names none, or users, is said.
func (t *translator) attachedPolicy(r *template.Resource) {
	path := "Resources/" + r.ID
	for _, who := range []string{"Users", "Groups"} {
		if v, ok := r.Properties.Get(who); ok && len(v.List) > 0 {
			t.bad(v.At, path+"/Properties/"+who, "attach it to roles", "users and groups are not made by a template")
		}
	}
	roles, _ := r.Properties.Get("Roles")
	one, single := r.Properties.Get("RoleName")
	if single {
		roles.List = append(roles.List, one)
	}
	for _, x := range roles.List {
		if t.byARN(x, "AWS::IAM::Role") == nil && !t.generatedRole(x, r, path) {
			t.bad(x.At, path+"/Properties/Roles", "declare the role in the template", "there is no role %s in the template", x.Quoted())
		}
	}
	t.note(Honoured, r.Type, r.At, path, "policy %s", t.names.of(r.ID, r.Type))
}

// generatedRole attaches a policy to the role that SAM makes for a function.
func (t *translator) generatedRole(x template.Value, r *template.Resource, path string) bool {
	for _, f := range t.functions {
		if x.Text == f.name+"-role" {
			doc, _ := r.Properties.Get("PolicyDocument")
			t.document(f, doc, path+"/Properties/PolicyDocument")
			return true
		}
	}
	return false
}

// permission is the resource policy of a function: who may call it
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-permission.html).
func (t *translator) permission(r *template.Resource) {
	path := "Resources/" + r.ID + "/Properties"
	name, _ := r.Properties.Get("FunctionName")
	f := t.functionOf(name)
	if f == nil {
		t.bad(r.At, path+"/FunctionName", "declare the function in the template", "there is no such function in the template")
		return
	}
	known := []string{"FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "EventSourceToken", "PrincipalOrgID"}
	for _, m := range r.Properties.Members {
		if !slices.Contains(known, m.Key) {
			t.bad(m.KeyAt, path+"/"+m.Key, template.Nearest(m.Key, known), "%s has no such property: it would hold for more callers", r.Type)
		}
	}
	who, _ := r.Properties.Get("Principal")
	urlAuth, _ := r.Properties.Get("FunctionUrlAuthType")
	via, _ := r.Properties.Get("InvokedViaFunctionUrl")
	_, token := r.Properties.Get("EventSourceToken")
	_, org := r.Properties.Get("PrincipalOrgID")
	switch {
	case token || org:
		t.bad(r.At, path, "name the account", "a permission by token or organisation cannot be kept")
	case strings.HasSuffix(who.Text, ".amazonaws.com"):
		switch strings.TrimSuffix(who.Text, ".amazonaws.com") {
		case "apigateway", "sqs", "events", "scheduler", "logs":
			t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "the node itself calls %s for what leads to it", f.name)
		default:
			t.note(NotServed, r.Type, r.At, "Resources/"+r.ID, "%s calls nothing here", who.Text)
		}
	case who.Text == "*" && (urlAuth.Text == "NONE" || via.Text == "true"):
		t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "who may call the URL of %s is said where it is declared", f.name)
	case who.Text == "*":
		t.bad(who.At, path+"/Principal", "name the account", "everybody may call %s", f.ID)
	default:
		t.allow(f, r, who, path)
	}
}

// allow lets a principal of an account call a function.
func (t *translator) allow(f *function, r *template.Resource, who template.Value, path string) {
	action, ok := r.Properties.StringAt("Action", path, &t.found)
	if !ok {
		return
	}
	principal := mapping(who.At)
	set(principal, "AWS", text(who.At, who.Text))
	s := mapping(r.At)
	set(s, "Sid", text(r.At, r.ID))
	set(s, "Effect", text(r.At, "Allow"))
	set(s, "Principal", *principal)
	set(s, "Action", text(r.At, action))
	condition := mapping(r.At)
	for key, operator := range map[string]string{"SourceArn": "ArnLike", "SourceAccount": "StringEquals"} {
		if v, ok := r.Properties.Get(key); ok && t.wants(v, path+"/"+key, template.String) {
			x := mapping(v.At)
			set(x, "aws:"+key, text(v.At, v.Text))
			set(condition, operator, *x)
		}
	}
	if v, ok := r.Properties.Get("FunctionUrlAuthType"); ok && t.wants(v, path+"/FunctionUrlAuthType", template.String) {
		x, _ := condition.Get("StringEquals")
		x.Members = append([]template.Member{}, x.Members...)
		x.Kind = template.Map
		set(&x, "lambda:FunctionUrlAuthType", text(v.At, v.Text))
		set(condition, "StringEquals", x)
	}
	if v, ok := r.Properties.Get("InvokedViaFunctionUrl"); ok && v.Text != "false" {
		x := mapping(v.At)
		set(x, "lambda:InvokedViaFunctionUrl", text(v.At, "true"))
		set(condition, "Bool", *x)
	}
	if len(condition.Members) > 0 {
		set(s, "Condition", *condition)
	}
	t.attach("function/"+f.name+t.qualifier(f, r), *s)
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "%s may call %s", who.Text, f.name)
}

// target is the function of a resource that belongs to one.
func (t *translator) target(r *template.Resource, key string) *function {
	v, _ := r.Properties.Get(key)
	f := t.functionOf(v)
	if f == nil {
		t.bad(r.At, "Resources/"+r.ID+"/Properties/"+key, "declare the function in the template", "there is no such function in the template")
	}
	return f
}

func (t *translator) urlResource(r *template.Resource) {
	if f := t.target(r, "TargetFunctionArn"); f != nil {
		functionURL(t, f, r.Properties, "Resources/"+r.ID+"/Properties")
		t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "URL of %s", f.name)
	}
}

func (t *translator) invokeResource(r *template.Resource) {
	if f := t.target(r, "FunctionName"); f != nil {
		invokeConfig(t, f, r.Properties, "Resources/"+r.ID+"/Properties")
		t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "asynchronous events of %s", f.name)
	}
}

func (t *translator) mappingResource(r *template.Resource) {
	if f := t.target(r, "FunctionName"); f != nil {
		source, _ := r.Properties.Get("EventSourceArn")
		if source.Unknown == "" && !strings.HasPrefix(source.Text, "arn:aws:sqs:") {
			t.source(f, "EventSourceMapping", r.At, "Resources/"+r.ID)
			return
		}
		t.polled(f, source, r.Properties, r.At, "Resources/"+r.ID+"/Properties")
		t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "the messages of a queue come to %s", f.name)
	}
}
