package casemate

import (
	"crypto/rand"
	"encoding/hex"
)

// traceparentLen is the length of a version-00 traceparent: "00-" + 32 + "-" + 16 + "-" + 2.
const traceparentLen = 55

// ParseTraceparent reads a W3C traceparent header (https://www.w3.org/TR/trace-context/#traceparent-header) as it came
// from outside. It is strict: upper case, an all-zero id, version ff, a wrong length or anything behind a version-00
// value is refused, and a refused header is to be treated as if it had not been sent. The span of the result is the
// caller's; Child makes ours from it.
func ParseTraceparent(s string) (Trace, bool) {
	if len(s) < traceparentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Trace{}, false
	}
	version, trace, span, flags := s[:2], s[3:35], s[36:52], s[53:55]
	if !lowerHex(version) || !lowerHex(trace) || !lowerHex(span) || !lowerHex(flags) {
		return Trace{}, false
	}
	if version == "ff" || zeros(trace) || zeros(span) {
		return Trace{}, false
	}
	if len(s) > traceparentLen && (version == "00" || s[traceparentLen] != '-') {
		return Trace{}, false
	}
	low := flags[1]
	sampled := low == '1' || low == '3' || low == '5' || low == '7' || low == '9' || low == 'b' || low == 'd' || low == 'f'
	return Trace{TraceID: trace, SpanID: span, Sampled: sampled}, true
}

// NewTrace starts a trace of its own, not sampled.
func NewTrace() Trace {
	var b [24]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	b[0] |= 1       // an all-zero id is invalid
	b[16] |= 1
	var s [48]byte
	hex.Encode(s[:], b[:])
	return Trace{TraceID: string(s[:32]), SpanID: string(s[32:])}
}

// Child is a new span below t; below the zero Trace it is a root.
func (t Trace) Child() Trace {
	if t.TraceID == "" {
		return NewTrace()
	}
	var b [8]byte
	rand.Read(b[:])
	b[0] |= 1
	return Trace{TraceID: t.TraceID, SpanID: hex.EncodeToString(b[:]), ParentID: t.SpanID, Sampled: t.Sampled, State: t.State}
}

// Traceparent is the W3C header that hands this span on; empty for the zero Trace.
func (t Trace) Traceparent() string {
	if t.TraceID == "" {
		return ""
	}
	if t.Sampled {
		return "00-" + t.TraceID + "-" + t.SpanID + "-01"
	}
	return "00-" + t.TraceID + "-" + t.SpanID + "-00"
}

func lowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
