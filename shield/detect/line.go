package detect

import (
	"bytes"
	"strings"

	"casemate/shield/expand"
)

// line looks for line ends that add a header, a mail recipient or an entry of a log where one line is due.
func (l *look) line() {
	v := l.Value
	i := bytes.IndexAny(v, "\r\n")
	if i < 0 || i > 512 || len(v) > 16<<10 {
		return
	}
	first, rest := v[:i], bytes.TrimLeft(v[i:], "\r\n")
	single := l.In != "body" || l.Kind != expand.Text || oneLine(l.Last())
	if logLike(first) || header(first) == field && header(rest) == field || l.In == "body" && (bytes.Contains(first, []byte("HTTP/")) || header(first) != 0) { // it is what it looks like: a log, a request, a mail
		return
	}
	kind := header(rest)
	for n := 0; kind == field && !single && n < 8 && len(first) < 128; n++ { // the line that counts can be a later one
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		if rest = rest[end+1:]; header(rest) == framing {
			kind = framing
		}
	}
	if kind == 0 && row(first, rest) {
		return
	}
	switch {
	case kind == field && bytes.Contains(v[i:min(len(v), i+2)], []byte("\r\n")) && len(first) < 64 && bytes.Count(v, []byte("\n")) < 3 && bytes.HasPrefix(bytes.ToLower(rest), []byte("x-")):
		l.hit("header-injection", Line, Sure)
	case kind == field && l.Percent() && len(first) < 64:
		l.hit("header-injection", Line, Sure)
	case kind == framing && (single || len(first) < 128), kind != 0 && single:
		l.hit("header-injection", Line, Sure)
	case single && logLike(rest):
		l.hit("log-injection", Line, Sure)
	case logLike(rest) && len(first) < 64 && bytes.Count(v, []byte("\n")) < 3 && len(first) > 0:
		l.hit("log-injection", Line, Sure)
	case l.In == "key" || l.In == "topic" || l.Kind == expand.File:
		l.hit("line-break", Line, Sure)
	}
}

// oneLine reports whether a field of this name holds one line wherever it is used.
func oneLine(name string) bool {
	switch strings.ToLower(name) {
	case "email", "e-mail", "from", "to", "cc", "bcc", "subject", "username", "user", "login", "filename", "reply_to", "replyto", "host", "location", "url", "redirect", "user-agent", "useragent", "name":
		return true
	}
	return false
}

const (
	framing byte = 1 + iota // changes an answer
	field                   // of a mail or a request
)

// header reports whether v begins with a header line that means something to an answer or a mail.
func header(v []byte) byte {
	colon := bytes.IndexByte(v[:min(len(v), 40)], ':')
	if bytes.HasPrefix(v, []byte("HTTP/1.")) || bytes.HasPrefix(v, []byte("HTTP/2 ")) {
		return framing
	}
	if colon < 2 {
		return 0
	}
	switch strings.ToLower(string(bytes.TrimSpace(v[:colon]))) {
	case "set-cookie", "content-length", "transfer-encoding", "x-xss-protection", "access-control-allow-origin", "refresh", "bcc":
		return framing
	case "location", "content-type", "host", "cc", "to", "subject", "from", "mime-version", "x-forwarded-for", "cookie", "authorization", "content-disposition", "x-injected":
		return field
	}
	if bytes.HasPrefix(bytes.ToLower(v), []byte("x-")) && !bytes.ContainsAny(v[:colon], " \t") {
		return field
	}
	return 0
}

// logLike reports whether v begins as an entry of a log does: a time, a level, an address with its dashes.
func logLike(v []byte) bool {
	v = bytes.TrimLeft(v, "[ \t")
	digits := func(s []byte) bool { return len(bytes.Trim(s, "0123456789")) == 0 }
	for _, p := range [...]string{"level=", "time=", "ts="} {
		if bytes.HasPrefix(v, []byte(p)) {
			return true
		}
	}
	for _, level := range [...]string{"INFO", "WARN", "ERROR", "DEBUG", "FATAL", "CRITICAL", "NOTICE", "TRACE"} {
		if rest, ok := bytes.CutPrefix(v, []byte(level)); ok && len(rest) > 0 && bytes.IndexByte([]byte(":] -"), rest[0]) >= 0 {
			return true
		}
	}
	if len(v) < 12 {
		return false
	}
	if digits(v[:4]) && (v[4] == '-' || v[4] == '/') && digits(v[5:7]) && (v[7] == '-' || v[7] == '/') {
		return len(v) > 18
	}
	return bytes.Contains(v[:min(len(v), 40)], []byte(" - - ["))
}

// row reports whether a line that begins with a date is one of a table whose names stand above it: the date ends where a field does, and
// both lines have as many. Entries of logs have their time behind the date.
func row(first, line []byte) bool {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	if len(line) < 11 {
		return false
	}
	delimiter := line[10:11]
	return bytes.IndexByte([]byte(";,\t"), delimiter[0]) >= 0 && bytes.Count(first, delimiter) == bytes.Count(line, delimiter)
}
