package sam

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/samoracle"
)

type object = map[string]any

func getAtt(name string) object { return object{"Fn::GetAtt": []string{name, "Arn"}} }

// drawn is a template of the supported subset.
func drawn(r *rand.Rand) object {
	resources := object{"Q0": object{"Type": "AWS::SQS::Queue"}, "Q1": object{"Type": "AWS::SQS::Queue"}}
	globals := object{"Function": object{"Runtime": "python3.12", "Handler": "app.h", "CodeUri": "s3://b/k"}}
	t := object{"Transform": "AWS::Serverless-2016-10-31", "Resources": resources, "Globals": globals}
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
	for n := range 1 + r.IntN(3) {
		resources[fmt.Sprintf("F%d", n)] = object{"Type": "AWS::Serverless::Function", "Properties": drawnFunction(r, n, explicit)}
	}
	return t
}

func drawnFunction(r *rand.Rand, n int, explicit bool) object {
	p := object{}
	events := object{}
	for i := range r.IntN(4) {
		path := fmt.Sprintf("/f%d/%d%s", n, i, []string{"", "/{id}", "/{proxy+}"}[r.IntN(3)])
		props := object{"Path": path, "Method": []string{"get", "POST", "any", "delete"}[r.IntN(4)]}
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
		events["Q"] = object{"Type": "SQS", "Properties": object{"Queue": getAtt(fmt.Sprintf("Q%d", r.IntN(2))), "BatchSize": 1 + r.IntN(10)}}
	}
	if len(events) > 0 {
		p["Events"] = events
	}
	all := []any{"AWSLambdaBasicExecutionRole", "AmazonSQSFullAccess", object{"SQSSendMessagePolicy": object{"QueueName": "x"}}, object{"DynamoDBCrudPolicy": object{"TableName": "x"}},
		object{"Statement": []any{object{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}, object{"Effect": "Deny", "Action": []string{"s3:*"}, "Resource": "*"}}}}
	if k := r.IntN(len(all) + 1); k > 0 {
		p["Policies"] = all[:k]
	}
	if r.IntN(3) == 0 {
		p["FunctionUrlConfig"] = object{"AuthType": []string{"NONE", "AWS_IAM"}[r.IntN(2)]}
	}
	if r.IntN(3) == 0 {
		p["EventInvokeConfig"] = object{"MaximumRetryAttempts": r.IntN(3)}
	}
	return p
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
	var m struct {
		Functions map[string]struct {
			Events     []struct{ Queue string } `json:"events"`
			Statements []struct {
				Effect string
				Action any
			}
			URL   *struct{ Auth any } `json:"url"`
			Async *struct{ Retries int }
		}
		Routes map[string]struct {
			Function string
			Auth     any
		}
	}
	if err := json.Unmarshal(got.Manifest.Data, &m); err != nil {
		t.Fatal(err)
	}
	out := samoracle.Outcome{Routes: map[string]string{}, URLs: map[string]string{}, May: map[string][]string{}, Async: map[string]int{}}
	for name, f := range m.Functions {
		id := strings.TrimPrefix(name, "shop-")
		out.Functions = append(out.Functions, id)
		for _, e := range f.Events {
			out.Polled = append(out.Polled, id+" "+strings.TrimPrefix(e.Queue, "shop_"))
		}
		for _, s := range f.Statements {
			for _, a := range listed(s.Action) {
				out.May[id] = append(out.May[id], s.Effect+" "+a)
			}
		}
		if f.URL != nil {
			out.URLs[id] = map[bool]string{true: "AWS_IAM", false: "NONE"}[slices.Contains(listed(f.URL.Auth), "sigv4")]
		}
		if f.Async != nil {
			out.Async[id] = f.Async.Retries
		}
	}
	for key, r := range m.Routes {
		kinds := listed(r.Auth)
		out.Routes[key] = strings.TrimPrefix(r.Function, "shop-") + " " + strings.Join(kinds, ",")
	}
	slices.Sort(out.Functions)
	slices.Sort(out.Polled)
	return out
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

// theirs is AWS's outcome in our words: credentials by our names, managed policies as what they allow.
func theirs(o *samoracle.Outcome) samoracle.Outcome {
	out := *o
	out.Routes, out.May, out.Polled = map[string]string{}, map[string][]string{}, nil
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
	for fn, list := range o.May {
		for _, a := range list {
			name, is := strings.CutPrefix(a, "managed ")
			if !is {
				out.May[fn] = append(out.May[fn], a)
				continue
			}
			if name != "AWSLambdaSQSQueueExecutionRole" { // granted for the one queue, as "receive queue/..."
				for _, action := range managed[name] {
					out.May[fn] = append(out.May[fn], "Allow "+action)
				}
			}
		}
	}
	for _, p := range o.Polled {
		fields := strings.Fields(p)
		out.Polled = append(out.Polled, fields[0]+" "+fields[1])
	}
	return out
}

// Lambda checklist: 84, 86
//
// Over drawn templates of the supported subset, AWS's transform and this package come to the same functions, routes with their
// credentials, polled queues, URLs, asynchronous settings and permissions of roles.
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
		want, got := theirs(a.Made), ours(t, templates[i])
		for fn := range maps.Keys(want.May) {
			slices.Sort(want.May[fn])
			want.May[fn] = slices.Compact(want.May[fn])
		}
		for fn := range maps.Keys(got.May) {
			slices.Sort(got.May[fn])
			got.May[fn] = slices.Compact(got.May[fn])
		}
		if !reflect.DeepEqual(got, want) {
			text, _ := json.Marshal(templates[i])
			t.Errorf("%s\nhere      %+v\ntransform %+v", text, got, want)
			continue
		}
		routes += len(got.Routes)
		same++
	}
	t.Logf("%d of %d templates with %d routes come to the same", same, n, routes)
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
