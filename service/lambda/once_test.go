package lambda

import (
	"testing"

	"casemate"
)

// TestIdempotencyKeys: they are for events alone, and what would not be kept is not promised.
func TestIdempotencyKeys(t *testing.T) {
	for kind, want := range map[string]string{"Event": "k", "DryRun": "", "RequestResponse": codeName, "": codeName} {
		e, err := heard(signed("POST", invoke, "", "x-amz-invocation-type", kind, "idempotency-key", "k"), "{}")
		got := e.IdempotencyKey
		if err != nil {
			got = casemate.AsError(err).AWS
		}
		if got != want {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
	}
	if e, err := heard(signed("POST", legacyPrefix+"price"+legacySuffix+"/", "", "idempotency-key", "k"), "{}"); err != nil || e.IdempotencyKey != "k" {
		t.Errorf("the older way: %+v, %v", e, err)
	}
}
