package quota

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// bucket is what is known of one key.
type bucket struct {
	full    int64  // when the bucket is full again, in ledger time
	running int    // runs that count against a concurrency of this key
	places  places // functions only
}

// idle reports whether forgetting the bucket loses nothing.
func (b *bucket) idle(now int64) bool { return b.full <= now && b.running == 0 && b.places.empty() }

// key is a name in 128 bits of a hash with a seed of this process: a fixed size whatever a caller sends, and no way to
// aim at another's bucket. The zero key is nobody's.
type key [2]uint64

const shards = 16

// table holds the buckets of one kind of key, at most max of them plus the shared one. Locks are taken one shard of each
// kind, in the order of kinds, then the shared bucket of that kind: never the other way round.
type table struct {
	seeds  [2]maphash.Seed
	shards [shards]shard
	shared struct {
		sync.Mutex
		bucket
	}
}

type shard struct {
	sync.Mutex
	max     int
	buckets map[key]*bucket
	ring    []key // every key of buckets, for the search of an idle one
	hand    int
}

func (t *table) init(maxKeys int) {
	t.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].max = max(maxKeys/shards, 1)
		t.shards[i].buckets = map[key]*bucket{}
	}
}

func (t *table) key(a, b string) key {
	var k key
	for i := range k {
		var h maphash.Hash
		h.SetSeed(t.seeds[i])
		h.WriteString(a)
		h.WriteByte(0) // no name holds one, so a and b cannot be moved against each other
		h.WriteString(b)
		k[i] = h.Sum64()
	}
	return k
}

func (t *table) prefix(p netip.Prefix) key {
	a := p.Addr().As16()
	var k key
	for i := range k {
		var h maphash.Hash
		h.SetSeed(t.seeds[i])
		h.Write(a[:])
		h.WriteByte(byte(p.Bits()))
		k[i] = h.Sum64()
	}
	return k
}

// hold locks and gives the bucket of k. A new key takes the place of an idle one when the shard is full; when none is
// found, it shares one bucket with all others in its position: a flood of new keys waits for itself.
// The lock is held when it returns. A bucket with runs stays where it is until they are settled.
func (t *table) hold(k key, now int64) (*bucket, *sync.Mutex) {
	s := &t.shards[k[0]%shards]
	s.Lock()
	if b := s.find(k, now); b != nil {
		return b, &s.Mutex
	}
	s.Unlock()
	t.shared.Lock()
	return &t.shared.bucket, &t.shared.Mutex
}

// spent reports whether the bucket of k has no token at now, and how long until it has. A key that is not known has.
func (t *table) spent(k key, c cell, now int64) int64 {
	s := &t.shards[k[0]%shards]
	s.Lock()
	defer s.Unlock()
	if b := s.buckets[k]; b != nil {
		return c.wait(b.full, now)
	}
	return 0
}

// back gives a token back to the bucket of k.
func (t *table) back(k key, c cell, now int64) {
	s := &t.shards[k[0]%shards]
	s.Lock()
	defer s.Unlock()
	if b := s.buckets[k]; b != nil && b.full > now {
		b.full = max(b.full-c.every, now)
	}
}

// probes bounds the search for an idle bucket, so that a flood costs each request a constant.
const probes = 8

func (s *shard) find(k key, now int64) *bucket {
	if b := s.buckets[k]; b != nil {
		return b
	}
	b := &bucket{}
	if len(s.ring) < s.max {
		s.ring = append(s.ring, k)
		s.buckets[k] = b
		return b
	}
	for range min(probes, len(s.ring)) {
		s.hand = (s.hand + 1) % len(s.ring)
		old := s.ring[s.hand]
		if s.buckets[old].idle(now) {
			delete(s.buckets, old)
			s.ring[s.hand] = k
			s.buckets[k] = b
			return b
		}
	}
	return nil
}
