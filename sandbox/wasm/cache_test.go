package wasm

import (
	"testing"

	"casemate/sandbox/wasm/wire"
)

func TestObjectNames(t *testing.T) {
	for _, bad := range []string{"", "a", "/a", "a/", "../a", "a/..", "a/b/c", "a/.b", ".a/b", "a/b\x00", "a\\b/c", "a/" + string(make([]byte, 200))} {
		s := &objectSink{dir: t.TempDir()}
		if err := s.take((&wire.Object{Name: bad, Data: []byte("x")}).Frame()[wire.LengthSize+1:]); err == nil {
			t.Errorf("%q was taken", bad)
		}
		if err := s.seal(); err == nil {
			t.Errorf("%q: sealed without an object", bad)
		}
	}
	s := &objectSink{dir: t.TempDir()}
	for _, name := range []string{"a/b", "a/b", "a/c"} {
		if err := s.take((&wire.Object{Name: name, Data: []byte("x")}).Frame()[wire.LengthSize+1:]); err != nil {
			t.Error(err)
		}
	}
	if err := s.take((&wire.Object{Name: "a/b", Data: []byte("x")}).Frame()[wire.LengthSize+1:]); err == nil {
		t.Error("an object came twice")
	}
}
