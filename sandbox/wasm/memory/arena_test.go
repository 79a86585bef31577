package memory

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestArena: whatever one instance wrote below its limit, the next one finds zeroes, and nobody gets more than its limit.
func TestArena(t *testing.T) {
	const pages = 40
	a, err := New(pages * Page)
	if err != nil {
		t.Fatal(err)
	}
	pattern, zeroes := bytes.Repeat([]byte{0xa5}, pages*Page), make([]byte, pages*Page)
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint32Range(1, 2*pages).Draw(t, "limit")
		a.Begin(uint64(limit) * Page)
		have := uint64(min(limit, pages)) * Page
		for _, size := range rapid.SliceOfN(rapid.Uint64Range(0, 2*pages), 1, 4).Draw(t, "sizes") {
			b := a.Reallocate(size * Page)
			if size*Page > have {
				if b != nil || !a.refused {
					t.Fatalf("%d pages with a limit of %d", size, limit)
				}
				continue
			}
			if uint64(len(b)) != size*Page || cap(b) != len(b) {
				t.Fatalf("%d pages gave %d of %d bytes", size, len(b), cap(b))
			}
			copy(b, pattern)
		}
		if err := a.Reset(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.base, zeroes) {
			t.Fatal("something is left")
		}
	})
}

// TestSnapshot: whatever events write, and wherever, the memory returns to its snapshot; also while it is being learnt which
// pages they use.
func TestSnapshot(t *testing.T) {
	const pages, most = 24, 32
	page := os.Getpagesize()
	rapid.Check(t, func(t *rapid.T) {
		a, err := New(most * Page)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		a.Begin(most * Page)
		mem := a.Reallocate(pages * Page)
		somewhere := rapid.IntRange(0, len(mem)/page-1)
		for _, p := range rapid.SliceOfN(somewhere, 0, 200).Draw(t, "filled") {
			mem[p*page+p%page] = byte(p%255) + 1
		}
		want := bytes.Clone(mem)
		if err := a.Freeze(pages * Page); err != nil {
			t.Fatal(err)
		}
		usual := rapid.SliceOfN(somewhere, 0, 30).Draw(t, "usual")
		for i := range 80 {
			a.Reallocate(pages * Page)
			for _, p := range usual {
				mem[p*page+i]++
			}
			for range 3 { // and some that no other event touches
				p := (i*37 + len(usual)*11) % (len(mem) / page)
				mem[p*page+i*3] ^= 0xff
				_ = mem[(p*7)%len(mem)]
			}
			for _, k := range a.snap.kept {
				for _, p := range []int{k.from - 1, k.from, k.to - 1, k.to} {
					if p = min(max(p, 0), len(mem)/page-1); i%5 == 4 {
						mem[p*page+i] ^= 0x55
					}
				}
			}
			if i%3 == 0 {
				grown := a.Reallocate((pages + 1 + uint64(i%7)) * Page)
				grown[len(grown)-1-i] = 1
			}
			if err := a.Reset(); err != nil {
				t.Fatal(err)
			}
			if i%5 != 4 || a.snap.events == a.snap.next-1 {
				continue // looking at the memory now would teach that it is all in use
			}
			if !bytes.Equal(mem, want) {
				t.Fatalf("event %d changed the snapshot", i)
			}
			if slices.ContainsFunc(a.base[len(mem):], func(b byte) bool { return b != 0 }) {
				t.Fatalf("event %d left something above", i)
			}
		}
		if len(usual) > 0 && len(a.snap.kept) == 0 {
			t.Fatal("nothing was learnt")
		}
		if err := errors.Join(a.Thaw(), a.Reset()); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(a.base, func(b byte) bool { return b != 0 }) {
			t.Fatal("the snapshot is left")
		}
	})
}

// TestSnapshotBound: a snapshot that would be too large is not taken, and nothing is changed.
func TestSnapshotBound(t *testing.T) {
	a, err := New(4 * Page)
	if err != nil {
		t.Fatal(err)
	}
	a.Begin(4 * Page)
	mem := a.Reallocate(2 * Page)
	copy(mem[Page:], "something")
	if err = a.Freeze(100); !errors.Is(err, ErrSnapshot) || a.snap != nil {
		t.Errorf("%v", err)
	}
	if string(mem[Page:][:9]) != "something" {
		t.Error("the memory changed")
	}
}
