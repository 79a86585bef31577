package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// TestChildrenWakeUpNothingHeavy: what the node is re-executed as inside a jail must not initialise the node.
func TestChildrenWakeUpNothingHeavy(t *testing.T) {
	for name, heavy := range map[string][]string{
		"casemate-wasm": {"github.com/santhosh-tekuri/jsonschema/v6", "github.com/nats-io/nats-server/v2/server", "net/http"},
		"casemate-jail": {"net", "encoding/gob", "golang.org/x/sys/unix", "github.com/santhosh-tekuri/jsonschema/v6"},
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{name}
		cmd.Env = []string{"GODEBUG=inittrace=1"}
		var trace bytes.Buffer
		cmd.Stderr = &trace
		if err := cmd.Run(); err == nil || !strings.Contains(trace.String(), "init os ") {
			t.Fatalf("%s without an order ended with %v: %s", name, err, trace.String())
		}
		for _, path := range heavy {
			if strings.Contains(trace.String(), "init "+path+" @") {
				t.Errorf("%s initialises %s", name, path)
			}
		}
	}
}
