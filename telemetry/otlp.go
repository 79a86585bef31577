package telemetry

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"casemate"
)

// The OTLP messages that we send, as their JSON mapping writes them: ids in hex, 64-bit integers as strings, enums as
// numbers (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
type (
	attr struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		String *string `json:"stringValue,omitempty"`
		Int    *string `json:"intValue,omitempty"`
		Bool   *bool   `json:"boolValue,omitempty"`
	}
	resource struct {
		Attributes []attr `json:"attributes"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	span struct {
		TraceID    string  `json:"traceId"`
		SpanID     string  `json:"spanId"`
		ParentID   string  `json:"parentSpanId,omitempty"`
		Name       string  `json:"name"`
		Kind       int     `json:"kind"`
		Start      string  `json:"startTimeUnixNano"`
		End        string  `json:"endTimeUnixNano"`
		Attributes []attr  `json:"attributes"`
		Events     []point `json:"events,omitempty"`
		Status     *status `json:"status,omitempty"`
	}
	point struct {
		Time       string `json:"timeUnixNano"`
		Name       string `json:"name"`
		Attributes []attr `json:"attributes,omitempty"`
	}
	status struct {
		Code    int    `json:"code"`
		Message string `json:"message,omitempty"`
	}
	logRecord struct {
		Time       string `json:"timeUnixNano"`
		Severity   int    `json:"severityNumber"`
		Body       value  `json:"body"`
		Attributes []attr `json:"attributes"`
	}
	metric struct {
		Name      string     `json:"name"`
		Unit      string     `json:"unit"`
		Sum       *sum       `json:"sum,omitempty"`
		Histogram *histoData `json:"histogram,omitempty"`
		Gauge     *gaugeData `json:"gauge,omitempty"`
	}
	sum struct {
		Points      []number64 `json:"dataPoints"`
		Temporality int        `json:"aggregationTemporality"`
		Monotonic   bool       `json:"isMonotonic"`
	}
	histoData struct {
		Points      []histoPoint `json:"dataPoints"`
		Temporality int          `json:"aggregationTemporality"`
	}
	gaugeData struct {
		Points []number64 `json:"dataPoints"`
	}
	number64 struct {
		Attributes []attr  `json:"attributes"`
		Start      string  `json:"startTimeUnixNano"`
		Time       string  `json:"timeUnixNano"`
		Double     float64 `json:"asDouble"`
	}
	histoPoint struct {
		Attributes []attr    `json:"attributes"`
		Start      string    `json:"startTimeUnixNano"`
		Time       string    `json:"timeUnixNano"`
		Count      string    `json:"count"`
		Sum        float64   `json:"sum"`
		Buckets    []string  `json:"bucketCounts"`
		Bounds     []float64 `json:"explicitBounds"`
	}
)

// Numbers of the protocol.
const (
	kindServer   = 2
	kindConsumer = 5
	statusError  = 2
	cumulative   = 2
	severityInfo = 9
	severityWarn = 13
)

func text(k, v string) attr     { return attr{k, value{String: &v}} }
func yes(k string, v bool) attr { return attr{k, value{Bool: &v}} }
func integer(k string, v int64) attr {
	s := strconv.FormatInt(v, 10)
	return attr{k, value{Int: &s}}
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// spanID gives a record its span: the same for the same record, so that what a run caused can name it as its parent.
func spanID(record string) string {
	if record == "" {
		return ""
	}
	h := sha256.Sum256([]byte(record))
	h[0] |= 1 // an all-zero id is invalid
	return hex.EncodeToString(h[:8])
}

// spanOf makes the span of one record: the verdict points are its events. The caller's identity and address stay home.
func spanOf(r *casemate.Record) span {
	s := span{TraceID: r.Trace, SpanID: cmp.Or(r.Span, spanID(r.ID)), ParentID: cmp.Or(r.SpanUp, spanID(r.Parent)), Name: nameOf(r), Kind: kindServer,
		Start: nanos(r.Opened), End: nanos(r.Closed), Attributes: attributesOf(r)}
	if len(s.TraceID) != 32 { // a trace of its own chain
		h := sha256.Sum256([]byte(r.Chain))
		s.TraceID = hex.EncodeToString(h[:16])
	}
	if r.Source == casemate.SourceAsync {
		s.Kind = kindConsumer
	}
	at := r.Opened
	for i := range r.Points {
		p := &r.Points[i]
		at = at.Add(p.Took)
		s.Events = append(s.Events, point{Time: nanos(at), Name: "casemate." + p.Name,
			Attributes: []attr{text("casemate.verdict", p.Verdict.String()), integer("casemate.took_ns", int64(p.Took))}})
	}
	if !r.Outcome.OK {
		message := r.Outcome.Code.String()
		if r.Outcome.Failure != casemate.FailureNone {
			message = string(r.Outcome.Failure)
		}
		s.Status = &status{statusError, message}
	}
	return s
}

func nameOf(r *casemate.Record) string {
	for _, n := range [...]string{r.Route, r.Function, r.Action} {
		if n != "" {
			return n
		}
	}
	return "event"
}

func attributesOf(r *casemate.Record) []attr {
	as := []attr{text("faas.trigger", triggerOf(r.Source)), text("faas.invocation_id", r.Event), text("casemate.source", string(r.Source)),
		text("casemate.record", r.ID), text("casemate.status", r.Outcome.Status)}
	for _, p := range [...][2]string{{"faas.name", r.Function}, {"faas.version", r.Version}, {"http.route", r.Route}, {"cloud.resource_id", r.Resource},
		{"casemate.app", r.App}, {"casemate.role", r.Role}, {"casemate.policy.statement", r.Decision.Statement}} {
		if p[1] != "" {
			as = append(as, text(p[0], p[1]))
		}
	}
	if ran(r) {
		as = append(as, yes("faas.coldstart", r.Usage.Cold), integer("faas.max_memory", int64(r.Usage.MemoryMB)<<20),
			integer("casemate.cpu_ns", int64(r.Usage.CPU)), integer("casemate.peak_bytes", r.Usage.PeakBytes), integer("casemate.effects", int64(len(r.Effects))))
	}
	if len(r.Weak) > 0 {
		as = append(as, yes("casemate.weak_sandbox", true))
	}
	return as
}

// severityOf is the level that the function's runtime gave a line, as OpenTelemetry numbers it; else what its stream says.
func severityOf(l casemate.LogLine) int {
	for i, level := range [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		if l.Level == level {
			return 4*i + 1
		}
	}
	if l.Stream == "stderr" {
		return severityWarn
	}
	return severityInfo
}

func logOf(l casemate.LogLine) logRecord {
	return logRecord{Time: nanos(l.At), Severity: severityOf(l), Body: value{String: &l.Text}, Attributes: []attr{text("faas.name", l.Function),
		text("faas.invocation_id", l.Request), text("casemate.app", l.App), text("log.iostream", l.Stream)}}
}

// otlp writes every series as it stands at now.
func (r *registry) otlp(now time.Time) []metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []metric
	start, at := nanos(r.start), nanos(now)
	for i := range families {
		f := &families[i]
		all := r.sorted(i)
		if len(all) == 0 {
			continue
		}
		m := metric{Name: f.name, Unit: f.unit}
		switch f.kind {
		case counter:
			m.Sum = &sum{Temporality: cumulative, Monotonic: true}
		case gauge:
			m.Gauge = &gaugeData{}
		default:
			m.Histogram = &histoData{Temporality: cumulative}
		}
		for _, s := range all {
			as := make([]attr, len(s.labels))
			for j, v := range s.labels {
				as[j] = text(f.labels[j], v)
			}
			if f.kind == gauge {
				m.Gauge.Points = append(m.Gauge.Points, number64{as, start, at, s.sum})
				continue
			}
			if f.kind == counter {
				m.Sum.Points = append(m.Sum.Points, number64{as, start, at, s.sum})
				continue
			}
			buckets := make([]string, len(s.buckets))
			for j, n := range s.buckets {
				buckets[j] = strconv.FormatUint(n, 10)
			}
			m.Histogram.Points = append(m.Histogram.Points, histoPoint{as, start, at, strconv.FormatUint(s.count, 10), s.sum, buckets, slices.Clone(f.bounds)})
		}
		out = append(out, m)
	}
	return out
}
