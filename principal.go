package casemate

import (
	"strings"
	"time"
)

// PrincipalKind says what sort of caller a principal is.
type PrincipalKind string

// The kinds. The zero kind is nobody: it may enter only where the catalog holds a live open-route exception.
const (
	Nobody    PrincipalKind = ""
	KindKey   PrincipalKind = "key"
	KindToken PrincipalKind = "token"
	KindPeer  PrincipalKind = "peer"     // operator on the node's own machine
	KindRun   PrincipalKind = "function" // a function run

	KindCertificate PrincipalKind = "certificate" // TLS client certificate
	KindAccess      PrincipalKind = "user"        // access key of a user
	KindSession     PrincipalKind = "session"     // assumed role
	KindWebhook     PrincipalKind = "webhook"
	KindAuthorizer  PrincipalKind = "authorizer" // whom a Lambda authorizer named
	KindMapping     PrincipalKind = "mapping"    // an event source mapping
	KindSchedule    PrincipalKind = "schedule"
	KindOperator    PrincipalKind = "operator" // a person who signed in
)

// Principal is who is calling, verified. It is handed on as an argument, never in a context.
type Principal struct {
	Kind    PrincipalKind     `json:"kind"`
	ID      string            `json:"id"`            // stable: "key/ck_ab12", "jwt/<issuer>|<sub>", "uid/0"; empty for nobody
	ARN     string            `json:"arn,omitempty"` // arn:aws:iam::<account>:...
	Account string            `json:"account,omitempty"`
	Role    string            `json:"role,omitempty"`   // role name whose statements apply
	Scope   []Statement       `json:"scope,omitempty"`  // session policy: when not nil it must allow as well
	Tags    map[string]string `json:"tags,omitempty"`   // aws:PrincipalTag/<key>
	Claims  map[string]string `json:"claims,omitempty"` // jwt:<claim>, strings only
	Scopes  []string          `json:"scopes,omitempty"` // OAuth scopes of a token
	Expires time.Time         `json:"expires,omitzero"`

	Origin         string    `json:"origin,omitempty"`          // what it was verified by, where that can be taken away alone: "access/AKIA...", "session/ASIA..."
	Issued         time.Time `json:"issued,omitzero"`           // sessions: when it was assumed
	Transitive     []string  `json:"transitive,omitempty"`      // sessions: keys of Tags that sessions which it assumes keep
	SourceIdentity string    `json:"source_identity,omitempty"` // sessions: aws:SourceIdentity, handed on when one assumes another

	Plan    string            `json:"plan,omitempty"`    // usage plan that bounds it, by name
	Context map[string]string `json:"context,omitempty"` // what a Lambda authorizer said of it, for the function
	// Body, when not nil, must accept the body as it was sent: until then nobody is who this says. The gate asks it before
	// anything parses the body.
	Body func(raw []byte) error `json:"-"`
	// Done, when not nil, is told once what came of the event after Body accepted it: ok says that it was taken and did not
	// fail, so that the same message is not to come again.
	Done func(ok bool) `json:"-"`
}

// Known reports whether somebody was verified at all.
func (p *Principal) Known() bool { return p != nil && p.Kind != Nobody && p.ID != "" }

// Name is the ID, or "anonymous".
func (p *Principal) Name() string {
	if !p.Known() {
		return "anonymous"
	}
	return p.ID
}

// Payer is whose room and rate p takes: the ID, but for sessions, whose names are theirs to choose, what the first of them
// came from.
func (p *Principal) Payer() string {
	if p.Kind != KindSession || p.Origin == "" {
		return p.ID
	}
	first, _, _ := strings.Cut(p.Origin, " ")
	return first
}
