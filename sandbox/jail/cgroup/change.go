package cgroup

import "path/filepath"

// Yield gives a group a quarter of the share of the processors that others have when they want them, or the whole of it
// again. Without a controller it does nothing.
func (g *Group) Yield(yields bool) error {
	if g == nil {
		return nil
	}
	b, ok := g.dirs["cpu"]
	switch {
	case !ok:
		return nil
	case b.v2 && yields:
		return put(filepath.Join(b.dir, "cpu.weight"), "25")
	case b.v2:
		return put(filepath.Join(b.dir, "cpu.weight"), "100")
	case yields:
		return put(filepath.Join(b.dir, "cpu.shares"), "256")
	}
	return put(filepath.Join(b.dir, "cpu.shares"), "1024")
}

// Change gives a group other limits. Memory that is in use already above a lower limit is an error, where the kernel
// cannot take it back.
func (g *Group) Change(l Limits) error {
	if g == nil {
		return nil
	}
	for name, b := range g.dirs {
		if name == "memory" && !b.v2 {
			// Memory with swap is never less than memory (cgroup-v1/memory.rst): of two larger limits only the second write
			// succeeds in the first round.
			_ = g.limit("memory", b, l)
		}
		if err := g.limit(name, b, l); err != nil {
			return err
		}
	}
	return nil
}
