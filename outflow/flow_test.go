package outflow

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"casemate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a front whose caller the test plays: the head of an answer is its first line.
type peer struct {
	head    *casemate.Answer
	got     bytes.Buffer
	begun   int
	aborted chan struct{}
	once    sync.Once
	write   func() error // before each write; nil: at once
	open    error        // what Head says when it is asked first
}

func newPeer() *peer { return &peer{aborted: make(chan struct{})} }

func (p *peer) Head(_ casemate.Opening, r *casemate.Result) (*casemate.Answer, int, error) {
	if p.open != nil {
		return nil, 0, p.open
	}
	line, _, ok := bytes.Cut(r.Payload, []byte("\n"))
	switch {
	case bytes.HasPrefix(line, []byte("bad")):
		return nil, 0, errors.New("no head")
	case !ok:
		return nil, 0, nil
	}
	r.Notes = append(r.Notes, "read")
	return &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "x", Value: string(line)}}}, len(line) + 1, nil
}

func (p *peer) Begin(a *casemate.Answer) error { p.head, p.begun = a, p.begun+1; return nil }

func (p *peer) Write(b []byte) error {
	if p.write != nil {
		if err := p.write(); err != nil {
			return err
		}
	}
	p.got.Write(b)
	return nil
}

func (p *peer) Abort() { p.once.Do(func() { close(p.aborted) }) }

// upper is a sieve that keeps back everything from a "<" on until ">" came, and refuses a "!".
type upper struct{ held []byte }

func (u *upper) Pass(p []byte) ([]byte, error) {
	u.held = append(u.held, p...)
	if bytes.IndexByte(u.held, '!') >= 0 {
		return nil, &casemate.Error{Code: casemate.FunctionFailed, Message: "no"}
	}
	at := len(u.held)
	if i := bytes.LastIndexByte(u.held, '<'); i >= 0 && bytes.IndexByte(u.held[i:], '>') < 0 {
		at = i
	}
	out := bytes.Clone(u.held[:at])
	u.held = u.held[at:]
	return out, nil
}

func (u *upper) End() ([]byte, error) { return u.held, nil }

func flow(p *peer, b Bounds) *Flow {
	return New(Config{Stream: p, Bounds: b, Clock: time.Now, Executed: "3", Screen: func(a *casemate.Answer) (Sieve, error) {
		switch a.Header[0].Value {
		case "whole":
			return nil, nil
		case "refused":
			return nil, &casemate.Error{Code: casemate.FunctionFailed, Message: "refused"}
		}
		return &upper{}, nil
	}})
}

// TestPiecesComeAsTheyAreMade: whatever the borders, the head comes first and the body behind it.
func TestPiecesComeAsTheyAreMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := "head\n" + rapid.StringMatching(`[a-z<>]{0,60}`).Draw(t, "body")
		p := newPeer()
		f := flow(p, Bounds{})
		w := f.Open(casemate.Opening{Declared: true})
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		f.Close()
		res := &casemate.Result{}
		if err := f.End(res); err != nil {
			t.Fatal(err)
		}
		head, sent, cause := f.State()
		if p.got.String() != text[5:] || p.begun != 1 || head != p.head || head.Header[0].Value != "head" || sent != int64(len(text)-5) || cause != nil || len(res.Notes) != 1 {
			t.Fatalf("%q, %+v, %d, %v, %v", p.got.String(), head, sent, cause, res.Notes)
		}
	})
}

func TestWhatBreaksAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		bounds Bounds
		code   casemate.Code
		got    string
		begun  int
		ended  bool // the error comes at the end
	}{
		"a bad head":                 {pieces: []string{"ba", "d"}, code: casemate.FunctionFailed},
		"a head that does not end":   {pieces: []string{"hea"}, code: casemate.FunctionFailed, ended: true},
		"no head at all":             {code: casemate.FunctionFailed, ended: true},
		"a head that is refused":     {pieces: []string{"refused\nx"}, code: casemate.FunctionFailed},
		"a body that is refused":     {pieces: []string{"h\na", "b!c", "d"}, code: casemate.FunctionFailed, got: "a", begun: 1},
		"a byte too many":            {pieces: []string{"h\nab", "c"}, bounds: Bounds{Bytes: 4}, code: casemate.TooLarge, got: "ab", begun: 1},
		"a head that fills the node": {pieces: []string{strings.Repeat("h", 10), "h"}, bounds: Bounds{Whole: 10}, code: casemate.TooLarge},
		"whole, and a byte too many": {pieces: []string{"whole\n12", "34567890"}, bounds: Bounds{Whole: 9}, code: casemate.TooLarge},
	} {
		p := newPeer()
		f := flow(p, c.bounds)
		w := f.Open(casemate.Opening{})
		var err error
		for _, piece := range c.pieces {
			if _, again := w.Write([]byte(piece)); err == nil {
				err = again
			} else if again == nil {
				t.Errorf("%s: it went on", name)
			}
		}
		f.Close()
		if (err == nil) != c.ended {
			t.Errorf("%s: %v", name, err)
		}
		if end := f.End(&casemate.Result{}); end == nil || casemate.CodeOf(end) != c.code || p.got.String() != c.got || p.begun != c.begun {
			t.Errorf("%s: %v, %q, begun %d", name, end, p.got.String(), p.begun)
		}
	}
}

// TestAnAnswerThatIsWantedWhole is given with its head, and nothing of it was sent.
func TestAnAnswerThatIsWantedWhole(t *testing.T) {
	p := newPeer()
	f := flow(p, Bounds{})
	w := f.Open(casemate.Opening{ContentType: "a/b"})
	io.WriteString(w, "whole\nbo")
	io.WriteString(w, "dy")
	f.Close()
	res := &casemate.Result{}
	if err := f.End(res); err != nil || string(res.Answer.Body) != "body" || res.Answer.Header[0].Value != "whole" || res.ContentType != "a/b" || p.begun != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	p.open = casemate.ErrWhole
	if w := flow(p, Bounds{}).Open(casemate.Opening{}); w != nil {
		t.Error("a front that wants it whole gets a stream")
	}
}

func TestAnAnswerBeginsOnce(t *testing.T) {
	p := newPeer()
	f := flow(p, Bounds{})
	io.WriteString(f.Open(casemate.Opening{}), "h\none")
	if _, err := io.WriteString(f.Open(casemate.Opening{}), "two"); err == nil {
		t.Error("a second answer was taken")
	}
	f.Close()
	if _, err := io.WriteString(f.Open(casemate.Opening{}), "three"); err == nil || p.got.String() != "one" {
		t.Errorf("%q", p.got.String())
	}
}

// TestBandwidth: six megabytes at once, then two a second.
func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, began := newPeer(), time.Now()
		f := flow(p, Bounds{})
		w := f.Open(casemate.Opening{})
		io.WriteString(w, "h\n")
		block := make([]byte, 1<<20)
		for range 6 {
			w.Write(block)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("the burst took %s", d)
		}
		for range 6 {
			w.Write(block)
		}
		if d := time.Since(began).Round(time.Millisecond); d != 3*time.Second {
			t.Errorf("six more took %s", d)
		}
		<-time.After(time.Hour) // what was saved is a burst, and no more
		for range 8 {
			w.Write(block)
		}
		if d := (time.Since(began) - time.Hour - 3*time.Second).Round(time.Millisecond); d != time.Second {
			t.Errorf("eight after an hour took %s", d)
		}
		f.Close()
	})
}

// TestASlowCallerSlowsTheFunction: a write returns when the caller's side took it, so nothing piles up in between.
func TestASlowCallerSlowsTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, take := newPeer(), make(chan struct{})
		p.write = func() error { <-take; return nil }
		f := flow(p, Bounds{})
		w := f.Open(casemate.Opening{})
		wrote := 0
		go func() {
			io.WriteString(w, "h\n")
			for wrote < 3 {
				w.Write([]byte("x"))
				wrote++
			}
		}()
		for want := range 3 {
			if synctest.Wait(); wrote != want {
				t.Errorf("%d writes returned, %d were taken", wrote, want)
			}
			take <- struct{}{}
		}
		synctest.Wait()
		f.Close()
	})
}

// TestNothingIsWrittenAfterClose: neither a write that waits for its caller nor one that waits for its pace holds the end of a
// run up, and none comes after it.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, b := range map[string]Bounds{"the caller": {}, "the pace": {Burst: 1, PerSecond: 1}} {
			p, began := newPeer(), time.Now()
			if name == "the caller" {
				p.write = func() error { <-p.aborted; return errors.New("aborted") }
			}
			f := flow(p, b)
			w := f.Open(casemate.Opening{})
			done := make(chan error)
			go func() {
				_, err := w.Write([]byte("h\nsome body"))
				done <- err
			}()
			synctest.Wait()
			go f.Close()
			if err := <-done; err == nil || time.Since(began) != 0 {
				t.Errorf("%s: %v after %s", name, err, time.Since(began))
			}
			synctest.Wait()
			if _, err := w.Write([]byte("more")); err == nil || p.got.Len() > 0 {
				t.Errorf("%s: %q was written", name, p.got.String())
			}
			if head, _, cause := f.State(); head == nil || cause != nil { // the end of the run is no fault of the caller's
				t.Errorf("%s: %v", name, cause)
			}
		}
	})
}

func TestACallerThatWentAway(t *testing.T) {
	p := newPeer()
	p.write = func() error { return io.ErrClosedPipe }
	f := flow(p, Bounds{})
	w := f.Open(casemate.Opening{})
	if _, err := w.Write([]byte("h\nx")); err == nil {
		t.Error("it was taken")
	}
	f.Close()
	if _, sent, cause := f.State(); casemate.CodeOf(cause) != casemate.Unavailable || !strings.Contains(cause.Error(), "went away") || sent != 0 {
		t.Errorf("%d, %v", sent, cause)
	}
}
