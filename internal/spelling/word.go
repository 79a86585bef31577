// Package spelling guesses which word was meant.
package spelling

// Nearest gives the place in words of the one that is closest to got, the first of several, or -1 when none is close: when
// more than a third of got, and one letter, would have to change. A word of more than longest bytes is close to nothing.
func Nearest(got string, words []string, longest int) int {
	best, least := -1, 1+min(len(got), 64)/3
	for i, w := range words {
		if len(got) > longest || len(w) > longest {
			continue
		}
		if d := distance(got, w, least); d <= least && (best < 0 || d < least) {
			best, least = i, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two words in bytes, or limit+1 when they are too far apart to matter.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
