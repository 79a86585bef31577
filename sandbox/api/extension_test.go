package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

const (
	registerPath = "/2020-01-01/extension/register"
	eventPath    = "/2020-01-01/extension/event/next"
	initErrPath  = "/2020-01-01/extension/init/error"
	exitErrPath  = "/2020-01-01/extension/exit/error"
	errorType    = "Lambda-Extension-Function-Error-Type"
)

// expecting is a fakeRuntime whose sandbox has external extensions.
func expecting(t *testing.T, names ...string) *fakeRuntime {
	f := newFakeRuntime(t)
	f.api.Expect(names)
	return f
}

func (f *fakeRuntime) register(name, events string) string {
	f.t.Helper()
	s, b, h := f.do("POST", registerPath, `{"events":`+events+`}`, lambda.ExtensionName, name)
	if s != 200 {
		f.t.Fatalf("registering %s: %d %s", name, s, b)
	}
	return h.Get(lambda.ExtensionID)
}

func extensionError(typ, msg string) string {
	return fmt.Sprintf(`{"errorMessage":%q,"errorType":"Extension.%s"}`, msg, typ)
}

func notIn(from, to, name string) string {
	return extensionError("InvalidExtensionState", "State transition from "+from+" to "+to+" failed for extension "+name+". Error: State transition is not allowed")
}

// Lambda checklist: 97
func TestExtensionErrorsExactly(t *testing.T) {
	f := expecting(t, "ext")
	unknown := casemate.NewID()
	id := f.register("ext", `["INVOKE","SHUTDOWN"]`)
	for _, c := range []struct {
		method, path, body string
		want               string
		header             []string
	}{
		{"POST", registerPath, `{}`, extensionError("InvalidExtensionName", "Empty extension name"), nil},
		{"POST", registerPath, `{"events":["SHUTDOWN"]}`, extensionError("InvalidEventType", "SHUTDOWN: Internal extensions may not register for it"), []string{lambda.ExtensionName, "inner"}},
		{"POST", registerPath, `{"events":["BREAKFAST"]}`, extensionError("InvalidEventType", "BREAKFAST: Invalid event type"), []string{lambda.ExtensionName, "inner"}},
		{"POST", registerPath, `{"events":[]}`, notIn("Registered", "Registered", "ext"), []string{lambda.ExtensionName, "ext"}},
		{"GET", eventPath, ``, extensionError("MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"), nil},
		{"GET", eventPath, ``, extensionError("InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"), []string{lambda.ExtensionID, "nobody"}},
		{"GET", eventPath, ``, extensionError("UnknownExtensionIdentifier", "Unknown extension "+unknown), []string{lambda.ExtensionID, unknown}},
		{"POST", initErrPath, `{}`, extensionError("MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"), []string{errorType, "Extension.X"}},
		{"POST", initErrPath, `{}`, extensionError("MissingHeader", "Lambda-Extension-Function-Error-Type header is missing"), []string{lambda.ExtensionID, id}},
		{"POST", exitErrPath, `{}`, extensionError("UnknownExtensionIdentifier", "Unknown extension "+unknown), []string{lambda.ExtensionID, unknown, errorType, "Extension.X"}},
	} {
		f.want(c.method, c.path, c.body, 403, c.want, c.header...)
	}
	f.want("POST", initErrPath, `{}`, 202, okBody, lambda.ExtensionID, id, errorType, "Extension.Whatever")
	f.want("GET", eventPath, ``, 403, notIn("InitError", "Ready", "ext"), lambda.ExtensionID, id)
	f.want("POST", exitErrPath, `{}`, 403, notIn("InitError", "ExitError", "ext"), lambda.ExtensionID, id, errorType, "Extension.X")
	if typ, init := f.api.ExtensionError("ext"); typ != "Extension.Whatever" || !init {
		t.Errorf("%s, %v", typ, init)
	}
	for k := range casemate.MaxExtensions - 1 {
		f.register(fmt.Sprint("inner", k), `null`)
	}
	f.want("POST", registerPath, `{}`, 403, extensionError("TooManyExtensions", "Extension limit (10) reached"), lambda.ExtensionName, "eleventh")
	f.offer("r1", "{}")
	f.want("POST", registerPath, `{}`, 403, extensionError("RegistrationClosed", "Extension registration closed already"), lambda.ExtensionName, "late")
}

func TestExtensionAccountID(t *testing.T) {
	f := expecting(t, "one", "two")
	_, b, _ := f.do("POST", registerPath, `{"events":null}`, lambda.ExtensionName, "one")
	if b != `{"functionName":"f","functionVersion":"1","handler":"h"}` {
		t.Error(b)
	}
	select {
	case <-f.api.Registered():
		t.Error("one of two is all")
	default:
	}
	_, b, _ = f.do("POST", registerPath, ``, lambda.ExtensionName, "two", lambda.ExtensionFeature, "accountId")
	if b != `{"functionName":"f","functionVersion":"1","handler":"h","accountId":"1234"}` {
		t.Error(b)
	}
	<-f.api.Registered()
}

// asked parks an extension in its next request, and returns once it has said that it is there.
func (f *fakeRuntime) asked(id string, wg *sync.WaitGroup) (answer func() string) {
	got := make(chan string, 1)
	wg.Go(func() {
		_, b, _ := f.do("GET", eventPath, ``, lambda.ExtensionID, id)
		got <- b
	})
	return func() string { return <-got }
}

// TestInitAndInvokeEndWithAll: with the runtime's own next and that of every extension.
func TestInitAndInvokeEndWithAll(t *testing.T) {
	f := expecting(t, "ext")
	var wg sync.WaitGroup
	defer wg.Wait()
	id := f.register("ext", `["INVOKE","SHUTDOWN"]`)
	event := make(chan string, 1)
	wg.Go(func() { _, b, _ := f.do("GET", nextPath, ""); event <- b })
	for asked := false; !asked; {
		f.api.mu.Lock()
		asked = f.api.asked
		f.api.mu.Unlock()
	}
	select {
	case <-f.api.Ready():
		t.Fatal("ready without the extension")
	default:
	}
	invoked := f.asked(id, &wg)
	<-f.api.Ready()
	inv := f.offer("r1", `"payload"`)
	if b := <-event; b != `"payload"` {
		t.Errorf("event %s", b)
	}
	if b := invoked(); !strings.Contains(b, `{"eventType":"INVOKE","deadlineMs":1234567,"requestId":"r1","invokedFunctionArn":"arn:f","tracing":`) {
		t.Errorf("event %s", b)
	}
	f.want("POST", invoke+"r1/response", "1", 202, okBody)
	wg.Go(func() { f.do("GET", nextPath, "") })
	for done := false; !done; {
		f.api.mu.Lock()
		done = f.api.done == inv
		f.api.mu.Unlock()
	}
	if inv.IsIdle() {
		t.Error("idle while the extension works")
	}
	last := f.asked(id, &wg)
	<-inv.Idle()
	if told := f.api.Shutdown("spindown", time.UnixMilli(99)); len(told) != 1 || told[0] != "ext" {
		t.Errorf("told %v", told)
	}
	if b := last(); b != `{"eventType":"SHUTDOWN","deadlineMs":99,"shutdownReason":"spindown"}` {
		t.Errorf("event %s", b)
	}
	f.offer("r2", "{}") // the runtime still waits
}
