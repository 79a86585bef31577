package jail

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The start of a jail against the start of the same program without one. The program is a shell's "exit", the nearest
// thing to nothing that every machine has.
func BenchmarkStart(b *testing.B) {
	s := runtimeSpec(b, "true", "provided")
	s.Listen = nil
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			p, err := os.StartProcess(s.Argv[0], s.Argv, &os.ProcAttr{Env: []string{}})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := p.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jail", func(b *testing.B) {
		for b.Loop() {
			c, err := Start(context.Background(), s)
			if err != nil {
				b.Fatal(err)
			}
			if exit, err := c.Wait(); err != nil || exit.Code != 0 {
				b.Fatal(exit, err)
			}
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestStageIsDispatchedEarly: a stage must not initialise what the node is made of; with a large binary that costs more
// than all walls together.
func TestStageIsDispatchedEarly(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"casemate-jail"}
	cmd.Env = []string{"GODEBUG=inittrace=1"}
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 125 {
		t.Fatalf("a stage without an order ended with %v", err)
	}
	for line := range strings.Lines(trace.String()) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "init" {
			switch f[1] {
			case "testing", "net", "net/netip", "casemate/sandbox/jail", "embed", "crypto/rand", "runtime/pprof", "reflect", "unicode",
				"encoding/json", "golang.org/x/sys/unix", "golang.org/x/sys/cpu":
				t.Errorf("initialised before the dispatch: %s", f[1])
			}
		}
	}
	if !strings.Contains(trace.String(), "init os ") {
		t.Errorf("no trace: %s", trace.String())
	}
}
