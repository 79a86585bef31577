package lambda

import (
	"math"
	"strconv"
	"time"
)

// The platform's log lines, as Lambda writes them to a function's log stream. None ends in a newline.

// StartLine opens a run. version is "$LATEST" or a number.
func StartLine(id, version string) string { return "START RequestId: " + id + " Version: " + version }

// EndLine closes a run.
func EndLine(id string) string { return "END RequestId: " + id }

// Report is the accounting of one run.
type Report struct {
	Duration time.Duration
	Init     time.Duration // 0 when warm: the line then has no Init Duration
	MemoryMB int
	Peak     int64 // bytes
}

// Line writes the REPORT line. Billed time is rounded up to a millisecond and includes a cold start, as AWS bills it.
func (r Report) Line(id string) string {
	b := append(make([]byte, 0, 192), "REPORT RequestId: "...)
	b = strconv.AppendFloat(append(append(b, id...), "\tDuration: "...), ms(r.Duration), 'f', 2, 64)
	b = strconv.AppendInt(append(b, " ms\tBilled Duration: "...), r.billed(), 10)
	b = strconv.AppendInt(append(b, " ms\tMemory Size: "...), int64(r.MemoryMB), 10)
	b = strconv.AppendInt(append(b, " MB\tMax Memory Used: "...), r.used(), 10)
	b = append(b, " MB\t"...)
	if r.Init > 0 {
		b = strconv.AppendFloat(append(b, "Init Duration: "...), ms(r.Init), 'f', 2, 64)
		b = append(b, " ms\t"...)
	}
	return string(b)
}

func (r Report) billed() int64 { return int64(math.Ceil(ms(r.Duration + r.Init))) }

// used is in MB, rounded up.
func (r Report) used() int64 { return (r.Peak + 1<<20 - 1) >> 20 }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// LogGroup is where a function's lines belong: /aws/lambda/<name>.
func LogGroup(function string) string { return "/aws/lambda/" + function }

// LogStream names one sandbox's stream: YYYY/MM/DD/[<version>]<hex>.
func LogStream(at time.Time, version, hex string) string {
	return at.UTC().Format("2006/01/02") + "/[" + version + "]" + hex
}

// TraceHeader is X-Ray's form of a W3C trace context (lower-case hex), or "" when there is none.
func TraceHeader(traceID, spanID string, sampled bool) string {
	if len(traceID) != 32 || len(spanID) != 16 {
		return ""
	}
	s := "0"
	if sampled {
		s = "1"
	}
	return "Root=1-" + traceID[:8] + "-" + traceID[8:] + ";Parent=" + spanID + ";Sampled=" + s
}
