// Package wire is what the node and a wasm worker say to each other over an inherited socket: a stream of frames, each a
// little-endian uint32 that counts what follows, one byte of kind, then the body. Both ends read with a bound of their
// own; a frame beyond it, or one that does not parse, ends the conversation: the node kills the worker, the worker exits.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind is the byte in front of a body.
type Kind byte

// The kinds.
const (
	KindSetup   Kind = 'S' // node -> worker, once, first
	KindEvent   Kind = 'E' // node -> worker; the next is begun when the answer to the one before is written
	KindReady   Kind = 'R' // worker -> node: set up
	KindState   Kind = 'W' // worker -> node: why events get fresh instances from now on; no text when they are rewound
	KindReturn  Kind = 'B' // worker -> node: an event that was not begun, because the one before it takes long
	KindFault   Kind = 'F' // worker -> node: the set-up failed, with the reason
	KindObject  Kind = 'C' // worker -> node, compile step only: a piece of compiled code
	KindLog     Kind = 'L' // worker -> node: what the guest wrote to its log
	KindAnswer  Kind = 'A' // worker -> node: the event's end
	KindSend    Kind = 'H' // worker -> node: an HTTP request, as the guest wrote it; nothing but returns until it is answered
	KindFetched Kind = 'P' // node -> worker: what came of a request
)

// Sizes and bounds, in bytes.
const (
	PageSize = 64 << 10 // of WebAssembly

	LengthSize   = 4                                              // in front of every frame
	AnswerHeader = LengthSize + 1 + 8 + 1 + 4 + 8 + 8 + 8 + 4 + 4 // up to and including the payload's length
	EventHeader  = LengthSize + 1 + 8 + 8 + 4                     // up to the payload
	SetupLimit   = 1 << 20                                        // setup frame: paths and environment
	ObjectChunk  = 1 << 20                                        // compiled code travels in pieces of this size
	DetailLimit  = 4 << 10                                        // text of a failure
	LogChunk     = 32 << 10                                       // one log frame
	KeepBuffer   = 1 << 20                                        // a reader's buffer above this is given back after use
)

// ErrFrame is in the chain of every error about a frame that does not parse.
var ErrFrame = errors.New("malformed frame")

// Reader reads frames of at most limit bytes. The body it hands out is good until the next call.
type Reader struct {
	r          io.Reader
	Limit      int // most bytes of a frame
	buf        []byte
	start, end int
}

// NewReader reads from r, which is not closed.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: r, Limit: limit, buf: make([]byte, 16<<10)}
}

// Next blocks for one whole frame. A stream that ends between frames is io.EOF, within one io.ErrUnexpectedEOF.
func (f *Reader) Next() (Kind, []byte, error) {
	if err := f.fill(LengthSize); err != nil {
		return 0, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(f.buf[f.start:]))
	if n < 1 || n > int64(f.Limit) {
		return 0, nil, fmt.Errorf("%w: length %d, bound %d", ErrFrame, n, f.Limit)
	}
	total := LengthSize + int(n)
	if err := f.fill(total); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	body := f.buf[f.start+LengthSize : f.start+total]
	f.start += total
	return Kind(body[0]), body[1:], nil
}

// fill makes at least n bytes readable at f.start.
func (f *Reader) fill(n int) error {
	if f.start == f.end {
		f.start, f.end = 0, 0
		if n == LengthSize && len(f.buf) > KeepBuffer {
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

// Setup is the first frame: everything a worker must know about its one module.
type Setup struct {
	Compile  bool   // compile, send the compiled code back, exit
	Keep     bool   // one instance serves event after event and is not rewound in between
	Strict   bool   // it is replaced when it answers with an error, too
	Module   string // path of the module as the worker sees it
	Cache    string // directory of compiled code as the worker sees it
	Pages    uint32 // most linear memory, in pages of 64 KiB
	Request  uint32 // most bytes of an event
	Response uint32 // most bytes of an answer
	LogBytes uint32 // most bytes of log an event may write
	Snapshot uint32 // most pages that a snapshot may hold
	Begin    int64  // nanoseconds that initialising before the first event may take
	Timeout  int64  // nanoseconds that an event may take
	Env      []string
}

// setupNumbers are the fields of a set-up that are four bytes each; one more follows them, the count of Env.
func (s *Setup) setupNumbers() [5]*uint32 {
	return [...]*uint32{&s.Pages, &s.Request, &s.Response, &s.LogBytes, &s.Snapshot}
}

// Frame is the whole frame.
func (s *Setup) Frame() []byte {
	b := make([]byte, LengthSize, 256)
	b = append(b, byte(KindSetup), flag(s.Compile)|flag(s.Keep)<<1|flag(s.Strict)<<2)
	for _, n := range s.setupNumbers() {
		b = binary.LittleEndian.AppendUint32(b, *n)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Env)))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Begin))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Timeout))
	b = appendText(appendText(b, s.Module), s.Cache)
	for _, e := range s.Env {
		b = appendText(b, e)
	}
	return sealFrame(b)
}

// ParseSetup reads the body of a frame of its kind.
func ParseSetup(body []byte) (*Setup, error) {
	s := &Setup{}
	numbers := s.setupNumbers()
	if len(body) < 1+4*len(numbers)+4+2*8 || body[0] > 7 {
		return nil, fmt.Errorf("%w: setup", ErrFrame)
	}
	s.Compile, s.Keep, s.Strict = body[0]&1 != 0, body[0]&2 != 0, body[0]&4 != 0
	body = body[1:]
	for _, p := range numbers {
		*p = binary.LittleEndian.Uint32(body)
		body = body[4:]
	}
	count := binary.LittleEndian.Uint32(body)
	s.Begin, s.Timeout = int64(binary.LittleEndian.Uint64(body[4:])), int64(binary.LittleEndian.Uint64(body[12:]))
	if body = body[20:]; s.Begin < 0 || s.Timeout < 0 {
		return nil, fmt.Errorf("%w: setup of negative time", ErrFrame)
	}
	var ok bool
	if s.Module, body, ok = cutText(body); !ok {
		return nil, fmt.Errorf("%w: module path", ErrFrame)
	}
	if s.Cache, body, ok = cutText(body); !ok {
		return nil, fmt.Errorf("%w: cache path", ErrFrame)
	}
	if int64(count) > int64(len(body))/4 {
		return nil, fmt.Errorf("%w: environment of %d", ErrFrame, count)
	}
	s.Env = make([]string, count)
	for i := range s.Env {
		if s.Env[i], body, ok = cutText(body); !ok {
			return nil, fmt.Errorf("%w: environment", ErrFrame)
		}
	}
	if len(body) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after setup", ErrFrame, len(body))
	}
	return s, nil
}

// Event is one run as the worker gets it.
type Event struct {
	Seq      uint64 // echoed in the answer
	Deadline int64  // Unix nanoseconds
	Pages    uint32 // most linear memory of this run; never above the setup's
	Payload  []byte
}

// AppendEvent writes the frame's head; the payload follows it on the wire.
func AppendEvent(b []byte, e *Event) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(EventHeader-LengthSize+len(e.Payload)))
	b = append(b, byte(KindEvent))
	b = binary.LittleEndian.AppendUint64(b, e.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Deadline))
	return binary.LittleEndian.AppendUint32(b, e.Pages)
}

// ParseEvent reads the body of a frame of its kind; the payload is part of body.
func ParseEvent(body []byte) (Event, error) {
	if len(body) < 8+8+4 {
		return Event{}, fmt.Errorf("%w: event", ErrFrame)
	}
	return Event{Seq: binary.LittleEndian.Uint64(body), Deadline: int64(binary.LittleEndian.Uint64(body[8:])),
		Pages: binary.LittleEndian.Uint32(body[16:]), Payload: body[20:]}, nil
}

// Status is how an event ended, as the worker saw it.
type Status byte

// The statuses.
const (
	StatusOK       Status = iota
	StatusFailed          // the reactor's handler returned an error document
	StatusExit            // exit status other than zero
	StatusTrap            // the module trapped, or broke the reactor's contract
	StatusMemory          // it failed after being refused more memory
	StatusTooLarge        // it answered more than the bound
	StatusLate            // the deadline passed, before it started or while it ran
	StatusInit            // no instance could be made
	statuses
)

// Answer is what came of one event.
type Answer struct {
	Seq     uint64
	Status  Status
	Exit    uint32
	CPU     int64  // nanoseconds the worker process used from event to answer
	Wall    int64  // nanoseconds from its begin to its end
	Fuel    int64  // what it executed, in the units of package module
	Pages   uint32 // most linear memory in use
	Payload []byte
	Detail  string
}

// FinishAnswer turns b, which holds AnswerHeader bytes of room and then the payload, into the frame.
func FinishAnswer(b []byte, a *Answer) []byte {
	h := b[:AnswerHeader]
	payload := len(b) - AnswerHeader
	h[LengthSize] = byte(KindAnswer)
	binary.LittleEndian.PutUint64(h[5:], a.Seq)
	h[13] = byte(a.Status)
	binary.LittleEndian.PutUint32(h[14:], a.Exit)
	binary.LittleEndian.PutUint64(h[18:], uint64(a.CPU))
	binary.LittleEndian.PutUint64(h[26:], uint64(a.Wall))
	binary.LittleEndian.PutUint64(h[34:], uint64(a.Fuel))
	binary.LittleEndian.PutUint32(h[42:], a.Pages)
	binary.LittleEndian.PutUint32(h[46:], uint32(payload))
	return sealFrame(append(b, a.Detail[:min(len(a.Detail), DetailLimit)]...))
}

// ParseAnswer reads the body of a frame of its kind; the payload is part of body.
func ParseAnswer(body []byte) (Answer, error) {
	const fixed = AnswerHeader - LengthSize - 1
	if len(body) < fixed {
		return Answer{}, fmt.Errorf("%w: answer", ErrFrame)
	}
	a := Answer{Seq: binary.LittleEndian.Uint64(body), Status: Status(body[8]), Exit: binary.LittleEndian.Uint32(body[9:]),
		CPU: int64(binary.LittleEndian.Uint64(body[13:])), Wall: int64(binary.LittleEndian.Uint64(body[21:])),
		Fuel: int64(binary.LittleEndian.Uint64(body[29:])), Pages: binary.LittleEndian.Uint32(body[37:])}
	n := int64(binary.LittleEndian.Uint32(body[41:]))
	rest := body[fixed:]
	if a.Status >= statuses || a.CPU < 0 || a.Wall < 0 || a.Fuel < 0 || n > int64(len(rest)) || int64(len(rest))-n > DetailLimit {
		return Answer{}, fmt.Errorf("%w: answer", ErrFrame)
	}
	a.Payload, a.Detail = rest[:n], string(rest[n:])
	return a, nil
}

// Ready is what a worker says of itself when it is set up.
type Ready struct {
	CPU   int64  // nanoseconds the process used until now
	Fresh string // why events get fresh instances; empty when they are rewound, or kept
}

// Frame is the whole frame.
func (r *Ready) Frame() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.CPU))
	return TextFrame(nil, KindReady, append(b, r.Fresh[:min(len(r.Fresh), DetailLimit)]...))
}

// ParseReady reads the body of a frame of its kind.
func ParseReady(body []byte) (Ready, error) {
	if len(body) < 8 || len(body) > 8+DetailLimit {
		return Ready{}, fmt.Errorf("%w: ready", ErrFrame)
	}
	r := Ready{CPU: int64(binary.LittleEndian.Uint64(body)), Fresh: string(body[8:])}
	if r.CPU < 0 {
		return Ready{}, fmt.Errorf("%w: ready after %d", ErrFrame, r.CPU)
	}
	return r, nil
}

// AppendReturn writes the whole frame that gives the event seq back.
func AppendReturn(b []byte, seq uint64) []byte {
	b = append(binary.LittleEndian.AppendUint32(b, 9), byte(KindReturn))
	return binary.LittleEndian.AppendUint64(b, seq)
}

// ParseReturn reads the body of a frame of its kind.
func ParseReturn(body []byte) (seq uint64, err error) {
	if len(body) != 8 {
		return 0, fmt.Errorf("%w: return", ErrFrame)
	}
	return binary.LittleEndian.Uint64(body), nil
}

// Object is one piece of one file of compiled code.
type Object struct {
	Name string // "<directory>/<digest>"
	Data []byte
}

// Frame is the whole frame.
func (o *Object) Frame() []byte {
	b := make([]byte, LengthSize, LengthSize+8+len(o.Name)+len(o.Data))
	b = appendText(append(b, byte(KindObject)), o.Name)
	return sealFrame(append(b, o.Data...))
}

// ParseObject reads the body of a frame of its kind; the data is part of body.
func ParseObject(body []byte) (Object, error) {
	name, data, ok := cutText(body)
	if !ok {
		return Object{}, fmt.Errorf("%w: object", ErrFrame)
	}
	return Object{Name: name, Data: data}, nil
}

// TextFrame is a frame whose body is text: a log piece or a fault.
func TextFrame(b []byte, k Kind, text []byte) []byte {
	b = append(b[:0], 0, 0, 0, 0, byte(k))
	return sealFrame(append(b, text...))
}

// sealFrame writes the length of a frame whose first bytes were left for it.
func sealFrame(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-LengthSize))
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
