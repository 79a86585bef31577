package cgroup

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
