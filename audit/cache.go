package audit

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// cached is how many leaf hashes wait for the sealer at most; it seals long before, or reads the rest from the stream.
const cached = 1 << 14

// cache spares the sealer reading back what was just written. Slot seq modulo cached holds the leaf hash of seq.
type cache struct {
	mu     sync.Mutex
	leaves []leaf
	newest uint64
	sealed uint64
}

type leaf struct {
	seq  uint64
	hash tlog.Hash
}

func newCache() *cache { return &cache{leaves: make([]leaf, cached)} }

// put remembers a record's leaf hash and says how many records wait to be sealed. A hash that was not taken in time is
// written over.
func (c *cache) put(seq uint64, h tlog.Hash) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaves[seq%cached] = leaf{seq, h}
	c.newest = max(c.newest, seq)
	return int64(c.newest) - int64(c.sealed)
}

// take gives the leaf hash of seq, when it is there, and counts seq as sealed.
func (c *cache) take(seq uint64) (tlog.Hash, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sealed = max(c.sealed, seq)
	l := c.leaves[seq%cached]
	return l.hash, l.seq == seq
}
