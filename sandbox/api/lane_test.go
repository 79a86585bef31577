package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/lambda"
)

// twin is a Server that is served twice in the same state: through lanes, and by net/http alone.
func twin(t *testing.T, lanes bool) (*Server, *recorder, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fx := &recorder{}
	api := New(fx.add, func() time.Time { return time.Unix(0, 0) }, Identity{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if lanes {
			api.Serve(l)
		} else {
			_ = api.http.Serve(&boundedListener{Listener: l})
		}
	}()
	t.Cleanup(func() { api.Close(); l.Close(); <-done })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return api, fx, c
}

// said is what came of a conversation: every byte that a runtime was told, what became of its events, and what was recorded.
type said struct{ told, events, signals string }

// talk has a runtime say something, in pieces, about up to two events, and end its side.
func talk(t *testing.T, lanes bool, pieces ...string) said {
	t.Helper()
	api, fx, c := twin(t, lanes)
	var invs []*Invocation
	for _, id := range []string{"r1", "r2"} {
		invs = append(invs, NewInvocation(&casemate.Launch{RequestID: id, ARN: "arn:\r\nX: 1", ClientContext: " {\n}\t", Tenant: "t", Cognito: `{"a":"b"}`, Payload: []byte("event " + id)},
			time.UnixMilli(1234567), 40, "Root=1"))
	}
	api.Offer(invs[0])
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &told))
	for _, p := range pieces {
		if p == "OFFER" {
			<-invs[0].Idle()
			api.Offer(invs[1])
			continue
		}
		if p == "READ" { // one answer
			res, err := http.ReadResponse(in, nil)
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
			}
			continue
		}
		if _, err := io.WriteString(c, p); err != nil {
			break // it was closed
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() // it may be closed
	_, err := io.Copy(io.Discard, in)
	if err != nil && os.IsTimeout(err) {
		t.Fatalf("%q: no end after %q", pieces, told.String())
	}
	// net/http says something although nothing is said to a client that is going: an answer was broken, or its side closed.
	s := said{told: told.String()}
	for _, empty := range []string{"", "Connection: close\r\n"} {
		s.told = strings.TrimSuffix(s.told, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+empty+"\r\n")
	}
	for _, inv := range invs {
		if inv.Settled() {
			s.events += fmt.Sprintf("%+v idle %v; ", *inv.Result(), inv.IsIdle())
		}
	}
	for _, e := range fx.take() {
		s.signals += e.Target + ": " + e.Reason + "; "
	}
	return s
}

const (
	askHead  = "GET " + nextPath + " HTTP/1.1\r\n"
	ask      = askHead + "Host: 127.0.0.1:9001\r\nUser-Agent: rt\r\n\r\n"
	respond  = "POST " + invoke + "r1/response HTTP/1.1\r\n"
	report   = "POST " + invoke + "r1/error HTTP/1.1\r\n"
	hostLine = "Host: 127.0.0.1:9001\r\nUser-Agent: rt\r\n"
	trailing = "Trailer: Lambda-Runtime-Function-Error-Body,Lambda-Runtime-Function-Error-Type\r\n"
)

// conversations are what runtimes say, well or badly.
var conversations = map[string][]string{
	"an event":                     {ask, "READ"},
	"an event and its answer":      {ask, respond + hostLine + "Content-Type: a/b\r\nContent-Length: 3\r\n\r\nabc"},
	"in pieces":                    {ask[:9], ask[9:40], ask[40:], "READ", respond[:50], respond[50:] + hostLine, "Content-Length: 3\r\n\r", "\na", "b", "c"},
	"in chunks":                    {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"},
	"in chunks, in pieces":         {ask, "READ", respond + hostLine + trailing + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "0\r\n", "\r\n"},
	"with trailers":                {ask, respond + hostLine + trailing + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nLambda-Runtime-Function-Error-Type: E\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n", ask},
	"trailers nobody announced":    {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nlambda-runtime-function-error-type: E\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n"},
	"a trailer that is none":       {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nno colon\r\n\r\n", ask},
	"trailers without end":         {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: " + strings.Repeat("a", 5000) + "\r\n\r\n"},
	"trailers that break off":      {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: a"},
	"a forbidden trailer":          {ask, respond + hostLine + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	"a chunk that is none":         {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\nx\r\na\r\n0\r\n\r\n"},
	"chunks that break off":        {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n5\r\nab"},
	"a body that breaks off":       {ask, respond + hostLine + "Content-Length: 5\r\n\r\nab"},
	"an empty answer":              {ask, respond + hostLine + "Content-Length: 0\r\n\r\n" + ask},
	"an answer without a length":   {ask, respond + hostLine + "\r\n" + ask},
	"the longest answer":           {ask, respond + hostLine + "Content-Length: 40\r\n\r\n" + strings.Repeat("a", 40)},
	"a longer one":                 {ask, respond + hostLine + "Content-Length: 41\r\n\r\n" + strings.Repeat("a", 41) + ask},
	"a longer one in chunks":       {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n29\r\n" + strings.Repeat("a", 41) + "\r\n0\r\n\r\n" + ask},
	"a longer one that breaks off": {ask, respond + hostLine + "Transfer-Encoding: chunked\r\n\r\n40\r\n" + strings.Repeat("a", 41)},
	"an error":                     {ask, report + hostLine + "Content-Type: a/b\r\nLambda-Runtime-Function-Error-Type: Function.E\r\nContent-Length: 3\r\n\r\nabc" + ask},
	"two answers":                  {ask, respond + hostLine + "Content-Length: 1\r\n\r\n1" + respond + hostLine + "Content-Length: 1\r\n\r\n2"},
	"an answer too early":          {respond + hostLine + "Content-Length: 1\r\n\r\n1" + ask},
	"another event's answer":       {ask, strings.Replace(respond, "r1", "r3", 1) + hostLine + "Content-Length: 1\r\n\r\n1" + respond + hostLine + "Content-Length: 1\r\n\r\n2"},
	"asked for twice":              {ask + ask, "READ", "READ"},
	"pipelined":                    {ask + respond + hostLine + "Content-Length: 1\r\n\r\n1" + ask + "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", "READ", "READ", "OFFER"},
	"the next event":               {ask, "READ", respond + hostLine + "Content-Length: 1\r\n\r\n1", "READ", ask, "OFFER", "READ", strings.Replace(respond, "r1", "r2", 1) + hostLine + "Content-Length: 1\r\n\r\n2" + ask},
	"headers of any case":          {askHead + "hOST: x\r\nuser-agent:  rt \t\r\nACCEPT: */*\r\nConnection: Keep-Alive\r\n\r\n", respond + "HOST:x\r\nuser-AGENT:rt\r\ncontent-TYPE: \ta/b \r\nCONTENT-length: 1\r\n\r\n1"},
	"another agent":                {ask, respond + "Host: x\r\nUser-Agent: implant\r\nContent-Length: 1\r\n\r\n1"},
	"no agent":                     {askHead + "Host: x\r\n\r\n", respond + "Host: x\r\nContent-Length: 1\r\n\r\n1", "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"},
	"line ends after an answer":    {ask, respond + hostLine + "Content-Length: 1\r\n\r\n1\r\n\r\n" + ask},
	"too many of them":             {ask, respond + hostLine + "Content-Length: 1\r\n\r\n1\r\n\r\n\r\n" + ask},
	"a line end before all":        {"\r\n" + ask},
	"bare line feeds":              {strings.ReplaceAll(ask, "\r\n", "\n")},
	"one bare line feed":           {askHead + "Host: x\nUser-Agent: rt\r\n\r\n"},
	"a bare return":                {askHead + "Host: x\r\nA: a\rb\r\n\r\n"},
	"a folded header":              {askHead + "Host: x\r\nA: a\r\n b\r\n\r\n"},
	"a space before the colon":     {ask, respond + hostLine + "Content-Length : 1\r\n\r\n1"},
	"a header without a name":      {askHead + "Host: x\r\n: a\r\n\r\n"},
	"a header without a colon":     {askHead + "Host: x\r\nabc\r\n\r\n"},
	"a control character":          {askHead + "Host: x\r\nA: \x01\r\n\r\n"},
	"a name that is no token":      {askHead + "Host: x\r\nA(: b\r\n\r\n"},
	"bytes past ASCII":             {askHead + "Host: x\r\nA: \xff\r\n\r\n"},
	"no host":                      {askHead + "\r\n"},
	"two hosts":                    {askHead + "Host: x\r\nHost: y\r\n\r\n"},
	"a bad host":                   {askHead + "Host: x y\r\n\r\n"},
	"two lengths":                  {ask, respond + hostLine + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n12"},
	"one length twice":             {ask, respond + hostLine + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n1"},
	"a length with a sign":         {ask, respond + hostLine + "Content-Length: +1\r\n\r\n1"},
	"a length that is none":        {ask, respond + hostLine + "Content-Length: 0x1\r\n\r\n1"},
	"an empty length":              {ask, respond + hostLine + "Content-Length:\r\n\r\n1"},
	"a length and chunks":          {ask, respond + hostLine + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
	"another encoding":             {ask, respond + hostLine + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
	"chunks in capitals":           {ask, respond + hostLine + "Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n"},
	"a body where there is none":   {askHead + hostLine + "Content-Length: 1\r\n\r\n1" + ask},
	"a first continue":             {ask, "READ", respond + hostLine + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", "READ", "1"},
	"an expectation of others":     {ask, respond + hostLine + "Expect: more\r\nContent-Length: 1\r\n\r\n1"},
	"a last request":               {askHead + hostLine + "Connection: close\r\n\r\n" + ask},
	"HTTP/1.0":                     {strings.Replace(ask, "1.1", "1.0", 1) + ask},
	"HTTP/1.2":                     {strings.Replace(ask, "1.1", "1.2", 1)},
	"HTTP/2":                       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	"a whole address":              {strings.Replace(ask, "GET ", "GET http://x", 1)},
	"a query":                      {strings.Replace(ask, "next ", "next?a=b ", 1)},
	"an escaped path":              {strings.Replace(ask, "next", "nex%74", 1)},
	"an escaped id":                {ask, strings.Replace(respond, "r1", "%721", 1) + hostLine + "Content-Length: 1\r\n\r\n1"},
	"two spaces":                   {strings.Replace(ask, "GET ", "GET  ", 1)},
	"another method":               {strings.Replace(ask, "GET", "PUT", 1)},
	"a mode that is none":          {ask, respond + hostLine + "Lambda-Runtime-Function-Response-Mode: sideways\r\nContent-Length: 1\r\n\r\n1"},
	"streaming":                    {ask, respond + hostLine + "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Length: 1\r\n\r\n1"},
	"a long header":                {askHead + hostLine + "A: " + strings.Repeat("a", 9000) + "\r\n\r\n" + ask},
	"an initialisation error":      {"POST " + initPath + " HTTP/1.1\r\n" + hostLine + "Content-Length: 2\r\n\r\n{}" + ask},
	"half a request":               {ask, "READ", ask[:60]},
	"nothing":                      {},
	"noise":                        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
}

// TestLanesAnswerAsNetHTTP compares every byte of the answers, what becomes of events, and what is recorded.
func TestLanesAnswerAsNetHTTP(t *testing.T) {
	for name, pieces := range conversations {
		t.Run(name, func(t *testing.T) {
			if want, got := talk(t, false, pieces...), talk(t, true, pieces...); got != want {
				t.Errorf("net/http: %q, %s, %s\nlanes:    %q, %s, %s", want.told, want.events, want.signals, got.told, got.events, got.signals)
			}
		})
	}
}

// TestWhoeverBringsAnEventIsNotKept by a runtime that does not read: Offer returns although no socket holds six megabytes.
func TestWhoeverBringsAnEventIsNotKept(t *testing.T) {
	for _, size := range []int{1, inlineEvent, inlineEvent + 1, 6 << 20} {
		api, _, c := twin(t, true)
		asked := "GET " + nextPath + " HTTP/1.1\r\nHost: x\r\n\r\n"
		big := strings.Repeat("x", 6<<20)
		api.Offer(NewInvocation(&casemate.Launch{RequestID: "r0", Payload: []byte(big)}, time.Now(), lambda.MaxResponse, ""))
		if _, err := io.WriteString(c, strings.Repeat(asked, 3)+"POST "+invoke+"r0/response HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"+asked); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		read := func(want int) {
			t.Helper()
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(want) {
				t.Fatalf("%d bytes, %v, want %d", n, err, want)
			}
		}
		for range 3 {
			read(len(big))
		}
		read(len(acceptedText))
		for parked := 0; parked == 0; { // until it waits
			api.mu.Lock()
			parked = len(api.parked)
			api.mu.Unlock()
		}
		api.Offer(NewInvocation(&casemate.Launch{RequestID: "r1", Payload: make([]byte, size)}, time.Now(), lambda.MaxResponse, "")) // returns, whatever fits
		read(size)
		if _, err := io.WriteString(c, "POST "+invoke+"r1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		read(len(acceptedText))
	}
}

// TestAClientThatGoesTakesNoEvent: whoever asks next is the first to get it, without a signal.
func TestAClientThatGoesTakesNoEvent(t *testing.T) {
	f := newFakeRuntime(t)
	parked := func() int {
		f.api.mu.Lock()
		defer f.api.mu.Unlock()
		return len(f.api.parked)
	}
	c, err := net.Dial("tcp", f.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET "+nextPath+" HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\n\r\n")
	for parked() == 0 {
	}
	c.Close()
	for parked() != 0 {
	}
	f.offer("r1", "one")
	if _, b, _ := f.do("GET", nextPath, ""); b != "one" {
		t.Errorf("event %q", b)
	}
	if s := f.signals(); s != "" {
		t.Errorf("signals %q", s)
	}
}

// TestLaneWaitsForHours, as net/http does.
//
// Lambda checklist: 1
func TestLaneWaitsForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(func(casemate.Effect) {}, time.Now, Identity{})
		here, there := net.Pipe()
		bound := &boundedListener{}
		bound.open.Add(1)
		a.follow(&countedConn{Conn: there, of: bound})
		got := make(chan string)
		go func() {
			io.WriteString(here, "GET "+nextPath+" HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(here), nil)
			if err != nil {
				t.Error(err)
				close(got)
				return
			}
			b, _ := io.ReadAll(res.Body)
			got <- string(b)
		}()
		<-time.After(5 * time.Hour)
		a.Offer(NewInvocation(&casemate.Launch{RequestID: "late", Payload: []byte("event")}, time.Now(), lambda.MaxResponse, ""))
		if b := <-got; b != "event" {
			t.Errorf("%q", b)
		}
		a.Close()
		a.lanes.work.Wait()
		if n := bound.open.Load(); n != 0 {
			t.Errorf("%d connections are counted", n)
		}
	})
}

// FuzzHead holds what lanes take for one of their requests to what net/http reads of the same bytes.
func FuzzHead(f *testing.F) {
	for _, pieces := range conversations {
		f.Add([]byte(strings.Join(pieces, "")))
		for _, p := range pieces {
			f.Add([]byte(p))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, how := parseHead(data)
		for k := range min(len(data), 300) { // what is no such request is none in pieces, either
			if _, _, part := parseHead(data[:k]); how == whole && k < n && part != more || how == more && part != more || part == whole && how == other {
				t.Fatalf("%q: %v, its first %d bytes %v", data, how, k, part)
			}
		}
		if how != whole {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		method, path := http.MethodGet, nextPath
		if h.post {
			method, path = http.MethodPost, invoke+string(h.id)+"/"+string(h.verb)
		}
		if r.Method != method || r.URL.Path != path || r.RequestURI != path || r.Proto != "HTTP/1.1" || r.ContentLength != h.length || r.Close ||
			r.UserAgent() != string(h.agent) || r.Header.Get("Content-Type") != string(h.contentType) || r.Header.Get(lambda.HeaderErrorType) != string(h.errorType) ||
			r.Header.Get("Expect") != "" || r.Header.Get(lambda.HeaderResponseMode) != "" || r.Host == "" {
			t.Fatalf("%q: lanes read %+v, net/http %+v", data, h, r)
		}
		if rest := bytes.Index(data, []byte("\r\n\r\n")) + 4; rest != n {
			t.Fatalf("%q: the head ends at %d, read as %d", data, rest, n)
		}
	})
}
