package sam

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/samoracle"
)

type object = map[string]any

func getAtt(name string) object { return object{"Fn::GetAtt": []string{name, "Arn"}} }

// one draws one of a list.
func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// drawn is a template of the supported subset.
func drawn(r *rand.Rand) object {
	resources := object{"Q0": object{"Type": "AWS::SQS::Queue"}, "Q1": object{"Type": "AWS::SQS::Queue"}}
	of := object{"Runtime": "python3.12", "Handler": "app.h", "CodeUri": "s3://b/k"}
	globals := object{"Function": of}
	t := object{"Transform": "AWS::Serverless-2016-10-31", "Resources": resources, "Globals": globals}
	if r.IntN(2) == 0 {
		of["Environment"] = object{"Variables": object{"STAGE": "dev", "HERE": object{"Fn::Sub": "${AWS::Region}/${AWS::StackName}"}}}
	}
	if r.IntN(2) == 0 {
		of["Timeout"], of["MemorySize"] = 5+r.IntN(20), one(r, 128, 512)
	}
	if r.IntN(3) == 0 {
		globals["Api"] = object{"Auth": object{"ApiKeyRequired": true}}
	}
	if r.IntN(3) == 0 {
		globals["HttpApi"] = object{"Auth": object{"DefaultAuthorizer": "Tokens", "Authorizers": object{"Tokens": object{
			"JwtConfiguration": object{"issuer": "https://i.example/", "audience": []string{"a"}}, "IdentitySource": "$request.header.Authorization"}}}}
	}
	explicit := r.IntN(2) == 0
	if explicit {
		resources["Explicit"] = object{"Type": "AWS::Serverless::Api", "Properties": object{"StageName": "v1", "Auth": object{"DefaultAuthorizer": "AWS_IAM", "ApiKeyRequired": false, "AddDefaultAuthorizerToCorsPreflight": false}}}
	}
	own := object{"Type": "AWS::IAM::Role", "Properties": object{"AssumeRolePolicyDocument": object{"Version": "2012-10-17", "Statement": []any{object{"Effect": "Allow",
		"Principal": object{"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}}, "Policies": []any{object{"PolicyName": "p", "PolicyDocument": object{"Statement": drawnStatement(r)}}},
		"ManagedPolicyArns": []any{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}}}
	for n := range 1 + r.IntN(4) {
		f := drawnFunction(r, n, explicit)
		if _, polls := f["Events"].(object)["Q"]; !polls && r.IntN(4) == 0 {
			resources["Own"], f["Role"] = own, getAtt("Own")
			delete(f, "Policies")
		}
		resources[fmt.Sprintf("F%d", n)] = object{"Type": "AWS::Serverless::Function", "Properties": f}
	}
	return t
}

func drawnStatement(r *rand.Rand) object {
	s := object{"Effect": one(r, "Allow", "Allow", "Deny"), "Action": one[any](r, "sns:Publish", []string{"s3:GetObject", "s3:PutObject"}, "sqs:*"),
		"Resource": one[any](r, "*", getAtt("Q0"), []any{getAtt("Q1"), "arn:aws:s3:::b/*"}, object{"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}_Q0"})}
	if r.IntN(3) == 0 {
		s["Condition"] = object{"StringEquals": object{"aws:PrincipalTag/team": "web"}}
	}
	return s
}

func drawnFunction(r *rand.Rand, n int, explicit bool) object {
	p := object{}
	events := drawnEvents(r, n, explicit)
	p["Events"] = events
	queue := object{"QueueName": object{"Fn::GetAtt": []string{"Q1", "QueueName"}}}
	all := []any{"AWSLambdaBasicExecutionRole", "AmazonSQSFullAccess", object{"SQSSendMessagePolicy": queue}, object{"DynamoDBCrudPolicy": object{"TableName": "x"}}, object{"S3ReadPolicy": object{"BucketName": "b"}},
		object{"Statement": []any{drawnStatement(r), drawnStatement(r)}}, object{"Version": "2012-10-17", "Statement": drawnStatement(r)}, "AmazonDynamoDBReadOnlyAccess", object{"LambdaInvokePolicy": object{"FunctionName": "shop-F0"}}}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	switch k := r.IntN(len(all) + 1); {
	case k == 1:
		p["Policies"] = all[0]
	case k > 0:
		p["Policies"] = all[:k]
	}
	if r.IntN(3) == 0 {
		p["FunctionUrlConfig"] = object{"AuthType": one(r, "NONE", "AWS_IAM"), "InvokeMode": one(r, "BUFFERED", "RESPONSE_STREAM")}
	}
	if r.IntN(3) == 0 {
		p["EventInvokeConfig"] = object{"MaximumRetryAttempts": r.IntN(3)}
	}
	if r.IntN(3) == 0 {
		p["AutoPublishAlias"] = one(r, "live", "stable")
	}
	if r.IntN(3) == 0 {
		p["Environment"] = object{"Variables": object{"STAGE": "prod", "QUEUE": object{"Fn::GetAtt": []string{"Q0", "QueueName"}}, "N": "7"}}
	}
	if r.IntN(3) == 0 {
		p["MemorySize"], p["Timeout"], p["EphemeralStorage"] = 256, 29, object{"Size": 1024}
	}
	if r.IntN(5) == 0 {
		p["ReservedConcurrentExecutions"] = r.IntN(5)
	}
	if r.IntN(4) == 0 {
		p["Runtime"], p["Handler"] = "nodejs20.x", "index.handler"
	}
	return p
}

func drawnEvents(r *rand.Rand, n int, explicit bool) object {
	events := object{}
	for i := range r.IntN(4) {
		props := object{"Path": fmt.Sprintf("/f%d/%d%s", n, i, one(r, "", "/{id}", "/{proxy+}")), "Method": one(r, "get", "POST", "any", "delete")}
		typ := "Api"
		switch r.IntN(4) {
		case 0:
			typ = "HttpApi"
		case 1:
			if explicit {
				props["RestApiId"] = object{"Ref": "Explicit"}
			}
		case 2:
			props["Auth"] = object{"ApiKeyRequired": true}
			if explicit && r.IntN(2) == 0 {
				props["Auth"], props["RestApiId"] = object{"Authorizer": "NONE"}, object{"Ref": "Explicit"}
			}
		}
		events[fmt.Sprintf("E%d", i)] = object{"Type": typ, "Properties": props}
	}
	if r.IntN(2) == 0 {
		props := object{"Queue": getAtt(fmt.Sprintf("Q%d", r.IntN(2))), "BatchSize": 1 + r.IntN(10), "Enabled": r.IntN(4) > 0}
		if r.IntN(2) == 0 {
			props["MaximumBatchingWindowInSeconds"], props["FunctionResponseTypes"] = 1+r.IntN(60), []string{"ReportBatchItemFailures"}
		}
		if r.IntN(3) == 0 {
			props["ScalingConfig"] = object{"MaximumConcurrency": 2 + r.IntN(9)}
			props["FilterCriteria"] = object{"Filters": []any{object{"Pattern": `{"body":{"kind":["order"]}}`}}}
		}
		events["Q"] = object{"Type": "SQS", "Properties": props}
	}
	if r.IntN(3) == 0 {
		events["T"] = object{"Type": "Schedule", "Properties": object{"Schedule": one(r, "rate(5 minutes)", "cron(0 12 * * ? *)"), "Enabled": r.IntN(3) > 0, "Input": `{"a":1}`}}
	}
	if r.IntN(3) == 0 {
		events["V"] = object{"Type": "ScheduleV2", "Properties": object{"ScheduleExpression": "rate(1 hour)", "ScheduleExpressionTimezone": "Europe/Berlin", "State": one(r, "ENABLED", "DISABLED")}}
	}
	return events
}

// translated is what of a manifest is compared.
type translated struct {
	Functions map[string]struct {
		Events []struct {
			Queue, Window, State, Partial string
			Batch, Concurrency            int
			Filter                        []string
		} `json:"events"`
		Statements []struct {
			Effect           string
			Action, Resource any
			Condition        any
		}
		Grants                                 []string
		URL                                    *linked `json:"url"`
		Async                                  *struct{ Retries int }
		Aliases                                map[string]struct{ URL *linked }
		Handler, Runtime, Timeout, Memory, Tmp string
		Reserved                               *int `json:"reserved_concurrency"`
		Env                                    map[string]string
	}
	Routes map[string]struct {
		Function string
		Auth     any
	}
	Schedules map[string]struct{ Function, When, Input, Zone, State string }
}

// ours is what this package makes of a template, told as transform.py tells it.
func ours(t *testing.T, source object) samoracle.Outcome {
	t.Helper()
	data, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	s := setting()
	s.Open = &casemate.Exception{Reason: "compared", Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
	got, found := made(t, strings.ReplaceAll(string(data), "s3://b/k", "code"), s)
	if len(found) > 0 {
		t.Fatalf("%v\nof %s", found, data)
	}
	var m translated
	if err := json.Unmarshal(got.Manifest.Data, &m); err != nil {
		t.Fatal(err)
	}
	out := samoracle.Outcome{Routes: map[string]string{}, URLs: map[string]string{}, May: map[string][]string{}, Async: map[string]int{}, Settings: map[string]map[string]string{},
		Callers: map[string][]string{}, Aliases: map[string]string{}, Roles: map[string]string{}}
	calls := func(id, who string) {
		if !slices.Contains(out.Callers[id], who) {
			out.Callers[id] = append(out.Callers[id], who)
		}
	}
	for name := range m.Functions {
		m.function(&out, strings.TrimPrefix(name, "shop-"), calls)
	}
	for key, r := range m.Routes {
		id := strings.TrimPrefix(r.Function, "shop-")
		out.Routes[key] = id + " " + strings.Join(listed(r.Auth), ",")
		calls(id, "apigateway.amazonaws.com")
	}
	for name, x := range m.Schedules {
		id := strings.TrimPrefix(x.Function, "shop-")
		if strings.HasSuffix(name, "-T") { // an event of type Schedule; the scheduler's calls by a role
			calls(id, "events.amazonaws.com")
		}
		out.Scheduled = append(out.Scheduled, strings.Join(strings.Fields(strings.Join([]string{id, x.When, x.State, x.Input, x.Zone}, " ")), " "))
	}
	return out
}

// function adds one function to what was made.
func (m *translated) function(out *samoracle.Outcome, id string, calls func(id, who string)) {
	f := m.Functions["shop-"+id]
	out.Functions = append(out.Functions, id)
	for _, e := range f.Events {
		x := []string{id, strings.TrimPrefix(e.Queue, "shop_"), strconv.Itoa(e.Batch), strings.TrimSuffix(e.Window, "s"), e.State, e.Partial, strconv.Itoa(e.Concurrency)}
		out.Polled = append(out.Polled, strings.Join(append(x, e.Filter...), " "))
	}
	for _, s := range f.Statements {
		actions, resources := listed(s.Action), listed(s.Resource)
		slices.Sort(actions)
		slices.Sort(resources)
		out.May[id] = append(out.May[id], s.Effect+" "+strings.Join(actions, ",")+" on "+strings.Join(resources, ",")+map[bool]string{true: " if"}[s.Condition != nil])
	}
	if len(f.Grants) > 0 {
		out.May[id] = append(out.May[id], f.Grants...)
	}
	for alias, a := range f.Aliases {
		if out.Aliases[id] = alias; a.URL != nil {
			f.URL, out.URLs[id] = a.URL, alias+":"
		}
	}
	if f.URL != nil {
		kind := "NONE"
		if slices.Contains(listed(f.URL.Auth), "sigv4") {
			kind = "AWS_IAM"
		} else {
			calls(id, "* NONE")
		}
		out.URLs[id] += kind + map[string]string{"": " BUFFERED", "stream": " RESPONSE_STREAM"}[f.URL.Response]
	}
	if f.Async != nil {
		out.Async[id] = f.Async.Retries
	}
	env, _ := json.Marshal(f.Env)
	set := map[string]string{"Handler": f.Handler, "Runtime": f.Runtime, "Timeout": strings.TrimSuffix(f.Timeout, "s"), "MemorySize": strings.TrimSuffix(f.Memory, "MB"),
		"Storage": strings.TrimSuffix(f.Tmp, "MB"), "Environment": strings.Replace(string(env), "null", "{}", 1)}
	if f.Reserved != nil {
		set["ReservedConcurrentExecutions"] = strconv.Itoa(*f.Reserved)
	}
	maps.DeleteFunc(set, func(_, v string) bool { return v == "" })
	out.Settings[id] = set
}

// listed is a text or a list of texts as a list; anything else is empty.
func listed(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			out = append(out, fmt.Sprint(x))
		}
	}
	return out
}

// theirs is AWS's outcome in our words: credentials by our names, managed policies as what they allow, defaults left out.
func theirs(o *samoracle.Outcome) samoracle.Outcome {
	out := *o
	out.Routes, out.May, out.Polled, out.Roles = map[string]string{}, map[string][]string{}, nil, map[string]string{}
	for key, r := range o.Routes {
		fn, kinds, _ := strings.Cut(r, " ")
		var mine []string
		for k := range strings.SplitSeq(kinds, ",") {
			if word := map[string]string{"api_key": "key", "AWS_IAM": "sigv4", "Tokens": "jwt"}[k]; word != "" {
				mine = append(mine, word)
			}
		}
		out.Routes[key] = fn + " " + strings.Join(mine, ",")
	}
	for _, p := range o.Polled {
		f := strings.SplitN(p, " ", 7) // function, queue, batch, window, enabled, types, concurrency and patterns
		f[4] = map[string]string{"false": "disabled"}[f[4]]
		f[5] = map[string]string{"ReportBatchItemFailures": "report"}[f[5]]
		if f[6] == "" {
			f[6] = "0"
		}
		out.Polled = append(out.Polled, strings.Join(f, " "))
	}
	for fn, list := range o.May {
		for _, a := range list {
			name, is := strings.CutPrefix(a, "managed ")
			switch {
			case !is:
				out.May[fn] = append(out.May[fn], a)
			case name == "AWSLambdaSQSQueueExecutionRole": // granted for the one queue
				for _, p := range out.Polled {
					if f := strings.Fields(p); f[0] == fn {
						out.May[fn] = append(out.May[fn], "receive queue/shop_"+f[1])
					}
				}
			case len(managed[name]) > 0:
				actions := slices.Sorted(slices.Values(managed[name]))
				out.May[fn] = append(out.May[fn], "Allow "+strings.Join(actions, ",")+" on *")
			}
		}
	}
	for fn, url := range o.URLs {
		if !strings.Contains(url, " ") {
			out.URLs[fn] = url + " BUFFERED"
		}
	}
	for i, x := range o.Scheduled {
		x = strings.Replace(strings.Replace(x, " ENABLED", "", 1), " DISABLED", " disabled", 1)
		out.Scheduled[i] = strings.Join(strings.Fields(x), " ")
	}
	return out
}

// inOrder sorts what has no order.
func inOrder(o samoracle.Outcome) samoracle.Outcome {
	for _, list := range [][]string{o.Functions, o.Polled, o.Scheduled} {
		slices.Sort(list)
	}
	for fn := range o.May {
		slices.Sort(o.May[fn])
		o.May[fn] = slices.Compact(o.May[fn])
	}
	for fn := range o.Callers {
		slices.Sort(o.Callers[fn])
	}
	maps.DeleteFunc(o.May, func(_ string, list []string) bool { return len(list) == 0 })
	return o
}

// Lambda checklist: 84, 86
//
// Over drawn templates of the supported subset, AWS's transform and this package come to the same functions with their settings,
// aliases, routes with their credentials, polled queues, schedules, URLs, permissions, asynchronous settings, and statements of roles.
func TestAgainstAWSTransform(t *testing.T) {
	n := 25
	if os.Getenv("CASEMATE_FULL") != "" {
		n = 1000
	}
	r := rand.New(rand.NewPCG(7, 11))
	var templates []object
	for range n {
		templates = append(templates, drawn(r))
	}
	routes, same := 0, 0
	for i, a := range samoracle.Transform(t, templates) {
		if a.Made == nil {
			t.Errorf("the transform refuses %v: %s", templates[i], a.Refused)
			continue
		}
		want, got := inOrder(theirs(a.Made)), inOrder(ours(t, templates[i]))
		if differ := difference(want, got); differ != "" {
			text, _ := json.Marshal(templates[i])
			t.Errorf("%s\n%s", text, differ)
			continue
		}
		routes += len(got.Routes)
		same++
	}
	t.Logf("%d of %d templates with %d routes come to the same", same, n, routes)
}

// difference tells the first part that is not the same.
func difference(want, got samoracle.Outcome) string {
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		x, y := w.Field(i), g.Field(i)
		if (x.Len() > 0 || y.Len() > 0) && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return fmt.Sprintf("%s:\nhere      %v\ntransform %v", w.Type().Field(i).Name, y, x)
		}
	}
	return ""
}

// Lambda checklist: 85
//
// What AWS's transform refuses is refused here, and the same resource is named.
func TestInvalidTemplatesNameTheSameResource(t *testing.T) {
	function := func(more object) object {
		p := object{"Runtime": "python3.12", "Handler": "app.h", "CodeUri": "s3://b/k"}
		maps.Copy(p, more)
		return object{"Transform": "AWS::Serverless-2016-10-31", "Resources": object{"Bad": object{"Type": "AWS::Serverless::Function", "Properties": p}}}
	}
	event := func(typ string, props object) object {
		return function(object{"Events": object{"E": object{"Type": typ, "Properties": props}}})
	}
	templates := []object{
		function(object{"NoSuchProperty": 1}),
		function(object{"Policies": []any{object{"NoSuchPolicy": object{}}}}),
		function(object{"Policies": []any{object{"SQSSendMessagePolicy": object{}}}}),
		function(object{"FunctionUrlConfig": object{"AuthType": "SOMEBODY"}}),
		event("Api", object{"Path": "/a"}),
		event("Api", object{"Method": "get"}),
		event("Api", object{"Path": "/a", "Method": "get", "Auth": object{"Authorizer": "Nobody"}}),
		event("NoSuchEvent", object{}),
		event("SQS", object{"Queue": "x", "NoSuch": 1}),
		function(object{"DeadLetterQueue": object{"Type": "SQS"}}),
		function(object{"AutoPublishAlias": []string{"x"}}),
		function(object{"Events": object{"E": object{"Type": "Api", "Properties": object{"Path": "/a", "Method": "get", "RestApiId": object{"Ref": "Bad2"}}}}}),
	}
	named := 0
	for i, a := range samoracle.Transform(t, templates) {
		text, err := json.Marshal(templates[i])
		if err != nil {
			t.Fatal(err)
		}
		said := refusal(t, strings.ReplaceAll(string(text), `"s3://b/k"`, `"code"`))
		switch {
		case a.Made != nil:
			t.Errorf("the transform takes %s; here: %s", text, said)
		case said == "":
			t.Errorf("%s is taken here; the transform says %s", text, a.Refused)
		case strings.Contains(a.Refused, "[Bad") && !strings.Contains(said, "Resources/Bad"):
			t.Errorf("%s names another resource; the transform says %s", said, a.Refused)
		default:
			named++
		}
	}
	t.Logf("%d of %d invalid templates are refused with the same resource", named, len(templates))
}

// linked is a URL of a function or of an alias.
type linked struct {
	Auth     any
	Response string
}
