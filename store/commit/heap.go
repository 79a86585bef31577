package commit

import (
	"container/heap"
	"slices"
)

// Heap is where a State keeps what comes next, the least key first: a record's number, or the time when it is due. Of equal
// keys any may be first. The zero Heap is empty; it is not safe for concurrent use.
type Heap[T any] struct{ s slots[T] }

type slot[T any] struct {
	key   int64
	value T
}

// Len is how many there are.
func (h *Heap[T]) Len() int { return len(h.s) }

// Push adds a value.
func (h *Heap[T]) Push(key int64, value T) { heap.Push(&h.s, slot[T]{key, value}) }

// First gives what has the least key. The heap must not be empty.
func (h *Heap[T]) First() (key int64, value T) { return h.s[0].key, h.s[0].value }

// Pop takes away what First gives. The heap must not be empty.
func (h *Heap[T]) Pop() T { return heap.Pop(&h.s).(slot[T]).value }

// Drop takes away all that void says to.
func (h *Heap[T]) Drop(void func(key int64, value T) bool) {
	h.s = slices.DeleteFunc(h.s, func(s slot[T]) bool { return void(s.key, s.value) })
	heap.Init(&h.s)
}

// slots is heap.Interface.
type slots[T any] []slot[T]

func (s slots[T]) Len() int           { return len(s) }
func (s slots[T]) Less(a, b int) bool { return s[a].key < s[b].key }
func (s slots[T]) Swap(a, b int)      { s[a], s[b] = s[b], s[a] }
func (s *slots[T]) Push(x any)        { *s = append(*s, x.(slot[T])) }
func (s *slots[T]) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = slot[T]{}
	*s = (*s)[:last]
	return x
}
