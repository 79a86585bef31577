package worker

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	"casemate/sandbox/wasm/wire"
)

const (
	// clearLimit is how much of a used memory is cleared in place; what lies above goes back to the kernel, which hands
	// out zeroes. Below it a fault per touched page would cost more than the clearing.
	clearLimit = 1 << 20
	// growthLimit is the same for what an instance grew by.
	growthLimit = 256 << 10
)

// arena is the one linear memory of a worker: an address range reserved once, lent to one instance after the other and
// in between zeroed, or returned to its snapshot when it has one. It never moves, so growing is free. It is used by one
// goroutine.
type arena struct {
	base    []byte
	limit   uint64 // bytes the instance of now may have
	size    uint64 // bytes it has
	high    uint64 // bytes that were reachable since the last reset
	shrinks bool   // the next Reallocate gives the snapshot's size, whatever it is asked for
	refused bool   // it asked for more than limit
	snap    *snapshot
}

func newArena(pages uint32) (*arena, error) {
	// MAP_NORESERVE: the range is address space, not memory, until it is touched.
	base, err := unix.Mmap(-1, 0, int(pages)*wire.PageSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving %d pages of linear memory: %w", pages, err)
	}
	return &arena{base: base}, nil
}

// Allocate implements experimental.MemoryAllocator. The module's own maximum does not matter here: Reallocate refuses.
func (a *arena) Allocate(_, _ uint64) experimental.LinearMemory { return a }

// Reallocate gives the first size bytes, or nil beyond the limit, which the guest sees as a memory.grow of -1.
func (a *arena) Reallocate(size uint64) []byte {
	if a.shrinks {
		size, a.shrinks = a.snap.size, false
	} else if size > a.limit || size > uint64(len(a.base)) {
		a.refused = true
		return nil
	}
	a.size, a.high = size, max(a.high, size)
	return a.base[:size:size]
}

// Free does nothing: the worker zeroes by reset, whichever way the instance ended.
func (a *arena) Free() {}

// begin sets the limit of the next event.
func (a *arena) begin(pages uint32) {
	a.limit, a.refused = min(uint64(pages)*wire.PageSize, uint64(len(a.base))), false
}

// reset leaves nothing of the last event: every byte that it could reach is as in the snapshot, or zero without one.
func (a *arena) reset() error {
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

// ungrow takes back what an instance grew by since the snapshot. The engine has no call for that: it is made to grow by a
// page, and takes the size that it is given then for the new one. A memory that stands at the maximum which its module
// declares cannot be asked; ungrow gives false then.
func (a *arena) ungrow(m api.Memory) bool {
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
