package casemate

// Leaks says what is done about answers that hold more than callers should see. Empty fields are the defaults: the
// platform's own keys, sessions and private keys are blocked, tokens of well-known services masked, numbers of cards and
// bank accounts not looked for, and stack traces, paths and internal names taken out of errors.
type Leaks struct {
	Secrets  string `json:"secrets,omitempty"`  // "", "block", "mask", "off"
	Personal string `json:"personal,omitempty"` // "", "block", "mask": numbers of cards and bank accounts
	Traces   string `json:"traces,omitempty"`   // "", "off"
}
