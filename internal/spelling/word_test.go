package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, c := range []struct {
		got   string
		words []string
		want  int
	}{
		{"timout", []string{"memory", "timeout"}, 1},
		{"memory", []string{"memory", "memories"}, 0},
		{"ab", []string{"cd", "ac", "bb"}, 1}, // the first of equals
		{"ab", []string{"cd"}, -1},
		{"kitten", []string{"sitting"}, 0}, // three of six letters and one
		{"kitten", []string{"sittings"}, -1},
		{"", []string{"a", ""}, 1},
		{"", []string{"ab"}, -1},
		{"timeout", nil, -1},
		{long, []string{long}, -1},
		{long[:64], []string{long, long[:63]}, 1},
	} {
		if got := Nearest(c.got, c.words, 64); got != c.want {
			t.Errorf("Nearest(%q, %q) = %d, expected %d", c.got, c.words, got, c.want)
		}
	}
}
