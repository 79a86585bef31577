// Package telemetry tells the outside how the node does: structured logs, Prometheus text on a loopback address, and
// traces, metrics and logs to an OpenTelemetry collector. It is fed from closed records, so a run pays one channel send
// for it, and nothing at all when it is off. Names are those of the OpenTelemetry FaaS conventions
// (https://opentelemetry.io/docs/specs/semconv/faas/). No principal, address, body or credential leaves through here.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
)

// Config says what leaves and where to. With neither Endpoint nor Metrics everything is off.
type Config struct {
	Endpoint     string            // base URL of a collector's OTLP/HTTP receiver; plain http only to a loopback address
	Headers      map[string]string // sent with every export, for its authentication
	Metrics      string            // loopback host:port that serves Prometheus text at /metrics
	FunctionLogs bool              // export what functions write; off by default, for their authors did not ask for it
	Version      string            // service.version
	Instance     string            // service.instance.id
	Interval     time.Duration     // between exports; 5 s when 0
	Queue        int               // records and lines that may wait, each; 4096 when 0. What does not fit is dropped and counted
	Clock        func() time.Time  // time.Now when nil
	Transport    http.RoundTripper // for exports; direct and without a proxy when nil
	Log          *slog.Logger      // nowhere when nil
}

// Exporter collects and exports. A nil *Exporter is telemetry switched off: every method returns at once.
type Exporter struct {
	c       Config
	metrics *registry
	export  *sender // nil without a collector
	server  *http.Server
	serve   sync.WaitGroup

	mu   sync.Mutex
	addr net.Addr
}

// New checks the configuration. It gives nil, which is usable, when everything is off.
func New(c Config) (*Exporter, error) {
	if c.Endpoint == "" && c.Metrics == "" {
		return nil, nil
	}
	if c.Interval < 0 || c.Queue < 0 {
		return nil, errors.New("configuring telemetry: a bound is negative")
	}
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Exporter{c: c, metrics: newRegistry(c.Clock())}
	if c.Metrics != "" {
		if err := loopbackOnly(c.Metrics); err != nil {
			return nil, err
		}
		t.server = &http.Server{Handler: http.HandlerFunc(t.page), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	}
	if c.Endpoint != "" {
		base, err := endpoint(c.Endpoint)
		if err != nil {
			return nil, err
		}
		t.export = newSender(c, base, t.metrics)
	}
	return t, nil
}

func refused(field, message, hint string) error {
	return &casemate.Error{Code: casemate.Invalid, Field: field, Message: message, Hint: hint}
}

// loopbackOnly refuses an address that others could reach: metrics name functions and their load.
func loopbackOnly(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err == nil && loopback(host) {
		return nil
	}
	return refused("metrics", fmt.Sprintf("%q is not a loopback host:port", addr), "use 127.0.0.1:9464, and a proxy with authentication where others must read it")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func endpoint(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return "", refused("otlp", "not the base URL of a collector", "https://host:4318")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", refused("otlp", "plain http to another machine", "use https, or a collector on this machine")
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"), nil
}

// Start opens the metrics listener and starts exporting; ctx bounds the opening only. Close ends both.
func (t *Exporter) Start(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if t.server != nil {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", t.c.Metrics)
		if err != nil {
			return &casemate.Error{Code: casemate.Unavailable, Field: "metrics", Message: "cannot " + err.Error(), Hint: "is the port taken?", Err: err}
		}
		t.mu.Lock()
		t.addr = ln.Addr()
		t.mu.Unlock()
		t.serve.Go(func() {
			if err := t.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				t.c.Log.Error("metrics listener broke", slog.Any("error", err))
			}
		})
	}
	if t.export != nil {
		t.export.start()
	}
	return nil
}

// Addr is where metrics are served, nil when they are not.
func (t *Exporter) Addr() net.Addr {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addr
}

// Close exports what waits, once, until ctx ends, and waits for every goroutine. Nothing may be recorded after it.
func (t *Exporter) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	var errs []error
	if t.export != nil {
		errs = append(errs, t.export.close(ctx))
	}
	if t.server != nil {
		if err := t.server.Shutdown(ctx); err != nil {
			t.server.Close()
			errs = append(errs, err)
		}
	}
	t.serve.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing telemetry: %w", err)
	}
	return nil
}

// Record takes a closed record, which nobody may change afterwards. It never blocks.
func (t *Exporter) Record(r *casemate.Record) {
	if t == nil || r == nil {
		return
	}
	t.metrics.record(r)
	if t.export != nil && !t.export.putRecord(r) {
		t.metrics.add(famDropped, 1, "record")
	}
}

// Line takes one line that a function wrote. It never blocks.
func (t *Exporter) Line(l casemate.LogLine) {
	if t == nil || t.export == nil || !t.c.FunctionLogs {
		return
	}
	if !t.export.putLine(l) {
		t.metrics.add(famDropped, 1, "log")
	}
}

// Exchange takes one HTTP exchange of a front.
func (t *Exporter) Exchange(source casemate.Source, method string, status int, took time.Duration) {
	if t == nil {
		return
	}
	t.metrics.add(famHTTP, took.Seconds(), string(source), method, strconv.Itoa(status))
}

// page serves /metrics. The Host must be a loopback name: a page elsewhere that rebinds its own name to this address
// gets nothing.
func (t *Exporter) page(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		host = h
	}
	if !loopback(strings.Trim(host, "[]")) || r.URL.Path != "/metrics" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	t.metrics.fill(t.c.Clock())
	if _, err := io.WriteString(w, t.metrics.text()); err != nil {
		t.c.Log.Debug("metrics reader left", slog.Any("error", err))
	}
}
