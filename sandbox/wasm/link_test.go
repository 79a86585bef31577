package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/wire"
)

// rogue is a worker process that was taken over: it says what the test makes it say.
type rogue struct {
	conn   *os.File
	script func(io.ReadWriter)
	end    chan struct{}
}

func (r *rogue) Kill() { _ = r.conn.Close() }
func (r *rogue) Wait() Exit {
	<-r.end
	return Exit{Reason: "rogue"}
}

// TestRogueWorkers: whatever comes out of the jail, the run fails by itself and the node goes on.
func TestRogueWorkers(t *testing.T) {
	ready := wire.TextFrame(nil, wire.KindReady, make([]byte, 8))
	for name, script := range map[string]func(io.ReadWriter){
		"a log without end": func(c io.ReadWriter) {
			for {
				if _, err := c.Write(wire.TextFrame(nil, wire.KindLog, make([]byte, wire.LogChunk))); err != nil {
					return
				}
			}
		},
		"somebody else's answer": func(c io.ReadWriter) {
			_, _ = c.Write(wire.FinishAnswer(make([]byte, wire.AnswerHeader), &wire.Answer{Seq: 99}))
		},
		"an endless frame": func(c io.ReadWriter) { _, _ = c.Write([]byte{0xff, 0xff, 0xff, 0x7f, byte(wire.KindAnswer)}) },
		"an unknown frame": func(c io.ReadWriter) { _, _ = c.Write(wire.TextFrame(nil, 'X', nil)) },
		"compiled code":    func(c io.ReadWriter) { _, _ = c.Write((&wire.Object{Name: "a/b"}).Frame()) },
		"time travel": func(c io.ReadWriter) {
			_, _ = c.Write(wire.FinishAnswer(make([]byte, wire.AnswerHeader), &wire.Answer{Seq: 1, CPU: -5}))
		},
		"silence": func(io.ReadWriter) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, nil)
			v := b.version("echo", guests.Echo())
			if err := b.Prepare(context.Background(), v); err != nil {
				t.Fatal(err)
			}
			b.cfg.Start = func(_ context.Context, s *Spec) (*Started, error) {
				// The test plays the worker on a copy of its end of the socket.
				conn, err := duplicate(s.Conn)
				if err != nil {
					return nil, err
				}
				r := &rogue{conn: conn, script: script, end: make(chan struct{})}
				go func() {
					defer close(r.end)
					f := wire.NewReader(conn, 1<<20)
					if _, _, err := f.Next(); err != nil {
						return
					}
					_, _ = conn.Write(ready)
					if _, _, err := f.Next(); err != nil {
						return
					}
					r.script(conn)
					_ = conn.Close()
				}()
				return &Started{Process: r}, nil
			}
			r := b.run(v, "x")
			if r.Failure != casemate.FailureExit || strings.Contains(string(r.Payload), "rogue") {
				t.Fatalf("%s %s", r.Failure, r.Payload)
			}
			if r.Usage.CPU < 0 || r.Usage.CPU > time.Minute {
				t.Errorf("it is charged %v", r.Usage.CPU)
			}
		})
	}
}

// TestSetUpFailures: a worker that does not come up is an error of the node, told to those who wait.
func TestSetUpFailures(t *testing.T) {
	b := newBed(t, func(c *Config) {
		c.Start = func(context.Context, *Spec) (*Started, error) { return nil, errors.New("no walls today") }
	})
	v := b.version("echo", guests.Echo())
	_, err := b.Run(context.Background(), b.launch(v, "x"))
	if e := casemate.AsError(err); e.Code != casemate.Unavailable || !strings.Contains(e.Message, "could not be started") ||
		strings.Contains(e.Error(), "walls") || !strings.Contains(fmt.Sprint(e.Err), "no walls today") {
		t.Fatalf("%v", err)
	}
	b.cfg.Code = func(context.Context, *casemate.Version) (string, func(), error) {
		return "", nil, errors.New("no such blob")
	}
	if _, err := b.Run(context.Background(), b.launch(v, "x")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Fatalf("%v", err)
	}
}
