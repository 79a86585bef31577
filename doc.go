// Package casemate holds the nouns of the product and nothing else: no I/O, no goroutine, no dependency outside the
// standard library. Rooms meet here: when two rooms need a type, it stands in this package or the rooms are cut wrongly.
//
// The zero value of everything that decides refuses: a zero Verdict denies, a zero Principal is nobody, a zero Limits
// means the default limits, never "unlimited".
package casemate
