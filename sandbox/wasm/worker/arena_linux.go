package worker

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	"casemate/sandbox/wasm/wire"
)

const (
	// clearLimit is how much of a used memory is cleared in place; what lies above goes back to the kernel, which hands
	// out zeroes. Below it a fault per touched page would cost more than the clearing.
	clearLimit = 1 << 20
)

// arena is the one linear memory of a worker: an address range reserved once, lent to one instance after the other and
// zeroed in between. It never moves, so growing is free. It is used by one goroutine.
type arena struct {
	base    []byte
	limit   uint64 // bytes the instance of now may have
	high    uint64 // bytes it had at most: memory never shrinks, so nothing above was ever reachable
	refused bool   // it asked for more than limit
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
	if size > a.limit || size > uint64(len(a.base)) {
		a.refused = true
		return nil
	}
	a.high = max(a.high, size)
	return a.base[:size:size]
}

// Free does nothing: the worker zeroes by reset, whichever way the instance ended.
func (a *arena) Free() {}

// begin sets the limit of the next instance.
func (a *arena) begin(pages uint32) {
	a.limit, a.high, a.refused = min(uint64(pages)*wire.PageSize, uint64(len(a.base))), 0, false
}

// reset leaves nothing of the last instance: every byte it could reach is zero afterwards.
func (a *arena) reset() error {
	clear(a.base[:min(a.high, clearLimit)])
	if a.high > clearLimit {
		if err := unix.Madvise(a.base[clearLimit:a.high], unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("giving back linear memory: %w", err)
		}
	}
	a.high = 0
	return nil
}
