package guest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMeasure sees that the measurement measures: one repetition, no figure asserted.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	worker := filepath.Join(dir, "worker")
	cmd := exec.Command("go", "build", "-o", worker, "casemate/sandbox/wasm/testdata/worker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	r, err := Measure(context.Background(), worker, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		t.Logf("%+v", row)
		if row.Fresh <= 0 || row.Worker <= 0 || row.Node <= 0 || row.Cheaper.Median <= 0 || row.Why != "" {
			t.Errorf("%+v", row)
		}
	}
	if len(r.Rows) != 4 {
		t.Errorf("left out: %v", r.LeftOut)
	}
}
