package deploy

import (
	"strings"
	"testing"

	"casemate/deploy/bundle"
)

// TestDestinationsAreRefusedWithTheirPlace: file and line of the manifest, and what would grant it.
func TestDestinationsAreRefusedWithTheirPlace(t *testing.T) {
	d, _ := deployer(t)
	const head = "app: other\nfunctions:\n  mine:\n    runtime: wasm\n    code: price.wasm\n"
	for async, want := range map[string][]string{
		"    async:\n      on_success: queue/done\n":                                  {"casemate.yaml:7", "may not sqs:SendMessage", "send queue/done"},
		"    async: {dead_letter: \"arn:aws:sqs:eu-west-9:000000000000:done\"}\n":     {"casemate.yaml:6", "cannot be told of"},
		"    grants: [\"send queue/done\"]\n    async: {on_failure: function/mine}\n": {"casemate.yaml:7", "may not lambda:InvokeFunction"},
	} {
		_, err := d.Apply(t.Context(), packed(t, project(t, head+async), bundle.Options{}), "op")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q is not in %v", w, err)
			}
		}
	}
	apply(t, d, project(t, head+"    grants: [\"send queue/done\"]\n    async: {on_success: queue/done}\n"))
}
