package commit

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestHeapGivesTheLeastKeyFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[int64]
		var want []int64
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				if len(want) == 0 {
					continue
				}
				if key, value := h.First(); key != want[0] || value != key || h.Pop() != key {
					t.Fatalf("took %d of value %d, expected %d", key, value, want[0])
				}
				want = want[1:]
			case 1:
				odd := func(key int64) bool { return key%2 != 0 }
				h.Drop(func(key, value int64) bool { return odd(key) && key == value })
				want = slices.DeleteFunc(want, odd)
			default:
				key := rapid.Int64Range(-9, 9).Draw(t, "key")
				h.Push(key, key)
				want = append(want, key)
				slices.Sort(want)
			}
			if h.Len() != len(want) {
				t.Fatalf("%d are there, expected %d", h.Len(), len(want))
			}
		}
	})
}
