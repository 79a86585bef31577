package main

import (
	"strings"
	"testing"

	"casemate/node"
)

// TestReadyPageSaysWhatIsMissing: who finds the usual address taken hears it where the addresses stand, and what to do.
func TestReadyPageSaysWhatIsMissing(t *testing.T) {
	var b strings.Builder
	readyPage(&b, &node.Address{HTTP: []string{"http://127.0.0.1:8080"}, AWSTaken: "127.0.0.1:4566"})
	for _, want := range []string{"no AWS_ENDPOINT_URL: another program has 127.0.0.1:4566", "--aws 127.0.0.1:0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q does not say %q", b.String(), want)
		}
	}
	b.Reset()
	readyPage(&b, &node.Address{AWS: "http://127.0.0.1:4566"})
	if strings.Contains(b.String(), "another program") || !strings.Contains(b.String(), "AWS_ENDPOINT_URL=http://127.0.0.1:4566") {
		t.Error(b.String())
	}
}
