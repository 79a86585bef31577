package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

// A function sees the names that Lambda sets, its own, and not one more: not of the node, of the sandbox, nor of the runtime that
// waited for it.
//
// Lambda checklist: 12
func TestEnvironmentIsLambdasAndNothingElse(t *testing.T) {
	t.Setenv("HOST_SECRET", "canary")
	b := newBench(t, func(c *Config) { c.Spares = 0 })
	versions := []*casemate.Version{
		b.node("index.handler", `exports.handler = async () => process.env`),
		b.python("import os\ndef handler(e, c): return dict(os.environ)"),
		b.goFunction(environmentTeller),
	}
	for round := range 2 { // the second time from sandboxes that waited
		for _, v := range versions {
			v.Env = map[string]string{"TABLE": "orders", "AWS_REGION": "mine", "_HANDLER": "mine", "AWS_LAMBDA_RUNTIME_API": "mine"}
			res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), Payload: []byte(`{}`),
				Trace: casemate.Trace{TraceID: strings.Repeat("a", 32), SpanID: strings.Repeat("b", 16)}})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(res.Payload, &got); err != nil {
				t.Fatal(err, string(res.Payload))
			}
			want := lambda.Environment(b.pool.environment(v))
			for i := range want {
				want[i], _, _ = strings.Cut(want[i], "=")
			}
			want = append(want, "_X_AMZN_TRACE_ID")
			if v.Runtime.Family() == "provided" { // the other runtimes take it for themselves
				want = append(want, "_LAMBDA_TELEMETRY_LOG_FD")
			}
			var names []string
			for name, value := range got {
				if names = append(names, name); value == "mine" || value == "canary" {
					t.Errorf("%s: %s is %s", v.Runtime, name, value)
				}
			}
			slices.Sort(want)
			if slices.Sort(names); !slices.Equal(names, want) || got["TABLE"] != "orders" || !strings.HasPrefix(got["_X_AMZN_TRACE_ID"], "Root=1-aaaaaaaa-") {
				t.Errorf("%s, round %d:\n got %q\nwant %q", v.Runtime, round, names, want)
			}
			b.pool.Prepare(v)
		}
		waitFor(t, "full", b.pool.Full)
	}
}

const environmentTeller = `package main
import ("context"; "os"; "strings"; "github.com/aws/aws-lambda-go/lambda")
func main() {
	lambda.Start(func(context.Context, any) (map[string]string, error) {
		env := map[string]string{}
		for _, entry := range os.Environ() {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = value
		}
		return env, nil
	})
}`

// Ref of a queue is its URL at AWS, and the SDK for JavaScript asks the host that it names: here that is the endpoint. Queues of
// others are none of ours.
func TestQueuesLeadToTheEndpoint(t *testing.T) {
	p := &Pool{cfg: Config{Place: casemate.DefaultPlace, Clock: time.Now}}
	v := &casemate.Version{Runtime: "nodejs20.x", Env: map[string]string{
		"JOBS": "https://sqs.us-east-1.amazonaws.com/000000000000/jobs", "LIST": `["https://sqs.us-east-1.amazonaws.com/000000000000/a","x"]`,
		"OTHER": "https://sqs.us-east-1.amazonaws.com/111111111111/jobs", "FAR": "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs"}}
	for _, x := range []struct {
		door map[string]string
		want []string
	}{
		{map[string]string{"AWS_ENDPOINT_URL": "http://198.18.0.3"}, []string{"JOBS=http://198.18.0.3/000000000000/jobs",
			`LIST=["http://198.18.0.3/000000000000/a","x"]`, "OTHER=" + v.Env["OTHER"], "FAR=" + v.Env["FAR"]}},
		{map[string]string{"SOMETHING": "else"}, []string{"JOBS=" + v.Env["JOBS"]}},
	} {
		env := p.variables(&need{version: v, door: &sealedDoor{way: casemate.Doorway{Env: x.door}}}, 3)
		for _, want := range x.want {
			if !slices.Contains(env, want) {
				t.Errorf("without %s: %q", want, env)
			}
		}
	}
}
