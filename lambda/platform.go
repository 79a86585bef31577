package lambda

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Lines writes the platform's own part of a function's log: START, END and REPORT as text, or, where the log is JSON, the events
// that Lambda documents
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html). The zero value writes text.
type Lines struct {
	JSON  bool
	Least string // of JSON: DEBUG, INFO or WARN; "" is INFO
}

// Statuses of a run.
const (
	StatusSuccess = "success"
	StatusError   = "error"   // the function said so
	StatusFailure = "failure" // its process ended
	StatusTimeout = "timeout"
)

// platformTime is how the platform writes a moment.
const platformTime = "2006-01-02T15:04:05.000Z"

// Start opens a run. Like the others it is "" when the level leaves it out.
func (l Lines) Start(at time.Time, id, version string) string {
	if !l.JSON {
		return StartLine(id, version)
	}
	return l.event(at, "INFO", "platform.start", map[string]any{"requestId": id, "version": version})
}

// End closes a run, of which status is one of the above.
func (l Lines) End(at time.Time, id, status string, took time.Duration) string {
	if !l.JSON {
		return EndLine(id)
	}
	return l.event(at, levelOf(status, "DEBUG"), "platform.runtimeDone",
		map[string]any{"requestId": id, "status": status, "metrics": map[string]any{"durationMs": rounded(took)}})
}

// Timeout says that a run was killed at its limit. In JSON the status of the others says so.
func (l Lines) Timeout(at time.Time, id string, limit time.Duration) string {
	if l.JSON {
		return ""
	}
	return fmt.Sprintf("%s %s Task timed out after %.2f seconds", at.UTC().Format(platformTime), id, limit.Seconds())
}

// Report is the accounting of a run.
func (l Lines) Report(at time.Time, id, status string, r Report) string {
	if !l.JSON {
		return r.Line(id)
	}
	metrics := map[string]any{"durationMs": rounded(r.Duration), "billedDurationMs": r.billed(), "memorySizeMB": r.MemoryMB, "maxMemoryUsedMB": r.used()}
	if r.Init > 0 {
		metrics["initDurationMs"] = rounded(r.Init)
	}
	return l.event(at, levelOf(status, "INFO"), "platform.report", map[string]any{"requestId": id, "metrics": metrics, "status": status})
}

// InitReport tells of a start that failed: phase is "init" for the first one of a run and "invoke" for the second; body is what
// its caller is told, or would be.
func (l Lines) InitReport(at time.Time, took time.Duration, phase string, body []byte) string {
	var b ErrorBody
	_ = json.Unmarshal(body, &b) // a function may have posted anything: then its type is unknown
	status, kind := StatusError, NormalErrorType(b.Type)
	if b.Type == timedOut {
		status = StatusTimeout
	}
	if l.JSON {
		record := map[string]any{"initializationType": "on-demand", "phase": phase, "status": status, "metrics": map[string]any{"durationMs": rounded(took)}}
		if status == StatusError {
			record["errorType"] = kind
		}
		return l.event(at, "WARN", "platform.initReport", record)
	}
	line := fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s\tStatus: %s", ms(took), phase, status)
	if status == StatusError {
		line += "\tError Type: " + kind
	}
	return line
}

func (l Lines) event(at time.Time, level, kind string, record map[string]any) string {
	least := l.Least
	if least == "" {
		least = "INFO"
	}
	order := []string{"DEBUG", "INFO", "WARN"}
	if slices.Index(order, level) < slices.Index(order, least) {
		return ""
	}
	b, err := json.Marshal(struct {
		Time   string         `json:"time"`
		Type   string         `json:"type"`
		Record map[string]any `json:"record"`
	}{at.UTC().Format(platformTime), kind, record})
	if err != nil { // strings and numbers always encode
		return ""
	}
	return string(b)
}

// levelOf is the level that Lambda gives an event of a run that ended so.
func levelOf(status, ofSuccess string) string {
	if status == StatusSuccess {
		return ofSuccess
	}
	return "WARN"
}

// rounded is milliseconds with three decimals.
func rounded(d time.Duration) float64 { return math.Round(ms(d)*1000) / 1000 }
