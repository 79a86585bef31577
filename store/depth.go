package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Depth is how much waits under one label.
type Depth struct {
	Label  string
	Items  uint64
	Oldest time.Time
}

// LabelMark separates a queue item's name from its label: "4f1c...@orders".
const LabelMark = "@"

// labelOf is what an item counts under; "" where its id has none.
func labelOf(id string) string {
	if i := strings.LastIndex(id, LabelMark); i >= 0 {
		return id[i+1:]
	}
	return ""
}

// labelled are the items of one label.
type labelled struct {
	items int
	order []uint64 // numbers as put; most of them are still there
}

// count notes an item that came.
func (q *nodeQueue) count(it *queueItem) {
	label := labelOf(it.id)
	g := q.labels[label]
	if g == nil {
		g = &labelled{}
		q.labels[strings.Clone(label)] = g
	}
	g.items++
	g.order = q.alive(append(g.order, it.num), g.items)
}

// alive lets go of numbers whose items are gone, when those are more than the others.
func (q *nodeQueue) alive(order []uint64, items int) []uint64 {
	if len(order) > 2*items+64 {
		order = slices.DeleteFunc(order, func(num uint64) bool { return q.items[num] == nil })
	}
	return order
}

// uncount notes that an item is gone.
func (q *nodeQueue) uncount(it *queueItem) {
	label := labelOf(it.id)
	g := q.labels[label]
	if g.items--; g.items == 0 {
		delete(q.labels, label)
	}
}

// Depths implements Queue.
func (q *nodeQueue) Depths(ctx context.Context) ([]Depth, error) {
	q.j.Lock()
	defer q.j.Unlock()
	out := make([]Depth, 0, len(q.labels))
	for label, g := range q.labels {
		for q.items[g.order[0]] == nil { // one is there, or the label was not
			g.order = g.order[1:]
		}
		out = append(out, Depth{label, uint64(g.items), time.Unix(0, q.items[g.order[0]].enqueued).UTC()})
	}
	slices.SortFunc(out, func(a, b Depth) int { return strings.Compare(a.Label, b.Label) })
	return out, ctx.Err()
}

// Depths implements Queue.
func (q *memoryQueue) Depths(ctx context.Context) ([]Depth, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := []Depth{}
	for _, it := range q.items {
		label := labelOf(it.id)
		i := slices.IndexFunc(out, func(d Depth) bool { return d.Label == label })
		if i < 0 {
			i = len(out)
			out = append(out, Depth{Label: label, Oldest: it.enqueued})
		}
		out[i].Items++
	}
	slices.SortFunc(out, func(a, b Depth) int { return strings.Compare(a.Label, b.Label) })
	return out, ctx.Err()
}
