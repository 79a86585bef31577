package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// exit is a way out whose other side the test is.
type exit struct {
	mu     sync.Mutex
	fetch  func(ctx context.Context, f *casemate.Fetch) (*casemate.Fetched, error)
	record func(casemate.Effect)
	now    string // request that it is open for
	begun  []string
	closed int
}

func (e *exit) Begin(l *casemate.Launch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l == nil {
		e.record(casemate.Effect{Kind: casemate.EffectConnect, Target: "told at the end of " + e.now, Verdict: casemate.Allowed, Count: 1})
		e.now = ""
		return
	}
	e.now = l.RequestID
	e.begun = append(e.begun, e.now)
}

func (e *exit) Fetch(ctx context.Context, f *casemate.Fetch) (*casemate.Fetched, error) {
	e.mu.Lock()
	now := e.now
	e.mu.Unlock()
	if now == "" {
		return nil, casemate.Errorf(casemate.Unavailable, "", "between events")
	}
	return e.fetch(ctx, f)
}

func (e *exit) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed++
}

func (e *exit) doors(_ *casemate.Version, record func(casemate.Effect)) (Door, error) {
	e.record = record
	return e, nil
}

// ask is an event of guests.Fetcher: it sends text, and reads at most n bytes of the response.
func ask(text string, n uint32) string {
	var b []byte
	send := uint32(guests.FetchText)
	if text == "" {
		send = 0
	}
	for _, n := range []uint32{send, uint32(len(text)), guests.FetchRoom, n} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return string(b) + text
}

// got is what guests.Fetcher answered.
func got(t *testing.T, r *casemate.Result) (sent int64, response string) {
	t.Helper()
	if r.Failure != "" || len(r.Payload) < 12 {
		t.Fatalf("%+v", r)
	}
	return int64(binary.LittleEndian.Uint64(r.Payload)), string(r.Payload[12:])
}

const request = "POST http://a.example/path\r\n\r\n"

func answering(f *casemate.Fetched) func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) {
	return func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) { return f, nil }
}

// TestFetch: what a guest asks for reaches the door as it wrote it, and what the door gives reaches the guest, within its
// event alone, whose effects are its own.
func TestFetch(t *testing.T) {
	const text = "POST http://a.example/path?q=1\r\nx-one: 1\r\nX-One: 2\r\nAccept:*/*\r\n\r\nbody\r\n\r\n"
	for name, c := range map[string]struct {
		module    []byte
		isolation casemate.Isolation
	}{"command": {guests.Fetcher(), ""}, "reactor": {guests.FetchReactor(nil), casemate.IsolationRequest}, "warm": {guests.FetchReactor(nil), casemate.IsolationWarm}} {
		t.Run(name, func(t *testing.T) {
			var asked *casemate.Fetch
			e := &exit{}
			e.fetch = func(_ context.Context, f *casemate.Fetch) (*casemate.Fetched, error) {
				asked = f
				return &casemate.Fetched{Status: 203, Header: map[string][]string{"B": {"1\r\nSet-Cookie: x", "2"}, "A": {"0"}}, Body: []byte("hello")}, nil
			}
			b := newBed(t, func(c *Config) { c.Doors, c.MaxWorkers = e.doors, 1 })
			v := b.version("fetch", c.module)
			v.Isolation = c.isolation
			if r := b.run(v, ask("", 10)); len(r.Effects) != 0 || e.record != nil {
				t.Errorf("an event that asked for nothing has a door: %+v", r.Effects)
			}
			l := b.launch(v, ask(text, 500))
			r, err := b.Run(context.Background(), l)
			if err != nil {
				t.Fatal(err)
			}
			const want = "203\r\nA: 0\r\nB: 1  Set-Cookie: x\r\nB: 2\r\n\r\nhello"
			if sent, response := got(t, r); sent != int64(len(want)) || response != want {
				t.Errorf("%d, %q", sent, response)
			}
			if asked.Method != "POST" || asked.URL != "http://a.example/path?q=1" || string(asked.Body) != "body\r\n\r\n" ||
				!maps.EqualFunc(asked.Header, map[string][]string{"X-One": {"1", "2"}, "Accept": {"*/*"}}, slices.Equal) {
				t.Errorf("%+v", asked)
			}
			if len(r.Effects) != 1 || r.Effects[0].Target != "told at the end of "+l.RequestID {
				t.Errorf("effects: %+v", r.Effects)
			}
			r = b.run(v, ask("", 100))
			if _, response := got(t, r); response != "" || len(r.Effects) != 0 || e.now != "" {
				t.Errorf("the next event has %q and %+v", response, r.Effects)
			}
			b.Drop(v.ID)
			if err := b.Close(context.Background()); err != nil || e.closed != 1 {
				t.Errorf("%v; the door was closed %d times", err, e.closed)
			}
		})
	}
}

// TestCourier shows that the guest of the tests from end to end does what it says.
func TestCourier(t *testing.T) {
	e, asked := &exit{}, ""
	e.fetch = func(_ context.Context, f *casemate.Fetch) (*casemate.Fetched, error) {
		if asked = f.Method + " " + f.URL; f.URL == "http://b/" {
			return nil, casemate.Errorf(casemate.Forbidden, "", "no")
		}
		return &casemate.Fetched{Status: 200, Header: map[string][]string{"A": {`"\`}}, Body: []byte("hello")}, nil
	}
	b := newBed(t, func(c *Config) { c.Doors = e.doors })
	v := b.version("courier", guests.Courier())
	for event, want := range map[string]string{`"GET http://a/"`: `"200  A:       hello"`, `"PUT http://b/"`: `"-1"`, `"GET"`: `"-3"`, `""`: `"-3"`} {
		if r := b.run(v, event); r.Failure != "" || string(r.Payload) != want {
			t.Errorf("%s: %q %s %s; asked %q", event, r.Payload, r.Failure, r.Detail, asked)
		}
	}
}

// TestFetchRefused: a refusal is a number for the guest, and an effect with the grant that would allow it for the record.
func TestFetchRefused(t *testing.T) {
	e := &exit{}
	b := newBed(t, func(c *Config) { c.Doors = e.doors })
	v := b.version("fetch", guests.Fetcher())
	for _, c := range []struct {
		err  error
		want wire.Code
	}{
		{casemate.Errorf(casemate.Forbidden, "", "no grant"), wire.CodeRefused},
		{casemate.Errorf(casemate.Exhausted, "", "traffic"), wire.CodeRefused},
		{casemate.Errorf(casemate.Invalid, "", "no URL"), wire.CodeMalformed},
		{casemate.Errorf(casemate.TooLarge, "", "large"), wire.CodeTooLarge},
		{casemate.Errorf(casemate.Unavailable, "", "dial"), wire.CodeFailed},
		{casemate.Errorf(casemate.Timeout, "", "a minute"), wire.CodeFailed},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), wire.CodeFailed},
	} {
		e.fetch = func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) {
			e.record(casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:80", Verdict: casemate.Denied, Grant: "connect a.example:80"})
			e.record(casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:80", Verdict: casemate.Denied, Grant: "connect a.example:80"})
			return nil, c.err
		}
		r := b.run(v, ask(request, 10))
		if sent, response := got(t, r); sent != int64(c.want) || response != "" {
			t.Errorf("%v: %d, %q", c.err, sent, response)
		}
		if len(r.Effects) != 2 || r.Effects[0].Grant != "connect a.example:80" || r.Effects[0].Count != 2 {
			t.Errorf("%v: %+v", c.err, r.Effects)
		}
	}
	e.fetch = answering(&casemate.Fetched{Status: 200, Body: make([]byte, wire.FetchedLimit)})
	if sent, _ := got(t, b.run(v, ask(request, 10))); sent != int64(wire.CodeTooLarge) {
		t.Errorf("a response beyond its bound: %d", sent)
	}
	b.cfg.Doors = nil
	if sent, _ := got(t, b.run(b.version("other", guests.Fetcher()), ask(request, 10))); sent != int64(wire.CodeRefused) {
		t.Errorf("without a door: %d", sent)
	}
}

// TestEffectsAreBounded: an event cannot fill the record.
func TestEffectsAreBounded(t *testing.T) {
	e := &exit{}
	e.fetch = func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) {
		for i := range 2 * maxEffects {
			e.record(casemate.Effect{Kind: casemate.EffectConnect, Target: fmt.Sprint(i), Verdict: casemate.Denied})
		}
		return &casemate.Fetched{Status: 200}, nil
	}
	b := newBed(t, func(c *Config) { c.Doors = e.doors })
	r := b.run(b.version("fetch", guests.Fetcher()), ask(request, 10))
	if last := r.Effects[len(r.Effects)-1]; len(r.Effects) != maxEffects+1 || last.Kind != "flood" || last.Verdict != casemate.Denied || last.Count != maxEffects+1 {
		t.Errorf("%d, the last %+v", len(r.Effects), last)
	}
}

// TestFetchAtTheDeadline: an exchange ends with its event, which is a time-out then, and the worker goes on.
func TestFetchAtTheDeadline(t *testing.T) {
	e, asked := &exit{}, make(chan bool, 1)
	e.fetch = func(ctx context.Context, _ *casemate.Fetch) (*casemate.Fetched, error) {
		asked <- true
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b := newBed(t, func(c *Config) { c.Doors = e.doors })
	v := b.version("fetch", guests.Fetcher())
	b.run(v, ask("", 1))
	v.Limits.Timeout = 50 * time.Millisecond
	for {
		r := b.run(v, ask(request, 10))
		if r.Failure != casemate.FailureTimeout {
			t.Fatalf("%q, %+v", r.Failure, r.Effects)
		}
		select {
		case <-asked:
			if len(r.Effects) != 1 {
				t.Errorf("%+v", r.Effects)
			}
			return
		default: // this machine was too slow: its time was over before it asked
		}
		v.Limits.Timeout *= 2
	}
}

// TestWhoWaitsOutsideHoldsUpNobody: events run while others wait for their responses, to a bound of workers.
func TestWhoWaitsOutsideHoldsUpNobody(t *testing.T) {
	var mu sync.Mutex
	on, waiting := make(chan bool), make(chan bool)
	fetch := func(context.Context, *casemate.Fetch) (*casemate.Fetched, error) {
		waiting <- true
		<-on
		return &casemate.Fetched{Status: 200}, nil
	}
	made := 0
	b := newBed(t, func(c *Config) {
		c.MaxWorkers = 1
		c.Doors = func(v *casemate.Version, record func(casemate.Effect)) (Door, error) {
			mu.Lock()
			defer mu.Unlock()
			made++
			return (&exit{record: record, fetch: fetch}), nil
		}
	})
	v := b.version("fetch", guests.Fetcher())
	const all = 3
	ends := make(chan *casemate.Result, all)
	for range all {
		go func() {
			r, err := b.Run(context.Background(), b.launch(v, ask(request, 1)))
			if err != nil {
				t.Error(err)
			}
			ends <- r
		}()
	}
	for range all { // all of them at the same time
		<-waiting
	}
	if list := b.Workers(); len(list) != all || made != all {
		t.Errorf("%d workers, %d doors", len(list), made)
	}
	r := b.run(v, ask("", 1))
	got(t, r)
	close(on)
	for range all {
		got(t, <-ends)
	}
}

// TestFetchOfACallerWhoLeft ends with the worker.
func TestFetchOfACallerWhoLeft(t *testing.T) {
	e, waits, ended := &exit{}, make(chan bool), make(chan bool)
	e.fetch = func(ctx context.Context, _ *casemate.Fetch) (*casemate.Fetched, error) {
		close(waits)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
	b := newBed(t, func(c *Config) { c.Doors = e.doors })
	l := b.launch(b.version("fetch", guests.Fetcher()), ask(request, 10))
	ctx, leave := context.WithCancel(context.Background())
	end := make(chan error)
	go func() {
		_, err := b.Run(ctx, l)
		end <- err
	}()
	<-waits
	leave()
	<-ended
	if err := <-end; casemate.CodeOf(err) != casemate.Unavailable {
		t.Error(err)
	}
}

// TestWorkersThatLieAboutRequests are killed; the event fails, and the door closes behind it.
func TestWorkersThatLieAboutRequests(t *testing.T) {
	send := wire.TextFrame(nil, wire.KindSend, []byte(request))
	answer := func(e wire.Event) []byte {
		return wire.FinishAnswer(make([]byte, wire.AnswerHeader), &wire.Answer{Seq: e.Seq})
	}
	for name, say := range map[string]func(e wire.Event) []byte{
		"two at once":        func(wire.Event) []byte { return slices.Concat(send, send) },
		"an answer meantime": func(e wire.Event) []byte { return slices.Concat(send, answer(e)) },
		"too much": func(wire.Event) []byte {
			return wire.TextFrame(nil, wire.KindSend, make([]byte, wire.SendLimit+1))
		},
		"a response": func(wire.Event) []byte { return (&wire.Fetched{}).Frame() },
	} {
		p, e := newPlay(t), &exit{}
		e.fetch = func(ctx context.Context, _ *casemate.Fetch) (*casemate.Fetched, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p.cfg.Doors = e.doors
		ends, events := p.behind(nil, context.Background())
		_, _ = (<-p.actors).conn.Write(say(events[0]))
		if end := <-ends[0]; end.err != nil || end.result.Failure != casemate.FailureExit {
			t.Errorf("%s: %+v, %v", name, end.result, end.err)
		}
		if err := p.Close(context.Background()); err != nil || e.record != nil && e.closed != 1 || e.now != "" {
			t.Errorf("%s: %v, %+v", name, err, e)
		}
	}
	// One between events kills the worker, too, and is nobody's.
	p, ctx := newPlay(t), context.Background()
	ends, events := p.behind(nil, ctx)
	a, w := <-p.actors, p.link()
	a.answer(events[0])
	(<-ends[0]).check(t, "a")
	_, _ = a.conn.Write(send)
	<-w.done
}

// TestAnEventThatAskedWasBegun: it is not run a second time when its worker dies before it has the response, or all of it.
func TestAnEventThatAskedWasBegun(t *testing.T) {
	for _, part := range []bool{false, true} {
		p, e, ctx := newPlay(t), &exit{}, context.Background()
		asked := make(chan bool)
		e.fetch = func(ctx context.Context, _ *casemate.Fetch) (*casemate.Fetched, error) {
			close(asked)
			if part {
				return &casemate.Fetched{Body: make([]byte, 5<<20)}, nil // more than the actor takes
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p.cfg.Doors = e.doors
		ends, _ := p.behind(nil, ctx, ctx)
		a := <-p.actors
		_, _ = a.conn.Write(wire.TextFrame(nil, wire.KindSend, []byte(request)))
		<-asked
		if part {
			<-a.end
		}
		a.Kill()
		if end := <-ends[0]; end.err != nil || end.result.Failure != casemate.FailureExit || len(end.result.Effects) != 1 {
			t.Errorf("%+v, %v", end.result, end.err)
		}
		next := <-p.actors
		next.answer(<-next.events)
		(<-ends[1]).check(t, "b")
	}
}

func TestParseRequest(t *testing.T) {
	many := strings.Repeat("A: b\r\n", maxFields)
	for text, want := range map[string]wire.Code{
		"GET http://a/\r\n\r\n":                       wire.CodeOK,
		"GET http://a/\r\nA:\r\nB: \t c d\t \r\n\r\n": wire.CodeOK,
		"GET http://a/\r\nA: \xff\tü\r\n\r\n\x00body": wire.CodeOK,
		"GET http://a/\r\n" + many + "\r\n":           wire.CodeOK,
		"GET http://a/\r\n" + many + "A: b\r\n\r\n":   wire.CodeTooLarge,
		"":                                             wire.CodeMalformed,
		"GET http://a/":                                wire.CodeMalformed,
		"GET http://a/\r\n":                            wire.CodeMalformed,
		"GET http://a/\r\nA: b\r\n":                    wire.CodeMalformed,
		"GET http://a/\n\n":                            wire.CodeMalformed,
		"GET\r\n\r\n":                                  wire.CodeMalformed,
		" http://a/\r\n\r\n":                           wire.CodeMalformed,
		"GET \r\n\r\n":                                 wire.CodeMalformed,
		"GET  http://a/\r\n\r\n":                       wire.CodeMalformed,
		"GET http://a/ HTTP/1.1\r\n\r\n":               wire.CodeMalformed,
		"G\x00T http://a/\r\n\r\n":                     wire.CodeMalformed,
		"GET http://a/\x7f\r\n\r\n":                    wire.CodeMalformed,
		"GET http://a/\nX:y\r\n\r\n":                   wire.CodeMalformed,
		"GET http://a/\r\nA\r\n\r\n":                   wire.CodeMalformed,
		"GET http://a/\r\n: b\r\n\r\n":                 wire.CodeMalformed,
		"GET http://a/\r\nA : b\r\n\r\n":               wire.CodeMalformed,
		"GET http://a/\r\n A: b\r\n\r\n":               wire.CodeMalformed,
		"GET http://a/\r\nA: b\r\n folded: c\r\n\r\n":  wire.CodeMalformed,
		"GET http://a/\r\nA: b\nHost: evil\r\n\r\n":    wire.CodeMalformed,
		"GET http://a/\r\nA: b\rHost: evil\r\n\r\n":    wire.CodeMalformed,
		"GET http://a/\r\nA: b\x00\r\n\r\n":            wire.CodeMalformed,
		"GET http://a/\r\nA\nHost: evil\r\n\r\n":       wire.CodeMalformed,
		"GET http://a/\r\nA\u212a: b\r\n\r\n":          wire.CodeMalformed,
		"GET http://a/\r\nContent-Length: 1\r\n\r\nab": wire.CodeOK, // the door refuses it
	} {
		if _, code := parseRequest([]byte(text)); code != want {
			t.Errorf("%q: %d, want %d", text, code, want)
		}
	}
}

// FuzzRequest: what is taken for a request has no line break where the head is, and its body is the end of the text.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET http://a/\r\nA: b\r\n\r\nbody"))
	f.Add([]byte("GET http://a/\r\n: b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, code := parseRequest(text)
		if (r == nil) != (code != wire.CodeOK) {
			t.Fatalf("%+v and %d", r, code)
		}
		if r == nil {
			return
		}
		if !bytes.HasSuffix(text, append([]byte("\r\n"), r.Body...)) || strings.ContainsAny(r.Method+r.URL, " \r\n\x00") || r.Method == "" || r.URL == "" {
			t.Fatalf("%q is %+v", text, r)
		}
		for name, values := range r.Header {
			if name == "" || strings.ContainsAny(name, " :\r\n\x00") || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Fatalf("%q has the field %q: %q", text, name, values)
			}
		}
	})
}

// FuzzResponse: whatever is outside answers, a response's head ends where it should.
func FuzzResponse(f *testing.F) {
	f.Add("A", "b\r\n\r\n", []byte("c"))
	f.Fuzz(func(t *testing.T, name, value string, body []byte) {
		r := formatResponse(&casemate.Fetched{Status: 200, Header: map[string][]string{name: {value}}, Body: body})
		head, rest, ok := bytes.Cut(r.Text, []byte("\r\n\r\n"))
		if !ok || !bytes.Equal(rest, body) || bytes.Count(head, []byte("\r\n")) != 1 || bytes.ContainsRune(head, 0) {
			t.Fatalf("%q", r.Text)
		}
	})
}
