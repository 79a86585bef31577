package sam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/sam/template"
)

func setting() Setting {
	return Setting{App: "shop", Place: casemate.DefaultPlace, Arch: "x86_64", URL: func(f, alias string) string { return "https://" + f + alias + ".lambda-url.example/" }}
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

// manifestOf translates a template that must be right, and decodes its manifest.
func manifestOf(t testing.TB, text string) (map[string]any, *Translation) {
	t.Helper()
	got, found := made(t, text, setting())
	if len(found) > 0 {
		t.Fatalf("%v\nof\n%s", found, text)
	}
	var m map[string]any
	if err := json.Unmarshal(got.Manifest.Data, &m); err != nil {
		t.Fatalf("%v of %s", err, got.Manifest.Data)
	}
	return m, got
}

// at is what a manifest holds at a path of keys, separated by "|", as JSON; "" where there is nothing.
func at(m map[string]any, path string) string {
	var v any = m
	for key := range strings.SplitSeq(path, "|") {
		next, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if v, ok = next[key]; !ok {
			return ""
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// app is a template with one function F, with these properties, and what else is given, both in block style.
func app(properties, rest string) string {
	if !strings.Contains(properties, "CodeUri") && !strings.Contains(properties, "InlineCode") {
		properties += "\nCodeUri: src"
	}
	if !strings.Contains(properties, "Runtime") {
		properties += "\nRuntime: python3.12\nHandler: app.handler"
	}
	return "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n" + indent(properties, 6) + "\n" + indent(rest, 2)
}

func indent(s string, by int) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		fmt.Fprintln(&b, strings.Repeat(" ", by)+line)
	}
	return b.String()
}

func TestFunctionProperties(t *testing.T) {
	for _, c := range []struct{ name, properties, rest, path, want string }{
		{"timeout", "Timeout: 5", "", "functions|shop-F|timeout", `"5s"`},
		{"memory", "MemorySize: '256'", "", "functions|shop-F|memory", `"256MB"`},
		{"ephemeral storage", "EphemeralStorage: {Size: 1024}", "", "functions|shop-F|tmp", `"1024MB"`},
		{"name", "FunctionName: !Sub '${AWS::StackName}-x'", "", "functions|shop-x|code", `"src"`},
		{"environment", "Environment: {Variables: {A: 1, B: !Ref AWS::Region, C: true}}", "", "functions|shop-F|env", `{"A":"1","B":"us-east-1","C":"true"}`},
		{"reserved", "ReservedConcurrentExecutions: 0", "", "functions|shop-F|reserved_concurrency", `0`},
		{"provisioned", "ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}", "", "functions|shop-F|provisioned", `2`},
		{"asynchronous", "EventInvokeConfig: {MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60}", "", "functions|shop-F|async", `{"max_age":"60s","retries":0}`},
		{"logging", "LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: WARN, SystemLogLevel: INFO, LogGroup: x}", "", "functions|shop-F|log", `{"format":"json","level":"warn","platform":"info"}`},
		{"tenants", "TenancyConfig: {TenantIsolationMode: PER_TENANT}", "", "functions|shop-F|isolation", `"tenant"`},
		{"warm by default", "", "", "functions|shop-F|isolation", `"warm"`},
		{"an old runtime", "Runtime: nodejs14.x\nHandler: a.b", "", "functions|shop-F|runtime", `"nodejs18.x"`},
		{"a folder", "CodeUri: ./src/app/", "", "functions|shop-F|code", `"src/app"`},
		{"inline", "InlineCode: 'def h(): pass'", "", "functions|shop-F|code", `"inline/shop-F.zip"`},
		{"layers", "Layers: [!Ref L, 'arn:aws:lambda:us-east-1:000000000000:layer:x:3']", "L: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: ./layer/}}",
			"functions|shop-F|layers", `["./layer","arn:aws:lambda:us-east-1:000000000000:layer:x:3"]`},
		{"signed URL", "FunctionUrlConfig: {AuthType: AWS_IAM, InvokeMode: RESPONSE_STREAM, Cors: {AllowOrigins: ['https://a.example'], AllowMethods: [GET], MaxAge: 60}}", "",
			"functions|shop-F|url", `{"auth":["sigv4"],"cors":{"max_age":"60s","methods":["GET"],"origins":["https://a.example"]},"response":"stream"}`},
		{"statement", "Policies: [{Statement: {Effect: Deny, Action: 'sqs:*', Resource: '*', Condition: {Bool: {'aws:SecureTransport': false}}}}]", "",
			"functions|shop-F|statements", `[{"Action":"sqs:*","Condition":{"Bool":{"aws:SecureTransport":false}},"Effect":"Deny","Resource":"*"}]`},
		{"policy template", "Policies: {LambdaInvokePolicy: {FunctionName: g}}", "", "functions|shop-F|statements",
			`[{"Action":["lambda:InvokeFunction"],"Effect":"Allow","Resource":["arn:aws:lambda:us-east-1:000000000000:function:g*"]}]`},
		{"managed policy", "Policies: AmazonSQSFullAccess", "", "functions|shop-F|statements", `[{"Action":["sqs:*"],"Effect":"Allow","Resource":["*"]}]`},
		{"queue's managed policy without queue", "Policies: AWSLambdaSQSQueueExecutionRole", "", "functions|shop-F|statements", ""},
		{"boundary", "PermissionsBoundary: !Ref B", "B: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: [{Effect: Allow, Action: 'sqs:*', Resource: '*'}]}}}",
			"functions|shop-F|boundary", `[{"Action":"sqs:*","Effect":"Allow","Resource":"*"}]`},
		{"queue", "Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn, BatchSize: 5, FunctionResponseTypes: [ReportBatchItemFailures], FilterCriteria: {Filters: [{Pattern: '{\"body\":[\"x\"]}'}]}, ScalingConfig: {MaximumConcurrency: 2}, Enabled: false}}}",
			"Q: {Type: AWS::SQS::Queue}", "functions|shop-F|events", `[{"batch":5,"concurrency":2,"filter":["{\"body\":[\"x\"]}"],"partial":"report","queue":"shop_Q","state":"disabled"}]`},
		{"schedule", "Events: {T: {Type: Schedule, Properties: {Schedule: rate(5 minutes), Input: '{}', Enabled: false}}}", "", "schedules|F-T", `{"function":"shop-F","input":"{}","state":"disabled","when":"rate(5 minutes)"}`},
		{"schedule of the scheduler", "Events: {T: {Type: ScheduleV2, Properties: {ScheduleExpression: 'cron(0 9 ? * MON-FRI *)', ScheduleExpressionTimezone: Europe/Berlin}}}", "", "schedules|F-T", `{"function":"shop-F","when":"cron(0 9 ? * MON-FRI *)","zone":"Europe/Berlin"}`},
		{"schedule resource", "", "S: {Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: 'at(2027-01-31T09:00:00)', FlexibleTimeWindow: {Mode: 'OFF'}, Target: {Arn: !GetAtt F.Arn, RoleArn: x, Input: '{}'}}}", "schedules|S", `{"function":"shop-F","input":"{}","when":"at(2027-01-31T09:00:00)"}`},
		{"rule", "", "S: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(1 hour), State: ENABLED, Targets: [{Arn: !GetAtt F.Arn, Id: a}]}}", "schedules|S", `{"function":"shop-F","when":"rate(1 hour)"}`},
		{"queue's grant", "Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}", "Q: {Type: AWS::SQS::Queue}", "functions|shop-F|grants", `["receive queue/shop_Q"]`},
		{"dead letters of a queue", "", "Q: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: !GetAtt D.Arn, maxReceiveCount: 3}}}\nD: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}",
			"queues|shop_Q", `{"dead_letter":{"max_receives":3,"queue":"dead"},"visibility":"60s"}`},
		{"FIFO queue", "", "Q: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, ContentBasedDeduplication: true}}", "queues", `{"shop_Q.fifo":{"dedup":"content"}}`},
		{"queue policy", "", "Q: {Type: AWS::SQS::Queue}\nP: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [!Ref Q], PolicyDocument: {Statement: [{Effect: Deny, Principal: '*', Action: 'sqs:*', Resource: !GetAtt Q.Arn, Condition: {Bool: {'aws:SecureTransport': 'false'}}}]}}}",
			"resources|queue/shop_Q", `[{"Action":"sqs:*","Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny","Principal":"*","Resource":"arn:aws:sqs:us-east-1:000000000000:shop_Q"}]`},
		{"permission of an account", "", "P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Action: 'lambda:InvokeFunction', Principal: '111111111111'}}",
			"resources|function/shop-F", `[{"Action":"lambda:InvokeFunction","Effect":"Allow","Principal":{"AWS":"111111111111"},"Sid":"P"}]`},
	} {
		m, _ := manifestOf(t, app(c.properties, c.rest))
		if got := at(m, c.path); got != c.want {
			t.Errorf("%s: %s\nnot %s", c.name, got, c.want)
		}
	}
}

func TestRolesOfTheTemplate(t *testing.T) {
	const rest = `
R:
  Type: AWS::IAM::Role
  Properties:
    AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
    ManagedPolicyArns: [!Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", !Ref M]
    Policies: [{PolicyName: own, PolicyDocument: {Statement: [{Effect: Allow, Action: "a:B", Resource: "*"}]}}]
P: {Type: AWS::IAM::Policy, Properties: {PolicyName: p, Roles: [!Ref R], PolicyDocument: {Statement: {Effect: Allow, Action: "c:D", Resource: "*"}}}}
M: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: "e:F", Resource: "*"}}}}
H:
  Type: AWS::IAM::Role
  Properties:
    AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::000000000000:user/ci"}, Action: "sts:AssumeRole"}]}
    Policies: [{PolicyName: own, PolicyDocument: {Statement: [{Effect: Allow, Action: "lambda:InvokeFunction", Resource: !GetAtt F.Arn}]}}]
G: {Type: AWS::Lambda::Function, Properties: {Role: !GetAtt R.Arn, Runtime: python3.12, Handler: index.h, Code: {ZipFile: "def h(e, c): pass"}}}
`
	m, got := manifestOf(t, app("Role: !GetAtt R.Arn", rest))
	for _, name := range []string{"shop-F", "shop-G"} {
		s := at(m, "functions|"+name+"|statements")
		for _, action := range []string{"a:B", "c:D", "e:F"} {
			if !strings.Contains(s, action) {
				t.Errorf("%s may not %s: %s", name, action, s)
			}
		}
	}
	if got.Inline["shop-G"] != (File{"index.py", "def h(e, c): pass"}) {
		t.Errorf("%+v", got.Inline)
	}
	if s := at(m, "roles|shop-H"); !strings.Contains(s, `"trust":[{`) || !strings.Contains(s, "user/ci") || !strings.Contains(s, "function:shop-F") {
		t.Errorf("the role of somebody: %s", s)
	}
	if s := at(m, "roles|shop-R"); s != "" {
		t.Errorf("the role of functions is one of callers as well: %s", s)
	}
}

// Lambda checklist: 86
func TestImplicitAPIsTakeTheRoutesOfAllFunctions(t *testing.T) {
	m, got := manifestOf(t, strings.Replace(app(`
Events:
  A: {Type: Api, Properties: {Path: "/a/{id}", Method: get}}
  B: {Type: Api, Properties: {Path: "/{proxy+}", Method: ANY, Auth: {ApiKeyRequired: false, Authorizer: AWS_IAM}}}
  C: {Type: HttpApi}
`, `
G:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: g
    Runtime: nodejs20.x
    Handler: i.h
    Events:
      A: {Type: Api, Properties: {Path: "/a/{id}", Method: post}}
      B: {Type: HttpApi, Properties: {Path: /h, Method: GET, PayloadFormatVersion: "1.0"}}
`), "Resources:", "Globals:\n  Api: {Auth: {ApiKeyRequired: true}, Cors: \"'https://a.example'\"}\n  HttpApi: {Auth: {DefaultAuthorizer: O, Authorizers: {O: {JwtConfiguration: {issuer: 'https://i.example/', audience: [shop]}, IdentitySource: $request.header.Authorization}}}}\nResources:", 1))
	for path, want := range map[string]string{
		"routes|GET /a/{id}":    `{"auth":["key"],"cors":{"origins":["https://a.example"]},"function":"shop-F","payload":"rest","stage":"Prod"}`,
		"routes|POST /a/{id}":   `{"auth":["key"],"cors":{"origins":["https://a.example"]},"function":"shop-G","payload":"rest","stage":"Prod"}`,
		"routes|ANY /{proxy+}":  `{"auth":["sigv4"],"cors":{"origins":["https://a.example"]},"function":"shop-F","payload":"rest","stage":"Prod"}`,
		"routes|$default":       `{"auth":["jwt"],"function":"shop-F"}`,
		"routes|GET /h":         `{"auth":["jwt"],"function":"shop-G","payload":"1.0"}`,
		"roles|shop-callers":    `{"grants":["call ANY /{proxy+}","call GET /a/{id}","call POST /a/{id}"]}`,
		"roles|shop-o":          `{"grants":["call *","call GET /h"]}`,
		"auth|jwt":              `[{"algorithms":["RS256","RS384","RS512"],"audience":["shop"],"issuer":"https://i.example/","role":"shop-o"}]`,
		"functions|shop-F|code": `"src"`,
	} {
		if s := at(m, path); s != want && !(path == "roles|shop-callers" && sameGrants(s, want)) {
			t.Errorf("%s: %s\nnot %s", path, s, want)
		}
	}
	if len(got.APIs) != 2 {
		t.Errorf("%v", got.APIs)
	}
}

// sameGrants compares two lists without their order.
func sameGrants(a, b string) bool {
	x, y := strings.Split(a, `"`), strings.Split(b, `"`)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func TestAuthorizersOfAnAPI(t *testing.T) {
	m, _ := manifestOf(t, app(`
Events:
  A: {Type: Api, Properties: {Path: /a, Method: get, RestApiId: !Ref Api}}
  B: {Type: Api, Properties: {Path: /b, Method: get, RestApiId: !Ref Api, Auth: {Authorizer: Q}}}
`, `
Guard: {Type: AWS::Serverless::Function, Properties: {CodeUri: g, Runtime: python3.12, Handler: g.h}}
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: live
    Domain: {DomainName: api.example.com, CertificateArn: arn}
    Auth:
      DefaultAuthorizer: T
      Authorizers:
        T: {FunctionArn: !GetAtt Guard.Arn, Identity: {Header: X-Token, ValidationExpression: "^x$", ReauthorizeEvery: 0}}
        Q: {FunctionArn: !GetAtt Guard.Arn, FunctionPayloadType: REQUEST, Identity: {Headers: [Authorization], QueryStrings: [tenant], ReauthorizeEvery: 30}}
      ResourcePolicy: {IpRangeWhitelist: [10.0.0.0/8]}
      UsagePlan: {CreateUsagePlan: PER_API, Quota: {Limit: 100, Period: DAY}, Throttle: {RateLimit: 5, BurstLimit: 10}}
`))
	for path, want := range map[string]string{
		"authorizers|t":          `{"function":"shop-Guard","identity":["header x-token"],"role":"shop-t","ttl":"none","type":"token","validate":"^x$"}`,
		"authorizers|q":          `{"function":"shop-Guard","identity":["header authorization","query tenant"],"role":"shop-q","ttl":"30s","type":"request"}`,
		"routes|GET /a":          `{"auth":["authorizer:t"],"function":"shop-F","host":"api.example.com","payload":"rest","stage":"live"}`,
		"routes|GET /b":          `{"auth":["authorizer:q"],"function":"shop-F","host":"api.example.com","payload":"rest","stage":"live"}`,
		"resources|route/GET /a": `[{"Action":"execute-api:Invoke","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8"]}},"Effect":"Deny","Principal":"*"}]`,
		"plans|shop-Api":         `{"day":100,"rate":"5/s burst 10"}`,
		"roles|shop-t":           `{"grants":["call GET /a"]}`,
	} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s\nnot %s", path, s, want)
		}
	}
}

func TestInlineDefinitionsLeadToTheirFunctions(t *testing.T) {
	const integration = `x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, uri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations"}`
	m, got := manifestOf(t, app("", `
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: v1
    DefinitionBody:
      swagger: "2.0"
      info: {title: shop}
      securityDefinitions:
        api_key: {type: apiKey, name: x-api-key, in: header}
        guard: {type: apiKey, name: Authorization, in: header, x-amazon-apigateway-authtype: custom, x-amazon-apigateway-authorizer: {type: token, authorizerUri: !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${F.Arn}/invocations", authorizerResultTtlInSeconds: 60}}
      paths:
        /a/{id}:
          parameters: []
          get: {security: [{api_key: []}], `+integration+`}
          options: {x-amazon-apigateway-integration: {type: mock}}
          x-amazon-apigateway-any-method: {security: [{guard: []}], `+integration+`}
`))
	for path, want := range map[string]string{
		"routes|GET /a/{id}": `{"auth":["key"],"function":"shop-F","payload":"rest","stage":"v1"}`,
		"routes|ANY /a/{id}": `{"auth":["authorizer:guard"],"function":"shop-F","payload":"rest","stage":"v1"}`,
		"authorizers|guard":  `{"function":"shop-F","identity":["header authorization"],"role":"shop-guard","ttl":"60s","type":"token"}`,
	} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s\nnot %s", path, s, want)
		}
	}
	if !noted(got, Ignored, "preflights are answered by Cors") {
		t.Error("the mock of OPTIONS is dropped in silence")
	}
}

// An event's Auth, and what an API asks of all its routes, hold for the operations of its definition as well.
func TestDefinitionsTakeNothingFromAuth(t *testing.T) {
	const integration = `x-amazon-apigateway-integration: {type: aws_proxy, uri: !GetAtt F.Arn}`
	text := func(auth, event, security string) string {
		return app("Events: {A: {Type: Api, Properties: {Path: /a, Method: get, RestApiId: !Ref Api"+event+"}}}", `
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: v1
    Auth: `+auth+`
    DefinitionBody:
      openapi: 3.0.1
      paths: {/a: {get: {`+security+integration+`}}}
`)
	}
	for name, c := range map[string]struct{ auth, event, security, want string }{
		"the event's":            {"{}", ", Auth: {ApiKeyRequired: true}", "", `["key"]`},
		"the event's before":     {"{}", ", Auth: {Authorizer: AWS_IAM}", "security: [{api_key: []}], ", `["sigv4"]`},
		"the API's key":          {"{ApiKeyRequired: true}", "", "security: [], ", `["key"]`},
		"the API's key, twice":   {"{ApiKeyRequired: true}", "", "security: [{api_key: []}], ", `["key"]`},
		"the API's authorizer":   {"{DefaultAuthorizer: AWS_IAM}", "", "", `["sigv4"]`},
		"the operation's":        {"{DefaultAuthorizer: AWS_IAM}", "", "security: [{api_key: []}], ", `["key"]`},
		"a key besides":          {"{ApiKeyRequired: true}", "", "security: [{AWS_IAM: []}], ", "cannot ask for a key besides"},
		"nothing":                {"{}", "", "", "anybody may call GET /a"},
		"no scheme that is kept": {"{}", "", "security: [{oauth: []}], ", "there is no security scheme oauth"},
	} {
		got, found := made(t, text(c.auth, c.event, c.security), setting())
		if len(found) > 0 {
			if !strings.Contains(found.Error(), c.want) {
				t.Errorf("%s: %v", name, found)
			}
			continue
		}
		var m map[string]any
		if err := json.Unmarshal(got.Manifest.Data, &m); err != nil {
			t.Fatal(err)
		}
		if s := at(m, "routes|GET /a|auth"); s != c.want {
			t.Errorf("%s: %s, not %s", name, s, c.want)
		}
	}
}

func noted(got *Translation, c Class, text string) bool {
	return slices.ContainsFunc(got.Notes, func(n Note) bool { return n.Class == c && strings.Contains(n.Text, text) })
}

func TestMetadataIsLaidOver(t *testing.T) {
	text := strings.Replace(app(`
Policies: [{Statement: {Effect: Allow, Action: "a:B", Resource: "*"}}]
Events: {A: {Type: HttpApi, Properties: {Path: /a, Method: get}}}
`, ""), "    Properties:\n", "    Metadata: {Casemate: {isolation: request, grants: [connect api.example.com:443], statements: [{Effect: Deny, Action: \"c:D\", Resource: \"*\"}], open: {reason: a demo, expires: 2027-01-31}}}\n    Properties:\n", 1) + `
Metadata:
  Casemate:
    functions: {F: {timeout: 9s}}
    routes: {GET /a: {rate: 5/s}}
    budgets: [{for: app, amount: "20.00 USD", per: month}]
`
	m, got := manifestOf(t, text)
	for path, want := range map[string]string{
		"functions|shop-F|isolation":  `"request"`,
		"functions|shop-F|timeout":    `"9s"`,
		"functions|shop-F|grants":     `["connect api.example.com:443"]`,
		"functions|shop-F|statements": `[{"Action":"a:B","Effect":"Allow","Resource":"*"},{"Action":"c:D","Effect":"Deny","Resource":"*"}]`,
		"routes|GET /a":               `{"auth":{"none":{"expires":"2027-01-31","reason":"a demo"}},"function":"shop-F","rate":"5/s"}`,
		"budgets":                     `[{"amount":"20.00 USD","for":"app","per":"month"}]`,
	} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s\nnot %s", path, s, want)
		}
	}
	if noted(got, Weak, "isolation warm") || !noted(got, Weak, "open to everybody") {
		t.Errorf("%v", got.Notes)
	}
}

func TestMetadataOfAnAPIIsForRoutesThatAskForNothing(t *testing.T) {
	m, _ := manifestOf(t, app(`
Events:
  A: {Type: Api, Properties: {Path: /a, Method: get, RestApiId: !Ref Api}}
  B: {Type: Api, Properties: {Path: /b, Method: get, RestApiId: !Ref Api, Auth: {Authorizer: AWS_IAM}}}
`, "Api: {Type: AWS::Serverless::Api, Metadata: {Casemate: {auth: [key], rate: 5/s}}, Properties: {StageName: v}}"))
	for path, want := range map[string]string{"routes|GET /a|auth": `["key"]`, "routes|GET /b|auth": `["sigv4"]`, "routes|GET /b|rate": `"5/s"`} {
		if s := at(m, path); s != want {
			t.Errorf("%s: %s, not %s", path, s, want)
		}
	}
}

func TestOpenRoutesNeedAReason(t *testing.T) {
	text := app("FunctionUrlConfig: {AuthType: NONE}\nEvents: {A: {Type: Api, Properties: {Path: /a, Method: get}}}", "")
	_, found := made(t, text, setting())
	if s := fmt.Sprint(found); strings.Count(s, "anybody may call") != 2 || !strings.Contains(s, "Resources/F/Properties/FunctionUrlConfig/AuthType: ") || !strings.Contains(s, "Resources/F/Properties/Events/A/Properties: ") {
		t.Errorf("%v", found)
	}
	s := setting()
	s.Open = &casemate.Exception{Reason: "a demo", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	got, found := made(t, text, s)
	if len(found) > 0 || strings.Count(string(got.Manifest.Data), `"expires": "2027-01-31"`) != 2 {
		t.Errorf("%v", found)
	}
}

// Lambda checklist: 81, 85
func TestWhatCannotBeKeptStopsTheDeploy(t *testing.T) {
	for _, c := range []struct{ name, properties, rest, want string }{
		{"a key", "KmsKeyArn: arn:aws:kms:us-east-1:1:key/1", "", "template.yaml:6:18: Resources/F/Properties/KmsKeyArn: "},
		{"a key resource", "", "K: {Type: AWS::KMS::Key}", "Resources/K: AWS::KMS::Key: a key cannot be used here"},
		{"code signing", "CodeSigningConfigArn: x", "", "Resources/F/Properties/CodeSigningConfigArn"},
		{"an image", "PackageType: Image\nImageUri: x", "", "Resources/F/Properties/ImageUri: container images are not run"},
		{"java", "Runtime: java21\nHandler: x", "", "Resources/F/Properties/Runtime: there is no runtime java21 here"},
		{"another processor", "Runtime: provided.al2023\nHandler: x\nArchitectures: [arm64]", "", "Resources/F/Properties/Architectures: the node is x86_64"},
		{"an unknown property", "Timeoutt: 3", "", "Resources/F/Properties/Timeoutt: AWS::Serverless::Function has no such property (did you mean Timeout?)"},
		{"an unknown managed policy", "Policies: [SomePolicy]", "", `Resources/F/Properties/Policies/0: what the policy "SomePolicy" allows is not known here`},
		{"an unknown policy template", "Policies: [{NoSuchPolicy: {}}]", "", "Resources/F/Properties/Policies/0: "},
		{"a foreign role", "Role: arn:aws:iam::1:role/x", "", `Resources/F/Properties/Role: what the role "arn:aws:iam::1:role/x" allows is not known here`},
		{"a foreign boundary", "PermissionsBoundary: arn:aws:iam::1:policy/x", "", "Resources/F/Properties/PermissionsBoundary"},
		{"a deny of what is not known", "Policies: [{Statement: {Effect: Deny, Action: 'x:Y', Resource: !GetAtt X.Arn}}]", "X: {Type: AWS::Foo::Bar}", "Resources/F/Properties/Policies/0/Statement/Resource: X.Arn is not known here, and a statement that denies cannot be left out"},
		{"a NotResource that is not known", "Policies: [{Statement: {Effect: Allow, Action: 'x:Y', NotResource: !GetAtt X.Arn}}]", "X: {Type: AWS::Foo::Bar}", "a statement that denies cannot be left out"},
		{"a secret in the environment", "Environment: {Variables: {P: '{{resolve:secretsmanager:db:SecretString:password}}'}}", "", "Resources/F/Properties/Environment/Variables/P: a secret in the environment"},
		{"a user pool", "", "P: {Type: AWS::Cognito::UserPool}", "Resources/P: AWS::Cognito::UserPool: there is no user pool"},
		{"everybody", "", "P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Action: 'lambda:InvokeFunction', Principal: '*'}}", "Resources/P/Properties/Principal: everybody may call F"},
		{"an organisation", "", "P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Action: 'lambda:InvokeFunction', Principal: '*', PrincipalOrgID: o-1}}", "Resources/P/Properties: a permission by token or organisation"},
		{"a key and an authorizer", "Events: {A: {Type: Api, Properties: {Path: /a, Method: get, Auth: {ApiKeyRequired: true, Authorizer: AWS_IAM}}}}", "", "cannot ask for a key besides an authorizer"},
		{"an unknown authorizer", "Events: {A: {Type: Api, Properties: {Path: /a, Method: get, Auth: {Authorizer: X}}}}", "", "Resources/F/Properties/Events/A/Properties/Auth: there is no authorizer X"},
		{"a policy of an API", "Events: {A: {Type: Api, Properties: {Path: /a, Method: get, Auth: {ApiKeyRequired: true, ResourcePolicy: {AwsAccountWhitelist: ['1']}}}}}", "", "Auth/ResourcePolicy/AwsAccountWhitelist: this part of a resource policy cannot be kept"},
		{"single methods", "", "M: {Type: AWS::ApiGateway::Method}", "Resources/M: it is a part of an API that is not in the template"},
		{"a firewall", "", "W: {Type: AWS::WAFv2::WebACL}", "Resources/W: AWS::WAFv2::WebACL: its rules cannot be kept"},
		{"a policy that nobody reads", "", "W: {Type: AWS::Foo::ResourcePolicy}", "Resources/W: AWS::Foo::ResourcePolicy: the policy is not read"},
		{"a key of a queue", "", "Q: {Type: AWS::SQS::Queue, Properties: {KmsMasterKeyId: x}}", "Resources/Q/Properties/KmsMasterKeyId: the key cannot be used here"},
		{"two of one name", "FunctionName: g", "G: {Type: AWS::Serverless::Function, Properties: {FunctionName: g, CodeUri: g, Runtime: python3.12, Handler: a.b}}", "are both called g"},
	} {
		got, found := made(t, app(c.properties, c.rest), setting())
		if got != nil || !strings.Contains(fmt.Sprint(found), c.want) || !strings.HasPrefix(fmt.Sprint(found.Err()), "template.yaml:") {
			t.Errorf("%s: %v\nnot %s", c.name, found, c.want)
		}
	}
}

// Lambda checklist: 81
func TestNothingIsDroppedInSilence(t *testing.T) {
	_, got := manifestOf(t, app(`
VpcConfig: {SubnetIds: [a]}
Tracing: Active
DeadLetterQueue: {Type: SNS, TargetArn: "arn:aws:sns:us-east-1:000000000000:x"}
AutoPublishAlias: live
Environment: {Variables: {A: !GetAtt X.Foo}}
Policies: [{Statement: {Effect: Allow, Action: "x:Y", Resource: [!GetAtt X.Foo, "arn:aws:s3:::b"]}}]
Events: {P: {Type: S3, Properties: {Bucket: !Ref B, Events: "s3:*"}}, T: {Type: SNS, Properties: {Topic: x}}}
`, `
B: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
X: {Type: AWS::Foo::Bar}
V: {Type: AWS::EC2::VPC}
A: {Type: AWS::CloudWatch::Alarm}
L: {Type: AWS::Logs::LogGroup}
BP: {Type: AWS::S3::BucketPolicy}
S: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: hunter2}}
T: {Type: AWS::Serverless::SimpleTable}
`)+"Outputs: {O: {Value: x, Export: {Name: y}}}\n")
	said := map[string]Class{}
	for _, n := range got.Notes {
		if said[n.Path] == "" || n.Class != Honoured {
			said[n.Path] = n.Class
		}
		if n.Line < 1 || n.Column < 1 || n.File != "template.yaml" {
			t.Errorf("no place: %+v", n)
		}
	}
	const f = "Resources/F/Properties/"
	for path, want := range map[string]Class{f + "VpcConfig": Ignored, f + "Tracing": Ignored, f + "DeadLetterQueue": NotServed, f + "AutoPublishAlias": Honoured,
		f + "Environment/Variables/A": NotServed, f + "Policies/0/Statement": NotServed, f + "Events/P": NotServed, f + "Events/T": NotServed, "Resources/B": NotServed, "Resources/B/DeletionPolicy": NotServed, "Outputs/O/Export": Honoured,
		"Resources/X": NotServed, "Resources/V": Ignored, "Resources/A": Ignored, "Resources/L": Ignored, "Resources/BP": NotServed, "Resources/S": Honoured, "Resources/S/Properties/SecretString": Weak, "Resources/T": NotServed, "Resources/F": Weak} {
		if said[path] != want {
			t.Errorf("%s: %q, not %q", path, said[path], want)
		}
	}
	if s := string(got.Manifest.Data); strings.Contains(s, "hunter2") || !strings.Contains(s, "arn:aws:s3:::b") {
		t.Error("a secret's value is taken from the template, or what is known of a statement is not")
	}
}

func TestNamesAreTheAppsOwn(t *testing.T) {
	m, got := manifestOf(t, app("Environment: {Variables: {Q: !Ref Q, N: !GetAtt Q.QueueName, T: !Ref T, B: !Ref B, S: !Ref S, R: !GetAtt FRole.Arn, U: !GetAtt FUrl.FunctionUrl, V: !Ref F.Version}}\nFunctionUrlConfig: {AuthType: AWS_IAM}",
		"Q: {Type: AWS::SQS::Queue}\nT: {Type: AWS::DynamoDB::Table}\nB: {Type: AWS::S3::Bucket}\nS: {Type: AWS::SecretsManager::Secret}\n")+
		"Outputs:\n  A: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.us-east-1.amazonaws.com/Prod/x'}\n  Q: {Value: !Ref Q}\n  U: {Value: !GetAtt FUrl.FunctionUrl}\n")
	want := `{"B":"shop.b","N":"shop_Q","Q":"https://sqs.us-east-1.amazonaws.com/000000000000/shop_Q","R":"arn:aws:iam::000000000000:role/shop-F-role",` +
		`"S":"arn:aws:secretsmanager:us-east-1:000000000000:secret:shop/S","T":"shop_T","U":"https://shop-F.lambda-url.example/","V":"arn:aws:lambda:us-east-1:000000000000:function:shop-F"}`
	if s := at(m, "functions|shop-F|env"); s != want {
		t.Errorf("%s\nnot %s", s, want)
	}
	shown := got.Shown(Address{HTTP: "http://n:1", AWS: "http://n:2", Domain: "d"})
	if len(shown) != 3 || shown[1].Value != "http://n:2/000000000000/shop_Q" {
		t.Errorf("%+v", shown)
	}
	if u := (Address{HTTP: "http://n:1", Domain: "lambda-url.localhost"}).URL("abc"); u != "http://abc.lambda-url.localhost:1/" {
		t.Error(u)
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add(app("Timeout: 5\nPolicies: [{Statement: {Effect: Allow, Action: 'a:B', Resource: '*'}}]", "Q: {Type: AWS::SQS::Queue}"))
	f.Add(app("Events: {A: {Type: Api, Properties: {Path: /a, Method: get, Auth: {ApiKeyRequired: true}}}}", ""))
	f.Add(app("", "A: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: {openapi: 3.0.1, paths: {/x: {get: {x-amazon-apigateway-integration: {type: aws_proxy, uri: !GetAtt F.Arn}}}}}}}"))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, found := template.Parse("t", []byte(text))
		if len(found) > 0 {
			return
		}
		stack, found := Resolve(parsed, template.Inputs{}, setting())
		if len(found) > 0 {
			return
		}
		got, found := Translate(stack, setting())
		if (got == nil) == (len(found) == 0) {
			t.Fatal("neither a manifest nor a problem")
		}
		if got != nil && !json.Valid(got.Manifest.Data) {
			t.Fatalf("no JSON: %s", got.Manifest.Data)
		}
	})
}

// refusal is what is wrong with a template, wherever it is found; "" when it is taken.
func refusal(t testing.TB, text string) string {
	t.Helper()
	parsed, found := template.Parse("template.yaml", []byte(text))
	if len(found) == 0 {
		var stack *Stack
		s := setting()
		s.Open = &casemate.Exception{Reason: "compared", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
		if stack, found = Resolve(parsed, template.Inputs{}, s); len(found) == 0 {
			_, found = Translate(stack, s)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return found.Error()
}
