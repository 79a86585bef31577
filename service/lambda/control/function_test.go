package control

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"casemate"
	"casemate/catalog"
)

// packed is a deployment package with one file.
func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("app.py")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// in64 is a deployment package as a request holds it.
func in64(t testing.TB, text string) string {
	return base64.StdEncoding.EncodeToString(packed(t, text))
}

const workerARN = "arn:aws:iam::000000000000:role/worker"

// hired is an office with a role that functions can be given.
func hired(t *testing.T) *office {
	t.Helper()
	o := newOffice(t)
	a, revision := o.catalog.Snapshot().App("shop")
	next := a.Clone()
	next.Roles["worker"] = catalog.Role{Statements: []casemate.Statement{{Sid: "w", Effect: casemate.Allow, Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::in/*"}}}}
	if err := o.catalog.Swap(t.Context(), next, revision); err != nil {
		t.Fatal(err)
	}
	return o
}

func create(t testing.TB, more string) string {
	return `{"FunctionName":"made","Runtime":"python3.12","Handler":"app.handler","Role":"` + workerARN + `","Code":{"ZipFile":"` + in64(t, "1") + `"}` + more + `}`
}

// answer is what an operation answers, as a client reads it; the test ends when it refuses.
func (o *office) answer(operation, question string) map[string]any {
	o.t.Helper()
	text := o.ask(operation, question)
	out := map[string]any{}
	if text == "" {
		return out
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		o.t.Fatalf("%s %.200s: %s", operation, question, text)
	}
	return out
}

// Lambda checklist: 71, 72, 73
// TestLifeOfAFunction: made, active, changed, published; each write has a revision of its own, and a number is for content.
func TestLifeOfAFunction(t *testing.T) {
	o := hired(t)
	made := o.answer("CreateFunction", create(t, `,"Environment":{"Variables":{"AB":"c"}},"Tags":{"team":"x"}`))
	sum := sha256.Sum256(packed(t, "1"))
	if made["State"] != "Pending" || made["StateReasonCode"] != "Creating" || made["Version"] != "$LATEST" || made["Role"] != workerARN || made["CodeSha256"] != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Fatalf("%v", made)
	}
	now := o.answer("GetFunctionConfiguration", `{"FunctionName":"made"}`)
	if now["State"] != "Active" || now["LastUpdateStatus"] != "Successful" || now["RevisionId"] != made["RevisionId"] {
		t.Errorf("%v", now)
	}
	seen := map[any]bool{now["RevisionId"]: true}
	write := func(operation, question string) map[string]any {
		t.Helper()
		got := o.answer(operation, question)
		is := o.answer("GetFunctionConfiguration", `{"FunctionName":"made"}`)["RevisionId"]
		if seen[is] {
			t.Errorf("%s leaves the revision", operation)
		}
		seen[is] = true
		return got
	}
	if o.ask("GetFunction", `{"FunctionName":"made","Qualifier":"1"}`) != codeMissing+": Function not found: arn:aws:lambda:us-east-1:000000000000:function:made:1" {
		t.Error("a draft has a number for callers")
	}
	if got := write("PublishVersion", `{"FunctionName":"made","Description":"first"}`); got["Version"] != "1" || got["Description"] != "first" || got["FunctionArn"] != "arn:aws:lambda:us-east-1:000000000000:function:made:1" {
		t.Errorf("%v", got)
	}
	if got := o.answer("PublishVersion", `{"FunctionName":"made"}`); got["Version"] != "1" {
		t.Errorf("published again: %v", got)
	}
	if got := write("UpdateFunctionCode", `{"FunctionName":"made","ZipFile":"`+in64(t, "2")+`"}`); got["LastUpdateStatus"] != "InProgress" || got["Version"] != "$LATEST" {
		t.Errorf("%v", got)
	}
	write("UpdateFunctionConfiguration", `{"FunctionName":"made","Timeout":9,"MemorySize":256,"Description":"d"}`)
	if got := o.answer("GetFunction", `{"FunctionName":"made","Qualifier":"1"}`)["Configuration"].(map[string]any); got["Timeout"] != 3.0 || got["CodeSha256"] != made["CodeSha256"] || got["Description"] != "first" {
		t.Errorf("version 1 is another than it was: %v", got)
	}
	if got := write("PublishVersion", `{"FunctionName":"made"}`); got["Version"] != "2" || got["Timeout"] != 9.0 {
		t.Errorf("%v", got)
	}
	write("UpdateFunctionCode", `{"FunctionName":"made","ZipFile":"`+in64(t, "2")+`"}`) // the same code
	if got := o.answer("PublishVersion", `{"FunctionName":"made"}`); got["Version"] != "2" {
		t.Errorf("unchanged code has a new version: %v", got)
	}
	write("UpdateFunctionConfiguration", `{"FunctionName":"made","Description":""}`)
	if got := o.answer("GetFunctionConfiguration", `{"FunctionName":"made"}`); got["Description"] != "" {
		t.Errorf("the description is still %v", got["Description"])
	}
}

// Lambda checklist: 72, 73
func TestWritesForAnotherState(t *testing.T) {
	o := hired(t)
	o.answer("CreateFunction", create(t, `,"Publish":true`))
	old := o.answer("GetFunctionConfiguration", `{"FunctionName":"made"}`)["RevisionId"].(string)
	o.answer("UpdateFunctionConfiguration", `{"FunctionName":"made","Timeout":9,"RevisionId":"`+old+`"}`)
	const stale = codeRevision + ": The Revision Id provided does not match the latest Revision Id. Call the GetFunction API to retrieve the latest Revision Id"
	for operation, rest := range map[string]string{"UpdateFunctionConfiguration": `"Timeout":8`, "UpdateFunctionCode": `"ZipFile":"` + in64(t, "3") + `"`, "PublishVersion": `"Description":"x"`} {
		if got := o.ask(operation, `{"FunctionName":"made","RevisionId":"`+old+`",`+rest+`}`); got != stale {
			t.Errorf("%s: %s", operation, got)
		}
	}
	if got := o.ask("PublishVersion", `{"FunctionName":"made","CodeSha256":"AAAA"}`); !strings.HasPrefix(got, codeParameter+": CodeSHA256 (AAAA) is different from current CodeSHA256") {
		t.Error(got)
	}
}

// Lambda checklist: 74
func TestAliases(t *testing.T) {
	o := hired(t)
	o.answer("CreateFunction", create(t, `,"Publish":true`))
	o.answer("UpdateFunctionCode", `{"FunctionName":"made","Publish":true,"ZipFile":"`+in64(t, "2")+`"}`)
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:made"
	first := o.answer("CreateAlias", `{"FunctionName":"made","Name":"live","FunctionVersion":"1","Description":"d","RoutingConfig":{"AdditionalVersionWeights":{"2":0.1}}}`)
	if first["AliasArn"] != arn+":live" || fmt.Sprint(first["RoutingConfig"]) != "map[AdditionalVersionWeights:map[2:0.1]]" {
		t.Errorf("%v", first)
	}
	o.steps([][3]string{
		{"CreateAlias", `{"FunctionName":"made","Name":"live","FunctionVersion":"1"}`, codeConflict + ": Alias already exists: " + arn + ":live"},
		{"CreateAlias", `{"FunctionName":"made","Name":"b","FunctionVersion":"3"}`, codeMissing + ": Function not found: " + arn + ":3"},
		{"CreateAlias", `{"FunctionName":"made","Name":"b","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"1":0.1}}}`, codeParameter + ": Invalid function version 1. Function version 1 is already included in routing configuration."},
		{"CreateAlias", `{"FunctionName":"made","Name":"b","FunctionVersion":"$LATEST","RoutingConfig":{"AdditionalVersionWeights":{"1":0.1}}}`, codeParameter + ": $LATEST is not supported for an alias pointing to more than 1 version"},
		{"CreateAlias", `{"FunctionName":"made","Name":"12","FunctionVersion":"1"}`, "*" + codeModel + "*"},
		{"UpdateAlias", `{"FunctionName":"made","Name":"none","FunctionVersion":"1"}`, codeMissing + ": Cannot find alias arn: " + arn + ":none"},
		{"UpdateAlias", `{"FunctionName":"made","Name":"live","RevisionId":"x"}`, "*" + codeRevision + "*"},
		{"DeleteFunction", `{"FunctionName":"made","Qualifier":"2"}`, codeConflict + ": Version 2 is currently being used by an alias"},
		{"DeleteFunction", `{"FunctionName":"made","Qualifier":"$LATEST"}`, codeParameter + ": $LATEST version cannot be deleted without deleting the function."},
		{"GetFunctionConfiguration", `{"FunctionName":"made:live"}`, `*"FunctionArn":"` + arn + `:live"*`},
	})
	second := o.answer("UpdateAlias", `{"FunctionName":"made","Name":"live","FunctionVersion":"2","RevisionId":"`+first["RevisionId"].(string)+`","RoutingConfig":{}}`)
	if second["FunctionVersion"] != "2" || second["RoutingConfig"] != nil || second["Description"] != "d" || second["RevisionId"] == first["RevisionId"] {
		t.Errorf("%v", second)
	}
	o.answer("DeleteAlias", `{"FunctionName":"made","Name":"live"}`)
	o.answer("DeleteAlias", `{"FunctionName":"made","Name":"live"}`) // as on Lambda, no error
	o.answer("CreateAlias", `{"FunctionName":"made","Name":"newest","FunctionVersion":"$LATEST"}`)
	o.answer("DeleteFunction", `{"FunctionName":"made","Qualifier":"2"}`) // the one in force goes on without a number
	if got := o.answer("GetFunctionConfiguration", `{"FunctionName":"made:newest"}`); got["CodeSha256"] != second["CodeSha256"] && got["Version"] != "$LATEST" {
		t.Errorf("%v", got)
	}
	if got := o.ask("GetFunctionConfiguration", `{"FunctionName":"made:2"}`); !strings.HasPrefix(got, codeMissing) {
		t.Error(got)
	}
}

// Lambda checklist: 79
func TestPages(t *testing.T) {
	o := hired(t)
	o.answer("CreateFunction", create(t, `,"Publish":true`))
	for i := range 3 {
		o.answer("UpdateFunctionCode", fmt.Sprintf(`{"FunctionName":"made","Publish":true,"ZipFile":"%s"}`, in64(t, fmt.Sprint("v", i))))
		o.answer("CreateAlias", fmt.Sprintf(`{"FunctionName":"made","Name":"a%d","FunctionVersion":"%d"}`, i, i+1))
	}
	for operation, want := range map[string]string{"ListFunctions": "made price", "ListVersionsByFunction": "$LATEST 1 2 3 4", "ListAliases": "a0 a1 a2"} {
		for most := 1; most <= 5; most++ {
			var have []string
			mark := ""
			for n := 0; ; n++ {
				out := o.answer(operation, fmt.Sprintf(`{"FunctionName":"made","MaxItems":%d,"Marker":"%s"}`, most, mark))
				for _, list := range out {
					items, _ := list.([]any)
					for _, item := range items {
						m := item.(map[string]any)
						name := m["Name"]
						if operation == "ListFunctions" {
							name = m["FunctionName"]
						} else if operation == "ListVersionsByFunction" {
							name = m["Version"]
						}
						have = append(have, fmt.Sprint(name))
					}
				}
				next, more := out["NextMarker"].(string)
				if mark = next; !more || n > 9 {
					break
				}
			}
			if got := strings.Join(have, " "); got != want {
				t.Errorf("%s by %d: %s", operation, most, got)
			}
		}
	}
	if got := o.ask("ListFunctions", `{"Marker":"%"}`); got != codeParameter+": Invalid marker" {
		t.Error(got)
	}
	if got := o.answer("ListFunctions", `{"FunctionVersion":"ALL"}`); len(got["Functions"].([]any)) != 2+4+1 {
		t.Errorf("all versions: %v", got)
	}
}

// Lambda checklist: 77
func TestTags(t *testing.T) {
	o := hired(t)
	o.answer("CreateFunction", create(t, `,"Tags":{"a":"b"}`))
	const arn = `"Resource":"arn:aws:lambda:us-east-1:000000000000:function:made`
	o.steps([][3]string{
		{"TagResource", `{` + arn + `","Tags":{"c":"d"}}`, ""},
		{"ListTags", `{` + arn + `"}`, `{"Tags":{"a":"b","c":"d"}}`},
		{"UntagResource", `{` + arn + `","TagKeys":["a","none"]}`, ""},
		{"ListTags", `{` + arn + `"}`, `{"Tags":{"c":"d"}}`},
		{"TagResource", `{` + arn + `","Tags":{"aws:x":"d"}}`, "*" + codeParameter + "*"},
		{"TagResource", `{` + arn + `:1","Tags":{"x":"d"}}`, "*" + codeParameter + "*"},
		{"ListTags", `{"Resource":"arn:aws:lambda:us-east-1:000000000000:function:none"}`, "*" + codeMissing + "*"},
	})
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = "v"
	}
	b, _ := json.Marshal(many) // texts always encode
	if got := o.ask("TagResource", `{`+arn+`","Tags":`+string(b)+`}`); !strings.HasPrefix(got, codeParameter) {
		t.Errorf("51 tags: %s", got)
	}
}

// Lambda checklist: 78
// TestRefusedFunctions: what cannot be served is refused when it is asked for, by name, and nothing of it is left.
func TestRefusedFunctions(t *testing.T) {
	o := hired(t)
	with := func(from, to string) string { return strings.Replace(create(t, ""), from, to, 1) }
	o.steps([][3]string{
		{"CreateFunction", with(`"Code"`, `"KMSKeyArn":"arn:aws:kms:r:a:key/1","Code"`), "*KMSKeyArn is not supported*"},
		{"CreateFunction", with(`"Code"`, `"VpcConfig":{"SubnetIds":["s"],"SecurityGroupIds":[]},"Code"`), "*VpcConfig is not supported*"},
		{"CreateFunction", with(`"Code"`, `"PackageType":"Image","Code"`), "*container images are not served*"},
		{"CreateFunction", with(`"Code"`, `"CapacityProviderConfig":{"LambdaManagedInstancesCapacityProviderConfig":{"CapacityProviderArn":"arn:aws:lambda:us-east-1:000000000000:capacity-provider:p","PerExecutionEnvironmentMaxConcurrency":8}},"Code"`), "*CapacityProviderConfig is not supported*"},
		{"CreateFunction", with(`"Code"`, `"Architectures":["arm64"],"Code"`), "*runs code for x86_64*"},
		{"CreateFunction", with(`"Code"`, `"DeadLetterConfig":{"TargetArn":"arn:aws:sqs:us-east-1:000000000000:q"},"Code"`), "*" + codeParameter + ": the function made may not sqs:SendMessage on arn:aws:sqs:us-east-1:000000000000:q, where*"},
		{"CreateFunction", with(`"Code"`, `"DeadLetterConfig":{"TargetArn":"arn:aws:sns:us-east-1:000000000000:t"},"Code"`), "*asynchronous events of made cannot be told of to arn:aws:sns:us-east-1:000000000000:t*"},
		{"CreateFunction", with(`"ZipFile":"`+in64(t, "1")+`"`, `"S3Bucket":"bucket","S3Key":"k"`), "*there is no object store here*"},
		{"CreateFunction", with(`"ZipFile":"`+in64(t, "1")+`"`, ""), codeParameter + ": Please provide a source for function code."},
		{"CreateFunction", with(in64(t, "1"), "bm8gemlw"), "*Could not unzip uploaded file*"},
		{"CreateFunction", with("python3.12", "java21"), "*java21 is not supported on this node*"},
		{"CreateFunction", with("python3.12", "cobol"), "*Value 'cobol' at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [*"},
		{"CreateFunction", with(`"Handler":"app.handler",`, ""), "*Runtime and Handler are mandatory*"},
		{"CreateFunction", with("role/worker", "role/none"), codeParameter + ": The role defined for the function cannot be assumed by Lambda."},
		{"CreateFunction", with("::000000000000:", "::111111111111:"), codeParameter + ": The role defined for the function cannot be assumed by Lambda."},
		{"CreateFunction", with(`"made"`, `"price"`), codeConflict + ": Function already exist: price"},
		{"CreateFunction", with(`"made"`, `"`+strings.Repeat("f", 65)+`"`), "*length less than or equal to 64"},
		{"CreateFunction", with(`"Code"`, `"Environment":{"Variables":{"AWS_REGION":"x","AWS_LAMBDA_RUNTIME_API":"y"}},"Code"`), "*Reserved keys used in this request: AWS_LAMBDA_RUNTIME_API, AWS_REGION"},
		{"CreateFunction", with(`"Code"`, `"Environment":{"Variables":{"BIG":"`+strings.Repeat("s", 4100)+`"}},"Code"`), "*exceeded the 4KB limit."},
		{"CreateFunction", with(`"Code"`, `"Tags":{"casemate:app":"No App"},"Code"`), "*names no app*"},
		{"GetFunction", `{"FunctionName":"made"}`, "*" + codeMissing + "*"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","Runtime":"python3.12"}`, "*cannot take each other's place*"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"price","LoggingConfig":{"LogFormat":"Text","SystemLogLevel":"WARN"}}`, "*you must set LogFormat to JSON."},
		{"UpdateFunctionConfiguration", `{"FunctionName":"none"}`, "*" + codeMissing + "*"},
		{"UpdateFunctionCode", `{"FunctionName":"none","ZipFile":"` + in64(t, "1") + `"}`, "*" + codeMissing + "*"},
	})
}

// TestWhoMayPassARole: a role is given by who may pass it and by nobody else, and who may not does not learn whether it is there.
func TestWhoMayPassARole(t *testing.T) {
	o := hired(t)
	o.deny = "iam:PassRole"
	for _, role := range []string{"worker", "none"} {
		question := strings.Replace(create(t, ""), "role/worker", "role/"+role, 1)
		if got := o.ask("CreateFunction", question); got != codeDenied+": User: user/till is not authorized to perform: iam:PassRole on resource: arn:aws:iam::000000000000:role/"+role {
			t.Error(got)
		}
	}
	o.deny = ""
	o.answer("CreateFunction", create(t, ""))
	if got := o.catalog.Snapshot().Statements("function/made"); len(got) != 1 || got[0].Sid != "w" {
		t.Errorf("it may %v", got)
	}
	o.deny = "iam:PassRole"
	if got := o.ask("UpdateFunctionConfiguration", `{"FunctionName":"price","Role":"`+workerARN+`"}`); !strings.HasPrefix(got, codeDenied) || len(o.catalog.Snapshot().Statements("function/price")) != 0 {
		t.Errorf("%s", got)
	}
	o.answer("UpdateFunctionConfiguration", `{"FunctionName":"made","Timeout":5}`) // changes no role
	o.deny = ""
	// A role that is itself another one is lent no further.
	if got := o.ask("UpdateFunctionConfiguration", `{"FunctionName":"price","Role":"arn:aws:iam::000000000000:role/function/made"}`); !strings.HasPrefix(got, codeParameter) {
		t.Error(got)
	}
	// What the role loses, the function loses.
	a, revision := o.catalog.Snapshot().App("shop")
	next := a.Clone()
	next.Roles["worker"] = catalog.Role{}
	if err := o.catalog.Swap(t.Context(), next, revision); err != nil {
		t.Fatal(err)
	}
	if got := o.catalog.Snapshot().Statements("function/made"); len(got) != 0 {
		t.Errorf("it may still %v", got)
	}
	// Another app's own rules are its owner's.
	o.deny = "casemate:Deploy"
	if got := o.ask("CreateFunction", strings.Replace(create(t, `,"Tags":{"casemate:app":"shop"}`), "made", "other", 1)); !strings.HasPrefix(got, codeDenied+": User: user/till is not authorized to perform: casemate:Deploy on resource: arn:aws:casemate:us-east-1:000000000000:app/shop") {
		t.Error(got)
	}
}

// Lambda checklist: 80
// TestDeletedFunctions: nothing of one is left for the next of its name.
func TestDeletedFunctions(t *testing.T) {
	o := hired(t)
	before := o.answer("CreateFunction", create(t, `,"Publish":true,"Tags":{"a":"b"}`))
	o.answer("CreateAlias", `{"FunctionName":"made","Name":"live","FunctionVersion":"1"}`)
	o.answer("AddPermission", `{"FunctionName":"made","StatementId":"s","Action":"lambda:InvokeFunction","Principal":"000000000000"}`)
	o.answer("CreateFunctionUrlConfig", `{"FunctionName":"made","AuthType":"AWS_IAM"}`)
	o.answer("PutFunctionConcurrency", `{"FunctionName":"made","ReservedConcurrentExecutions":3}`)
	o.answer("DeleteFunction", `{"FunctionName":"made"}`)
	if a, _ := o.catalog.Snapshot().App(DefaultApp); a != nil {
		t.Errorf("the app is still there: %+v", a)
	}
	if _, err := o.catalog.Resolve(&casemate.Event{ID: "e", Target: casemate.Target{Function: "made"}}); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("it is found: %v", err)
	}
	o.now = o.now.Add(1)
	after := o.answer("CreateFunction", create(t, ""))
	if after["RevisionId"] == before["RevisionId"] {
		t.Error("it has the revision of the one before")
	}
	missing := "*" + codeMissing + "*"
	o.steps([][3]string{{"GetPolicy", `{"FunctionName":"made"}`, missing}, {"GetFunctionUrlConfig", `{"FunctionName":"made"}`, missing}, {"GetAlias", `{"FunctionName":"made","Name":"live"}`, missing},
		{"GetFunctionConcurrency", `{"FunctionName":"made"}`, "{}"}, {"ListTags", `{"Resource":"arn:aws:lambda:us-east-1:000000000000:function:made"}`, `{"Tags":{}}`}})
	// A route that leads to it keeps it.
	a, revision := o.catalog.Snapshot().App("shop")
	next := a.Clone()
	next.Routes = append(next.Routes, casemate.Route{ID: "GET /p", App: "shop", Method: "GET", Path: "/p", Function: "price", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}})
	if err := o.catalog.Swap(t.Context(), next, revision); err != nil {
		t.Fatal(err)
	}
	if got := o.ask("DeleteFunction", `{"FunctionName":"price"}`); !strings.HasPrefix(got, codeConflict) {
		t.Error(got)
	}
}

// TestWritersAtOnce: of writers that meet, none is lost.
func TestWritersAtOnce(t *testing.T) {
	o := hired(t)
	o.answer("CreateFunction", create(t, ""))
	const writers = 6
	done := make(chan string, writers)
	for i := range writers {
		go func() {
			_, err := o.all["TagResource"].Run(context.Background(), &casemate.Launch{Event: &casemate.Event{}, Principal: &casemate.Principal{ID: "user/x"},
				Payload: fmt.Appendf(nil, `{"Resource":"arn:aws:lambda:us-east-1:000000000000:function:made","Tags":{"k%d":"v"}}`, i)})
			done <- fmt.Sprint(err)
		}()
	}
	for range writers {
		if got := <-done; got != "<nil>" {
			t.Error(got)
		}
	}
	if got := o.answer("ListTags", `{"Resource":"arn:aws:lambda:us-east-1:000000000000:function:made"}`)["Tags"].(map[string]any); len(got) != writers {
		t.Errorf("%v", got)
	}
}
