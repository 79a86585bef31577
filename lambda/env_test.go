package lambda_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"casemate/lambda"
)

// everywhere is what AWS sets in every function, as recorded there.
const everywhere = `AWS_ACCESS_KEY_ID=k
AWS_DEFAULT_REGION=eu-west-1
AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256
AWS_LAMBDA_FUNCTION_NAME=f
AWS_LAMBDA_FUNCTION_VERSION=$LATEST
AWS_LAMBDA_INITIALIZATION_TYPE=on-demand
AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/f
AWS_LAMBDA_LOG_STREAM_NAME=2026/03/04/[$LATEST]ab
AWS_LAMBDA_RUNTIME_API=169.254.100.1:9001
AWS_REGION=eu-west-1
AWS_SECRET_ACCESS_KEY=x
AWS_SESSION_TOKEN=t
AWS_XRAY_CONTEXT_MISSING=LOG_ERROR
AWS_XRAY_DAEMON_ADDRESS=169.254.79.129:2000
LAMBDA_RUNTIME_DIR=/var/runtime
LAMBDA_TASK_ROOT=/var/task
LANG=en_US.UTF-8
LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin
TZ=:UTC
_AWS_XRAY_DAEMON_ADDRESS=169.254.79.129
_AWS_XRAY_DAEMON_PORT=2000
_HANDLER=index.handler`

func sandboxOf(runtime string) lambda.Sandbox {
	return lambda.Sandbox{Runtime: runtime, Handler: "index.handler", Function: "f", Version: "$LATEST", MemoryMB: 256, Region: "eu-west-1",
		LogStream: "2026/03/04/[$LATEST]ab", API: "169.254.100.1:9001", KeyID: "k", Secret: "x", Token: "t"}
}

// Lambda checklist: 12
func TestEnvironmentOfEachRuntime(t *testing.T) {
	for runtime, more := range map[string][]string{
		"provided.al2023": {},
		"nodejs20.x": {"AWS_EXECUTION_ENV=AWS_Lambda_nodejs20.x", "PWD=/var/task", "SHLVL=0",
			"NODE_PATH=/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"},
		"python3.14": {"AWS_EXECUTION_ENV=AWS_Lambda_python3.14", "PWD=/var/task", "SHLVL=0", "PYTHONPATH=/var/runtime", "LC_CTYPE=C.UTF-8"},
	} {
		want := append(strings.Split(everywhere, "\n"), more...)
		slices.Sort(want)
		if got := lambda.Environment(sandboxOf(runtime)); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", runtime, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	s := sandboxOf("provided.al2023")
	for level, want := range map[string]string{"": "INFO", "DEBUG": "DEBUG"} {
		s.LogFormat, s.LogLevel, s.Customer = "JSON", level, map[string]string{"AWS_LAMBDA_LOG_LEVEL": "FATAL", "AWS_LAMBDA_LOG_FORMAT": "Text"}
		env := lambda.Environment(s)
		if !slices.Contains(env, "AWS_LAMBDA_LOG_FORMAT=JSON") || !slices.Contains(env, "AWS_LAMBDA_LOG_LEVEL="+want) {
			t.Errorf("%q", env)
		}
	}
}

// Whatever a function asks for, what is reserved is as it was, every name is there once, and all else is what it asked for.
func TestNoVariableReplacesAReservedOne(t *testing.T) {
	plain := map[string]string{}
	for _, entry := range lambda.Environment(sandboxOf("nodejs20.x")) {
		name, value, _ := strings.Cut(entry, "=")
		plain[name] = value
	}
	name := rapid.OneOf(rapid.SampledFrom(slices.Sorted(maps.Keys(plain))), rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,8}`))
	rapid.Check(t, func(t *rapid.T) {
		s := sandboxOf("nodejs20.x")
		s.Customer = rapid.MapOf(name, rapid.StringMatching(`[a-z ="]{0,8}`)).Draw(t, "env")
		seen := map[string]bool{}
		for _, entry := range lambda.Environment(s) {
			name, value, _ := strings.Cut(entry, "=")
			want, asked := s.Customer[name]
			if lambda.Reserved(name) || !asked {
				want = plain[name]
			}
			if seen[name] || value != want {
				t.Fatalf("%s is %q, want %q", name, value, want)
			}
			seen[name] = true
		}
		for name := range s.Customer {
			if !seen[name] && !lambda.Reserved(name) {
				t.Fatalf("%s is missing", name)
			}
		}
	})
}
