package casemate

import "time"

// PolicyEffect is the Effect of a statement. Anything but Allow and Deny is refused when a policy is read.
type PolicyEffect string

// The two effects.
const (
	Allow PolicyEffect = "Allow"
	Deny  PolicyEffect = "Deny"
)

// Statement is one AWS IAM policy statement
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html), parsed. Every list is an OR; a
// statement holds when all of its parts do.
type Statement struct {
	Sid          string                         `json:"Sid,omitempty"`
	Effect       PolicyEffect                   `json:"Effect"`
	Principal    map[string][]string            `json:"Principal,omitempty"` // "AWS", "Service", "*"; resource policies only
	NotPrincipal map[string][]string            `json:"NotPrincipal,omitempty"`
	Action       []string                       `json:"Action,omitempty"`
	NotAction    []string                       `json:"NotAction,omitempty"`
	Resource     []string                       `json:"Resource,omitempty"`
	NotResource  []string                       `json:"NotResource,omitempty"`
	Condition    map[string]map[string][]string `json:"Condition,omitempty"` // operator -> key -> values
	Origin       string                         `json:"Origin,omitempty"`    // where it was written: "casemate.yaml:12 role clerk"
}

// Policies is everything that is in force at one moment; the policy room compiles it into a Decider.
type Policies struct {
	Revision   string                 // changes with the content; goes into every record
	Identity   map[string][]Statement // by role name
	Boundary   map[string][]Statement // by role name; a role that is absent has no boundary
	Resource   map[string][]Statement // by exact resource ARN
	Guardrails []Statement            // organisation level; empty means none is set

	Environments []Environment // parts of the node that do not reach each other; none is named: all is one part
}

// Environment is a part of a node, with what belongs to it. The one without a name holds what is in none.
type Environment struct {
	Name      string
	Roles     []string
	Apps      []string
	Functions []string // ARNs
}

// AccessRequest is the question a Decider answers.
type AccessRequest struct {
	Principal *Principal
	Action    string
	Resource  string
	Account   string // the account that owns the resource
	Now       time.Time
	Context   map[string][]string // condition keys in lower case; the Decider adds those of the principal and of the request itself
	Params    map[string]string   // path:<name>: parameters of the route that the request came by, decoded
	Route     string              // ARN of that route with {name} for its parameters; a resource policy stands under it
}

// Verdict of a check. The zero value refuses.
type Verdict uint8

// The verdicts.
const (
	Denied  Verdict = iota // nothing allowed it, or something denied it
	Allowed                // an explicit allow, and no deny
)

// String is "deny" or "allow".
func (v Verdict) String() string {
	if v == Allowed {
		return "allow"
	}
	return "deny"
}

// MarshalText writes the word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads it; everything but "allow" denies.
func (v *Verdict) UnmarshalText(b []byte) error {
	*v = Denied
	if string(b) == "allow" {
		*v = Allowed
	}
	return nil
}

// Decision is the answer of a policy, with its reason. The zero Decision refuses.
type Decision struct {
	Verdict   Verdict `json:"verdict"`
	Layer     string  `json:"layer,omitempty"`     // guardrail, boundary, session, identity, resource, or "default" when nothing matched
	Statement string  `json:"statement,omitempty"` // Sid, or role#index, of the statement that decided
	Origin    string  `json:"origin,omitempty"`    // where that statement was written
	Reason    string  `json:"reason,omitempty"`    // one sentence for a person
	Hint      string  `json:"hint,omitempty"`      // the grant that would allow it, when a missing one is the reason
}

// Decider answers access requests. It never blocks, does no I/O and is safe for concurrent use.
type Decider interface {
	Decide(r *AccessRequest) Decision
}
