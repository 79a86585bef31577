package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The wire between the node and a worker is a stream of frames: a little-endian uint32 that counts what follows, one byte
// of kind, then the body. Both ends read with a bound of their own; a frame beyond it, or one that does not parse, ends
// the conversation: the node kills the worker, the worker exits.

type kind byte

const (
	kindSetup  kind = 'S' // node -> worker, once, first
	kindEvent  kind = 'E' // node -> worker, one at a time
	kindReady  kind = 'R' // worker -> node: set up
	kindFault  kind = 'F' // worker -> node: the set-up failed, with the reason
	kindObject kind = 'C' // worker -> node, compile step only: a piece of compiled code
	kindLog    kind = 'L' // worker -> node: what the guest wrote to its log
	kindAnswer kind = 'A' // worker -> node: the event's end
)

const (
	lengthSize   = 4
	answerHeader = lengthSize + 1 + 8 + 1 + 4 + 8 + 4 + 4 // up to and including the payload's length
	eventHeader  = lengthSize + 1 + 8 + 8 + 4
	setupLimit   = 1 << 20  // setup frame: paths and environment
	objectChunk  = 1 << 20  // compiled code travels in pieces of this size
	detailLimit  = 4 << 10  // text of a failure
	logChunk     = 32 << 10 // one log frame
	keepBuffer   = 1 << 20  // a reader's buffer above this is given back after use
)

var errFrame = errors.New("malformed frame")

// frameReader reads frames of at most limit bytes. The body it hands out is good until the next call.
type frameReader struct {
	r          io.Reader
	limit      int
	buf        []byte
	start, end int
}

func newFrameReader(r io.Reader, limit int) *frameReader {
	return &frameReader{r: r, limit: limit, buf: make([]byte, 16<<10)}
}

// next blocks for one whole frame. A stream that ends between frames is io.EOF, within one io.ErrUnexpectedEOF.
func (f *frameReader) next() (kind, []byte, error) {
	if err := f.fill(lengthSize); err != nil {
		return 0, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(f.buf[f.start:]))
	if n < 1 || n > int64(f.limit) {
		return 0, nil, fmt.Errorf("%w: length %d, bound %d", errFrame, n, f.limit)
	}
	total := lengthSize + int(n)
	if err := f.fill(total); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	body := f.buf[f.start+lengthSize : f.start+total]
	f.start += total
	return kind(body[0]), body[1:], nil
}

// fill makes at least n bytes readable at f.start.
func (f *frameReader) fill(n int) error {
	if f.start == f.end {
		f.start, f.end = 0, 0
		if n == lengthSize && len(f.buf) > keepBuffer {
			f.buf = make([]byte, 16<<10)
		}
	}
	if f.start+n > len(f.buf) {
		to := f.buf
		if n > len(f.buf) {
			to = make([]byte, n)
		}
		f.end = copy(to, f.buf[f.start:f.end])
		f.buf, f.start = to, 0
	}
	for f.end-f.start < n {
		got, err := f.r.Read(f.buf[f.end:])
		f.end += got
		if err == nil && got == 0 {
			err = io.ErrNoProgress
		}
		if err != nil && f.end-f.start < n {
			if errors.Is(err, io.EOF) && f.end > f.start {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// setup is the first frame: everything a worker must know about its one module.
type setup struct {
	Compile  bool   // compile, send the compiled code back, exit
	Module   string // path of the module as the worker sees it
	Cache    string // directory of compiled code as the worker sees it
	Pages    uint32 // most linear memory, in pages of 64 KiB
	Request  uint32 // most bytes of an event
	Response uint32 // most bytes of an answer
	LogBytes uint32 // most bytes of log an event may write
	Env      []string
}

func (s *setup) frame() []byte {
	b := make([]byte, lengthSize, 256)
	b = append(b, byte(kindSetup), flag(s.Compile))
	for _, n := range [...]uint32{s.Pages, s.Request, s.Response, s.LogBytes, uint32(len(s.Env))} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	b = appendText(appendText(b, s.Module), s.Cache)
	for _, e := range s.Env {
		b = appendText(b, e)
	}
	return sealFrame(b)
}

func parseSetup(body []byte) (*setup, error) {
	if len(body) < 1+5*4 || body[0] > 1 {
		return nil, fmt.Errorf("%w: setup", errFrame)
	}
	s := &setup{Compile: body[0] == 1}
	var count uint32
	body = body[1:]
	for _, p := range [...]*uint32{&s.Pages, &s.Request, &s.Response, &s.LogBytes, &count} {
		*p = binary.LittleEndian.Uint32(body)
		body = body[4:]
	}
	var ok bool
	if s.Module, body, ok = cutText(body); !ok {
		return nil, fmt.Errorf("%w: module path", errFrame)
	}
	if s.Cache, body, ok = cutText(body); !ok {
		return nil, fmt.Errorf("%w: cache path", errFrame)
	}
	if int64(count) > int64(len(body))/4 {
		return nil, fmt.Errorf("%w: environment of %d", errFrame, count)
	}
	s.Env = make([]string, count)
	for i := range s.Env {
		if s.Env[i], body, ok = cutText(body); !ok {
			return nil, fmt.Errorf("%w: environment", errFrame)
		}
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after setup", errFrame, len(body))
	}
	return s, nil
}

// event is one run as the worker gets it.
type event struct {
	Seq      uint64 // echoed in the answer
	Deadline int64  // Unix nanoseconds
	Pages    uint32 // most linear memory of this run; never above the setup's
	Payload  []byte
}

// appendEvent writes the frame's head; the payload follows it on the wire.
func appendEvent(b []byte, e *event) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(eventHeader-lengthSize+len(e.Payload)))
	b = append(b, byte(kindEvent))
	b = binary.LittleEndian.AppendUint64(b, e.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Deadline))
	return binary.LittleEndian.AppendUint32(b, e.Pages)
}

func parseEvent(body []byte) (event, error) {
	if len(body) < 8+8+4 {
		return event{}, fmt.Errorf("%w: event", errFrame)
	}
	return event{Seq: binary.LittleEndian.Uint64(body), Deadline: int64(binary.LittleEndian.Uint64(body[8:])),
		Pages: binary.LittleEndian.Uint32(body[16:]), Payload: body[20:]}, nil
}

// status is how an event ended, as the worker saw it.
type status byte

const (
	statusOK       status = iota
	statusFailed          // the reactor's handler returned an error document
	statusExit            // exit status other than zero
	statusTrap            // the module trapped, or broke the reactor's contract
	statusMemory          // it failed after being refused more memory
	statusTooLarge        // it answered more than the bound
	statusLate            // the deadline had passed before it started
	statusInit            // no instance could be made
	statuses
)

// answer is what came of one event.
type answer struct {
	Seq     uint64
	Status  status
	Exit    uint32
	CPU     int64  // nanoseconds the worker process used from event to answer
	Pages   uint32 // most linear memory in use
	Payload []byte
	Detail  string
}

// finishAnswer turns b, which holds answerHeader bytes of room and then the payload, into the frame.
func finishAnswer(b []byte, a *answer) []byte {
	h := b[:answerHeader]
	payload := len(b) - answerHeader
	h[lengthSize] = byte(kindAnswer)
	binary.LittleEndian.PutUint64(h[5:], a.Seq)
	h[13] = byte(a.Status)
	binary.LittleEndian.PutUint32(h[14:], a.Exit)
	binary.LittleEndian.PutUint64(h[18:], uint64(a.CPU))
	binary.LittleEndian.PutUint32(h[26:], a.Pages)
	binary.LittleEndian.PutUint32(h[30:], uint32(payload))
	return sealFrame(append(b, a.Detail[:min(len(a.Detail), detailLimit)]...))
}

func parseAnswer(body []byte) (answer, error) {
	const fixed = answerHeader - lengthSize - 1
	if len(body) < fixed {
		return answer{}, fmt.Errorf("%w: answer", errFrame)
	}
	a := answer{Seq: binary.LittleEndian.Uint64(body), Status: status(body[8]), Exit: binary.LittleEndian.Uint32(body[9:]),
		CPU: int64(binary.LittleEndian.Uint64(body[13:])), Pages: binary.LittleEndian.Uint32(body[21:])}
	n := int64(binary.LittleEndian.Uint32(body[25:]))
	rest := body[fixed:]
	if a.Status >= statuses || a.CPU < 0 || n > int64(len(rest)) || int64(len(rest))-n > detailLimit {
		return answer{}, fmt.Errorf("%w: answer", errFrame)
	}
	a.Payload, a.Detail = rest[:n], string(rest[n:])
	return a, nil
}

// object is one piece of one file of compiled code.
type object struct {
	Name string // "<directory>/<digest>"
	Data []byte
}

func (o *object) frame() []byte {
	b := make([]byte, lengthSize, lengthSize+8+len(o.Name)+len(o.Data))
	b = appendText(append(b, byte(kindObject)), o.Name)
	return sealFrame(append(b, o.Data...))
}

func parseObject(body []byte) (object, error) {
	name, data, ok := cutText(body)
	if !ok {
		return object{}, fmt.Errorf("%w: object", errFrame)
	}
	return object{Name: name, Data: data}, nil
}

// textFrame is a frame whose body is text: a log piece or a fault.
func textFrame(b []byte, k kind, text []byte) []byte {
	b = append(b[:0], 0, 0, 0, 0, byte(k))
	return sealFrame(append(b, text...))
}

// sealFrame writes the length of a frame whose first bytes were left for it.
func sealFrame(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-lengthSize))
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func cutText(b []byte) (string, []byte, bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
