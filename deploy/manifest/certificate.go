package manifest

import (
	"maps"
	"slices"
)

// Certificate is a rule about TLS client certificates. A route takes it as "certificate:<name>".
type Certificate struct {
	CA   string   `key:"ca" doc:"PEM file with the authority that signs them, relative to the manifest. Without it, pins."`
	Pins []string `key:"pins" like:"^sha256:[0-9a-f]{64}$" doc:"Public keys, one of which the certificate must have: the SHA-256 of its SubjectPublicKeyInfo."`
	SAN  []string `key:"san" like:"^(any|(dns|uri|email|ip):[^\\s]{1,255})$" doc:"Names, one of which it must have: dns:*.partner.example, uri:spiffe://partner/*, email:..., ip:...; any takes all that the authority signed."`
	Role string   `key:"role" need:"" doc:"Role of whom the certificate names."`
}

// certificates checks that each rule says enough to take somebody, and nobody by mistake.
func (c *checker) certificates() {
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		x, ptr := c.Certificates[name], "/certificates/"+Escape(name)
		c.roleOf(ptr, x.Role)
		c.file(ptr+"/ca", x.CA)
		switch {
		case x.CA == "" && len(x.Pins) == 0:
			c.bad(ptr, "ca: partner-ca.pem, or pins", "nothing says which certificates are taken")
		case x.CA != "" && len(x.SAN) == 0:
			c.bad(ptr+"/san", "san: [dns:*.partner.example], or [any]", "which of the authority's certificates are taken?")
		}
		for _, list := range []struct {
			key string
			all []string
		}{{"pins", x.Pins}, {"san", x.SAN}} {
			for i, s := range list.all {
				if slices.Index(list.all, s) < i {
					c.bad(ptr+"/"+list.key, "", "%s stands here twice", s)
				}
			}
		}
	}
}
