// Package memory is the one linear memory of a wasm worker: an address range, the snapshot it returns to, and what was
// learnt of the pages that events use.
package memory

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Page is the unit in which memory grows.
const Page = 64 << 10

const (
	// clearLimit is how much of a used memory is cleared in place; what lies above goes back to the kernel, which hands
	// out zeroes. Below it a fault per touched page would cost more than the clearing.
	clearLimit = 1 << 20
	// growthLimit is the same for what an instance grew by.
	growthLimit = 256 << 10
)

// Arena is an address range reserved once, lent to one instance after the other and in between zeroed, or returned to its
// snapshot when it has one. It never moves, so growing is free. It is used by one goroutine.
type Arena struct {
	base    []byte
	limit   uint64 // bytes the instance of now may have
	size    uint64 // bytes it has
	high    uint64 // bytes that were reachable since the last reset
	shrinks bool   // the next Reallocate gives the snapshot's size, whatever it is asked for
	refused bool   // it asked for more than limit
	snap    *snapshot
}

// New reserves size bytes, a multiple of Page. They are address space, not memory, until they are touched.
func New(size int) (*Arena, error) {
	base, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving %d bytes of linear memory: %w", size, err)
	}
	return &Arena{base: base}, nil
}

// Close gives the range back. Nobody may have a pointer into it.
func (a *Arena) Close() error {
	var err error
	if a.snap != nil && a.snap.image != nil {
		err = unix.Munmap(a.snap.image)
	}
	return errors.Join(err, unix.Munmap(a.base))
}

// Bytes is the memory that the instance of now has.
func (a *Arena) Bytes() []byte { return a.base[:a.size:a.size] }

// High is the most that was reachable since the last Reset, in bytes.
func (a *Arena) High() uint64 { return a.high }

// Refused says whether the instance of now asked for more than its limit.
func (a *Arena) Refused() bool { return a.refused }

// Frozen is the size of the snapshot, if there is one.
func (a *Arena) Frozen() (size uint64, ok bool) {
	if a.snap == nil {
		return 0, false
	}
	return a.snap.size, true
}

// Reallocate gives the first size bytes, or nil beyond the limit, which the guest sees as a memory.grow of -1.
func (a *Arena) Reallocate(size uint64) []byte {
	if a.shrinks {
		size, a.shrinks = a.snap.size, false
	} else if size > a.limit || size > uint64(len(a.base)) {
		a.refused = true
		return nil
	}
	a.size, a.high = size, max(a.high, size)
	return a.base[:size:size]
}

// Free does nothing: Reset does the work, whichever way the instance ended.
func (a *Arena) Free() {}

// Begin sets the limit of the next event, in bytes.
func (a *Arena) Begin(limit uint64) { a.limit, a.refused = min(limit, uint64(len(a.base))), false }

// Reset leaves nothing of the last event: every byte that it could reach is as in the snapshot, or zero without one.
func (a *Arena) Reset() error {
	low, limit := uint64(0), uint64(clearLimit)
	if a.snap != nil {
		if err := a.snap.restore(a.base[:a.snap.size]); err != nil {
			return err
		}
		low, limit = a.snap.size, growthLimit
	}
	if a.high > low {
		cut := min(a.high, low+limit)
		clear(a.base[low:cut])
		if err := giveBack(a.base[cut:a.high]); err != nil {
			return err
		}
	}
	a.high = low
	return nil
}

// Grower is what grows an instance's memory, by calling Reallocate.
type Grower interface {
	Grow(pages uint32) (before uint32, ok bool)
}

// Ungrow takes back what an instance grew by since the snapshot. The engine has no call for that: it is made to grow by a
// page, and takes the size that it is given then for the new one. A memory that stands at the maximum which its module
// declares cannot be asked; Ungrow gives false then.
func (a *Arena) Ungrow(m Grower) bool {
	if a.size == a.snap.size {
		return true
	}
	a.shrinks = true
	_, ok := m.Grow(1)
	a.shrinks = false
	return ok
}

// giveBack returns whole pages to the kernel. What they were mapped to shines through afterwards: zeroes, or the snapshot.
func giveBack(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("giving back linear memory: %w", err)
	}
	return nil
}
