package manifest

import (
	"os"
	"testing"
	"time"

	"casemate"
)

var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func setting() Setting { return Setting{Place: casemate.DefaultPlace, Now: testNow} }

func TestParseFull(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(File, data, setting())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", m.Warnings)
	f := m.Functions["orders"]
	if time.Duration(f.Timeout) != 3*time.Second || f.Memory.MB() != 256 || f.Rate.PerSecond != 500 || f.Rate.Burst != 800 || *f.Async.Retries != 1 || f.Concurrency != 20 {
		t.Errorf("%+v", f)
	}
	r := m.Routes["GET /health"]
	if r.Auth.None == nil || !r.Auth.None.Live(testNow) || len(m.Warnings) != 2 {
		t.Errorf("%+v %+v", r, m.Warnings)
	}
}
