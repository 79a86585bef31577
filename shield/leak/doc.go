// Package leak keeps out of answers what callers must not see: stack traces, paths and internal names of errors, credentials,
// and numbers of cards and accounts. It is pure; what it notes are rules and counts, never a value.
package leak

// Act says what becomes of something that was found.
type Act uint8

// The acts.
const (
	Default Act = iota // what the kind's own row says
	Off
	Mask
	Block
)

// Rules say what is looked for in an answer. The zero Rules block the platform's own credentials and private keys, mask
// tokens of well-known services, leave numbers of cards alone, and take traces out of errors.
type Rules struct {
	Secrets  Act // credentials
	Personal Act // numbers of cards and bank accounts; Default is Off: one number in ten looks like a card's
	Traces   Act // stack traces, paths and internal names, in errors; Off leaves them
}

// Found is what an answer held.
type Found struct {
	Notes   []string // "leak/private-key masked 2"
	Blocked string   // the rule because of which the answer must not leave; "" when it may
}
