package audit

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	cachedLeaves = 1 << 16 // hashes waiting to be sealed: about 4 MiB when the sealer cannot keep up
	cachedIDs    = 1 << 14
)

// cache spares reading back what was just written: the leaf hashes that the sealer will want, and where the newest
// records are. What it does not hold is read from the stream.
type cache struct {
	mu     sync.Mutex
	leaves map[uint64]tlog.Hash
	sealed uint64 // hashes up to here are wanted no more
	ids    map[string]uint64
	ring   []string // ids, oldest at next once it is full
	next   int
}

func newCache() *cache {
	return &cache{leaves: make(map[uint64]tlog.Hash), ids: make(map[string]uint64)}
}

// put remembers a record and says how many wait to be sealed.
func (c *cache) put(seq uint64, id string, h tlog.Hash) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq > c.sealed && len(c.leaves) < cachedLeaves {
		c.leaves[seq] = h
	}
	if len(c.ring) < cachedIDs {
		c.ring = append(c.ring, id)
	} else {
		delete(c.ids, c.ring[c.next])
		c.ring[c.next] = id
		c.next = (c.next + 1) % cachedIDs
	}
	c.ids[id] = seq
	return int64(len(c.leaves))
}

// take hands out the leaf hash of seq, once.
func (c *cache) take(seq uint64) (tlog.Hash, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.leaves[seq]
	delete(c.leaves, seq)
	c.sealed = max(c.sealed, seq)
	return h, ok
}

func (c *cache) find(id string) (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seq, ok := c.ids[id]
	return seq, ok
}
