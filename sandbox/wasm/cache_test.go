package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"casemate/internal/casetest/modules"
	"casemate/sandbox/wasm/module"
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

// TestPreparedRevision: prepared modules are kept, so that nodes must not take over those that were prepared otherwise.
func TestPreparedRevision(t *testing.T) {
	h := sha256.New()
	drawn := rapid.Custom(modules.Draw)
	for i := range 40 {
		p, err := module.Prepare(drawn.Example(i).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%x %q %q %q\n", p.Code, p.Globals, p.Fuel, p.Rewind)
	}
	const revision, want = "2", "5b9958044515abde3ff18dd2df3b803c9ea203d0d0212668f500e7611cd4fcaa"
	if got := hex.EncodeToString(h.Sum(nil)); got != want || preparedRevision != revision {
		t.Errorf("modules are prepared in another way: raise preparedRevision, and say so here with %s (which alone changes when others are drawn)", got)
	}
}
