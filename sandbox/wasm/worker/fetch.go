package worker

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/tetratelabs/wazero/api"

	"casemate/sandbox/wasm/wire"
)

// http is a guest's way out: one exchange at a time, made by the node. What it answered is the event's own.
type http struct {
	exchange func(text []byte) wire.Fetched // nil: there is no event now
	response []byte                         // what the guest has not read yet
}

// send is http_send of the package comment of wasm. A response that is left is dropped, whatever comes of this.
func (h *host) send(m api.Module, at, n uint32) int64 {
	h.check() // a loop of these executes little, and takes time
	h.response = nil
	if n > wire.SendLimit {
		return int64(wire.CodeTooLarge)
	}
	text, ok := m.Memory().Read(at, n)
	if !ok {
		return int64(wire.CodeMalformed)
	}
	if h.exchange == nil {
		return int64(wire.CodeRefused)
	}
	f := h.exchange(text)
	if f.Code == wire.CodeLate {
		h.sleep(int64(time.Until(h.stop)))
	}
	h.check()
	if f.Code != wire.CodeOK {
		return int64(f.Code)
	}
	h.response = f.Text
	return int64(len(f.Text))
}

// read is http_read of the package comment of wasm.
func (h *host) read(m api.Module, at, n uint32) int32 {
	room, ok := m.Memory().Read(at, n)
	if !ok {
		return int32(wire.CodeMalformed)
	}
	k := copy(room, h.response)
	if h.response = h.response[k:]; len(h.response) == 0 {
		h.response = nil
	}
	return int32(k)
}

// exchange has the node make an HTTP request and waits for what comes of it. Events that are or come behind this one go
// back: they would wait as long. When the socket fails the guest ends, and the worker after it.
func (w *worker) exchange(text []byte) wire.Fetched {
	w.detach()
	_, err := w.conn.Write(wire.TextFrame(nil, wire.KindSend, text))
	for err == nil {
		var k wire.Kind
		var body []byte
		if k, body, err = w.frames.Next(); err != nil {
			break
		}
		switch k {
		case wire.KindFetched:
			var f wire.Fetched
			if f, err = wire.ParseFetched(body); err == nil {
				f.Text = bytes.Clone(f.Text) // the reader's buffer is for what comes next
				return f
			}
		case wire.KindEvent:
			var e wire.Event
			if e, err = wire.ParseEvent(body); err == nil {
				_, err = w.conn.Write(wire.AppendReturn(nil, e.Seq))
			}
		default:
			err = fmt.Errorf("%w: %q while a request is made", wire.ErrFrame, k)
		}
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	w.wrong = err
	mustUnwind(err)
	return wire.Fetched{} // not reached
}

// detach takes the event out of the reader's buffer, before more is read while it is handled.
func (w *worker) detach() {
	if w.moved {
		return
	}
	in := &w.guest.in
	w.event.Payload = bytes.Clone(w.event.Payload)
	in.data, w.moved = w.event.Payload[len(w.event.Payload)-len(in.data):], true
}
