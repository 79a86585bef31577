package telemetry

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
)

type kind uint8

const (
	counter kind = iota
	histogram
	gauge
)

// family is one metric with its labels. Its name is OpenTelemetry's; prom is the same in Prometheus' spelling.
type family struct {
	name, prom, unit, help string
	kind                   kind
	labels                 []string
	bounds                 []float64
}

// The families, by index into families().
const (
	famInvocations = iota
	famErrors
	famTimeouts
	famColdstarts
	famInvoke
	famInit
	famMemory
	famCPU
	famNet
	famEvents
	famRefusals
	famHTTP
	famDropped
	famAsyncReceived
	famAsyncAge
	famAsyncDropped
	famAsyncUndelivered
	famAsyncDepth
	famAsyncOldest
	famCount
)

var (
	secondBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900}
	byteBounds   = []float64{1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 32}
	byFunction   = []string{"faas.name", "faas.trigger"}
	oneFunction  = []string{"faas.name"}
)

// families is the table of what is measured.
var families = [famCount]family{
	famInvocations: {"faas.invocations", "faas_invocations_total", "{invocation}", "Runs that ended well.", counter, byFunction, nil},
	famErrors:      {"faas.errors", "faas_errors_total", "{error}", "Runs that failed, timeouts included.", counter, byFunction, nil},
	famTimeouts:    {"faas.timeouts", "faas_timeouts_total", "{timeout}", "Runs killed at their deadline.", counter, byFunction, nil},
	famColdstarts:  {"faas.coldstarts", "faas_coldstarts_total", "{coldstart}", "Runs that had to start a sandbox.", counter, byFunction, nil},
	famInvoke:      {"faas.invoke_duration", "faas_invoke_duration_seconds", "s", "Wall time of runs.", histogram, byFunction, secondBounds},
	famInit:        {"faas.init_duration", "faas_init_duration_seconds", "s", "Wall time of cold starts.", histogram, byFunction, secondBounds},
	famMemory:      {"faas.mem_usage", "faas_mem_usage_bytes", "By", "Highest resident memory of runs.", histogram, byFunction, byteBounds},
	famCPU:         {"faas.cpu_usage", "faas_cpu_usage_seconds", "s", "CPU time of runs.", histogram, byFunction, secondBounds},
	famNet:         {"faas.net_io", "faas_net_io_bytes", "By", "Bytes in and out of runs.", histogram, byFunction, byteBounds},
	famEvents:      {"casemate.events", "casemate_events_total", "{event}", "Events by how they ended.", counter, []string{"source", "status"}, nil},
	famRefusals:    {"casemate.refusals", "casemate_refusals_total", "{event}", "Events refused, by verdict point and code.", counter, []string{"point", "code"}, nil},
	famHTTP: {"http.server.request.duration", "http_server_request_duration_seconds", "s", "HTTP exchanges.", histogram,
		[]string{"casemate.source", "http.request.method", "http.response.status_code"}, secondBounds},
	famDropped:       {"casemate.telemetry.dropped", "casemate_telemetry_dropped_total", "{item}", "Telemetry that was given up.", counter, []string{"kind"}, nil},
	famAsyncReceived: {"casemate.async.events.received", "casemate_async_events_received_total", "{event}", "Asynchronous events that were queued.", counter, oneFunction, nil},
	famAsyncAge: {"casemate.async.event.age", "casemate_async_event_age_seconds", "s", "Age of asynchronous events when an attempt began.", histogram, oneFunction,
		[]float64{0.01, 0.1, 1, 10, 60, 300, 900, 3600, 21600}},
	famAsyncDropped: {"casemate.async.events.dropped", "casemate_async_events_dropped_total", "{event}", "Asynchronous events that will not be tried again, by why.", counter,
		[]string{"faas.name", "reason"}, nil},
	famAsyncUndelivered: {"casemate.async.destination.failures", "casemate_async_destination_failures_total", "{event}", "Ends of events that their destination did not take.", counter, oneFunction, nil},
	famAsyncDepth:       {"casemate.async.queue.depth", "casemate_async_queue_depth", "{event}", "Asynchronous events that wait or run.", gauge, oneFunction, nil},
	famAsyncOldest:      {"casemate.async.queue.oldest_age", "casemate_async_queue_oldest_age_seconds", "s", "Age of the oldest of them.", gauge, oneFunction, nil},
}

const (
	maxSeries = 2000     // of one family; the rest is counted together
	overflow  = "_other" // under this label
	labelEnd  = "\x00"   // between values in a key; no label value of ours holds it
)

// series is one combination of label values.
type series struct {
	labels  []string
	count   uint64
	sum     float64
	buckets []uint64 // one more than bounds; not cumulative
}

// registry holds every series. One lock suffices: a run takes it once.
type registry struct {
	start time.Time

	mu      sync.Mutex
	waiting func() []Waiting // nil: nothing can wait
	all     [famCount]map[string]*series
}

func newRegistry(start time.Time) *registry {
	r := &registry{start: start}
	for i := range r.all {
		r.all[i] = make(map[string]*series)
	}
	return r
}

func (r *registry) add(fam int, v float64, labels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(fam, v, labels...)
}

// put adds v to a counter, or as one observation to a histogram. The caller holds mu.
func (r *registry) put(fam int, v float64, labels ...string) {
	f, m := &families[fam], r.all[fam]
	key := strings.Join(labels, labelEnd)
	s := m[key]
	if s == nil && len(m) >= maxSeries {
		labels = slices.Repeat([]string{overflow}, len(labels))
		key = strings.Join(labels, labelEnd)
		s = m[key]
	}
	if s == nil {
		s = &series{labels: slices.Clone(labels), buckets: make([]uint64, len(f.bounds)+1)}
		m[key] = s
	}
	s.count++
	s.sum += v
	if f.kind == histogram {
		i, _ := slices.BinarySearch(f.bounds, v)
		s.buckets[i]++
	}
}

// record counts one closed record.
func (r *registry) record(rec *casemate.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(famEvents, 1, string(rec.Source), rec.Outcome.Status)
	if rec.Outcome.Status == "refused" {
		r.put(famRefusals, 1, refusedAt(rec), rec.Outcome.Code.String())
	}
	if !ran(rec) {
		return
	}
	name, trigger, u := rec.Function, triggerOf(rec.Source), &rec.Usage
	if rec.Outcome.OK {
		r.put(famInvocations, 1, name, trigger)
	} else {
		r.put(famErrors, 1, name, trigger)
	}
	if rec.Outcome.Failure == casemate.FailureTimeout {
		r.put(famTimeouts, 1, name, trigger)
	}
	if u.Cold {
		r.put(famColdstarts, 1, name, trigger)
		r.put(famInit, u.Init.Seconds(), name, trigger)
	}
	r.put(famInvoke, u.Wall.Seconds(), name, trigger)
	r.put(famCPU, u.CPU.Seconds(), name, trigger)
	r.put(famMemory, float64(u.PeakBytes), name, trigger)
	r.put(famNet, float64(u.In+u.Out), name, trigger)
}

// ran reports whether a record's event came as far as a function.
func ran(rec *casemate.Record) bool {
	if rec.Function == "" || rec.Outcome.Status == "queued" {
		return false
	}
	for i := range rec.Points {
		if rec.Points[i].Name == casemate.PointStart {
			return rec.Points[i].Verdict == casemate.Allowed
		}
	}
	return false
}

// refusedAt is the first point that refused.
func refusedAt(rec *casemate.Record) string {
	for i := range rec.Points {
		if rec.Points[i].Verdict != casemate.Allowed {
			return rec.Points[i].Name
		}
	}
	return ""
}

// triggerOf is faas.trigger, a closed list of the conventions.
func triggerOf(s casemate.Source) string {
	if s == casemate.SourceHTTP || s == casemate.SourceURL {
		return "http"
	}
	return "other"
}

// text writes every series in Prometheus' text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/). It is written here, in a few lines, because the
// client library would add 2.6 MB to the binary.
func (r *registry) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for i := range families {
		f := &families[i]
		if len(r.all[i]) == 0 {
			continue
		}
		b.WriteString("# HELP " + f.prom + " " + f.help + "\n# TYPE " + f.prom + " " + [...]string{"counter", "histogram", "gauge"}[f.kind] + "\n")
		for _, s := range r.sorted(i) {
			f.text(&b, s)
		}
	}
	return b.String()
}

// sorted gives the series of a family in a stable order. The caller holds mu.
func (r *registry) sorted(fam int) []*series {
	all := make([]*series, 0, len(r.all[fam]))
	for _, s := range r.all[fam] {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *series) int { return slices.Compare(a.labels, b.labels) })
	return all
}

func (f *family) text(b *strings.Builder, s *series) {
	labels := make([]string, len(s.labels))
	for i, v := range s.labels {
		v = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(v, "\uFFFD"))
		labels[i] = strings.ReplaceAll(f.labels[i], ".", "_") + `="` + v + `"`
	}
	inner := strings.Join(labels, ",")
	if f.kind != histogram {
		b.WriteString(f.prom + "{" + inner + "} " + number(s.sum) + "\n")
		return
	}
	var below uint64
	for i, n := range s.buckets {
		below += n
		le := "+Inf"
		if i < len(f.bounds) {
			le = number(f.bounds[i])
		}
		b.WriteString(f.prom + "_bucket{" + inner + `,le="` + le + `"} ` + strconv.FormatUint(below, 10) + "\n")
	}
	b.WriteString(f.prom + "_sum{" + inner + "} " + number(s.sum) + "\n")
	b.WriteString(f.prom + "_count{" + inner + "} " + strconv.FormatUint(s.count, 10) + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
