// Package faults breaks whole nodes and looks at what is left: the real binary, killed with signal 9 under load, on a
// disk that is full, with files that were changed behind its back, and told to stop in the middle of its work. What a
// caller was told must hold afterwards, whatever happened.
//
// Choices are drawn from a seed that every run prints; CASEMATE_SEED plays one again. CASEMATE_FULL=1 goes on for longer.
package faults
