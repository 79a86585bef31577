package worker

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"casemate/sandbox/wasm/wire"
)

// TestArena: whatever one instance wrote below its limit, the next one finds zeroes, and nobody gets more than its limit.
func TestArena(t *testing.T) {
	const pages = 40
	a, err := newArena(pages)
	if err != nil {
		t.Fatal(err)
	}
	pattern, zeroes := bytes.Repeat([]byte{0xa5}, pages*wire.PageSize), make([]byte, pages*wire.PageSize)
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint32Range(1, 2*pages).Draw(t, "limit")
		a.begin(limit)
		have := uint64(min(limit, pages)) * wire.PageSize
		for _, size := range rapid.SliceOfN(rapid.Uint64Range(0, 2*pages), 1, 4).Draw(t, "sizes") {
			b := a.Reallocate(size * wire.PageSize)
			if size*wire.PageSize > have {
				if b != nil || !a.refused {
					t.Fatalf("%d pages with a limit of %d", size, limit)
				}
				continue
			}
			if uint64(len(b)) != size*wire.PageSize || cap(b) != len(b) {
				t.Fatalf("%d pages gave %d of %d bytes", size, len(b), cap(b))
			}
			copy(b, pattern)
		}
		if err := a.reset(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.base, zeroes) {
			t.Fatal("something is left")
		}
	})
}
