package casemate

import "time"

// The verdict points, in the order an event passes them.
const (
	PointIn      = "in"      // heard by a front
	PointWho     = "who"     // authn
	PointMay     = "may"     // policy
	PointRoom    = "room"    // quota
	PointForm    = "form"    // shield, inbound
	PointStart   = "start"   // handed to the runner
	PointEffects = "effects" // what the run did outside
	PointOut     = "out"     // the answer
)

// Point is one verdict along the corridor.
type Point struct {
	Name    string        `json:"name"`
	Verdict Verdict       `json:"verdict"`
	Reason  string        `json:"reason,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// Record is the whole story of one event. It is opened before anything is decided and closed, once, in a defer. It
// holds no body, token or secret.
type Record struct {
	ID       string    `json:"id"` // the event's id; of a queued event, "#n" appended for its attempt n
	Event    string    `json:"event"`
	Parent   string    `json:"parent,omitempty"`
	Chain    string    `json:"chain"`
	Attempt  int       `json:"attempt,omitempty"`
	Source   Source    `json:"source"`
	Asked    string    `json:"asked,omitempty"` // Target.String of an event that ended before its resource was known
	Action   string    `json:"action"`
	Resource string    `json:"resource"`
	Route    string    `json:"route,omitempty"`
	Opened   time.Time `json:"opened"`
	Closed   time.Time `json:"closed"`

	Principal string   `json:"principal"` // Principal.Name
	Role      string   `json:"role,omitempty"`
	SourceIP  string   `json:"source_ip,omitempty"`
	Trace     string   `json:"trace,omitempty"`       // W3C trace id
	Span      string   `json:"span,omitempty"`        // this event's own span in it
	SpanUp    string   `json:"span_parent,omitempty"` // the caller's span, as it was sent
	Points    []Point  `json:"points"`
	Decision  Decision `json:"decision"`

	App      string `json:"app,omitempty"`
	Function string `json:"function,omitempty"`
	Version  string `json:"version,omitempty"`  // Version.ID
	Policy   string `json:"policy,omitempty"`   // Policies.Revision
	Contract string `json:"contract,omitempty"` // Route.Contract

	Effects []Effect `json:"effects,omitempty"`
	Walls   []string `json:"walls,omitempty"`
	Weak    []string `json:"weak,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what the shield noted and let pass
	Held    Money    `json:"held,omitempty"`  // the most that it could have cost, held back before it began
	Cost    Money    `json:"cost,omitempty"`  // what it did cost, by the price book Book
	Book    string   `json:"book,omitempty"`  // digest of the price book
	Key     string   `json:"key,omitempty"`   // id of the API key that was used
	Tags    []string `json:"tags,omitempty"`  // "team=web": cost allocation tags, sorted
	Facts   []Fact   `json:"facts,omitempty"` // values that the decision depended on

	// What the policy was asked besides, once Resource was allowed. A Decision that refuses is then about this.
	ObjectAction string `json:"object_action,omitempty"`
	Object       string `json:"object,omitempty"`

	Times   int     `json:"times,omitempty"` // so many equal refusals, of requests that were not read; 0: one event
	Usage   Usage   `json:"usage"`
	Outcome Outcome `json:"outcome"`
}

// Fact is a condition key that the policies in force refer to, with the values that it had for one event; none means that
// the request did not have it. Keys are spelled as policies spell them: "jwt:sub", "aws:sourceip".
type Fact struct {
	Key    string   `json:"key"`
	Values []string `json:"values,omitempty"`
}

// Outcome is how an event ended.
type Outcome struct {
	OK      bool    `json:"ok"`
	Code    Code    `json:"code"` // meaningful when not OK
	Failure Failure `json:"failure,omitempty"`
	Status  string  `json:"status"` // answered, queued, repeated, refused, failed, interrupted, preflight
	Detail  string  `json:"detail,omitempty"`
}

// Word is the outcome in a word or two: its status when all went well, else what went wrong.
func (o Outcome) Word() string {
	switch {
	case o.OK:
		return o.Status
	case o.Failure != "":
		return string(o.Failure)
	case o.Status == "interrupted":
		return o.Status
	}
	return o.Code.String()
}

// Wait says how far a record or an event must have come before the caller is answered.
type Wait uint8

// The two waits. The zero value is the stronger.
const (
	Durable Wait = iota // fsynced
	Written             // in the operating system's hands: survives a killed process, not a power cut
)

// Turned are requests that were refused without being read: by a limit that was used up when they came.
type Turned struct {
	Source    string // address they came from
	Rule      string // the limit
	Principal string // whose limit it is, when it is a caller's own
	Times     int
}
