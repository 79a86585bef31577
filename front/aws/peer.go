package aws

import (
	"context"
	"net/netip"
	"sync"

	"casemate/front/conn"
)

// maxPeer is how many bodies are read at once for one network: whoever signs nothing well fills up a quarter of the places.
const maxPeer = maxCalls / 4

// peers gives places by network. It keeps nothing of networks that hold none and wait for none.
type peers struct {
	mu  sync.Mutex
	all map[netip.Prefix]*peer
}

type peer struct {
	places chan struct{}
	users  int // that hold a place or wait for one
}

// enter waits for a place of the network that remote is in, no longer than ctx; leave gives it back.
func (p *peers) enter(ctx context.Context, remote string) (leave func(), ok bool) {
	block := conn.Network(conn.Address(remote)) // what is no address is one network
	p.mu.Lock()
	x := p.all[block]
	if x == nil {
		x = &peer{places: make(chan struct{}, maxPeer)}
		p.all[block] = x
	}
	x.users++
	p.mu.Unlock()
	done := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if x.users--; x.users == 0 {
			delete(p.all, block)
		}
	}
	select {
	case x.places <- struct{}{}:
		return func() { <-x.places; done() }, true
	case <-ctx.Done():
		done()
		return nil, false
	}
}
