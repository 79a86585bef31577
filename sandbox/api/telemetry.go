package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate/lambda"
)

// telemetry is the Telemetry API (2022-07-01,
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html) and the Logs API (2020-08-15) before it:
// extensions subscribe while the sandbox initialises and have records and log lines posted to a server of their own
// inside. Where nothing leads into the sandbox the answer is the one that extensions take as "go on without".
type telemetry struct {
	now  func() time.Time
	dial Dial // nil: nothing leads into the sandbox
	work sync.WaitGroup

	mu     sync.Mutex
	early  []tele // what was told before the first event: whoever subscribes hears it, too
	weight int    // bytes of early
	closed bool   // to new subscriptions
	subs   []*subscription
	rests  bool // the sandbox stands still
	flying int  // batches on their way
	end    context.Context
	stop   context.CancelFunc
}

// Dial connects to a port of the sandbox's own loopback.
type Dial func(ctx context.Context, port int) (net.Conn, error)

// Bounds of what is kept for subscribers, and of what they may ask for (Telemetry API, "Buffering").
const (
	maxEarly       = 256 << 10 // bytes
	defaultItems   = 10_000
	defaultBytes   = 256 << 10
	defaultTimeout = time.Second
	sendTime       = 2 * time.Second // of one attempt to deliver a batch
	maxAnswer      = 64 << 10        // bytes of what a server of an extension answers
	maxSubscribe   = 64 << 10        // bytes of a subscription
)

// tele is one event on its way to subscribers: encoded, and what decides who gets it.
type tele struct {
	group string // "platform", "function" or "extension"
	logs  bool   // of the Logs API
	new   bool   // of the Telemetry API
	text  []byte
}

func newTelemetry(now func() time.Time) *telemetry {
	t := &telemetry{now: now}
	t.end, t.stop = context.WithCancel(context.Background())
	return t
}

// Reach lets extensions subscribe to telemetry, delivered by dial. It is called before anything is served, or not at all.
func (a *Server) Reach(dial Dial) { a.tele.dial = dial }

// Tell hands a record of the platform to whoever subscribed: kind is "platform.start" and so on. Its record is made only
// when somebody can hear it.
func (a *Server) Tell(kind string, record func() any) {
	if a.tele.dial != nil {
		a.tele.tell(kind, record())
	}
}

// Log hands one log line to whoever subscribed: stream is that of a LogLine. raw says that the line is a JSON document.
func (a *Server) Log(stream, text string, raw bool) {
	t := a.tele
	if t.dial == nil || stream == "platform" {
		return
	}
	group := "function"
	if stream == "extension" {
		group = "extension"
	}
	var record any = text
	if raw && json.Valid([]byte(text)) && strings.HasPrefix(text, "{") {
		record = json.RawMessage(text)
	}
	t.emit(group, group, record, true, true)
}

// kinds that only one of the two APIs knows.
var (
	onlyNew  = []string{"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.telemetrySubscription"}
	onlyLogs = []string{"platform.end", "platform.logsSubscription"}
)

func (t *telemetry) tell(kind string, record any) {
	t.emit("platform", kind, record, !slices.Contains(onlyNew, kind), !slices.Contains(onlyLogs, kind))
}

func (t *telemetry) encode(kind string, record any) []byte {
	b, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{t.now().UTC().Format("2006-01-02T15:04:05.000Z"), kind, record})
	if err != nil {
		return nil // texts and numbers always encode
	}
	return b
}

func (t *telemetry) emit(group, kind string, record any, logs, modern bool) {
	e := tele{group, logs, modern, t.encode(kind, record)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed && t.weight+len(e.text) <= maxEarly {
		t.early, t.weight = append(t.early, e), t.weight+len(e.text)
	}
	for _, s := range t.subs {
		s.add(t, e)
	}
}

// close takes no more subscriptions: the first event has come.
func (t *telemetry) close() {
	if t.dial == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.early = true, nil
}

// flush delivers what there is, whatever a buffer waits for.
func (t *telemetry) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.subs {
		s.poke()
	}
}

// Rest says that the sandbox is about to stand still, and is false while a batch is on its way. Awake ends that.
func (a *Server) Rest() bool {
	t := a.tele
	if t.dial == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rests = t.flying == 0
	return t.rests
}

// Awake says that the sandbox runs.
func (a *Server) Awake() {
	t := a.tele
	if t.dial == nil {
		return
	}
	t.mu.Lock()
	t.rests = false
	t.mu.Unlock()
}

// subscription is one extension's.
type subscription struct {
	logs     bool // of the Logs API
	types    []string
	port     int
	uri      string // of the request; "" over TCP
	host     string
	items    int
	bytes    int
	timeout  time.Duration
	kick     chan struct{}
	queue    []kept // under telemetry.mu, as the rest
	weight   int
	dropped  int
	lost     int // bytes
	conn     net.Conn
	answered *bufio.Reader
}

// kept is an event in a queue, and what is lost with it: of a report about lost ones, those.
type kept struct {
	text           []byte
	records, bytes int
}

// add keeps an event for delivery, or counts it as dropped: twice what one batch may hold is kept. The caller holds the
// lock.
func (s *subscription) add(t *telemetry, e tele) {
	if !slices.Contains(s.types, e.group) || s.logs && !e.logs || !s.logs && !e.new {
		return
	}
	if len(s.queue) >= 2*s.items || s.weight+len(e.text) > 2*max(s.bytes, len(e.text)) {
		s.dropped, s.lost = s.dropped+1, s.lost+len(e.text)
		return
	}
	if s.dropped > 0 {
		report := t.encode("platform.logsDropped", map[string]any{"droppedRecords": s.dropped, "droppedBytes": s.lost, "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."})
		s.queue, s.weight = append(s.queue, kept{report, s.dropped, s.lost}), s.weight+len(report)
		s.dropped, s.lost = 0, 0
	}
	s.queue, s.weight = append(s.queue, kept{e.text, 1, len(e.text)}), s.weight+len(e.text)
	if len(s.queue) >= s.items || s.weight >= s.bytes {
		s.poke()
	}
}

func (s *subscription) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// take gives the next batch; nil when there is none, or the sandbox stands still.
func (t *telemetry) take(s *subscription) (batch []kept) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rests || len(s.queue) == 0 {
		return nil
	}
	n, weight := 0, 0
	for n < len(s.queue) && n < s.items && (n == 0 || weight+len(s.queue[n].text) <= s.bytes) {
		weight += len(s.queue[n].text)
		n++
	}
	batch, s.queue = s.queue[:n:n], s.queue[n:]
	s.weight -= weight
	t.flying++
	return batch
}

// landed counts a batch off; one that could not be delivered is dropped.
func (t *telemetry) landed(s *subscription, batch []kept, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flying--
	if err != nil {
		for _, e := range batch {
			s.dropped, s.lost = s.dropped+e.records, s.lost+e.bytes
		}
	}
}

// run delivers until the sandbox ends.
func (t *telemetry) run(s *subscription) {
	tick := time.NewTicker(s.timeout)
	defer tick.Stop()
	defer s.hangUp()
	for {
		select {
		case <-s.kick:
		case <-tick.C:
		case <-t.end.Done():
			return
		}
		for t.end.Err() == nil {
			batch := t.take(s)
			if batch == nil {
				break
			}
			err := t.send(s, batch)
			if err != nil { // a server that closed the connection meanwhile is asked once more
				err = t.send(s, batch)
			}
			t.landed(s, batch, err)
		}
	}
}

func (s *subscription) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// send delivers a batch, over the connection that is there or a new one.
func (t *telemetry) send(s *subscription, batch []kept) error {
	ctx, cancel := context.WithTimeout(t.end, sendTime)
	defer cancel()
	if s.conn == nil {
		c, err := t.dial(ctx, s.port)
		if err != nil {
			return err
		}
		s.conn, s.answered = c, bufio.NewReader(io.LimitReader(c, 1<<62))
	}
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
	err := s.post(batch)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.hangUp()
	}
	return err
}

func (s *subscription) post(batch []kept) error {
	texts := make([][]byte, len(batch))
	for k := range batch {
		texts[k] = batch[k].text
	}
	if s.uri == "" {
		_, err := s.conn.Write(append(bytes.Join(texts, []byte("\n")), '\n'))
		return err
	}
	body := slices.Concat([]byte("["), bytes.Join(texts, []byte(",")), []byte("]"))
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", s.uri, s.host, len(body))
	if _, err := s.conn.Write(append([]byte(head), body...)); err != nil {
		return err
	}
	res, err := http.ReadResponse(s.answered, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	if err == nil && (n >= maxAnswer || res.Close) {
		s.hangUp()
	}
	if res.StatusCode/100 != 2 {
		return errors.New("the extension answered " + strconv.Itoa(res.StatusCode))
	}
	return err
}

// serveTelemetry takes a subscription.
func (a *Server) serveTelemetry(w http.ResponseWriter, r *http.Request, logs bool) {
	api := "Telemetry"
	if logs {
		api = "Logs"
	}
	if a.tele.dial == nil {
		writeError(w, http.StatusAccepted, api+".NotSupported", api+" API is not supported")
		return
	}
	ext := a.ext.find(w, r)
	if ext == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxSubscribe))
	if err != nil {
		return
	}
	s, err := parseSubscription(body, logs)
	if err != nil {
		writeError(w, http.StatusBadRequest, "ValidationError", err.Error())
		return
	}
	switch err := a.tele.subscribe(s); {
	case errors.Is(err, errSubscribed):
		writeError(w, http.StatusBadRequest, "ValidationError", err.Error())
	case err != nil:
		writeError(w, http.StatusForbidden, api+".SubscriptionClosed", err.Error())
	default:
		kind := "platform.telemetrySubscription"
		if logs {
			kind = "platform.logsSubscription"
		}
		a.tele.tell(kind, map[string]any{"name": ext.name, "state": "Subscribed", "types": s.types})
		w.Header()["Content-Type"] = []string{"application/json"}
		io.WriteString(w, `"OK"`)
	}
}

var (
	errSubscribed = errors.New("this destination has a subscription already")
	errClosed     = errors.New("subscriptions are taken during the initialisation only")
)

// subscribe begins a subscription with what has been told so far.
func (t *telemetry) subscribe(s *subscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.end.Err() != nil || len(t.subs) >= maxSubscriptions {
		return errClosed
	}
	for _, o := range t.subs {
		if o.port == s.port && o.uri == s.uri {
			return errSubscribed
		}
	}
	t.subs = append(t.subs, s)
	for _, e := range t.early {
		s.add(t, e)
	}
	t.work.Go(func() { t.run(s) })
	return nil
}

// maxSubscriptions of one sandbox: one for each API and extension.
const maxSubscriptions = 20

// parseSubscription reads the body of a subscription. What it does not say has AWS's default.
func parseSubscription(body []byte, logs bool) (*subscription, error) {
	var q struct {
		Types       []string `json:"types"`
		Destination struct {
			Protocol string `json:"protocol"`
			URI      string `json:"URI"`
			Port     int    `json:"port"`
		} `json:"destination"`
		Buffering struct {
			MaxItems  *int `json:"maxItems"`
			MaxBytes  *int `json:"maxBytes"`
			TimeoutMs *int `json:"timeoutMs"`
		} `json:"buffering"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, errors.New("the subscription is not JSON")
	}
	s := &subscription{logs: logs, types: q.Types, port: q.Destination.Port, kick: make(chan struct{}, 1), items: defaultItems, bytes: defaultBytes, timeout: defaultTimeout}
	if len(q.Types) == 0 {
		return nil, errors.New("types: want platform, function or extension")
	}
	for k, t := range q.Types {
		if t != "platform" && t != "function" && t != "extension" || slices.Contains(q.Types[:k], t) {
			return nil, errors.New("types: want platform, function or extension, each once")
		}
	}
	milliseconds := int(defaultTimeout / time.Millisecond)
	for _, b := range []struct {
		name        string
		said        *int
		to          *int
		least, most int
	}{{"maxItems", q.Buffering.MaxItems, &s.items, 1000, 10_000}, {"maxBytes", q.Buffering.MaxBytes, &s.bytes, 256 << 10, 1 << 20}, {"timeoutMs", q.Buffering.TimeoutMs, &milliseconds, 25, 30_000}} {
		if b.said == nil {
			continue
		}
		if *b.said < b.least || *b.said > b.most {
			return nil, fmt.Errorf("buffering.%s: want %d to %d", b.name, b.least, b.most)
		}
		*b.to = *b.said
	}
	s.timeout = time.Duration(milliseconds) * time.Millisecond
	return s, s.destination(q.Destination.Protocol, q.Destination.URI)
}

// destination reads where batches go: the sandbox itself is all that can be named.
func (s *subscription) destination(protocol, text string) error {
	switch protocol {
	case "TCP":
	case "HTTP":
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Hostname() != "sandbox.localdomain" && u.Hostname() != "sandbox" {
			return errors.New("destination.URI: want http://sandbox.localdomain:<port>")
		}
		if s.port = 80; u.Port() != "" {
			s.port, _ = strconv.Atoi(u.Port()) // digits, or the URL would not have parsed; 0 is refused below
		}
		s.uri, s.host = u.RequestURI(), u.Host
	default:
		return errors.New("destination.protocol: want HTTP or TCP")
	}
	if s.port < 1 || s.port > 65535 || s.port == lambda.RuntimePort {
		return errors.New("destination: the port is not one that an extension can listen on")
	}
	return nil
}
