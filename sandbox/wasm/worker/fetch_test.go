package worker

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// ask is an event of guests.Fetcher.
func ask(text string, numbers ...uint32) []byte {
	b := make([]byte, 0, 16+len(text))
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return append(b, text...)
}

// get sends text and reads at most n bytes of the response to where the answer has room for them.
func get(text string, n uint32) []byte {
	return ask(text, guests.FetchText, uint32(len(text)), guests.FetchRoom, n)
}

const request = "GET http://a.example/\r\n\r\n"

func (n *node) event(seq uint64, payload []byte) {
	n.write(frame(&wire.Event{Seq: seq, Pages: 64, Deadline: time.Now().Add(time.Minute).UnixNano(), Payload: payload}))
}

// got is the next answer as guests.Fetcher gives it.
func (n *node) got() (sent int64, read int32, text string) {
	n.t.Helper()
	a := n.answer()
	if a.Status != wire.StatusOK || len(a.Payload) < 12 {
		n.t.Fatalf("%+v", a)
	}
	return int64(binary.LittleEndian.Uint64(a.Payload)), int32(binary.LittleEndian.Uint32(a.Payload[8:])), string(a.Payload[12:])
}

// fetchers are guests that make an exchange, in each way that instances are handled.
func fetchers(t *testing.T) map[string]*node {
	all := map[string]*node{}
	for name, c := range map[string]struct {
		module []byte
		keep   bool
	}{"command": {guests.Fetcher(), false}, "reactor": {guests.FetchReactor(nil), false}, "kept": {guests.FetchReactor(nil), true}} {
		n := newNode(t, c.module, func(s *wire.Setup) { s.Keep = c.keep })
		if r, err := wire.ParseReady(n.next(wire.KindReady)); err != nil || r.Fresh != "" {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		all[name] = n
	}
	return all
}

func TestExchange(t *testing.T) {
	for name, n := range fetchers(t) {
		n.event(1, get(request, 6))
		if got := n.next(wire.KindSend); string(got) != request {
			t.Errorf("%s: %q", name, got)
		}
		n.write((&wire.Fetched{Text: []byte("200\r\n\r\nhello")}).Frame())
		if sent, read, text := n.got(); sent != 12 || read != 6 || text != "200\r\n\r" {
			t.Errorf("%s: %d, %d, %q", name, sent, read, text)
		}
		// The next event finds nothing of it, whether or not it was read to its end.
		n.event(3, ask("", 0, 0, guests.FetchRoom, 100))
		if _, read, text := n.got(); read != 0 || text != "" {
			t.Errorf("%s: the response of the event before was read: %d, %q", name, read, text)
		}
	}
}

// TestExchangeRefuses: what the worker refuses by itself, and what the node does.
func TestExchangeRefuses(t *testing.T) {
	const end = guests.FetchPages << 16
	for name, n := range fetchers(t) {
		for _, c := range []struct {
			event []byte
			sent  wire.Code
			read  int32
		}{
			{ask("", end, 1, guests.FetchRoom, 1), wire.CodeMalformed, 0},
			{ask("", end-1, 2, guests.FetchRoom, 1), wire.CodeMalformed, 0},
			{ask("", 0xffffffff, 0xffff, guests.FetchRoom, 1), wire.CodeMalformed, 0},
			{ask("", guests.FetchText, wire.SendLimit+1, guests.FetchRoom, 1), wire.CodeTooLarge, 0},
			{ask("", guests.FetchText, 0xffffffff, guests.FetchRoom, 0xffffffff), wire.CodeTooLarge, -3},
			{ask("", 0xffffffff, 0xffffffff, end, 1), wire.CodeTooLarge, -3},
			{ask("", 0xffffffff, 1, 0x80000000, 0x80000000), wire.CodeMalformed, -3},
		} {
			n.event(1, c.event)
			if sent, read, _ := n.got(); sent != int64(c.sent) || read != c.read {
				t.Errorf("%s: %x: %d, %d; want %d, %d", name, c.event, sent, read, c.sent, c.read)
			}
		}
		for code := wire.CodeTooLarge; code < wire.CodeOK; code++ {
			n.event(1, get(request, 10))
			n.next(wire.KindSend)
			n.write((&wire.Fetched{Code: code}).Frame())
			if sent, read, _ := n.got(); sent != int64(code) || read != 0 {
				t.Errorf("%s: %d, %d; want %d", name, sent, read, code)
			}
		}
		n.event(2, ask("", guests.FetchText, wire.SendLimit, guests.FetchRoom, 3)) // the largest
		if got := n.next(wire.KindSend); len(got) != wire.SendLimit {
			t.Errorf("%s: sent %d", name, len(got))
		}
		n.write((&wire.Fetched{Text: bytes.Repeat([]byte("x"), wire.FetchedLimit)}).Frame())
		if sent, read, text := n.got(); sent != wire.FetchedLimit || read != 3 || text != "xxx" {
			t.Errorf("%s: %d, %d, %q", name, sent, read, text)
		}
	}
}

// TestEventsBehindAnExchange go back to the node, whether they are there before or come while it waits, and nothing of them
// gets into the event that waits.
func TestEventsBehindAnExchange(t *testing.T) {
	for name, n := range fetchers(t) {
		payload := get(request, 12)
		both := frame(&wire.Event{Seq: 1, Pages: 64, Deadline: time.Now().Add(time.Minute).UnixNano(), Payload: payload})
		other := strings.Repeat("B", len(payload))
		n.write(append(both, frame(&wire.Event{Seq: 2, Pages: 64, Payload: []byte(other)})...))
		n.next(wire.KindSend)
		n.event(3, []byte(other))
		for want := uint64(2); want < 4; want++ {
			if seq, err := wire.ParseReturn(n.next(wire.KindReturn)); err != nil || seq != want {
				t.Errorf("%s: %d, %v", name, seq, err)
			}
		}
		n.write((&wire.Fetched{Text: []byte("200\r\n\r\nhello")}).Frame())
		if sent, read, text := n.got(); sent != 12 || read != 12 || text != "200\r\n\r\nhello" {
			t.Errorf("%s: %d, %d, %q", name, sent, read, text)
		}
	}
}

// TestTheEventStaysItsOwn: an event whose casemate_alloc waits is given to the handler as it came, although more was read
// into the worker's buffer since.
func TestTheEventStaysItsOwn(t *testing.T) {
	n := newNode(t, guests.FetchReactor(guests.FetchEarly()), nil)
	n.next(wire.KindReady)
	n.event(1, get(request, 5))
	n.next(wire.KindSend)
	for seq := uint64(2); seq < 7; seq++ {
		n.event(seq, bytes.Repeat([]byte{'B'}, 4<<10))
		n.next(wire.KindReturn)
	}
	n.write((&wire.Fetched{Text: bytes.Repeat([]byte{'B'}, 64<<10)}).Frame())
	if got := n.next(wire.KindSend); string(got) != request {
		t.Fatalf("the handler was given another event: %.50q", got)
	}
	n.write((&wire.Fetched{Text: []byte("200\r\n\r\n")}).Frame())
	if _, _, text := n.got(); text != "200\r\n" {
		t.Errorf("%q", text)
	}
}

// TestNoExchangeWhileItInitialises: there is no event then whose grants would hold.
func TestNoExchangeWhileItInitialises(t *testing.T) {
	send := guests.Func{From: "casemate", Imported: "http_send", Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64}}
	// It traps unless it is refused with -1.
	early := guests.Code(guests.Const(16), guests.Const(29), 0x10, 0, 0x42, 0x7f, 0x52, 0x04, 0x40, 0x00, 0x0b)
	alloc := guests.Func{Export: "casemate_alloc", Params: []byte{guests.I32}, Results: []byte{guests.I32}, Code: guests.Const(4096)}
	handle := guests.Func{Export: "casemate_handle", Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64}, Code: guests.Code(0x42, 0)}
	m := guests.Module{Funcs: []guests.Func{send, {Export: "_initialize", Code: early}, alloc, handle}, Min: 1, Data: request}
	n := newNode(t, m.Bytes(), nil)
	if r, err := wire.ParseReady(n.next(wire.KindReady)); err != nil || r.Fresh != "" {
		t.Errorf("%+v, %v", r, err)
	}
	// A start function runs again after a trap, between two events.
	m.Funcs[1].Export, m.Start, m.Funcs[3].Code = "", 1, guests.Code(0x00)
	n = newNode(t, m.Bytes(), nil)
	n.next(wire.KindReady)
	for seq := uint64(1); seq < 4; seq++ {
		n.event(seq, nil)
		n.next(wire.KindLog)
		if a := n.answer(); a.Status != wire.StatusTrap || a.Detail != "unreachable" {
			t.Errorf("%+v", a)
		}
	}
}

// TestLateExchange: an event whose time is over ends, and never hears what came of its request.
func TestLateExchange(t *testing.T) {
	for name, n := range fetchers(t) {
		ends, k := time.Time{}, wire.KindAnswer
		for wait := 100 * time.Millisecond; k == wire.KindAnswer; wait *= 2 { // again, where its time was over before it asked
			ends = time.Now().Add(wait)
			n.write(frame(&wire.Event{Seq: 1, Pages: 64, Deadline: ends.UnixNano(), Payload: get(request, 5)}))
			var err error
			if k, _, err = n.frames.Next(); err != nil {
				t.Fatal(err)
			}
		}
		n.write((&wire.Fetched{Code: wire.CodeLate}).Frame())
		if a := n.answer(); a.Status != wire.StatusLate || time.Now().Before(ends) {
			t.Errorf("%s: %+v", name, a)
		}
		n.event(2, ask("", 0, 0, guests.FetchRoom, 9))
		if _, read, text := n.got(); read != 0 {
			t.Errorf("%s: %d, %q", name, read, text)
		}
	}
}
