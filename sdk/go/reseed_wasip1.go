package function

import (
	"crypto/rand"
	"encoding/binary"
	weak "math/rand/v2"
	"runtime"
	"unsafe"
)

// generator is internal/chacha8rand.State, the generator behind math/rand, math/rand/v2's top-level functions and map
// seeds, of which the runtime keeps one per thread. There is one thread.
type generator struct {
	buf  [32]uint64
	seed [4]uint64
	i    uint32
	n    uint32
	c    uint32
}

// runtimeGenerator is the runtime's generator, found while the module initialises; nil when it was not.
var runtimeGenerator = find()

// pages is the size of linear memory, in pages of 64 KiB.
func pages() uint32

// getg gives the running goroutine's descriptor.
func getg() unsafe.Pointer

const (
	words     = 64   // of a goroutine's descriptor that are looked at for its thread's
	reach     = 8192 // bytes of a thread's descriptor that may hold the generator
	alignment = 8
)

// find looks for the runtime's generator: behind one of the pointers in the goroutine's descriptor lies its thread's, and
// in there a generator. What looks like one is believed only when it foretells the next random number, twice. So a
// runtime that keeps it elsewhere, or has another one, is recognised, and the module is then made anew for every event.
func find() *generator {
	g := getg()
	end := uintptr(pages()) * 65536
	for k := range words {
		at := *(*uintptr)(unsafe.Add(g, k*alignment))
		if at == 0 || at%alignment != 0 || at >= end || end-at < reach+unsafe.Sizeof(generator{}) {
			continue
		}
		thread := *(*unsafe.Pointer)(unsafe.Add(g, k*alignment))
		if !runs(thread, g) {
			continue
		}
		for off := 0; off < reach; off += alignment {
			if c := (*generator)(unsafe.Add(thread, off)); c.foretells() && c.foretells() {
				return c
			}
		}
	}
	return nil
}

// runs reports whether what may be a thread's descriptor names the goroutine that it runs.
func runs(thread, g unsafe.Pointer) bool {
	for k := range words {
		if *(*unsafe.Pointer)(unsafe.Add(thread, k*alignment)) == g {
			return true
		}
	}
	return false
}

// foretells reports whether c is the generator that the runtime draws from.
func (c *generator) foretells() bool {
	if c.n > 32 || c.n < 28 || c.c > 12 || c.c%4 != 0 || c.i > c.n || c.seed == [4]uint64{} {
		return false
	}
	if c.i == c.n {
		weak.Uint64() // makes it refill, if it is the one
		if c.i == c.n {
			return false
		}
	}
	at, next := c.i, c.buf[c.i&31]
	return weak.Uint64() == next && c.i == at+1
}

// settled says that the first call of reseed is over.
var settled bool

// settle does, before the snapshot is taken, what every event would do again after it: exported calls share a stack, which
// grows; a collection that is under way goes on, and what an earlier one left is swept; and the first object of each size
// has its place looked for.
func settle() {
	grow(stackRoom - 1)
	runtime.GC()
	for n := 8; n <= 4<<10; n += max(8, n/8&^7) {
		places.plain, places.pointers = make([]byte, n), make([]*byte, n/8)
	}
	places.plain, places.pointers = nil, nil
}

// places keeps the compiler from doing without the objects.
var places struct {
	plain    []byte
	pointers []*byte
}

// stackRoom is how much of a stack most events need.
const stackRoom = 24 << 10

// grow uses that much of the stack.
//
//go:noinline
func grow(at int) byte {
	var room [stackRoom]byte
	return room[at]
}

// reseed gives the event randomness of its own. It is called after each rewind, and once before the snapshot is taken;
// other than 0 says that it cannot. Exported calls share a stack, which would grow in every event: it does it here, once.
//
//go:wasmexport casemate_reseed
func reseed() int32 {
	if !settled {
		settled = true
		settle()
	}
	c := runtimeGenerator
	if c == nil {
		return 1
	}
	var fresh [32]byte
	rand.Read(fresh[:]) // asks the host each time; never fails
	for k := range c.seed {
		c.seed[k] = binary.LittleEndian.Uint64(fresh[8*k:])
	}
	// The generator refills itself from the new seed at the next number: its counter goes from -4 to 0 then.
	clear(c.buf[:])
	c.i, c.n, c.c = 32, 32, ^uint32(3)
	return 0
}
