package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestAsynchronousEvents: what they come to is counted, and what waits is asked for whenever somebody looks.
func TestAsynchronousEvents(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	x, err := New(Config{Metrics: "127.0.0.1:0", Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	x.Received("orders")
	x.Aged("orders", 90*time.Second)
	x.Dropped("orders", "RetriesExhausted")
	x.Undelivered("orders")
	n := uint64(3)
	x.Ask(func() []Waiting {
		if n == 0 {
			return nil
		}
		return []Waiting{{"orders", n, now.Add(-time.Minute)}}
	})
	x.metrics.fill(now)
	n = 2
	x.metrics.fill(now)
	text := x.metrics.text()
	for _, want := range []string{`casemate_async_events_received_total{faas_name="orders"} 1`, `casemate_async_event_age_seconds_bucket{faas_name="orders",le="300"} 1`,
		`casemate_async_events_dropped_total{faas_name="orders",reason="RetriesExhausted"} 1`, `casemate_async_destination_failures_total{faas_name="orders"} 1`,
		"# TYPE casemate_async_queue_depth gauge", `casemate_async_queue_depth{faas_name="orders"} 2`, `casemate_async_queue_oldest_age_seconds{faas_name="orders"} 60`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	data, err := json.Marshal(x.metrics.otlp(now))
	if err != nil || !strings.Contains(string(data), `"name":"casemate.async.queue.depth","unit":"{event}","gauge":{"dataPoints":[{`) {
		t.Errorf("%s, %v", data, err)
	}
	n = 0
	x.metrics.fill(now)
	if strings.Contains(x.metrics.text(), "queue_depth{") {
		t.Error("what waits no more still does")
	}
	var off *Exporter
	off.Received("f")
	off.Ask(nil)
}
