package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"casemate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector keeps what it was sent, by path.
type collector struct {
	mu   sync.Mutex
	got  map[string][]string
	auth string
	fail []int // statuses to answer first
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(c.take(r.URL.Path, r.Header.Get("Authorization"), body))
}

func (c *collector) take(path, auth string, body []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fail) > 0 {
		status := c.fail[0]
		c.fail = c.fail[1:]
		return status
	}
	if c.got == nil {
		c.got = make(map[string][]string)
	}
	c.got[path], c.auth = append(c.got[path], string(body)), auth
	return 200
}

func (c *collector) count(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got[path])
}

func (c *collector) failing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.fail)
}

// RoundTrip makes a collector a transport, for tests in a bubble.
func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	status := c.take(r.URL.Path, "", body)
	if status == 0 {
		return nil, errors.New("no connection")
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func sample() *casemate.Record {
	at := time.Unix(1700000000, 0).UTC()
	return &casemate.Record{ID: "r1", Event: "e1", Chain: "c1", Source: casemate.SourceHTTP, Action: "execute-api:Invoke", Resource: "arn:aws:x", Route: "POST /orders",
		Opened: at, Closed: at.Add(time.Second), Principal: "key/ck_canary", SourceIP: "192.0.2.77", Role: "clerk", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
		App: "orders", Function: "price", Version: "v", Decision: casemate.Decision{Statement: "clerk#1"},
		Points: []casemate.Point{{Name: casemate.PointIn, Verdict: casemate.Allowed, Took: time.Millisecond},
			{Name: casemate.PointStart, Verdict: casemate.Allowed, Took: 2 * time.Millisecond}},
		Usage:   casemate.Usage{Wall: 30 * time.Millisecond, CPU: 10 * time.Millisecond, Init: 80 * time.Millisecond, MemoryMB: 128, PeakBytes: 5 << 20, In: 10, Out: 20, Cold: true},
		Outcome: casemate.Outcome{OK: true, Status: "answered"}}
}

func refusedRecord() *casemate.Record {
	r := sample()
	r.ID, r.Parent, r.Source = "r2", "r1", casemate.SourceAsync
	r.Points = []casemate.Point{{Name: casemate.PointIn, Verdict: casemate.Allowed}, {Name: casemate.PointMay, Verdict: casemate.Denied, Reason: "canary-reason"}}
	r.Outcome = casemate.Outcome{Code: casemate.Forbidden, Status: "refused", Detail: "canary-detail"}
	return r
}

func TestExportReachesTheCollector(t *testing.T) {
	c := &collector{}
	srv := httptest.NewServer(c)
	defer srv.Close()
	tel, err := New(Config{Endpoint: srv.URL, Headers: map[string]string{"Authorization": "Bearer x"}, Version: "1", Instance: "n1", FunctionLogs: true, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := tel.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	tel.Record(sample())
	tel.Record(refusedRecord())
	tel.Line(casemate.LogLine{At: time.Unix(1, 2), App: "orders", Function: "price", Request: "e1", Stream: "stderr", Text: "hello"})
	tel.Exchange(casemate.SourceHTTP, "POST", 200, time.Millisecond)
	if err := tel.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	var traces struct {
		ResourceSpans []struct {
			Resource   resource
			ScopeSpans []struct{ Spans []span }
		}
	}
	decode(t, c.got["/v1/traces"], &traces)
	spans := traces.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 || c.auth != "Bearer x" || len(traces.ResourceSpans[0].Resource.Attributes) != 3 {
		t.Fatalf("%d spans, %q, %+v", len(spans), c.auth, traces.ResourceSpans[0].Resource)
	}
	ok, no := spans[0], spans[1]
	if ok.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || len(ok.SpanID) != 16 || ok.ParentID != "" || ok.Name != "POST /orders" || ok.Kind != kindServer ||
		ok.Start != "1700000000000000000" || ok.End != "1700000001000000000" || ok.Status != nil || len(ok.Events) != 2 || ok.Events[1].Time != "1700000000003000000" {
		t.Errorf("span %+v", ok)
	}
	if no.ParentID != ok.SpanID || no.Kind != kindConsumer || no.Status == nil || no.Status.Code != statusError || no.Status.Message != "Forbidden" {
		t.Errorf("span %+v", no)
	}
	want := map[string]string{"faas.trigger": "http", "faas.invocation_id": "e1", "faas.name": "price", "faas.version": "v", "http.route": "POST /orders",
		"faas.coldstart": "true", "faas.max_memory": "134217728", "casemate.policy.statement": "clerk#1"}
	for _, a := range ok.Attributes {
		if w, is := want[a.Key]; is && show(a.Value) == w {
			delete(want, a.Key)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing or different: %v in %+v", want, ok.Attributes)
	}
	var logs struct {
		ResourceLogs []struct {
			ScopeLogs []struct{ LogRecords []logRecord }
		}
	}
	decode(t, c.got["/v1/logs"], &logs)
	if l := logs.ResourceLogs[0].ScopeLogs[0].LogRecords; len(l) != 1 || show(l[0].Body) != "hello" || l[0].Time != "1000000002" || l[0].Severity != severityWarn {
		t.Errorf("logs %+v", l)
	}
	var metrics struct {
		ResourceMetrics []struct{ ScopeMetrics []struct{ Metrics []metric } }
	}
	decode(t, c.got["/v1/metrics"], &metrics)
	seen := map[string]bool{}
	for _, m := range metrics.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		seen[m.Name] = true
		if m.Name == "faas.invoke_duration" {
			p := m.Histogram.Points[0]
			if p.Count != "1" || p.Sum != 0.03 || len(p.Buckets) != len(p.Bounds)+1 || p.Buckets[5] != "1" || m.Histogram.Temporality != cumulative {
				t.Errorf("histogram %+v", p)
			}
		}
	}
	for _, name := range []string{"faas.invocations", "faas.coldstarts", "faas.invoke_duration", "faas.init_duration", "faas.mem_usage", "faas.cpu_usage", "faas.net_io",
		"casemate.events", "casemate.refusals", "http.server.request.duration"} {
		if !seen[name] {
			t.Errorf("%s was not exported", name)
		}
	}
	if all := fmt.Sprint(c.got); strings.Contains(all, "canary") || strings.Contains(all, "192.0.2.77") {
		t.Errorf("something left that should have stayed: %s", all)
	}
}

func decode(t *testing.T, bodies []string, into any) {
	t.Helper()
	if len(bodies) != 1 {
		t.Fatalf("%d requests: %q", len(bodies), bodies)
	}
	d := json.NewDecoder(strings.NewReader(bodies[0]))
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func show(v value) string {
	switch {
	case v.String != nil:
		return *v.String
	case v.Int != nil:
		return *v.Int
	case v.Bool != nil:
		return fmt.Sprint(*v.Bool)
	}
	return ""
}

func TestOffCostsNothingAndBreaksNothing(t *testing.T) {
	tel, err := New(Config{})
	if tel != nil || err != nil {
		t.Fatalf("%v, %v", tel, err)
	}
	r := sample()
	if n := testing.AllocsPerRun(100, func() {
		tel.Record(r)
		tel.Line(casemate.LogLine{})
		tel.Exchange(casemate.SourceHTTP, "GET", 200, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := errors.Join(tel.Start(context.Background()), tel.Close(context.Background())); err != nil || tel.Addr() != nil {
		t.Error(err)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for _, c := range []Config{
		{Endpoint: "http://collector.example.com:4318"}, {Endpoint: "collector:4318"}, {Endpoint: "https://u:p@h"}, {Endpoint: "ftp://127.0.0.1"},
		{Endpoint: "https://h?x=1"}, {Metrics: ":9464"}, {Metrics: "0.0.0.0:9464"}, {Metrics: "192.0.2.1:1"}, {Metrics: "127.0.0.1"},
		{Metrics: "127.0.0.1:0", Queue: -1}, {Metrics: "127.0.0.1:0", Interval: -1},
	} {
		if tel, err := New(c); err == nil || tel != nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// bubble runs f with a telemetry whose collector is c, in fake time.
func bubble(t *testing.T, c *collector, queue int, f func(tel *Exporter)) {
	synctest.Test(t, func(t *testing.T) {
		tel, err := New(Config{Endpoint: "http://127.0.0.1:4318", Transport: c, Queue: queue, FunctionLogs: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := tel.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f(tel)
		if err := tel.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func advance(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func TestExportsAtTheInterval(t *testing.T) {
	c := &collector{}
	bubble(t, c, 0, func(tel *Exporter) {
		tel.Record(sample())
		advance(4 * time.Second)
		if c.count("/v1/traces") != 0 {
			t.Error("exported early")
		}
		advance(2 * time.Second)
		if c.count("/v1/traces") != 1 {
			t.Error("not exported")
		}
	})
}

func TestHalfFullQueueIsExportedAtOnce(t *testing.T) {
	c := &collector{}
	bubble(t, c, 8, func(tel *Exporter) {
		for range 4 {
			tel.Record(sample())
		}
		synctest.Wait()
		if c.count("/v1/traces") == 0 {
			t.Error("nothing was exported")
		}
	})
}

func TestBackoffThenDelivery(t *testing.T) {
	c := &collector{fail: []int{503, 0, 429}}
	bubble(t, c, 0, func(tel *Exporter) {
		tel.Record(sample())
		advance(5*time.Second + 6*time.Second) // 1 + 2 + 4 s of backoff are needed
		if c.count("/v1/traces") != 0 || c.failing() != 0 {
			t.Error("delivered too early")
		}
		advance(2 * time.Second)
		if c.count("/v1/traces") != 1 {
			t.Error("not delivered")
		}
		if strings.Contains(tel.metrics.text(), "dropped") {
			t.Error("something was given up")
		}
	})
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	c := &collector{fail: []int{400}}
	bubble(t, c, 0, func(tel *Exporter) {
		tel.Record(sample())
		advance(6 * time.Second)
		if c.count("/v1/traces") != 0 {
			t.Error("a refused request was sent again")
		}
		if want := `casemate_telemetry_dropped_total{kind="record"} 1`; !strings.Contains(tel.metrics.text(), want) {
			t.Errorf("no %s in %s", want, tel.metrics.text())
		}
	})
}

func TestDeadCollectorIsGivenUp(t *testing.T) {
	c := &collector{fail: make([]int, 1000)}
	bubble(t, c, 4, func(tel *Exporter) {
		for range 100 {
			tel.Record(sample())
			tel.Line(casemate.LogLine{})
		}
		advance(2 * time.Minute)
		text := tel.metrics.text()
		var records, lines int
		for line := range strings.Lines(text) {
			fmt.Sscanf(line, `casemate_telemetry_dropped_total{kind="record"} %d`, &records)
			fmt.Sscanf(line, `casemate_telemetry_dropped_total{kind="log"} %d`, &lines)
		}
		if records != 100 || lines != 100 {
			t.Errorf("%d records and %d lines were counted as dropped of 100 each", records, lines)
		}
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	entered := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // a server notices a client that left only after the body
		close(entered)
		<-r.Context().Done()
	}))
	defer srv.Close()
	tel, err := New(Config{Endpoint: srv.URL, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := tel.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	tel.Record(sample())
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tel.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPrometheusText(t *testing.T) {
	tel, err := New(Config{Metrics: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tel.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tel.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	odd := sample()
	odd.Function = "a\"b\\c\nd\xff"
	failed := sample()
	failed.Outcome = casemate.Outcome{Status: "failed", Code: casemate.Timeout, Failure: casemate.FailureTimeout}
	for _, r := range []*casemate.Record{sample(), odd, failed, refusedRecord()} {
		tel.Record(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path, host string) (int, string) {
		r, err := http.NewRequest("GET", "http://"+tel.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	status, text := get("/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	fams, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if status != 200 || err != nil {
		t.Fatalf("%d, %v: %s", status, err, text)
	}
	count := func(name string) (n float64) {
		for _, m := range fams[name].GetMetric() {
			n += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		return n
	}
	for name, want := range map[string]float64{"faas_invocations_total": 2, "faas_errors_total": 1, "faas_timeouts_total": 1, "faas_coldstarts_total": 3,
		"faas_invoke_duration_seconds": 3, "casemate_events_total": 4, "casemate_refusals_total": 1} {
		if got := count(name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	h := fams["faas_invoke_duration_seconds"].GetMetric()[0].GetHistogram()
	if b := h.GetBucket(); b[len(b)-1].GetCumulativeCount() != h.GetSampleCount() || b[0].GetCumulativeCount() != 0 {
		t.Errorf("buckets %v", b)
	}
	if strings.Contains(text, "canary") {
		t.Errorf("metrics name a caller: %s", text)
	}
	for path, host := range map[string]string{"/": "", "/metrics": "evil.example.com"} {
		if status, _ := get(path, host); status != 404 {
			t.Errorf("%s of %q: %d", path, host, status)
		}
	}
}

func TestSeriesAreBounded(t *testing.T) {
	r := newRegistry(time.Unix(0, 0))
	for i := range 3 * maxSeries {
		r.add(famEvents, 1, fmt.Sprint(i), "x")
	}
	if n := len(r.all[famEvents]); n != maxSeries+1 {
		t.Errorf("%d series", n)
	}
	if s := r.all[famEvents][overflow+labelEnd+overflow]; s == nil || s.sum != 2*maxSeries {
		t.Errorf("overflow %+v", s)
	}
}

func TestLoggerHidesSecrets(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var b bytes.Buffer
		l, err := Logger(&b, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		l.Debug("canary")
		l.With("api_key", "canary").Info("shown", "Token", "canary", "client_secret", []byte("canary"), "body", map[string]string{"a": "canary"},
			slog.Group("g", "password", "canary"), "error", fmt.Errorf("refused: Bearer canary"), "note", "sent ck_canary0123456789012345, eyJcanary.b.c",
			"who", casemate.Credential{Kind: casemate.CredentialKey, Secret: "canary"}, "key", "key/ck_ab12cd34")
		if out := b.String(); strings.Contains(out, "canary") || !strings.Contains(out, "shown") || !strings.Contains(out, "ck_ab12cd34") {
			t.Errorf("%s: %s", format, out)
		}
	}
	for _, bad := range [][2]string{{"xml", "info"}, {"json", "loud"}, {"", ""}} {
		if _, err := Logger(io.Discard, bad[0], bad[1]); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("a ck_0123456789abcdefghij b", "x")
	f.Add("Authorization: Bearer eyJa.b.c", " ")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "ck_SECRETSECRETSECRETSECRET"
		if strings.Contains(scrub(before+" "+secret+" "+after), secret) {
			t.Fatalf("%q %q", before, after)
		}
	})
}

func TestSpanJoinsTheCallersTrace(t *testing.T) {
	r := &casemate.Record{ID: "a", Trace: "0af7651916cd43dd8448eb211c80319c", Span: "b7ad6b7169203331", SpanUp: "00f067aa0ba902b7"}
	if s := spanOf(r); s.TraceID != r.Trace || s.SpanID != r.Span || s.ParentID != r.SpanUp {
		t.Errorf("got %+v", s)
	}
	if s := spanOf(&casemate.Record{ID: "a", Chain: "c", Parent: "p"}); s.SpanID != spanID("a") || s.ParentID != spanID("p") {
		t.Errorf("without a trace: %+v", s)
	}
}

func TestSeverityIsTheLevel(t *testing.T) {
	for level, want := range map[string]int{"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21, "": severityInfo, "other": severityInfo} {
		if got := severityOf(casemate.LogLine{Level: level, Stream: "stdout"}); got != want {
			t.Errorf("%q: %d, want %d", level, got, want)
		}
	}
}
