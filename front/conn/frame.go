package conn

import "encoding/binary"

// Frames of HTTP/2 (RFC 9113 section 6) that are told apart here.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	codeNone = 0x0
	codeCalm = 0xb // ENHANCE_YOUR_CALM

	headBytes    = 9
	prefaceBytes = 24 // "PRI * HTTP/2.0..."
)

// frame is the head of a frame, and the error code of RST_STREAM.
type frame struct {
	length      int
	kind, flags byte
	stream      uint32
	code        uint32
}

// scanner finds the frames in one direction of a connection, however its bytes are cut. It looks at no payload but that of
// RST_STREAM.
type scanner struct {
	preface int // bytes of it that are still to come
	head    [headBytes + 4]byte
	have    int // bytes of head
	left    int // of the payload
}

// next reads from b to the end of the next frame's head (of RST_STREAM, its code). It reports whether there was one, and
// what of b is left.
func (s *scanner) next(b []byte) (f frame, rest []byte, ok bool) {
	n := min(s.preface, len(b))
	s.preface, b = s.preface-n, b[n:]
	if s.have == 0 {
		n = min(s.left, len(b))
		s.left, b = s.left-n, b[n:]
	}
	if s.have < headBytes {
		n = copy(s.head[s.have:headBytes], b)
		s.have, b = s.have+n, b[n:]
		if s.have < headBytes {
			return f, b, false
		}
		s.left = int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	}
	f = frame{length: int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2]), kind: s.head[3], flags: s.head[4],
		stream: binary.BigEndian.Uint32(s.head[5:]) & (1<<31 - 1)}
	if f.kind == frameReset && f.length >= 4 {
		n = copy(s.head[s.have:], b)
		s.have, s.left, b = s.have+n, s.left-n, b[n:]
		if s.have < len(s.head) {
			return frame{}, b, false
		}
		f.code = binary.BigEndian.Uint32(s.head[headBytes:])
	}
	s.have = 0
	return f, b, true
}

// between reports whether the next byte begins a frame.
func (s *scanner) between() bool { return s.preface == 0 && s.have == 0 && s.left == 0 }

// goAway is a GOAWAY frame (RFC 9113 section 6.8).
func goAway(last, code uint32) []byte {
	b := []byte{0, 0, 8, 0x7, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, last)
	return binary.BigEndian.AppendUint32(b, code)
}
