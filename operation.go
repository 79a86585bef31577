package casemate

import "context"

// Operation is one operation of an AWS service that the platform provides: a built-in function. Whoever calls it, an SDK
// inside a sandbox or a client outside, its call is an event that passes the corridor with Action on Resource, and Run
// comes after that. Names, shapes and error codes are the service's own.
type Operation struct {
	Service string // name in SigV4's credential scope: "secretsmanager"
	Name    string // "GetSecretValue"
	Action  string // IAM action: "secretsmanager:GetSecretValue"
	Body    int64  // bytes taken at most
	Open    bool   // needs no statement that allows it, because the service itself asks for none; one that denies it holds

	// Resource reads the ARN that the request is about from its JSON body. It is pure, and all that tells which resource
	// the policy decides on: Run must not touch another one. An error is an *Error with the service's code in AWS.
	Resource func(place Place, body []byte) (arn string, err error)
	// Context gives condition keys, in lower case, that stand in the request itself: sts:RoleSessionName. nil: there are none.
	Context func(body []byte) map[string][]string
	Trusted bool // the resource's own policy has to name the caller, whatever the caller's may allow: a role's trust policy
	// Run does it. l.Payload is the body that Resource read. What it returns is encoded as JSON; nil is an empty answer.
	// When it is a Noted, what it notes goes into the record.
	Run func(ctx context.Context, l *Launch) (any, error)
}

// ID is the operation's name among the built-ins: "secretsmanager.GetSecretValue".
func (o *Operation) ID() string { return o.Service + "." + o.Name }

// Noted is an operation's answer that knows what it touched, when the resource alone does not say it: the version of a
// secret that was read, every one of many parameters. Notes never hold a value.
type Noted interface {
	Effects() []Effect
}

// Judge asks the policy in force, in the name of l's caller, about one more resource than the one that was decided on
// before l began. The zero Decision refuses.
type Judge func(l *Launch, action, arn string) Decision
