package lambda

import "encoding/binary"

// The framed log descriptor: a runtime that finds its number in _LAMBDA_TELEMETRY_LOG_FD writes each log entry as one
// frame, newlines and all, instead of a line on standard output. A frame is its type and its length, four bytes each, and
// the time in microseconds, eight bytes, all big-endian; then the text
// (https://github.com/aws/aws-lambda-nodejs-runtime-interface-client, LogPatch.js).
const (
	frameText    = 0xa55a0003
	frameJSON    = 0xa55a0002
	frameOld     = 0xa55a0001 // of early clients: no level and no time
	frameLevels  = 0x1c       // bits of the type that say the level, in steps of four
	frameHead    = 16
	frameOldHead = 8
)

// levels of log entries by the bits of their frame's type.
var levels = [...]string{"", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", ""}

// FrameReader takes a framed log descriptor apart. What it is given is a function's: no length that it names is believed
// further than Most bytes. The zero value is not ready; Most is positive.
type FrameReader struct {
	Most int // bytes of one entry; a longer one is given in parts

	buf    []byte // a head that is not whole, or the text of an entry that is not
	left   uint32 // bytes of the entry that did not come yet
	level  string
	inText bool
	broken bool
}

// Broken reports whether something came that is no frame. From there on nothing can be told apart, and Read gives all of it
// back.
func (r *FrameReader) Broken() bool { return r.broken }

// Read takes what came and calls do for each entry, without the line's end that text entries have. text is good until do
// returns. rest is what was not read because the framing is broken.
func (r *FrameReader) Read(b []byte, do func(level string, text []byte)) (rest []byte) {
	for len(b) > 0 && !r.broken {
		if r.inText {
			b = r.readText(b, do)
		} else {
			b = r.readHead(b, do)
		}
	}
	return b
}

// End gives an entry that was cut off.
func (r *FrameReader) End(do func(level string, text []byte)) {
	if len(r.buf) > 0 {
		do(r.level, r.buf)
	}
	r.buf, r.inText = r.buf[:0], false
}

func (r *FrameReader) readHead(b []byte, do func(level string, text []byte)) []byte {
	for size := frameHead; len(b) > 0; {
		r.buf = append(r.buf, b[0])
		b = b[1:]
		if len(r.buf) < 4 {
			continue
		}
		kind := binary.BigEndian.Uint32(r.buf)
		switch base := kind &^ frameLevels; {
		case kind == frameOld:
			size = frameOldHead
		case base != frameText && base != frameJSON:
			r.broken = true
			rest := append(append([]byte(nil), r.buf...), b...)
			r.buf = r.buf[:0]
			return rest
		}
		if len(r.buf) < size {
			continue
		}
		r.left = binary.BigEndian.Uint32(r.buf[4:])
		r.level, r.inText, r.buf = levels[kind&frameLevels>>2], true, r.buf[:0]
		if r.left == 0 {
			r.inText = false
			do(r.level, nil)
		}
		return b
	}
	return b
}

func (r *FrameReader) readText(b []byte, do func(level string, text []byte)) []byte {
	n := min(len(b), int(min(r.left, uint32(r.Most-len(r.buf)))))
	r.buf = append(r.buf, b[:n]...)
	r.left -= uint32(n)
	if r.left > 0 && len(r.buf) < r.Most {
		return b[n:]
	}
	text := r.buf
	if r.left == 0 && len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	r.inText = r.left > 0
	do(r.level, text)
	r.buf = r.buf[:0]
	return b[n:]
}
