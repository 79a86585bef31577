package api

import (
	"bytes"
	"strings"

	"casemate/lambda"
)

// head is what counts of the head of one of the two requests that every event takes. Its bytes lie in a connection's buffer:
// they are good until the next read.
type head struct {
	post        bool // an answer; false: the next event is asked for
	id, verb    []byte
	agent       []byte
	contentType []byte
	errorType   []byte
	length      int64 // of the body; -1: in chunks
}

// How far the bytes at hand are such a request.
type reading int

const (
	other reading = iota // it is some other request, or one that net/http has to judge
	more                 // it may become one
	whole                // its head is there
)

const (
	nextLine    = "GET " + lambda.RuntimePrefix + "runtime/invocation/next HTTP/1.1"
	answerStart = "POST " + lambda.RuntimePrefix + "runtime/invocation/"
	protocol    = " HTTP/1.1"
)

// Headers that have a meaning here, and what each may be. One that comes twice makes the request another's.
const (
	seenHost = 1 << iota
	seenAgent
	seenType
	seenErrorType
	seenLength
	seenChunked
	seenTrailer
	seenConnection
)

// parseHead reads the head of a request. It is strict, for net/http reads whatever it does not: nothing that two readers could
// understand in two ways may be whole. n is the head's length.
func parseHead(b []byte) (h head, n int, how reading) {
	line, n, how := cutLine(b, 0)
	if how != whole {
		return h, 0, how
	}
	if h.post = string(line) != nextLine; h.post && !h.answer(line) {
		return h, 0, other
	}
	seen := 0
	for {
		if line, n, how = cutLine(b, n); how != whole {
			return h, 0, how
		}
		if len(line) == 0 {
			break
		}
		flag, ok := h.field(line)
		if !ok || seen&flag != 0 {
			return h, 0, other
		}
		seen |= flag
	}
	body := seen & (seenLength | seenChunked)
	switch {
	case seen&seenHost == 0, h.post != (body != 0), body == seenLength|seenChunked, seen&seenTrailer != 0 && body != seenChunked:
		return h, 0, other
	}
	return h, n, whole
}

// cutLine is the line that begins at n, without its end, and where the next one begins.
func cutLine(b []byte, n int) ([]byte, int, reading) {
	end := bytes.IndexByte(b[n:], '\n')
	switch {
	case end < 0:
		return nil, n, more
	case end == 0 || b[n+end-1] != '\r':
		return nil, n, other
	}
	return b[n : n+end-1], n + end + 1, whole
}

// answer reads the first line of one.
func (h *head) answer(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte(answerStart))
	if !ok {
		return false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(protocol)); !ok {
		return false
	}
	if h.id, h.verb, ok = bytes.Cut(rest, []byte("/")); !ok || len(h.id) == 0 || string(h.verb) != "response" && string(h.verb) != "error" {
		return false
	}
	for _, c := range h.id {
		if !letter(c) && c != '-' {
			return false
		}
	}
	return true
}

// field reads one header: which of those that count it is, 0 for the others. ok is false where net/http has to judge.
func (h *head) field(line []byte) (flag int, ok bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !token(name) {
		return 0, false
	}
	value = bytes.Trim(value, " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return 0, false
		}
	}
	is := func(s string) bool { return len(name) == len(s) && strings.EqualFold(string(name), s) }
	switch {
	case is("Host"):
		return seenHost, host(value)
	case is("User-Agent"):
		h.agent = value
		return seenAgent, true
	case is("Content-Type"):
		h.contentType = value
		return seenType, true
	case is(lambda.HeaderErrorType):
		h.errorType = value
		return seenErrorType, true
	case is("Content-Length"):
		h.length, ok = number(value)
		return seenLength, ok
	case is("Transfer-Encoding"):
		h.length = -1
		return seenChunked, string(value) == "chunked"
	case is("Trailer"):
		return seenTrailer, errorTrailers(value)
	case is("Connection"):
		return seenConnection, strings.EqualFold(string(value), "keep-alive")
	case is("Expect"), is("Upgrade"), is(lambda.HeaderResponseMode):
		return 0, false
	}
	return 0, true
}

// number reads a length that an answer can have: a few digits.
func number(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, len(b) > 0 && len(b) <= 9
}

// errorTrailers says whether only those are announced that tell of an error in the middle of an answer.
func errorTrailers(value []byte) bool {
	for part := range bytes.SplitSeq(value, []byte(",")) {
		name := string(bytes.Trim(part, " \t"))
		if !strings.EqualFold(name, lambda.HeaderErrorType) && !strings.EqualFold(name, lambda.HeaderErrorBody) {
			return false
		}
	}
	return true
}

func host(b []byte) bool {
	for _, c := range b {
		if !letter(c) && c != '.' && c != ':' && c != '-' {
			return false
		}
	}
	return len(b) > 0
}

func token(b []byte) bool {
	for _, c := range b {
		if !letter(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
