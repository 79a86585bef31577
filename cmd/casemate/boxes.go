package main

import (
	"casemate"
)

// boxes lists what lives now: native sandboxes, and the workers of WebAssembly functions.
func (n *node) boxes() []box {
	list := []box{}
	for i, s := range n.pool.Snapshot() {
		_ = i
		list = append(list, box{Function: s.Function, Version: s.Version, State: s.State, Started: s.Started, Runs: s.Events})
	}
	return list
}

// freshInstance says how a WebAssembly function gets its state, and why not by rewinding.
func (n *node) freshInstance(v *casemate.Version) (how, rewind string) {
	return "a fresh instance for every event", ""
}
