package casemate

import (
	"context"
	"time"
)

// Bounds of a session's life (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html): a session that
// assumes another role gets an hour at most.
const (
	MinSession     = 15 * time.Minute
	MaxSession     = 12 * time.Hour
	DefaultSession = time.Hour
	MaxChained     = time.Hour
)

// SessionRequest asks for a session of a role, for a caller whom policy and trust have let in.
type SessionRequest struct {
	Role           string
	Name           string // RoleSessionName
	Life           time.Duration
	Scope          []Statement       // session policy; nil: none
	Tags           map[string]string // session tags
	Transitive     []string          // keys of Tags that sessions of this session keep
	SourceIdentity string
	By             *Principal
	Self           bool   // GetSessionToken: the caller itself for a while, with its own role, name, tags and scope
	Run            string // parent of the event that asked: the record of a run, where a function did
	Sandbox        string // whose door heard it, where a function did
}

// SessionKey is a session's credential. It never prints its secrets.
type SessionKey struct {
	ID, Secret, Token string // "ASIA..."
	Expires           time.Time
	Principal         Principal // whom its signatures verify as
}

// String hides the secrets.
func (k SessionKey) String() string { return "session " + k.ID }

// GoString hides the secrets from %#v.
func (k SessionKey) GoString() string { return k.String() }

// Sessions issues sessions.
type Sessions interface {
	// Assume makes a session. An error is an *Error with STS's code in AWS.
	Assume(ctx context.Context, q SessionRequest) (SessionKey, error)
}
