package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 40, 200)
		s := &Setup{Compile: rapid.Bool().Draw(t, "compile"), Module: text.Draw(t, "module"), Cache: text.Draw(t, "cache"),
			Keep: rapid.Bool().Draw(t, "keep"), Strict: rapid.Bool().Draw(t, "strict"), Pages: rapid.Uint32().Draw(t, "pages"), Response: 7, Snapshot: 9,
			Begin: rapid.Int64Min(0).Draw(t, "begin"), Timeout: 11, Env: rapid.SliceOfN(text, 0, 5).Draw(t, "env")}
		e := &Event{Seq: rapid.Uint64().Draw(t, "seq"), Deadline: rapid.Int64().Draw(t, "deadline"), Pages: 3,
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 100_000).Draw(t, "payload")}
		a := &Answer{Seq: 1, Status: StatusTrap, Exit: 5, CPU: 6, Wall: 8, Fuel: 9, Pages: 7, Payload: e.Payload, Detail: "why"}
		o := &Object{Name: "a/b", Data: e.Payload}
		y := &Ready{CPU: 12, Fresh: text.Draw(t, "fresh")}
		var wire []byte
		wire = append(wire, s.Frame()...)
		wire = append(append(wire, AppendEvent(nil, e)...), e.Payload...)
		wire = append(wire, FinishAnswer(append(make([]byte, AnswerHeader), a.Payload...), a)...)
		wire = append(wire, o.Frame()...)
		wire = AppendReturn(append(wire, y.Frame()...), 13)
		w := &Fetched{Text: e.Payload}
		refused := &Fetched{Code: Code(rapid.Int32Range(int32(CodeLate), -1).Draw(t, "code")), Text: []byte{}}
		wire = append(append(wire, w.Frame()...), refused.Frame()...)

		r := NewReader(iotest.HalfReader(bytes.NewReader(wire)), 1<<20)
		next := func(want Kind) []byte {
			k, body, err := r.Next()
			if err != nil || k != want {
				t.Fatalf("frame %q: %v, want %q", k, err, want)
			}
			return body
		}
		if got, err := ParseSetup(next(KindSetup)); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v: %v, want %+v", got, err, s)
		}
		if got, err := ParseEvent(next(KindEvent)); err != nil || !reflect.DeepEqual(&got, e) {
			t.Fatalf("event: %v", err)
		}
		if got, err := ParseAnswer(next(KindAnswer)); err != nil || !reflect.DeepEqual(&got, a) {
			t.Fatalf("answer: %v", err)
		}
		if got, err := ParseObject(next(KindObject)); err != nil || !reflect.DeepEqual(&got, o) {
			t.Fatalf("object: %v", err)
		}
		if got, err := ParseReady(next(KindReady)); err != nil || !reflect.DeepEqual(&got, y) {
			t.Fatalf("ready: %v", err)
		}
		if got, err := ParseReturn(next(KindReturn)); err != nil || got != 13 {
			t.Fatalf("return: %v", err)
		}
		for _, w := range []*Fetched{w, refused} {
			if got, err := ParseFetched(next(KindFetched)); err != nil || !reflect.DeepEqual(&got, w) {
				t.Fatalf("fetched: %+v, %v", got, err)
			}
		}
		if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("end: %v", err)
		}
	})
}

func TestFrameReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		wire string
		want error
	}{
		"nothing":      {"", io.EOF},
		"half length":  {"\x01\x00", io.ErrUnexpectedEOF},
		"no kind":      {"\x00\x00\x00\x00", ErrFrame},
		"half body":    {"\x05\x00\x00\x00AB", io.ErrUnexpectedEOF},
		"no body":      {"\x05\x00\x00\x00", io.ErrUnexpectedEOF},
		"over bound":   {"\x11\x00\x00\x00AAAAAAAAAAAAAAAAA", ErrFrame},
		"huge":         {"\xff\xff\xff\xffA", ErrFrame},
		"second short": {"\x01\x00\x00\x00A\x02\x00\x00\x00B", io.ErrUnexpectedEOF},
	} {
		r := NewReader(bytes.NewReader([]byte(c.wire)), 16)
		_, _, err := r.Next()
		if err == nil {
			_, _, err = r.Next()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// FuzzFrames: whatever a worker that was taken over sends, the node neither fails nor reads past it.
func FuzzFrames(f *testing.F) {
	f.Add((&Setup{Module: "m", Env: []string{"a=b"}}).Frame())
	f.Add(FinishAnswer(append(make([]byte, AnswerHeader), "payload"...), &Answer{Detail: "d"}))
	f.Add((&Object{Name: "a/b", Data: []byte("x")}).Frame())
	f.Add(TextFrame(nil, KindLog, []byte("x")))
	f.Add((&Fetched{Text: []byte("200\r\n\r\n")}).Frame())
	f.Add((&Fetched{Code: CodeRefused}).Frame())
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := NewReader(bytes.NewReader(wire), 1<<16)
		for {
			_, body, err := r.Next()
			if err != nil {
				return
			}
			if s, err := ParseSetup(body); err == nil {
				if again, err := ParseSetup(s.Frame()[LengthSize+1:]); err != nil || !reflect.DeepEqual(s, again) {
					t.Fatalf("%+v and %+v: %v", s, again, err)
				}
			}
			if a, err := ParseAnswer(body); err == nil && len(a.Payload)+len(a.Detail) > len(body) {
				t.Fatal("an answer larger than its frame")
			}
			if a, err := ParseFetched(body); err == nil && (a.Code > CodeOK || a.Code < CodeLate || !bytes.Equal(a.Frame()[LengthSize+1:], body)) {
				t.Fatalf("%+v of %q", a, body)
			}
			// The others have nothing to compare with: they must not panic.
			_, _ = ParseEvent(body)
			_, _ = ParseObject(body)
			_, _ = ParseReady(body)
			_, _ = ParseReturn(body)
		}
	})
}
