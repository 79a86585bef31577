package screen

import (
	"net/url"
	"strconv"
	"strings"

	"casemate"
)

// Request is a whole HTTP request, for the rules about HTTP itself. Answer, when set, is what was answered.
type Request struct {
	Method, URI, Protocol string // "GET", "/path?query" as sent, "HTTP/1.1"
	Header                []casemate.HeaderLine
	Body                  []byte
	RemoteAddr            string
	Answer                *casemate.Answer
}

// maxArguments is how many arguments of one kind are looked at, as Coraza has it.
const maxArguments = 1000

// Request screens a whole request as a web application firewall would.
func (e *Engine) Request(q *Request, o Options) Verdict {
	x := e.start(o)
	defer e.finish(x)
	for v := variable(singles); v < vTX; v++ {
		x.add(v, "", "", "")
	}
	x.single(vBodyError, "0")
	x.single(vMultipartError, "0")
	x.single(vFilesSize, "0")
	x.line(q)
	for _, h := range q.Header {
		x.header(h.Name, h.Value)
	}
	x.all(1)
	x.phase(1)
	x.body(q)
	x.all(2)
	x.phase(2)
	if q.Answer != nil && e.config.Answers {
		x.answer(q.Answer)
	}
	v := x.verdict()
	if e.config.Answers && x.score(e.outbound) >= 4 {
		v.Blocked = true
	}
	return v
}

// all prepares the variables. What phase 1 prepared is not done again, but for what the body added.
func (x *run) all(phase int) {
	for v := range variable(vTX) {
		if phase == 1 || v < singles && v != vHeaders && v != vHeadersNames && v != vCookies && v != vCookiesNames || v == vBody || v == vBodyLength {
			x.prepare(v, 0)
		}
	}
}

// line reads the request line, as Coraza does: a URI that does not parse is split at its question mark.
func (x *run) line(q *Request) {
	x.single(vMethod, q.Method)
	x.single(vProtocol, q.Protocol)
	x.single(vURIRaw, q.URI)
	x.single(vLine, q.Method+" "+q.URI+" "+q.Protocol)
	x.single(vRemoteAddr, q.RemoteAddr)
	uri, _, _ := strings.Cut(q.URI, "#")
	name, query := uri, ""
	if u, err := url.ParseRequestURI(uri); err == nil {
		name, query, uri = u.Path, u.RawQuery, u.String()
	} else if before, after, ok := strings.Cut(uri, "?"); ok {
		name, query = before, after
	}
	x.single(vURI, uri)
	x.single(vQuery, query)
	x.single(vFilename, name)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 && i+1 < len(name) {
		name = name[i+1:]
	}
	x.single(vBasename, name)
	x.arguments(query, "query")
}

// arguments reads a=b&c=d.
func (x *run) arguments(s, in string) {
	n := 0
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		if n++; n > maxArguments {
			return
		}
		key, value, _ := strings.Cut(pair, "=")
		x.argument(in, unescape(key), unescape(value))
	}
}

func (x *run) argument(in, key, value string) {
	x.add(vArgs, in, key, value)
	x.add(vArgsNames, in, key, key)
	if in == "query" {
		x.add(vArgsGet, in, key, value)
		x.add(vArgsGetNames, in, key, key)
	}
}

// unescape undoes %XX and +, and leaves what is no escape.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && !badEscape(s[i:i+3]):
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			out = append(out, byte(n))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func (x *run) header(name, value string) {
	if name == "" {
		return
	}
	x.add(vHeaders, "header", name, value)
	x.add(vHeadersNames, "header", name, name)
	switch strings.ToLower(name) {
	case "content-type":
		if x.processor != "" || len(x.items[vHeaders]) == 0 {
			return
		}
		switch v := strings.TrimSpace(strings.ToLower(value)); {
		case strings.HasPrefix(v, "application/x-www-form-urlencoded"):
			x.processor = "URLENCODED"
		case strings.HasPrefix(v, "multipart/form-data"):
			x.processor = "MULTIPART"
		}
		x.single(vProcessor, x.processor)
	case "cookie":
		for part := range strings.SplitSeq(value, ";") {
			if part = trimControls(part); part == "" {
				continue
			}
			key, v, _ := strings.Cut(part, "=")
			if key, v = trimControls(key), trimControls(v); key != "" || v != "" {
				x.add(vCookies, "cookie", key, v)
				x.add(vCookiesNames, "cookie", key, key)
			}
		}
	}
}

func trimControls(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= 0x20 || r == 0x7f })
}

func (x *run) answer(a *casemate.Answer) {
	x.single(vResponseStatus, strconv.Itoa(a.Status))
	kind := ""
	for _, h := range a.Header {
		x.add(vResponseHeaders, "", h.Name, h.Value)
		if strings.EqualFold(h.Name, "content-type") {
			kind, _, _ = strings.Cut(h.Value, ";")
		}
	}
	x.prepare(vResponseHeaders, 0)
	x.phase(3)
	if kind == "text/plain" || kind == "text/html" || kind == "text/xml" {
		x.single(vResponseBody, string(a.Body))
	}
	x.prepare(vResponseBody, 0)
	x.phase(4)
}
