package literal

import (
	"slices"
	"sort"
)

// Matcher finds which of many word lists have a word in a value. It is an Aho-Corasick automaton over bytes in ASCII
// lower case: one step a byte, whatever the number of words; the states near the root, where most steps end, are dense
// rows, the others lists of edges. It is safe for concurrent use.
type Matcher struct {
	class   [256]uint8 // of a byte; 0 is every byte that no word holds
	classes int
	rows    []uint32 // of the dense states, classes each: the next state
	dense   uint32   // states below this number have a row
	fail    []uint32
	edges   []edge // of a sparse state: edges[first[s]:first[s+1]], by class
	first   []uint32
	out     []uint32 // of a state: lists[out[s]:out[s+1]]
	lists   []uint16
}

type edge struct {
	class uint8
	to    uint32
}

// Builder gathers words.
type Builder struct {
	words []entry
}

type entry struct {
	word string
	list uint16
}

// Add puts a word into a list. Words are in ASCII lower case; an empty one is not looked for.
func (b *Builder) Add(list uint16, word string) {
	if word != "" {
		b.words = append(b.words, entry{word, list})
	}
}

// node is a state while the automaton is made.
type node struct {
	edges []edge
	fail  uint32
	depth int
	lists []uint16
}

// Build makes the matcher.
func (b *Builder) Build() *Matcher {
	m := &Matcher{classes: 1}
	for _, w := range b.words {
		for i := range len(w.word) {
			if c := w.word[i]; m.class[c] == 0 {
				m.class[c] = uint8(m.classes) //nolint:gosec // at most 230 lower-case bytes
				m.classes++
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		m.class[c] = m.class[c+'a'-'A']
	}
	nodes := m.trie(b.words)
	order := link(nodes)
	m.lay(nodes, order)
	return m
}

func (n *node) next(class uint8) (uint32, bool) {
	for _, e := range n.edges {
		if e.class == class {
			return e.to, true
		}
	}
	return 0, false
}

func (m *Matcher) trie(words []entry) []node {
	nodes := make([]node, 1, 1024)
	for _, w := range words {
		at := uint32(0)
		for i := range len(w.word) {
			class := m.class[w.word[i]]
			to, ok := nodes[at].next(class)
			if !ok {
				to = uint32(len(nodes)) //nolint:gosec // bounded by the words' bytes
				nodes = append(nodes, node{depth: i + 1})
				nodes[at].edges = append(nodes[at].edges, edge{class, to})
			}
			at = to
		}
		nodes[at].lists = append(nodes[at].lists, w.list)
	}
	return nodes
}

// link sets where a state goes on from when it has no edge, and what it finds by that; the result is the states in the
// order of their depth.
func link(nodes []node) []uint32 {
	order := []uint32{0}
	for i := 0; i < len(order); i++ {
		at := order[i]
		for _, e := range nodes[at].edges {
			order = append(order, e.to)
			if at == 0 {
				continue
			}
			f := nodes[at].fail
			for {
				if to, ok := nodes[f].next(e.class); ok {
					nodes[e.to].fail = to
					break
				}
				if f == 0 {
					break
				}
				f = nodes[f].fail
			}
			nodes[e.to].lists = append(nodes[e.to].lists, nodes[nodes[e.to].fail].lists...)
		}
	}
	return order
}

// denseDepth is how deep states have a row of their own.
const denseDepth = 2

func (m *Matcher) lay(nodes []node, order []uint32) {
	number := make([]uint32, len(nodes))
	for i, at := range order {
		number[at] = uint32(i) //nolint:gosec // as many as nodes
		if nodes[at].depth <= denseDepth {
			m.dense = uint32(i) + 1 //nolint:gosec // as above
		}
	}
	m.fail = make([]uint32, len(nodes))
	m.first = make([]uint32, len(nodes)+1)
	m.out = make([]uint32, len(nodes)+1)
	m.rows = make([]uint32, int(m.dense)*m.classes)
	for i, at := range order {
		n := &nodes[at]
		m.fail[i] = number[n.fail]
		if uint32(i) < m.dense { //nolint:gosec // as above
			row := m.rows[i*m.classes : (i+1)*m.classes]
			if i > 0 {
				copy(row, m.rows[int(m.fail[i])*m.classes:int(m.fail[i]+1)*m.classes])
			}
			for _, e := range n.edges {
				row[e.class] = number[e.to]
			}
		} else {
			sort.Slice(n.edges, func(a, b int) bool { return n.edges[a].class < n.edges[b].class })
			for _, e := range n.edges {
				m.edges = append(m.edges, edge{e.class, number[e.to]})
			}
		}
		m.first[i+1] = uint32(len(m.edges)) //nolint:gosec // bounded by the words' bytes
		slices.Sort(n.lists)
		m.lists = append(m.lists, slices.Compact(n.lists)...)
		m.out[i+1] = uint32(len(m.lists)) //nolint:gosec // as above
	}
}

// States is how many states there are; a measure of memory.
func (m *Matcher) States() int { return len(m.fail) }

// Scan sets the bit of every list that has a word in s, and reports whether it set any. found has a bit for each list.
func (m *Matcher) Scan(s string, found []uint64) bool {
	at, any := uint32(0), false
	for i := 0; i < len(s); i++ {
		class := m.class[s[i]]
		if at >= m.dense {
			at = m.sparse(at, class)
		} else {
			at = m.rows[int(at)*m.classes+int(class)]
		}
		if a, b := m.out[at], m.out[at+1]; a != b {
			any = true
			for _, l := range m.lists[a:b] {
				found[l>>6] |= 1 << (l & 63)
			}
		}
	}
	return any
}

func (m *Matcher) sparse(at uint32, class uint8) uint32 {
	for at >= m.dense {
		for _, e := range m.edges[m.first[at]:m.first[at+1]] {
			if e.class == class {
				return e.to
			}
		}
		at = m.fail[at]
	}
	return m.rows[int(at)*m.classes+int(class)]
}
