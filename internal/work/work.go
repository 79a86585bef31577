// Package work counts what is at work for somebody who ends: a server's requests, which net/http's Close does not wait for.
package work

import "sync"

// Group is what is at work. The zero Group is ready; it must not be copied. It is safe for concurrent use.
type Group struct {
	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// Begin counts one more in, which Done is to be called for; false: the group has ended, and nothing is to be begun.
func (g *Group) Begin() bool {
	g.mu.Lock() // nothing is counted in while Wait may be at zero
	defer g.mu.Unlock()
	if g.ended {
		return false
	}
	g.running.Add(1)
	return true
}

// Done counts out what Begin counted in.
func (g *Group) Done() { g.running.Done() }

// Go has do at work in a goroutine of its own; false: the group has ended, and do is not called.
func (g *Group) Go(do func()) bool {
	if !g.Begin() {
		return false
	}
	go func() {
		defer g.Done()
		do()
	}()
	return true
}

// End lets nothing more begin. It does not wait, so that what is at work can be told to stop first.
func (g *Group) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

// Wait waits for what is at work, without a bound. Call it after End.
func (g *Group) Wait() { g.running.Wait() }
