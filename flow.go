package casemate

import "time"

// FlowStep says that a route is one step of a declared order of calls.
type FlowStep struct {
	App    string        `json:"app"`
	Name   string        `json:"name"`
	Step   int           `json:"step"`            // from 1
	Steps  int           `json:"steps"`           // of the whole flow
	Again  bool          `json:"again,omitempty"` // it may be taken again until the next one is
	Key    string        `json:"key"`             // what tells one flow from another: "caller", "claim:sub", "header:x-cart", "path:id", "body:/cart"
	Within time.Duration `json:"within"`          // from the first step on; then the flow is forgotten
}

// Keep says that answers of a route are kept, and given to equal requests of the same caller.
type Keep struct {
	TTL    time.Duration `json:"ttl"`
	Vary   []string      `json:"vary,omitempty"`   // headers that a request's answer depends on, lower case, sorted
	Shared bool          `json:"shared,omitempty"` // callers get each other's: the answer does not depend on who asks
}
