package casemate

// Demand is what one event asks of the quota room. Empty names are not counted; a zero Rate means the default rate.
type Demand struct {
	Source       string // source address; counted before the credential is looked at
	Principal    string // Principal.ID
	Route        string // app + route id
	Function     string // function ARN
	SourceRate   Rate
	RouteRate    Rate // per principal and route
	FunctionRate Rate
	Concurrency  int // runs of Function at once
}

// Reservation is the room that was given, to be handed back exactly once. The zero Reservation holds nothing.
type Reservation struct {
	Function string
	Ticket   uint64 // non-zero while a concurrency slot is held
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
	Roles      map[string]string `json:"roles,omitempty"` // value of the claim -> role; absent value: no role
	Role       string            `json:"role,omitempty"`  // role of every token when there is no RoleClaim

	Discover bool     `json:"discover,omitempty"` // the key set is where the issuer's OpenID configuration says, instead of KeySet and KeySetURL
	Scopes   []string `json:"scopes,omitempty"`   // every token must have all of these
	Clients  []string `json:"clients,omitempty"`  // when set, azp or client_id must name one of these
	Tokens   string   `json:"tokens,omitempty"`   // access (the default): no ID token that can be told; at+jwt: RFC 9068 and nothing else; id: ID tokens
}
