package operator

import "encoding/json"

// Person is what a Factor may know about who signs in or enrols.
type Person struct {
	Name string `json:"name"`
	ID   []byte `json:"id"` // 32 stable bytes that say nothing: WebAuthn's user handle. Unknown names have one, too
}

// Factor is a kind of second factor whose proof answers a challenge: passkeys. It is pure and safe for concurrent use. state
// is what the room keeps for it of one operator; nil: nothing was enrolled, or there is no such operator, which a Factor
// must answer in the same way.
type Factor interface {
	// Kind is its stable name: "passkey".
	Kind() string
	// Enrolled reports whether state can complete a sign-in.
	Enrolled(state json.RawMessage) bool
	// Challenge gives what the client is asked, and what has to be remembered for Check.
	Challenge(who Person, state json.RawMessage) (ask, remember json.RawMessage, err error)
	// Check says whether answer answers what was remembered; next is the state to keep from now on (signature counters).
	// Any error is a refusal, the same for all.
	Check(who Person, state, remember, answer json.RawMessage) (next json.RawMessage, err error)
}

// Pending is a sign-in that waits for its second factor. It says nothing about the password: there is one for every name.
type Pending struct {
	ID  string                     `json:"id"`
	Ask map[string]json.RawMessage `json:"ask"` // by kind of factor
}
