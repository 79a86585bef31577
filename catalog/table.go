package catalog

import (
	"hash/maphash"
	"maps"
)

// shards of the tables that grow with the number of functions: a change copies the shards it touches and no other.
const shards = 256

// table is a persistent map: with gives a new one and leaves the old one as it was.
type table[V any] struct {
	seed  maphash.Seed
	parts [shards]map[string]V
}

func newTable[V any]() *table[V] { return &table[V]{seed: maphash.MakeSeed()} }

func (t *table[V]) part(key string) int { return int(maphash.String(t.seed, key) % shards) }

func (t *table[V]) get(key string) (V, bool) {
	v, ok := t.parts[t.part(key)][key]
	return v, ok
}

// change gives a copy without the keys of drop and with those of set.
func (t *table[V]) change(drop []string, set map[string]V) *table[V] {
	out := &table[V]{seed: t.seed, parts: t.parts}
	var mine [shards]bool
	own := func(key string) map[string]V {
		i := out.part(key)
		if !mine[i] {
			if out.parts[i] = maps.Clone(out.parts[i]); out.parts[i] == nil {
				out.parts[i] = map[string]V{}
			}
			mine[i] = true
		}
		return out.parts[i]
	}
	for _, k := range drop {
		delete(own(k), k)
	}
	for k, v := range set {
		own(k)[k] = v
	}
	return out
}
