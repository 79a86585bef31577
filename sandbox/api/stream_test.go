package api

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/lambda"
)

// taker is where an answer goes.
type taker struct {
	opening casemate.Opening
	pieces  chan string
	fails   error
	opened  int
}

func (k *taker) Write(p []byte) (int, error) {
	if k.fails != nil {
		return 0, k.fails
	}
	k.pieces <- string(p)
	return len(p), nil
}

// streams offers an event whose answer goes to k, and has the runtime take it.
func (f *fakeRuntime) streams(k *taker) *Invocation {
	f.t.Helper()
	inv := NewInvocation(&casemate.Launch{RequestID: "id", Payload: []byte("{}"), Stream: func(o casemate.Opening) io.Writer {
		k.opening = o
		if k.opened++; k.opened > 1 {
			k.fails = errors.New("a second answer")
		}
		return k
	}}, time.UnixMilli(1234567), lambda.MaxResponse, "")
	f.api.Offer(inv)
	f.do("GET", nextPath, "")
	return inv
}

// post sends an answer in chunks on a connection of its own; each of parts is one. "" is the end, with trailers.
func (f *fakeRuntime) post(header string) (net.Conn, func(chunk string), *bufio.Reader) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.srv.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	send := func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			f.t.Error(err)
		}
	}
	send("POST " + invoke + "id/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: " + lambda.HeaderErrorType + ", " + lambda.HeaderErrorBody + "\r\n" + header + "\r\n")
	return conn, send, bufio.NewReader(conn)
}

// TestAnAnswerIsHandedOnAsItComes: each chunk is there before the runtime sends the next.
// Lambda checklist: 15
func TestAnAnswerIsHandedOnAsItComes(t *testing.T) {
	f, k := newFakeRuntime(t), &taker{pieces: make(chan string)}
	inv := f.streams(k)
	_, send, r := f.post("Content-Type: a/b\r\n" + lambda.HeaderResponseMode + ": streaming\r\n")
	for _, piece := range []string{"one", "two"} {
		send("3\r\n" + piece + "\r\n")
		if got := <-k.pieces; got != piece {
			t.Errorf("%q", got)
		}
		if inv.Settled() {
			t.Error("it is answered before its end")
		}
	}
	send("0\r\n\r\n")
	<-inv.Answered()
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "202") {
		t.Errorf("%q", line)
	}
	if res := inv.Result(); k.opening != (casemate.Opening{ContentType: "a/b", Declared: true}) || res.Failure != "" || len(res.Payload) != 0 || inv.Truncated() || inv.Refused() {
		t.Errorf("%+v, %+v", k.opening, res)
	}
}

// TestAnAnswerThatFailsInTheMiddle says so in its trailers, or by breaking off.
// Lambda checklist: 15
func TestAnAnswerThatFailsInTheMiddle(t *testing.T) {
	f, k := newFakeRuntime(t), &taker{pieces: make(chan string, 9)}
	inv := f.streams(k)
	_, send, _ := f.post("")
	send("3\r\none\r\n0\r\n" + lambda.HeaderErrorType + ": Function.Oops\r\n" + lambda.HeaderErrorBody + ": " + base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Oops"}`)) + "\r\n\r\n")
	<-inv.Answered()
	if res := inv.Result(); res.Failure != casemate.FailureHandled || string(res.Payload) != `{"errorType":"Oops"}` || k.opening.Declared || inv.Truncated() {
		t.Errorf("%+v", res)
	}

	f, k = newFakeRuntime(t), &taker{pieces: make(chan string)}
	inv = f.streams(k)
	conn, send, _ := f.post("")
	send("3\r\none\r\n")
	<-k.pieces
	conn.Close()
	<-inv.Answered()
	if res := inv.Result(); res.Failure != casemate.FailureHandled || !strings.Contains(string(res.Payload), "Runtime.TruncatedResponse") || !inv.Truncated() {
		t.Errorf("%+v", res)
	}
	if status, _, _ := f.do("POST", invoke+"id/response", "again"); status != 403 || k.opened != 1 {
		t.Errorf("a second answer: %d, begun %d times", status, k.opened)
	}
}

// TestTheRestIsNotWanted: the runtime is told, and nothing more of it is read.
func TestTheRestIsNotWanted(t *testing.T) {
	for name, c := range map[string]struct {
		fails   error
		status  string
		failure casemate.Failure
	}{
		"too large":          {casemate.Errorf(casemate.TooLarge, "", "Response payload size exceeded"), " 413 ", casemate.FailureResponse},
		"a caller gone":      {casemate.Errorf(casemate.Unavailable, "", "gone"), " 403 ", casemate.FailureHandled},
		"what may not leave": {errors.New("leak"), " 403 ", casemate.FailureHandled},
	} {
		f, k := newFakeRuntime(t), &taker{fails: c.fails}
		inv := f.streams(k)
		_, send, r := f.post("")
		send("3\r\none\r\n")
		if line, _ := r.ReadString('\n'); !strings.Contains(line, c.status) {
			t.Errorf("%s: %q", name, line)
		}
		<-inv.Answered()
		if res := inv.Result(); res.Failure != c.failure || !inv.Refused() || strings.Contains(string(res.Payload), "leak") {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// TestABadModeIsNoStream: the run fails as on Lambda, and nothing began.
func TestABadModeIsNoStream(t *testing.T) {
	f, k := newFakeRuntime(t), &taker{}
	inv := f.streams(k)
	status, body, _ := f.do("POST", invoke+"id/response", "x", lambda.HeaderResponseMode, "sideways")
	if res := inv.Result(); status != 400 || !strings.Contains(body, "InvalidFunctionResponseMode") || !strings.Contains(string(res.Payload), "Runtime.InvalidResponseModeHeader") || k.opened != 0 {
		t.Errorf("%d %s, %+v", status, body, res)
	}
}
