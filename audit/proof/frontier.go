package proof

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier computes the root of a growing tree (RFC 6962 section 2.1) from the roots of its complete subtrees.
type Frontier struct {
	N     int64       // leaves so far
	Peaks []tlog.Hash // roots of the complete subtrees, largest first
}

// Add appends a leaf hash and gives emit, when not nil, every hash this completes, in tlog's stored order.
func (f *Frontier) Add(h tlog.Hash, emit func(tlog.Hash)) {
	if emit != nil {
		emit(h)
	}
	for m := f.N; m&1 == 1; m >>= 1 {
		h = tlog.NodeHash(f.Peaks[len(f.Peaks)-1], h)
		f.Peaks = f.Peaks[:len(f.Peaks)-1]
		if emit != nil {
			emit(h)
		}
	}
	f.Peaks = append(f.Peaks, h)
	f.N++
}

// Root is the hash of the tree as it stands.
func (f *Frontier) Root() tlog.Hash {
	if f.N == 0 {
		return sha256.Sum256(nil)
	}
	h := f.Peaks[len(f.Peaks)-1]
	for i := len(f.Peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.Peaks[i], h)
	}
	return h
}
