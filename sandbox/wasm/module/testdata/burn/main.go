//go:build wasip1

// Command burn is a guest that only computes, to measure what metering costs: fib, which calls, and the block function of
// SHA-256 in plain Go, which loops over small arrays.
package main

import "math/bits"

//go:wasmexport casemate_alloc
func alloc(uint32) uint32 { return 4096 }

// handle gives fib(n), or n blocks of hashing.
//
//go:wasmexport casemate_handle
func handle(hash, n uint32) uint64 {
	if hash == 0 {
		return uint64(fib(n))
	}
	var state [8]uint32
	for range n {
		block(&state)
	}
	return uint64(state[0])
}

func fib(n uint32) uint32 {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func block(h *[8]uint32) {
	var w [64]uint32
	for i := range 16 {
		w[i] = h[i%8] + uint32(i)
	}
	for i := 16; i < 64; i++ {
		v1, v2 := w[i-2], w[i-15]
		t1 := bits.RotateLeft32(v1, -17) ^ bits.RotateLeft32(v1, -19) ^ v1>>10
		t2 := bits.RotateLeft32(v2, -7) ^ bits.RotateLeft32(v2, -18) ^ v2>>3
		w[i] = t1 + w[i-7] + t2 + w[i-16]
	}
	a, b, c, d, e, f, g, hh := h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
	for i := range 64 {
		t1 := hh + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (e&f ^ ^e&g) + w[i] + uint32(i)
		t2 := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b ^ a&c ^ b&c)
		hh, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	for i, v := range [8]uint32{a, b, c, d, e, f, g, hh} {
		h[i] += v
	}
}

func main() {}
