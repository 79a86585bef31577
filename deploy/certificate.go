package deploy

import (
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

// certificate is a rule with its authority's certificates in it.
func certificate(b *bundle.Contents, name string) *casemate.Certificate {
	x := b.Manifest.Certificates[name]
	c := &casemate.Certificate{App: b.Manifest.App, Name: name, SAN: x.SAN, Role: x.Role}
	if x.CA != "" {
		c.CA = string(b.Files[x.CA])
	}
	for _, p := range x.Pins {
		c.Pins = append(c.Pins, strings.TrimPrefix(p, "sha256:"))
	}
	return c
}

// certificates refuses rules whose authority cannot be read or whose names could take more than they say.
func (d *Deployer) certificates(b *bundle.Contents, found *manifest.Problems) {
	if d.cfg.Certificate == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(b.Manifest.Certificates)) {
		if err := d.cfg.Certificate(certificate(b, name)); err != nil {
			e, ptr := casemate.AsError(err), "/certificates/"+manifest.Escape(name)
			found.Add(b.Manifest.At(ptr+e.Field), ptr+e.Field, e.Hint, "%s", e.Message)
		}
	}
}
