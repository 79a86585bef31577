package authn

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"casemate"
)

// maxTokens bounds the cache: some 10 MB of ordinary tokens.
const maxTokens = 8192

// tokenCache remembers tokens that held, by their SHA-256, for as long as they are in force, the key set is the one
// they were checked with and the issuers are not set anew. Least recently used go first. Refusals are not kept: an
// attacker could push out what is worth keeping.
type tokenCache struct {
	mu    sync.Mutex
	by    map[[sha256.Size]byte]*list.Element
	order *list.List // newest use in front, of *verified
}

type verified struct {
	sum       [sha256.Size]byte
	principal casemate.Principal
	audience  []string
	by        *map[string][]*issuer // the issuers it was checked against
	source    *source
	set       *keySet
}

func newTokenCache() *tokenCache {
	return &tokenCache{by: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

func (c *tokenCache) get(sum [sha256.Size]byte, now time.Time, by *map[string][]*issuer) *verified {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[sum]
	if e == nil {
		return nil
	}
	v := e.Value.(*verified)
	if v.by != by || !now.Before(v.principal.Expires) || v.source.current.Load() != v.set {
		c.order.Remove(e)
		delete(c.by, sum)
		return nil
	}
	c.order.MoveToFront(e)
	return v
}

func (c *tokenCache) put(v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.by[v.sum]; e != nil {
		e.Value = v
		return
	}
	c.by[v.sum] = c.order.PushFront(v)
	if len(c.by) > maxTokens {
		oldest := c.order.Back()
		delete(c.by, oldest.Value.(*verified).sum)
		c.order.Remove(oldest)
	}
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.by)
	c.order.Init()
}
