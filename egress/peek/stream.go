package peek

import (
	"bytes"
	"strings"
)

// MaxHead is the longest head of an HTTP request, and the most that a Stream ever keeps back.
const MaxHead = 32 << 10

const (
	maxMethod = 256 // the longest first word that may still turn out to be a method of HTTP
	maxBlank  = 16  // bytes of white space before it: servers skip some
)

// Stream watches what one client sends on one connection. It tells TLS, HTTP/1 and everything else apart; of TLS it
// checks the first handshake, of HTTP every request. Named must be set. It is used by one goroutine.
type Stream struct {
	// Named says whether a host, in lower case, is what the connection was opened for. port is 0 when none was said.
	Named func(host string, port uint16) bool
	// Nameless lets a TLS handshake without a server name pass: the connection was opened for an address.
	Nameless bool

	// Seen is what was found: a host that differs, for the record; valid after an error.
	Seen string

	mode    mode
	line    []byte // the first line, as far as it was passed on
	blank   int    // white space before it
	word    int    // bytes of it that are no white space; of a question, those that fit
	spaced  bool   // its first word has ended
	scanned int    // bytes of the data kept back that hold no end of a head
	left    int64  // of a body or a chunk
	asked   int    // questions of PostgreSQL's so far
	one     bool   // a request was passed: the next is not the first
	trailer bool   // the lines that come are trailers
}

type mode uint8

const (
	atStart  mode = iota // nothing is known yet
	inLine               // text that may become an HTTP request
	inAsk                // what may be a question of PostgreSQL's for TLS
	inHello              // TLS
	inHead               // HTTP: between requests, or in a head
	inBody               // of a known length
	inChunk              // of a chunk, its line end included
	atSize               // of the next chunk, or in the trailers
	switched             // a WebSocket was asked for; Switch says whether it was granted
	raw                  // nothing more is looked at
)

// Mismatch says that the bytes are for another host than the connection.
type Mismatch struct{ What, Host string }

func (m *Mismatch) Error() string { return m.What + " names another host" }

// Feed looks at the client's bytes: those kept back before, and what came after them. It gives how many from the start
// may go on to the server; the rest is kept back by the caller until more has come. After an error the connection must
// end, and nothing of data may go on.
func (s *Stream) Feed(data []byte) (pass int, err error) {
	for {
		n, again, err := s.step(data[pass:])
		if err != nil {
			return 0, err
		}
		pass += n
		if !again {
			return pass, nil
		}
	}
}

// Raw reports that nothing more will be looked at: bytes may be copied in the fastest way.
func (s *Stream) Raw() bool { return s.mode == raw }

// Waiting reports that the server's answer decides how to go on: Switch must be called before Feed.
func (s *Stream) Waiting() bool { return s.mode == switched }

// Switch tells how the server answered the request to change the protocol.
func (s *Stream) Switch(granted bool) {
	if s.mode = inHead; granted {
		s.mode = raw
	}
}

// step makes one step; again says that the next can follow with what is left.
func (s *Stream) step(data []byte) (pass int, again bool, err error) {
	if len(data) == 0 {
		return 0, false, nil
	}
	switch s.mode {
	case atStart:
		return s.start(data)
	case inLine:
		return s.firstLine(data)
	case inAsk:
		return s.ask(data)
	case inHello:
		return s.hello(data)
	case inHead:
		return s.head(data)
	case inBody, inChunk:
		return s.body(data)
	case atSize:
		return s.size(data)
	case switched:
		return 0, false, nil
	}
	return len(data), false, nil
}

// start tells the protocols apart. Every type of TLS record counts: some servers take an alert before the handshake.
func (s *Stream) start(data []byte) (int, bool, error) {
	switch c := data[0]; {
	case c >= 0x14 && c <= 0x18:
		if len(data) < 2 {
			return 0, false, nil
		}
		if s.mode = raw; data[1] == 3 {
			s.mode = inHello
		}
	case c&0xf8 == 0x80: // the length of an SSL 2.0 hello
		if len(data) < 3 {
			return 0, false, nil
		}
		if s.mode = raw; data[2] == 1 {
			return 0, false, ErrOldTLS
		}
	case c == 0 && s.asked < 2:
		s.mode, s.word = inAsk, 0
	default:
		s.mode = inLine
	}
	return 0, true, nil
}

// question is SSLRequest of PostgreSQL, and but for its last byte GSSENCRequest
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
const question = "\x00\x00\x00\x08\x04\xd2\x16"

// ask passes bytes on as long as they may be a question for TLS. Behind one everything starts anew; the handshake need
// not name a host then, as servers of databases do not ask for it, but a name that it has must be the right one.
func (s *Stream) ask(data []byte) (int, bool, error) {
	for i, c := range data {
		switch {
		case s.word == len(question) && (c == 0x2f || c == 0x30):
			s.mode, s.word = atStart, 0
			s.asked++
			return i + 1, true, nil
		case s.word == len(question) || c != question[s.word]:
			s.mode = raw
			return i, true, nil
		}
		s.word++
	}
	return len(data), false, nil
}

func (s *Stream) hello(data []byte) (int, bool, error) {
	name, more, err := Hello(data)
	switch {
	case more && len(data) >= MaxHead:
		return 0, false, ErrHello
	case more:
		return 0, false, nil
	case err == ErrNoName && (s.Nameless || s.asked > 0):
	case err != nil:
		return 0, false, err
	case !s.Named(name, 0):
		s.Seen = name
		return 0, false, &Mismatch{"the TLS handshake", name}
	}
	s.mode = raw
	return 0, true, nil
}

// firstLine passes text on as it comes, for protocols that wait for an answer to less than a line, and stops before the
// line's end: no server acts on a request before that. What can be no request is raw.
func (s *Stream) firstLine(data []byte) (int, bool, error) {
	for i, c := range data {
		white := strings.IndexByte(" \t\r\n", c) >= 0
		switch {
		case s.word == 0 && white:
			if s.blank++; s.blank > maxBlank {
				return 0, false, ErrRequest
			}
		case c == '\r' || c == '\n':
			switch line := bytes.ToUpper(s.line); {
			case bytes.Contains(line, []byte("HTTP/")):
				s.mode = inHead
			case names(line):
				return 0, false, ErrRequest
			default:
				s.mode = raw
			}
			return i, true, nil
		case white:
			s.spaced = true
		case !s.spaced && (!isToken(c) || s.word == maxMethod):
			s.mode = raw
			return i, true, nil
		default:
			s.word++
		}
		if len(s.line) == MaxHead {
			return 0, false, ErrTooLong
		}
		s.line = append(s.line, c)
	}
	return len(data), false, nil
}

// names reports a request of HTTP/0.9 whose target names a host, in capitals: some servers still answer for any of theirs.
func names(line []byte) bool {
	words := bytes.Fields(line)
	return len(words) > 1 && (bytes.HasPrefix(words[1], []byte("HTTP:")) || bytes.HasPrefix(words[1], []byte("HTTPS:")))
}

// head passes a request's head when it is complete and right. Of the first one the line has passed already.
func (s *Stream) head(data []byte) (int, bool, error) {
	from := max(s.scanned-3, 0)
	end := bytes.Index(data[from:], []byte("\r\n\r\n"))
	if end < 0 {
		s.scanned = len(data)
		switch {
		case bare(data, from):
			return 0, false, ErrRequest
		case len(s.line)+len(data) >= MaxHead:
			return 0, false, ErrTooLong
		}
		return 0, false, nil
	}
	end += from
	s.scanned = 0
	text := string(s.line) + string(data[:end])
	if len(text) > MaxHead {
		return 0, false, ErrTooLong
	}
	r, err := readRequest(text)
	if err != nil {
		return 0, false, err
	}
	for _, authority := range [...]string{r.target, r.host} {
		host, port, ok := Authority(authority)
		switch {
		case authority == "" && r.host != "":
		case !ok:
			return 0, false, ErrNoHost
		case !s.Named(host, port):
			s.Seen = host
			return 0, false, &Mismatch{"the HTTP request", host}
		}
	}
	first := !s.one
	s.line, s.one = nil, true
	switch {
	case r.chunked:
		s.mode = atSize
	case r.length > 0:
		s.mode, s.left = inBody, r.length
	case r.socket && first:
		s.mode = switched
	default:
		s.mode = inHead
	}
	return end + 4, true, nil
}

// bare reports a line end, at from or later, that is not CR LF: servers differ about it. A last CR may still get its LF.
func bare(data []byte, from int) bool {
	for i := from; i < len(data); i++ {
		if c := data[i]; c == '\n' && (i == 0 || data[i-1] != '\r') || c == '\r' && i+1 < len(data) && data[i+1] != '\n' {
			return true
		}
	}
	return false
}

// body passes what is left of a body or a chunk.
func (s *Stream) body(data []byte) (int, bool, error) {
	n := int(min(s.left, int64(len(data))))
	if s.mode == inChunk && s.left <= 2 { // the line end behind the chunk
		if n == int(s.left) && s.left == 2 && string(data[:2]) != "\r\n" || data[0] != "\r\n"[2-s.left] {
			return 0, false, ErrFraming
		}
	} else if s.mode == inChunk {
		n = int(min(s.left-2, int64(len(data))))
	}
	s.left -= int64(n)
	if s.left == 0 {
		if s.mode++; s.mode == inChunk { // behind a body comes a head, behind a chunk a size
			s.mode = inHead
		}
	}
	return n, true, nil
}

// size passes the line before a chunk, or a trailer, when it is complete.
func (s *Stream) size(data []byte) (int, bool, error) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		if bare(data, 0) || len(data) > maxLine {
			return 0, false, ErrFraming
		}
		return 0, false, nil
	}
	if end == 0 || end > maxLine || bare(data[:end+1], 0) {
		return 0, false, ErrFraming
	}
	text := string(data[:end-1])
	switch {
	case s.trailer && text == "":
		s.trailer, s.mode, s.left = false, inHead, 0
	case s.trailer:
		s.left += int64(len(text))
		if _, _, err := readField(text); err != nil || s.left > MaxHead {
			return 0, false, ErrFraming
		}
	default:
		n, err := chunkSize(text)
		if err != nil {
			return 0, false, err
		}
		if s.trailer = n == 0; n > 0 {
			s.mode, s.left = inChunk, n+2
		} else {
			s.left = 0
		}
	}
	return end + 1, true, nil
}
