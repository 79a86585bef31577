package node

import (
	"strconv"

	"casemate"
)

// boxes lists what lives now.
func (n *node) boxes() []Box {
	list := []Box{}
	for _, s := range n.pool.Snapshot() {
		b := Box{ID: strconv.Itoa(s.PID), Version: s.Version, Runtime: s.Runtime, Isolation: s.Isolation, Partition: s.Partition, State: s.State, Started: s.Started,
			Memory: s.Memory, Peak: s.Peak, CPU: s.CPU, Runs: s.Events, Refusals: s.Refused}
		if s.Function != "" {
			b.Function = s.App + "/" + s.Function
		}
		list = append(list, b)
	}
	for _, w := range n.wasm.Workers() {
		list = append(list, Box{ID: strconv.Itoa(w.PID), Function: w.App + "/" + w.Function, Version: w.Version, Runtime: "wasm", Isolation: w.Isolation,
			Partition: w.Partition, State: w.State, Started: w.Started, Memory: w.Memory, Peak: w.Peak, CPU: w.CPU, Runs: w.Runs, Refusals: w.Refused})
	}
	return list
}

// freshInstance says how a WebAssembly function gets its state, and why not by rewinding.
func (n *node) freshInstance(v *casemate.Version) (how, rewind string) {
	reason, known := n.wasm.Rewind(v.ID)
	switch {
	case !known:
		return "a fresh instance for every event; whether it can be rewound shows with its first event", ""
	case reason != "":
		return "a fresh instance for every event", reason
	}
	return "an instance that is rewound after every event to its state after initialisation", ""
}
