package sam

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"casemate"
	"casemate/sam/template"
)

// names says what the resources of a stack are called on the node: what Ref and Fn::GetAtt answer. A name that the template does not
// give is made of the stack's and the logical id; the character between them is one that no app's name has, so that what belongs to one
// app cannot be mistaken for another's.
type names struct {
	place casemate.Place
	stack string
	given map[string]string // by logical id
	types map[string]string // by logical id
	url   func(function, alias string) string
	urls  map[string]template.Value // properties of AWS::Lambda::Url, by logical id
	alias map[string]string         // what leads to an alias: by logical id the function that it is of, as the template says it; of a function its AutoPublishAlias
}

// nameKeys are the properties that name a resource.
var nameKeys = map[string]string{
	"AWS::Serverless::Function": "FunctionName", "AWS::Lambda::Function": "FunctionName", "AWS::IAM::Role": "RoleName", "AWS::IAM::Policy": "PolicyName",
	"AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::SQS::Queue": "QueueName", "AWS::SNS::Topic": "TopicName", "AWS::DynamoDB::Table": "TableName",
	"AWS::Serverless::SimpleTable": "TableName", "AWS::S3::Bucket": "BucketName", "AWS::SecretsManager::Secret": "Name", "AWS::SSM::Parameter": "Name",
	"AWS::Logs::LogGroup": "LogGroupName", "AWS::Events::Rule": "Name", "AWS::Events::EventBus": "Name", "AWS::Scheduler::Schedule": "Name",
	"AWS::Serverless::LayerVersion": "LayerName", "AWS::Lambda::LayerVersion": "LayerName", "AWS::Serverless::StateMachine": "Name",
	"AWS::StepFunctions::StateMachine": "StateMachineName", "AWS::Kinesis::Stream": "Name", "AWS::Lambda::Alias": "Name",
	"AWS::ApiGateway::Stage": "StageName", "AWS::ApiGatewayV2::Stage": "StageName",
}

// separators stand between a stack's name and a logical id where it is not "_".
var separators = map[string]string{"AWS::Serverless::Function": "-", "AWS::Lambda::Function": "-", "AWS::IAM::Role": "-", "AWS::S3::Bucket": ".",
	"AWS::SecretsManager::Secret": "/"}

// names are those of nothing yet.
func (s *Setting) names() *names {
	return &names{place: s.Place, stack: s.App, given: map[string]string{}, types: map[string]string{}, alias: map[string]string{}, url: s.URL, urls: map[string]template.Value{}}
}

// learn takes the name of a resource, where the template gives one.
func (n *names) learn(r *template.Resource) {
	n.types[r.ID] = r.Type
	n.learnAlias(r)
	if r.Type == "AWS::Lambda::Url" {
		n.urls[r.ID] = r.Properties
	}
	if v, ok := r.Properties.Get(nameKeys[r.Type]); ok && v.Scalar() && v.Unknown == "" {
		n.given[r.ID] = v.Text
	} else if fifo, _ := r.Properties.Get("FifoQueue"); fifo.Text == "true" && r.Type == "AWS::SQS::Queue" {
		n.given[r.ID] = n.stack + "_" + r.ID + ".fifo"
	}
}

// of is the name of a resource.
func (n *names) of(id, typ string) string {
	if name := n.given[id]; name != "" {
		return name
	}
	sep := separators[typ]
	if sep == "" {
		sep = "_"
	}
	name := n.stack + sep + id
	if sep == "." {
		name = strings.ToLower(name)
	}
	if sep == "-" && len(name) > 64 { // the longest name of a function and of a role
		sum := sha256.Sum256([]byte(name))
		name = name[:55] + "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// api is the id of an API, as AWS gives ten letters and digits; it only names the API in ARNs and outputs.
func (n *names) api(id string) string {
	sum := sha256.Sum256([]byte(n.stack + "/" + id))
	return "a" + hex.EncodeToString(sum[:])[:9]
}

func (n *names) arn(service, rest string) string {
	return "arn:aws:" + service + ":" + n.place.Region + ":" + n.place.Account + ":" + rest
}

// ARN of a resource, "" where its type has none that is known before it is made.
func (n *names) resource(id, typ string) string {
	name := n.of(id, typ)
	switch typ {
	case "AWS::Serverless::Function", "AWS::Lambda::Function":
		return n.place.FunctionARN(name)
	case "AWS::IAM::Role":
		return n.role(name)
	case "AWS::IAM::ManagedPolicy":
		return "arn:aws:iam::" + n.place.Account + ":policy/" + name
	case "AWS::SQS::Queue":
		return n.arn("sqs", name)
	case "AWS::SNS::Topic":
		return n.arn("sns", name)
	case "AWS::DynamoDB::Table", "AWS::Serverless::SimpleTable":
		return n.arn("dynamodb", "table/"+name)
	case "AWS::S3::Bucket":
		return "arn:aws:s3:::" + name
	case "AWS::SecretsManager::Secret":
		return n.arn("secretsmanager", "secret:"+name)
	case "AWS::SSM::Parameter":
		return n.arn("ssm", "parameter/"+strings.TrimPrefix(name, "/"))
	case "AWS::Logs::LogGroup":
		return n.arn("logs", "log-group:"+name+":*")
	case "AWS::Events::Rule":
		return n.arn("events", "rule/"+name)
	case "AWS::Events::EventBus":
		return n.arn("events", "event-bus/"+name)
	case "AWS::Scheduler::Schedule":
		return n.arn("scheduler", "schedule/default/"+name)
	case "AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion":
		return n.arn("lambda", "layer:"+name+":1")
	case "AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine":
		return n.arn("states", "stateMachine:"+name)
	case "AWS::Kinesis::Stream":
		return n.arn("kinesis", "stream/"+name)
	}
	return ""
}

func (n *names) role(name string) string { return "arn:aws:iam::" + n.place.Account + ":role/" + name }

func (n *names) queue(name string) string {
	return "https://sqs." + n.place.Region + ".amazonaws.com/" + n.place.Account + "/" + name
}

// refIsARN are the types whose Ref is their ARN, as the AWS documentation of each says.
var refIsARN = map[string]bool{"AWS::SNS::Topic": true, "AWS::SecretsManager::Secret": true, "AWS::IAM::ManagedPolicy": true, "AWS::Serverless::LayerVersion": true,
	"AWS::Lambda::LayerVersion": true, "AWS::Serverless::StateMachine": true, "AWS::StepFunctions::StateMachine": true}

func known(s string) (template.Value, bool) {
	return template.Value{Kind: template.String, Text: s}, s != ""
}

// ref is what Ref answers. id may be one that SAM generates: OrdersRole, Orders.Version, ServerlessRestApi; typ is then that of the
// resource it belongs to.
func (n *names) ref(id, typ string) (template.Value, bool) {
	if own := n.types[id]; own != "" || len(n.types) == 0 && !strings.Contains(id, ".") && id != implicitREST && id != implicitHTTP {
		if own != "" {
			typ = own
		}
		return n.own(id, typ)
	}
	if id == implicitREST || id == implicitHTTP {
		return known(n.api(id))
	}
	owner, what, dotted := strings.Cut(id, ".")
	if dotted {
		if strings.HasSuffix(n.types[owner], "::Function") && (what == "Version" || what == "Alias") {
			if n.alias[owner] != "" && what == "Alias" {
				return known(n.resource(owner, n.types[owner]) + ":" + n.alias[owner])
			}
			return known(n.resource(owner, n.types[owner]))
		}
		return template.Value{}, false
	}
	if fn, ok := n.function(id, "Role"); ok {
		return known(n.of(fn, n.types[fn]) + "-role")
	}
	if fn, ok := n.function(id, "Url"); ok {
		return known(n.resource(fn, n.types[fn]))
	}
	return template.Value{}, false
}

// own is what Ref answers for a resource of the template.
func (n *names) own(id, typ string) (template.Value, bool) {
	switch {
	case isAPI(id, typ):
		return known(n.api(id))
	case typ == "AWS::Lambda::Alias":
		return n.aliasARN(id)
	case partTypes[typ]:
		return known(n.part(id))
	case typ == "AWS::SQS::Queue":
		return known(n.queue(n.of(id, typ)))
	case refIsARN[typ]:
		return known(n.resource(id, typ))
	case nameKeys[typ] != "":
		return known(n.of(id, typ))
	}
	return template.Value{}, false
}

// function finds the function that SAM made id for.
func (n *names) function(id, suffix string) (string, bool) {
	fn, ok := strings.CutSuffix(id, suffix)
	return fn, ok && n.types[id] == "" && strings.HasSuffix(n.types[fn], "::Function")
}

// attribute is what Fn::GetAtt answers.
func (n *names) attribute(id, typ, attr string) (template.Value, bool) {
	if t := n.types[id]; t != "" {
		typ = t
	}
	name := n.of(id, typ)
	switch attr {
	case "Arn", "TopicArn", "PolicyArn", "LayerVersionArn":
		if fn, ok := n.function(id, "Role"); ok {
			return known(n.role(n.of(fn, n.types[fn]) + "-role"))
		}
		if strings.Contains(id, ".") || n.types[id] == "" && len(n.types) > 0 {
			return template.Value{}, false
		}
		return known(n.resource(id, typ))
	case "QueueName", "TopicName", "Name", "RoleName", "TableName":
		return known(name)
	case "QueueUrl":
		return known(n.queue(name))
	case "AliasArn":
		return n.aliasARN(id)
	case "ApiEndpoint":
		return known("https://" + n.api(id) + ".execute-api." + n.place.Region + ".amazonaws.com")
	case "ApiId", "RestApiId":
		return known(n.api(id))
	case "RootResourceId":
		return known(n.root(id))
	case "ResourceId", "AuthorizerId", "IntegrationId", "DeploymentId":
		return n.own(id, typ)
	case "FunctionUrl":
		return n.functionURL(id)
	case "DomainName", "RegionalDomainName":
		if typ == "AWS::S3::Bucket" {
			return known(name + ".s3.amazonaws.com")
		}
	}
	return template.Value{}, false
}

// functionURL is that of an AWS::Lambda::Url, or of <Function>Url, which SAM generates.
func (n *names) functionURL(id string) (template.Value, bool) {
	fn, ok := n.function(id, "Url")
	if n.url == nil {
		return template.Value{}, false
	}
	if ok {
		return known(n.url(n.of(fn, n.types[fn]), n.alias[fn]))
	}
	target, _ := n.urls[id].Get("TargetFunctionArn")
	qualifier, _ := n.urls[id].Get("Qualifier")
	if arn, ok := n.aliasARN(target.Unknown); ok { // it was read before the alias was known
		target = arn
	}
	for fn, typ := range n.types {
		if !strings.HasSuffix(typ, "::Function") || target.Unknown != "" || qualifier.Unknown != "" {
			continue
		}
		rest, ok := strings.CutPrefix(target.Text, n.resource(fn, typ))
		if ok && (rest == "" || rest[0] == ':') || target.Text == n.of(fn, typ) {
			return known(n.url(n.of(fn, typ), cmp.Or(strings.TrimPrefix(map[bool]string{true: rest}[ok], ":"), qualifier.Text)))
		}
	}
	return template.Value{}, false
}

// isAPI reports an API: one that stands in the template, or the one that SAM makes for events that name none.
func isAPI(id, typ string) bool {
	switch typ {
	case "AWS::Serverless::Api", "AWS::Serverless::HttpApi", "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api":
		return true
	}
	return id == implicitREST || id == implicitHTTP
}

// The logical ids of the APIs that SAM makes for events that name none.
const (
	implicitREST = "ServerlessRestApi"
	implicitHTTP = "ServerlessHttpApi"
)
