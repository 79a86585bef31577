package wasm

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
		s := &setup{Compile: rapid.Bool().Draw(t, "compile"), Module: text.Draw(t, "module"), Cache: text.Draw(t, "cache"),
			Pages: rapid.Uint32().Draw(t, "pages"), Response: 7, Env: rapid.SliceOfN(text, 0, 5).Draw(t, "env")}
		e := &event{Seq: rapid.Uint64().Draw(t, "seq"), Deadline: rapid.Int64().Draw(t, "deadline"), Pages: 3,
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 100_000).Draw(t, "payload")}
		a := &answer{Seq: 1, Status: statusTrap, Exit: 5, CPU: 6, Pages: 7, Payload: e.Payload, Detail: "why"}
		o := &object{Name: "a/b", Data: e.Payload}
		var wire []byte
		wire = append(wire, s.frame()...)
		wire = append(append(wire, appendEvent(nil, e)...), e.Payload...)
		wire = append(wire, finishAnswer(append(make([]byte, answerHeader), a.Payload...), a)...)
		wire = append(wire, o.frame()...)

		r := newFrameReader(iotest.HalfReader(bytes.NewReader(wire)), 1<<20)
		next := func(want kind) []byte {
			k, body, err := r.next()
			if err != nil || k != want {
				t.Fatalf("frame %q: %v, want %q", k, err, want)
			}
			return body
		}
		if got, err := parseSetup(next(kindSetup)); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v: %v, want %+v", got, err, s)
		}
		if got, err := parseEvent(next(kindEvent)); err != nil || !reflect.DeepEqual(&got, e) {
			t.Fatalf("event: %v", err)
		}
		if got, err := parseAnswer(next(kindAnswer)); err != nil || !reflect.DeepEqual(&got, a) {
			t.Fatalf("answer: %v", err)
		}
		if got, err := parseObject(next(kindObject)); err != nil || !reflect.DeepEqual(&got, o) {
			t.Fatalf("object: %v", err)
		}
		if _, _, err := r.next(); !errors.Is(err, io.EOF) {
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
		"no kind":      {"\x00\x00\x00\x00", errFrame},
		"half body":    {"\x05\x00\x00\x00AB", io.ErrUnexpectedEOF},
		"no body":      {"\x05\x00\x00\x00", io.ErrUnexpectedEOF},
		"over bound":   {"\x11\x00\x00\x00AAAAAAAAAAAAAAAAA", errFrame},
		"huge":         {"\xff\xff\xff\xffA", errFrame},
		"second short": {"\x01\x00\x00\x00A\x02\x00\x00\x00B", io.ErrUnexpectedEOF},
	} {
		r := newFrameReader(bytes.NewReader([]byte(c.wire)), 16)
		_, _, err := r.next()
		if err == nil {
			_, _, err = r.next()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestObjectNames(t *testing.T) {
	for _, bad := range []string{"", "a", "/a", "a/", "../a", "a/..", "a/b/c", "a/.b", ".a/b", "a/b\x00", "a\\b/c", "a/" + string(make([]byte, 200))} {
		s := &objectSink{dir: t.TempDir()}
		if err := s.take((&object{Name: bad, Data: []byte("x")}).frame()[lengthSize+1:]); err == nil {
			t.Errorf("%q was taken", bad)
		}
		if err := s.seal(); err == nil {
			t.Errorf("%q: sealed without an object", bad)
		}
	}
	s := &objectSink{dir: t.TempDir()}
	for _, name := range []string{"a/b", "a/b", "a/c"} {
		if err := s.take((&object{Name: name, Data: []byte("x")}).frame()[lengthSize+1:]); err != nil {
			t.Error(err)
		}
	}
	if err := s.take((&object{Name: "a/b", Data: []byte("x")}).frame()[lengthSize+1:]); err == nil {
		t.Error("an object came twice")
	}
}

// FuzzFrames: whatever a worker that was taken over sends, the node neither fails nor reads past it.
func FuzzFrames(f *testing.F) {
	f.Add((&setup{Module: "m", Env: []string{"a=b"}}).frame())
	f.Add(finishAnswer(append(make([]byte, answerHeader), "payload"...), &answer{Detail: "d"}))
	f.Add((&object{Name: "a/b", Data: []byte("x")}).frame())
	f.Add(textFrame(nil, kindLog, []byte("x")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := newFrameReader(bytes.NewReader(wire), 1<<16)
		for {
			_, body, err := r.next()
			if err != nil {
				return
			}
			if s, err := parseSetup(body); err == nil {
				if again, err := parseSetup(s.frame()[lengthSize+1:]); err != nil || !reflect.DeepEqual(s, again) {
					t.Fatalf("%+v and %+v: %v", s, again, err)
				}
			}
			if a, err := parseAnswer(body); err == nil && len(a.Payload)+len(a.Detail) > len(body) {
				t.Fatal("an answer larger than its frame")
			}
			// The others have nothing to compare with: they must not panic.
			_, _ = parseEvent(body)
			_, _ = parseObject(body)
		}
	})
}
