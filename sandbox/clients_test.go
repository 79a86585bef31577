package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate"
)

// oldGoFunction builds the function of testdata with the client library of its own go.mod.
func (b *bench) oldGoFunction(dir string) *casemate.Version {
	b.t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		missing(b.t, "Go compiler")
	}
	out := filepath.Join(b.t.TempDir(), "bootstrap")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = filepath.Join("testdata", dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if msg, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(msg), "dial tcp") || strings.Contains(string(msg), "module lookup disabled") {
			missing(b.t, "way to the Go modules of "+dir)
		}
		b.t.Fatalf("building: %v\n%s", err, msg)
	}
	bin, err := os.ReadFile(out)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.function("provided.al2023", "bootstrap", map[string]string{"bootstrap": string(bin)})
}

// Lambda checklist: 15, 26
func TestGoClientOf2022(t *testing.T) {
	b := newBench(t)
	v := warm(b.oldGoFunction("lambda-go-1.36"))
	b.want(v, `{"Do":"x"}`, `"x"`)
	if l := b.entry("did x"); l.Request == "" || l.Stream != "stdout" {
		t.Errorf("%+v", l)
	}
	res, err := b.pool.Run(t.Context(), &casemate.Launch{Version: v, RequestID: casemate.NewID(), ARN: "arn:fn", Payload: []byte(`{"Do":"context"}`),
		Trace: casemate.Trace{TraceID: strings.Repeat("a", 32), SpanID: strings.Repeat("b", 16)}})
	if err != nil || string(res.Payload) != `[36,"arn:fn","fn",256,true,true]` || res.Usage.Cold {
		t.Errorf("%v %+v", err, res)
	}
	body, _ := b.fails(v, `{"Do":"fail"}`, casemate.FailureHandled)
	has(t, body, "errorString", "no")
	body, _ = b.fails(v, `{"Do":"panic"}`, casemate.FailureHandled)
	has(t, body, "string", "boom")
	if trace, _ := body["stackTrace"].([]any); len(trace) == 0 {
		t.Errorf("%v", body)
	}
	if res := b.want(v, `{"Do":"x"}`, `"x"`); !res.Usage.Cold {
		t.Error("the sandbox was used again after a panic")
	}
}
