package sam

import (
	"slices"
	"strings"
	"testing"
)

// What a template says of capacity providers is named, with what takes its place; that reaches the manifest.
func TestCapacityProvidersAreNamed(t *testing.T) {
	m, got := manifestOf(t, app(`
CapacityProviderConfig: {Arn: arn:aws:lambda:us-east-1:000000000000:capacity-provider:p, PerExecutionEnvironmentMaxConcurrency: 8}
`, ""))
	if !slices.ContainsFunc(got.Notes, func(n Note) bool {
		return n.Class == NotServed && strings.HasSuffix(n.Path, "CapacityProviderConfig") && n.Line > 0 && strings.Contains(n.Text, "sandbox_concurrency")
	}) {
		t.Errorf("%+v", got.Notes)
	}
	if s := at(m, "functions|F|sandbox_concurrency"); s == "8" {
		t.Errorf("it was taken for ours: %s", s)
	}
}
