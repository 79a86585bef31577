package lambda

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Sandbox says what a function's environment block is made of
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
type Sandbox struct {
	Runtime   string // "nodejs20.x"
	Handler   string
	Function  string
	Version   string // "$LATEST" or a number
	MemoryMB  int
	Region    string
	LogStream string
	API       string // host:port of the Runtime API
	KeyID     string
	Secret    string
	Token     string
	Customer  map[string]string
	LogFormat string // "JSON", or "": the function's own variables may say it
	LogLevel  string // of JSON; "" is INFO
	AtOnce    int    // events of one sandbox at once; below 2 nothing is said
}

// Environment gives the block, sorted, as NAME=value. A function's own variables may replace the unreserved ones (PATH,
// LANG, NODE_PATH ...) and never a reserved one; nothing is taken from the environment of the node.
func Environment(s Sandbox) []string {
	m := unreserved(s.Runtime)
	for k, v := range s.Customer {
		if !Reserved(k) && validName(k) && !strings.ContainsRune(v, 0) {
			m[k] = v
		}
	}
	maps.Copy(m, reserved(s))
	env := make([]string, 0, len(m))
	for k, v := range m {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

// unreserved are the variables that Lambda sets and lets a function replace.
func unreserved(runtime string) map[string]string {
	m := map[string]string{
		"TZ": ":UTC", "LANG": "en_US.UTF-8",
		"PATH":                     "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH":          "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":  "169.254.79.129:2000",
	}
	switch {
	case strings.HasPrefix(runtime, "nodejs"):
		major := strings.TrimSuffix(strings.TrimPrefix(runtime, "nodejs"), ".x")
		m["NODE_PATH"] = "/opt/nodejs/node" + major +
			"/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
	case strings.HasPrefix(runtime, "python"):
		m["PYTHONPATH"], m["LC_CTYPE"] = "/var/runtime", "C.UTF-8"
	}
	if !strings.HasPrefix(runtime, "provided") {
		m["PWD"], m["SHLVL"] = "/var/task", "0"
	}
	return m
}

// reserved are the variables that a function cannot set.
func reserved(s Sandbox) map[string]string {
	m := map[string]string{
		"AWS_LAMBDA_RUNTIME_API": s.API, "_HANDLER": s.Handler,
		"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"AWS_REGION": s.Region, "AWS_DEFAULT_REGION": s.Region,
		"AWS_ACCESS_KEY_ID": s.KeyID, "AWS_SECRET_ACCESS_KEY": s.Secret, "AWS_SESSION_TOKEN": s.Token,
		"AWS_LAMBDA_FUNCTION_NAME": s.Function, "AWS_LAMBDA_FUNCTION_VERSION": s.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(s.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       LogGroup(s.Function), "AWS_LAMBDA_LOG_STREAM_NAME": s.LogStream,
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"_AWS_XRAY_DAEMON_ADDRESS":       "169.254.79.129", "_AWS_XRAY_DAEMON_PORT": "2000",
	}
	if s.AtOnce > 1 {
		m["AWS_LAMBDA_MAX_CONCURRENCY"] = strconv.Itoa(s.AtOnce)
	}
	if s.LogFormat != "" {
		m["AWS_LAMBDA_LOG_FORMAT"] = s.LogFormat
	}
	if s.LogFormat == "JSON" {
		m["AWS_LAMBDA_LOG_LEVEL"] = cmp.Or(s.LogLevel, "INFO")
	}
	if !strings.HasPrefix(s.Runtime, "provided") {
		m["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + s.Runtime
	}
	return m
}

// Reserved reports whether a function may not set the variable: the names that Lambda documents as reserved, and every
// name that begins with an underscore or with AWS_LAMBDA_RUNTIME, which belong to the platform.
func Reserved(name string) bool {
	switch name {
	case "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY":
		return true
	}
	return strings.HasPrefix(name, "_") || strings.HasPrefix(name, "AWS_LAMBDA_RUNTIME")
}

func validName(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsAny(s, "=\x00")
}
