package casemate

// Certificate is one rule about TLS client certificates: which are taken, and whom they verify as. The zero Certificate
// takes none.
type Certificate struct {
	App  string   `json:"app"`
	Name string   `json:"name"`
	CA   string   `json:"ca,omitempty"`   // certificates in PEM that must have signed it; empty: the pins alone say
	Pins []string `json:"pins,omitempty"` // lower-case hex SHA-256 of its public key (SubjectPublicKeyInfo), one of which it must be
	SAN  []string `json:"san,omitempty"`  // subject alternative names, one of which it must have: "dns:*.partner.example", "uri:spiffe://x/*", "email:...", "ip:..."
	Role string   `json:"role"`
}

// ID begins the principals' ids: "certificate/<app>/<name>".
func (c *Certificate) ID() string { return "certificate/" + c.App + "/" + c.Name }
