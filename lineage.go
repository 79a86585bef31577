package casemate

// Lineage is the place of an event in its causal chain, kept with what the event left to be taken up later: a message in a queue.
// The node writes it down from the run that an event came from by its own door, or from the event whose end is told; nothing
// that a sender writes gets into it.
type Lineage struct {
	Chain  string `json:"c"`           // id of the first event
	Parent string `json:"p"`           // id of the record that left it
	Depth  int    `json:"d,omitempty"` // Event.Depth of what takes it up
	Spent  Money  `json:"s,omitempty"` // by the chain, and held for what still ran of it
}

// LineageOf is the lineage of what e leaves behind; nil when no run is behind e, and what takes it up begins a chain.
func LineageOf(e *Event) *Lineage {
	if e == nil || e.Source != SourceRun && e.Source != SourceDestination {
		return nil
	}
	return &Lineage{Chain: e.Chain, Parent: e.ID, Depth: e.Depth, Spent: e.Spent}
}

// Continue puts e where l says. A nil l leaves it the first of a chain.
func (l *Lineage) Continue(e *Event) {
	if l != nil {
		e.Chain, e.Parent, e.Depth, e.Spent = l.Chain, l.Parent, l.Depth, l.Spent
	}
}
