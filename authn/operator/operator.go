package operator

import (
	"encoding/json"
	"time"
)

// Bounds.
const (
	mostOperators = 1000
	mostFamiliar  = 16 // networks that an operator has signed in from
)

// Operator is what may be known about an operator: all but what it proves itself with.
type Operator struct {
	Name    string    `json:"name"` // lower-case letters, digits and ._- ; 1 to 32
	Roles   []string  `json:"roles"`
	By      string    `json:"by,omitempty"` // principal that made it
	Created time.Time `json:"created"`
	Changed time.Time `json:"password_changed,omitzero"`
	Factors []string  `json:"factors,omitempty"` // kinds that are enrolled: totp, passkey
	Codes   int       `json:"recovery_codes"`    // that are left
	Last    time.Time `json:"last_sign_in,omitzero"`
}

// account is an operator as it is stored.
type account struct {
	Operator
	ID       []byte                     `json:"id"`
	Hash     string                     `json:"hash"`           // of the password, in PHC form
	TOTP     string                     `json:"totp,omitempty"` // name of the sealed secret in the vault
	Step     int64                      `json:"step,omitempty"` // of the last code that was taken
	Next     string                     `json:"next,omitempty"` // secret that is being enrolled, likewise
	Until    time.Time                  `json:"until,omitzero"` // and until when it can be
	Recovery []string                   `json:"recovery,omitempty"`
	State    map[string]json.RawMessage `json:"state,omitempty"` // by kind of Factor
	Familiar []string                   `json:"familiar,omitempty"`
}

// Levels of a session.
const (
	LevelFull  = "full"
	LevelEnrol = "enrol" // no second factor yet: it can enrol one, and nothing else
)

// Session is what may be known about a session: all but its token.
type Session struct {
	ID       string    `json:"id"`
	Operator string    `json:"operator"`
	Level    string    `json:"level"`
	Factor   string    `json:"factor,omitempty"` // second factor that opened it: totp, recovery, passkey
	Roles    []string  `json:"roles"`            // held when it was opened; what was taken away since does not count
	From     string    `json:"from,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	LastUsed time.Time `json:"last_used"`
	Glass    *Glass    `json:"break_glass,omitempty"` // while the glass is broken
	By       string    `json:"by,omitempty"`          // session that approved it, in place of a factor
	Proven   time.Time `json:"proven,omitzero"`       // when that one proved its factor
}

// proven is when somebody last proved a second factor for the session.
func (s *Session) proven() time.Time {
	if s.Proven.IsZero() {
		return s.Created
	}
	return s.Proven
}

// Glass is a break-glass: all roles for a while, for a reason.
type Glass struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// Opened is the one time that a session's token is seen. It never prints it.
type Opened struct {
	Token   string
	Device  string // shown with the next sign-in, it is that of a known machine
	Session Session
}

// String hides the token.
func (o Opened) String() string { return "session " + o.Session.ID }

// GoString hides the token from %#v.
func (o Opened) GoString() string { return o.String() }
