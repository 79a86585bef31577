package casemate

import "time"

// Webhook is a sender of signed requests: what its signatures are checked against, and whom they verify as. The zero
// Webhook verifies nothing.
type Webhook struct {
	App       string        `json:"app"`
	Name      string        `json:"name"`
	Scheme    string        `json:"scheme"`  // standard-webhooks, github, stripe, slack, hmac
	Secrets   []string      `json:"secrets"` // names in the secret room, each tried: several while a sender's secret is rotated
	Role      string        `json:"role"`
	Tolerance time.Duration `json:"tolerance"` // how far a signed time may be from now, either way
	HMAC      *HMACScheme   `json:"hmac,omitempty"`
}

// ID is the principal's: "webhook/<app>/<name>".
func (w *Webhook) ID() string { return "webhook/" + w.App + "/" + w.Name }

// HMACScheme is how a sender that follows no named scheme signs.
type HMACScheme struct {
	Header    string `json:"header"`              // lower case: where the signature is
	Prefix    string `json:"prefix,omitempty"`    // before the signature in its header: "sha256="
	Encoding  string `json:"encoding"`            // hex, base64
	Algorithm string `json:"algorithm"`           // sha256, sha384, sha512
	Timestamp string `json:"timestamp,omitempty"` // lower case: the header with the time, in seconds since 1970; "": nothing is timed
	Signed    string `json:"signed"`              // what is signed: "{body}", or "{timestamp}.{body}"
}

// Authorizer is a function that says who a caller is: a Lambda authorizer. The zero Authorizer lets nobody in.
type Authorizer struct {
	App      string           `json:"app"`
	Name     string           `json:"name"`
	Function string           `json:"function"`
	Type     string           `json:"type"`               // request, token
	Format   string           `json:"format"`             // 1.0, 2.0: of the event and the answer
	Identity []IdentitySource `json:"identity"`           // all must be there, or the function is not asked; the answer is remembered by them
	Validate string           `json:"validate,omitempty"` // expression that a token must match as a whole, or the function is not asked; "": any
	TTL      time.Duration    `json:"ttl"`                // how long an answer is remembered; 0: not at all
	Role     string           `json:"role"`               // of whom it names; its policy can only take away from that
}

// ID is the authorizer's own: "authorizer/<app>/<name>". It is the role it is asked with, too.
func (a *Authorizer) ID() string { return "authorizer/" + a.App + "/" + a.Name }

// IdentitySource is one value of a request that says who is calling.
type IdentitySource struct {
	In   string `json:"in"` // header, query
	Name string `json:"name"`
}
