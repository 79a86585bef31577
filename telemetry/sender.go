package telemetry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"casemate"
)

const (
	batch        = 512 // spans or log records in one request
	attempts     = 5   // for one request, then it is given up and counted
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	requestTime  = 10 * time.Second
)

// sender sends to one collector. One goroutine owns it; its two queues are bounded.
type sender struct {
	c       Config
	base    string
	metrics *registry
	client  *http.Client

	records chan *casemate.Record
	lines   chan casemate.LogLine
	wake    chan struct{} // a queue is half full
	stop    chan struct{}
	done    chan struct{}
	running bool
	ctx     context.Context // of every request; ended by close when its time is up
	cancel  context.CancelFunc
}

func newSender(c Config, base string, m *registry) *sender {
	rt := c.Transport
	if rt == nil {
		rt = &http.Transport{DialContext: (&net.Dialer{Timeout: requestTime}).DialContext, TLSHandshakeTimeout: requestTime,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxIdleConns: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10}
	}
	e := &sender{c: c, base: base, metrics: m, records: make(chan *casemate.Record, c.Queue), lines: make(chan casemate.LogLine, c.Queue),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	e.client = &http.Client{Transport: rt, Timeout: requestTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

func (e *sender) putRecord(r *casemate.Record) bool {
	select {
	case e.records <- r:
		e.nudge(len(e.records), cap(e.records))
		return true
	default:
		return false
	}
}

func (e *sender) putLine(l casemate.LogLine) bool {
	select {
	case e.lines <- l:
		e.nudge(len(e.lines), cap(e.lines))
		return true
	default:
		return false
	}
}

// nudge has the queues emptied before the interval is over when one of them is filling up.
func (e *sender) nudge(n, room int) {
	if n*2 < room {
		return
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *sender) start() {
	e.running = true
	go e.run()
}

// run exports every interval until it is stopped, and once more then.
func (e *sender) run() {
	defer close(e.done)
	tick := time.NewTicker(e.c.Interval)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			e.flush()
			e.flushMetrics()
			return
		case <-e.wake:
			e.flush()
		case <-tick.C:
			e.flush()
			e.flushMetrics()
		}
	}
}

// close stops the goroutine and waits for it. When ctx ends first, what is still unsent is given up.
func (e *sender) close(ctx context.Context) error {
	close(e.stop)
	if !e.running {
		return nil
	}
	defer e.client.CloseIdleConnections()
	defer e.cancel()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.cancel()
		<-e.done
		return ctx.Err()
	}
}

// flush sends what waits, in batches. What comes in meanwhile waits for the next round.
func (e *sender) flush() {
	for n := len(e.records); n > 0; n -= batch {
		if spans := e.drainRecords(); len(spans) > 0 {
			e.deliver("/v1/traces", "record", len(spans), map[string]any{"resourceSpans": []any{e.wrap("scopeSpans", "spans", spans)}})
		}
	}
	for n := len(e.lines); n > 0; n -= batch {
		if logs := e.drainLines(); len(logs) > 0 {
			e.deliver("/v1/logs", "log", len(logs), map[string]any{"resourceLogs": []any{e.wrap("scopeLogs", "logRecords", logs)}})
		}
	}
}

// flushMetrics sends the state of all metrics. They are cumulative: a lost export is made good by the next.
func (e *sender) flushMetrics() {
	e.metrics.fill(e.c.Clock())
	if ms := e.metrics.otlp(e.c.Clock()); len(ms) > 0 {
		e.deliver("/v1/metrics", "metric", len(ms), map[string]any{"resourceMetrics": []any{e.wrap("scopeMetrics", "metrics", ms)}})
	}
}

func (e *sender) drainRecords() []span {
	var spans []span
	for len(spans) < batch {
		select {
		case r := <-e.records:
			spans = append(spans, spanOf(r))
		default:
			return spans
		}
	}
	return spans
}

func (e *sender) drainLines() []logRecord {
	var logs []logRecord
	for len(logs) < batch {
		select {
		case l := <-e.lines:
			logs = append(logs, logOf(l))
		default:
			return logs
		}
	}
	return logs
}

// wrap puts a list under our resource and scope.
func (e *sender) wrap(scopes, list string, items any) map[string]any {
	as := []attr{text("service.name", "casemate")}
	if e.c.Version != "" {
		as = append(as, text("service.version", e.c.Version))
	}
	if e.c.Instance != "" {
		as = append(as, text("service.instance.id", e.c.Instance))
	}
	return map[string]any{"resource": resource{as}, scopes: []any{map[string]any{"scope": scope{"casemate/telemetry", e.c.Version}, list: items}}}
}

// deliver sends one request, again while the collector asks for patience, and counts what it gives up.
func (e *sender) deliver(path, kind string, n int, message any) {
	body, err := json.Marshal(message)
	if err != nil {
		e.giveUp(kind, n, err)
		return
	}
	wait := firstBackoff
	for attempt := 1; ; attempt++ {
		after, again, err := e.post(path, body)
		if err == nil {
			return
		}
		if !again || attempt == attempts || !e.pause(max(after, wait)) {
			e.giveUp(kind, n, err)
			return
		}
		wait = min(2*wait, maxBackoff)
	}
}

func (e *sender) giveUp(kind string, n int, err error) {
	e.metrics.add(famDropped, float64(n), kind)
	e.c.Log.Warn("telemetry was given up", slog.String("kind", kind), slog.Int("items", n), slog.Any("error", err))
}

// pause waits for d; it says no when the sender is being closed, which leaves each request one attempt.
func (e *sender) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.stop:
		return false
	case <-e.ctx.Done():
		return false
	}
}

// post sends once. again says whether another attempt makes sense: after a lost connection, and after the statuses that
// OTLP calls retryable (429, 502, 503, 504).
func (e *sender) post(path string, body []byte) (after time.Duration, again bool, err error) {
	r, err := http.NewRequestWithContext(e.ctx, http.MethodPost, e.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, false, fmt.Errorf("exporting telemetry: %w", err)
	}
	for k, v := range e.c.Headers {
		r.Header.Set(k, v)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(r)
	if err != nil {
		return 0, e.ctx.Err() == nil, fmt.Errorf("exporting telemetry: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again; a longer answer closes it
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	if secs, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && secs > 0 {
		after = min(time.Duration(secs)*time.Second, maxBackoff)
	}
	return after, again, errors.New("exporting telemetry: the collector answered " + resp.Status)
}
