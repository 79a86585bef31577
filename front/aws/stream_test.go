package aws

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/fronttest"
	"casemate/outflow"
	"casemate/service/wire"
)

// all lets every byte pass.
type all struct{}

func (all) Pass(p []byte) ([]byte, error) { return p, nil }
func (all) End() ([]byte, error)          { return nil, nil }

// streaming is a front whose one operation answers in lines of "frame", and whose corridor runs make.
func streaming(t *testing.T, make func(w io.Writer) (*casemate.Result, error)) *Server {
	t.Helper()
	s, err := New(Config{Addr: "127.0.0.1:0", Handler: func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
		f := outflow.New(outflow.Config{Stream: e.Answering, Clock: time.Now, Executed: "7", Screen: func(*casemate.Answer) (outflow.Sieve, error) { return all{}, nil }})
		defer f.Close()
		res, err := make(f.Open(casemate.Opening{}))
		if f.Close(); err == nil && res.Failure == casemate.FailureNone {
			err = f.End(res)
		}
		return res, err
	}, Direct: map[string]wire.Direct{"lambda": {
		Event: func(casemate.Place, *casemate.Signed, []byte) (*casemate.Event, error) {
			return &casemate.Event{Target: casemate.Target{Function: "f"}}, nil
		},
		Answer: func(*casemate.Signed, *casemate.Result) (int, map[string]string, []byte) {
			return 200, nil, []byte("whole")
		},
		Streams: func(s *casemate.Signed) bool { return s.Path == "/stream" },
		Head: func(_ *casemate.Signed, r *casemate.Result) map[string]string {
			return map[string]string{"X-Version": r.Executed}
		},
		Frame: func(p []byte) []byte { return []byte("frame " + string(p) + "\n") },
		Last: func(_ *casemate.Signed, r *casemate.Result) []byte {
			return []byte("last " + string(r.Failure) + string(r.Payload) + "\n")
		},
	}}})
	return fronttest.Serve(t, s, err)
}

func askFor(t *testing.T, s *Server, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequest("POST", s.URL()+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization("lambda"))
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// TestFramesLeaveWhileTheyAreMade: the run ends when the client has read the first.
// Lambda checklist: 41
func TestFramesLeaveWhileTheyAreMade(t *testing.T) {
	read := make(chan struct{})
	s := streaming(t, func(w io.Writer) (*casemate.Result, error) {
		if _, err := io.WriteString(w, "one"); err != nil {
			return nil, err
		}
		<-read
		_, err := io.WriteString(w, "two")
		return &casemate.Result{}, err
	})
	res := askFor(t, s, "/stream")
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "frame one\n" || err != nil || res.Header.Get("X-Version") != "7" || res.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("%q, %v, %v", line, err, res.Header)
	}
	if len(s.calls) != 0 {
		t.Error("an answer that has begun holds a place among the bodies that are read")
	}
	close(read)
	if rest, err := io.ReadAll(lines); string(rest) != "frame two\nlast \n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestHowStreamsEnd: what failed is said in the last frame; what failed before the first is an answer like every other.
func TestHowStreamsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		text string
		res  casemate.Result
		err  error
		want string
	}{
		"a failure":             {"/stream", "x", casemate.Result{Failure: casemate.FailureHandled, Payload: []byte("{}")}, nil, "frame x\nlast Unhandled{}\n"},
		"an error of the node":  {"/stream", "x", casemate.Result{}, errors.New("no record"), "frame x\nlast Unhandled" + `{"errorType":"Runtime.TruncatedResponse","errorMessage":"the answer was cut short"}` + "\n"},
		"an early failure":      {"/stream", "", casemate.Result{Failure: casemate.FailureHandled}, nil, "whole"},
		"an early refusal":      {"/stream", "", casemate.Result{}, &casemate.Error{Code: casemate.Exhausted, Message: "slow down"}, `"message":"Rate Exceeded."`},
		"no streamed operation": {"/other", "", casemate.Result{Failure: casemate.FailureHandled}, nil, "whole"},
	} {
		s := streaming(t, func(w io.Writer) (*casemate.Result, error) {
			if _, err := io.WriteString(w, c.text); err != nil && c.text != "" {
				return nil, err
			}
			return &c.res, c.err
		})
		if c.path != "/stream" {
			s.c.Handler = func(_ context.Context, e *casemate.Event) (*casemate.Result, error) {
				if e.Answering != nil {
					t.Error("it may be streamed")
				}
				return &c.res, nil
			}
		}
		res := askFor(t, s, c.path)
		if text, err := io.ReadAll(res.Body); !strings.Contains(string(text), c.want) || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
