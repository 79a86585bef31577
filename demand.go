package casemate

import "net/netip"

// Limit bounds one subject. A zero field sets no bound of its own.
type Limit struct {
	Rate        Rate  `json:"rate,omitzero"`
	Concurrency int   `json:"concurrency,omitempty"` // runs at once
	Day         int64 `json:"day,omitempty"`         // events in a calendar day, in UTC
	Month       int64 `json:"month,omitempty"`       // likewise in a calendar month
}

// Plan is a usage plan, as API Gateway has them: what each of its holders may ask for, for itself.
type Plan struct {
	Name string `json:"name"` // unique on a node
	App  string `json:"app"`
	Limit
	Routes map[string]Limit `json:"routes,omitempty"` // by Route.ID of App: on that route, as well; its rate takes the place of the route's own
}

// Demand is what one event asks of the quota room. Empty names are not counted; a zero Rate of Source, Block, Route and
// Function means the default rate.
type Demand struct {
	Source       string       // source address; counted before the credential is looked at
	Block        netip.Prefix // network around Source that one owner may have all of
	Principal    string       // Principal.ID; it waits behind itself only
	Alone        bool         // the event's credential proved Principal by itself: who sends it is nobody else, and can be shut out by it
	Route        string       // app + route id
	Function     string       // function ARN
	Account      string       // that owns the function
	SourceRate   Rate
	RouteRate    Rate // per principal and route
	FunctionRate Rate
	Concurrency  int // runs of Function at once

	// Known are Source and Block of an event whose caller turned out to be somebody: it counts by itself from now on, so its
	// tokens go back to those who share its address.
	Known struct {
		Source string
		Block  netip.Prefix
	}
	Plan     *Plan // of Principal; nil: none
	RouteID  string
	Total    Limit // of Route, over all callers
	Quota    Limit // Day and Month of Function
	Reserved *int  // runs set aside for Function, and the most it gets; 0: none at all
}

// Reservation is the room that was given, to be handed back exactly once. The zero Reservation holds nothing.
type Reservation struct {
	Function string
	Ticket   uint64       // non-zero while something is held
	Left     [3]Allowance // of the principal's plan: rate, day, month
}

// Allowance is what is left of a quota, in the terms of the RateLimit header fields
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/). Without a Name there is none.
type Allowance struct {
	Name         string
	Quota, Left  int64
	Window, Next int // seconds that Quota is for, and until there is more
}

// Issuer is one trusted signer of JSON Web Tokens. Every field but Roles and RoleClaim is needed: a zero Issuer trusts nobody.
type Issuer struct {
	App        string            `json:"app"`
	Issuer     string            `json:"issuer"`
	Audience   []string          `json:"audience"`
	KeySet     string            `json:"key_set"` // JWKS document itself, when it came from a file
	KeySetURL  string            `json:"key_set_url,omitempty"`
	Algorithms []string          `json:"algorithms"` // pinned: RS256, ES256, EdDSA ...
	RoleClaim  string            `json:"role_claim,omitempty"`
	Roles      map[string]string `json:"roles,omitempty"`    // value of the claim -> role; absent value: no role
	Role       string            `json:"role,omitempty"`     // role of every token when there is no RoleClaim
	Plan       string            `json:"plan,omitempty"`     // usage plan of every token
	Exchange   bool              `json:"exchange,omitempty"` // no token has a role: all they are good for is a session of a role that trusts the issuer

	Discover bool     `json:"discover,omitempty"` // the key set is where the issuer's OpenID configuration says, instead of KeySet and KeySetURL
	Scopes   []string `json:"scopes,omitempty"`   // every token must have all of these
	Clients  []string `json:"clients,omitempty"`  // when set, azp or client_id must name one of these
	Tokens   string   `json:"tokens,omitempty"`   // access (the default): no ID token that can be told; at+jwt: RFC 9068 and nothing else; id: ID tokens
}
