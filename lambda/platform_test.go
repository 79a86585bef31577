package lambda_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/lambda"
)

// Lambda checklist: 29, 30
func TestPlatformLines(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_000_000, time.UTC)
	lines := func(l lambda.Lines, status string) (all []string) {
		warm := lambda.Report{Duration: 1500 * time.Microsecond, MemoryMB: 128, Peak: 40 << 20}
		cold := warm
		cold.Init = 40 * time.Millisecond
		for _, line := range []string{l.Start(at, "r1", "$LATEST"), l.Timeout(at, "r1", 3*time.Second), l.End(at, "r1", status, warm.Duration),
			l.Report(at, "r1", status, warm), l.Report(at, "r1", status, cold)} {
			if line != "" {
				all = append(all, line)
			}
		}
		return all
	}
	const now = `{"time":"2026-03-04T05:06:07.008Z","type":"platform.`
	start := now + `start","record":{"requestId":"r1","version":"$LATEST"}}`
	done := func(status string) string {
		return now + `runtimeDone","record":{"metrics":{"durationMs":1.5},"requestId":"r1","status":"` + status + `"}}`
	}
	report := func(more, status string) string {
		return now + `report","record":{"metrics":{"billedDurationMs":` + more + `,"maxMemoryUsedMB":40,"memorySizeMB":128},"requestId":"r1","status":"` + status + `"}}`
	}
	const warm, cold = `2,"durationMs":1.5`, `42,"durationMs":1.5,"initDurationMs":40`
	for name, c := range map[string]struct {
		lines  lambda.Lines
		status string
		want   []string
	}{
		"text": {lambda.Lines{Least: "WARN"}, "success", []string{"START RequestId: r1 Version: $LATEST", "2026-03-04T05:06:07.008Z r1 Task timed out after 3.00 seconds",
			"END RequestId: r1", "REPORT RequestId: r1\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t",
			"REPORT RequestId: r1\tDuration: 1.50 ms\tBilled Duration: 42 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 40.00 ms\t"}},
		"JSON":  {lambda.Lines{JSON: true}, "success", []string{start, report(warm, "success"), report(cold, "success")}},
		"debug": {lambda.Lines{JSON: true, Least: "DEBUG"}, "success", []string{start, done("success"), report(warm, "success"), report(cold, "success")}},
		"warn":  {lambda.Lines{JSON: true, Least: "WARN"}, "success", nil},
		"error": {lambda.Lines{JSON: true, Least: "WARN"}, "timeout", []string{done("timeout"), report(warm, "timeout"), report(cold, "timeout")}},
	} {
		if got := lines(c.lines, c.status); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

func TestInitReports(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for body, want := range map[string]string{
		string(lambda.TimedOut("r1", time.Second).JSON()): "INIT_REPORT Init Duration: 12.50 ms\tPhase: init\tStatus: timeout",
		string(lambda.Exited("r1", "").JSON()):            "INIT_REPORT Init Duration: 12.50 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
		`no JSON`:                                         "INIT_REPORT Init Duration: 12.50 ms\tPhase: init\tStatus: error\tError Type: Runtime.Unknown",
	} {
		if got := (lambda.Lines{}).InitReport(at, 12500*time.Microsecond, "init", []byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	want := `{"time":"2026-03-04T05:06:07.000Z","type":"platform.initReport","record":{"initializationType":"on-demand","metrics":{"durationMs":12.5},"phase":"invoke","status":"timeout"}}`
	if got := (lambda.Lines{JSON: true, Least: "WARN"}).InitReport(at, 12500*time.Microsecond, "invoke", lambda.TimedOut("r1", 1).JSON()); got != want {
		t.Errorf("%s", got)
	}
}
