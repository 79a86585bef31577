package lambda_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/lambda"
)

func TestBodies(t *testing.T) {
	for name, c := range map[string]struct {
		got  lambda.ErrorBody
		want string
	}{
		"timeout": {lambda.TimedOut("r1", 3*time.Second),
			`{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 3.00 seconds"}`},
		"exit": {lambda.Exited("r1", "exit status 3"),
			`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited with error: exit status 3"}`},
		"exit 0": {lambda.Exited("r1", ""),
			`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited without providing a reason"}`},
		"size": {lambda.TooLarge(lambda.MaxResponse),
			`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`},
		"angle brackets stay": {lambda.ErrorBody{Type: "A", Message: "<&>"}, `{"errorType":"A","errorMessage":"<&>"}`},
	} {
		if got := string(c.got.JSON()); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestNormalErrorType(t *testing.T) {
	for in, want := range map[string]string{
		"Runtime.ImportModuleError":           "Runtime.ImportModuleError",
		"Function.Custom":                     "Function.Custom",
		"Function.lower":                      "Function.Unknown",
		"Function.":                           "Function.Unknown",
		"Runtime.X":                           "Runtime.Unknown", // the pattern wants two letters
		"Error":                               "Runtime.Unknown",
		"":                                    "Runtime.Unknown",
		"Runtime.Aa\r\nX: y":                  "Runtime.Unknown",
		"xRuntime.Good":                       "Runtime.Unknown",
		"Runtime." + strings.Repeat("A", 200): "Runtime.Unknown",
	} {
		if got := lambda.NormalErrorType(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzNormalErrorType(f *testing.F) {
	f.Add("Runtime.ExitError")
	f.Add("Function.\x00")
	ok := regexp.MustCompile(`^(Runtime|Function)\.[A-Z][a-zA-Z]+$`)
	f.Fuzz(func(t *testing.T, s string) {
		got := lambda.NormalErrorType(s)
		if !ok.MatchString(got) || len(got) > 128 {
			t.Fatalf("%q became %q", s, got)
		}
		if ok.MatchString(s) && len(s) <= 128 && got != s {
			t.Fatalf("a good type %q became %q", s, got)
		}
	})
}

func FuzzTrailerError(f *testing.F) {
	f.Add("Runtime.E", base64.StdEncoding.EncodeToString([]byte(`{"errorType":"x"}`)))
	f.Add("", "")
	f.Add("Function.Bad", "!!")
	f.Fuzz(func(t *testing.T, typ, body string) {
		got, ok := lambda.TrailerError(typ, body)
		if ok != (typ != "" || body != "") {
			t.Fatalf("ok = %v for %q %q", ok, typ, body)
		}
		if ok && !json.Valid(got) {
			t.Fatalf("not JSON: %q", got)
		}
	})
}

func FuzzErrorDocument(f *testing.F) {
	f.Add("Runtime.E", lambda.TypeErrorCause, []byte(`{"errorCause":"{}","errorType":"x"}`))
	f.Add("", "application/json", []byte(`{`))
	f.Fuzz(func(t *testing.T, typ, ct string, body []byte) {
		if got := lambda.ErrorDocument(typ, ct, body); !json.Valid(got) {
			t.Fatalf("not JSON: %q", got)
		}
	})
}

func TestErrorDocumentDropsTheCause(t *testing.T) {
	got := lambda.ErrorDocument("", lambda.TypeErrorCause, []byte(`{"errorType":"E","errorCause":"{\"paths\":[]}"}`))
	if string(got) != `{"errorType":"E"}` {
		t.Errorf("got %s", got)
	}
}

func TestLines(t *testing.T) {
	r := lambda.Report{Duration: 1500 * time.Microsecond, MemoryMB: 128, Peak: 40<<20 + 1}
	want := "REPORT RequestId: r1\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 41 MB\t"
	if got := r.Line("r1"); got != want {
		t.Errorf("warm:\n got %q\nwant %q", got, want)
	}
	r.Init = 40 * time.Millisecond
	want = "REPORT RequestId: r1\tDuration: 1.50 ms\tBilled Duration: 42 ms\tMemory Size: 128 MB\tMax Memory Used: 41 MB\tInit Duration: 40.00 ms\t"
	if got := r.Line("r1"); got != want {
		t.Errorf("cold:\n got %q\nwant %q", got, want)
	}
	at := time.Date(2026, 3, 4, 23, 0, 0, 0, time.UTC)
	if got := lambda.LogStream(at, "$LATEST", "ab12"); got != "2026/03/04/[$LATEST]ab12" {
		t.Errorf("stream %q", got)
	}
	if got := lambda.TraceHeader(strings.Repeat("a", 32), strings.Repeat("b", 16), true); got !=
		"Root=1-aaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=bbbbbbbbbbbbbbbb;Sampled=1" {
		t.Errorf("trace %q", got)
	}
}

// Lambda checklist: 12
func TestItem12EnvironmentPrecedence(t *testing.T) {
	s := lambda.Sandbox{Runtime: "nodejs20.x", Handler: "index.handler", Function: "f", Version: "3", MemoryMB: 256,
		Region: "eu-west-1", LogStream: "s", API: "169.254.100.1:9001", KeyID: "k", Secret: "x", Token: "t",
		Customer: map[string]string{
			"AWS_REGION": "mine", "_HANDLER": "mine", "_X_AMZN_TRACE_ID": "mine", "AWS_LAMBDA_FUNCTION_NAME": "mine",
			"AWS_LAMBDA_RUNTIME_API": "mine", "AWS_SESSION_TOKEN": "mine", "TABLE": "orders", "TZ": "Europe/Berlin",
			"BAD=NAME": "x", "": "x", "NUL": "a\x00b",
		}}
	env := lambda.Environment(s)
	for _, want := range []string{"AWS_REGION=eu-west-1", "AWS_DEFAULT_REGION=eu-west-1", "_HANDLER=index.handler",
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_RUNTIME_API=169.254.100.1:9001", "AWS_SESSION_TOKEN=t", "TABLE=orders",
		"TZ=Europe/Berlin", "AWS_EXECUTION_ENV=AWS_Lambda_nodejs20.x", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/f", "LANG=en_US.UTF-8", "LAMBDA_TASK_ROOT=/var/task",
		"AWS_LAMBDA_FUNCTION_VERSION=3", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"NODE_PATH=/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing from %q", want, env)
		}
	}
	for _, e := range env {
		if strings.HasSuffix(e, "=mine") || strings.HasPrefix(e, "BAD") || strings.HasPrefix(e, "NUL=") || e[0] == '=' {
			t.Errorf("%q must not be there", e)
		}
	}
	s.Runtime = "provided.al2023"
	for _, e := range lambda.Environment(s) {
		if strings.HasPrefix(e, "AWS_EXECUTION_ENV=") {
			t.Errorf("provided has %q", e)
		}
	}
}
