package deploy

import (
	"maps"
	"slices"

	"casemate"
	"casemate/deploy/manifest"
)

// otherRuntimes warns of functions that run on another version of their runtime than the one that they name.
func (d *Deployer) otherRuntimes(m *manifest.Manifest) (all []manifest.Problem) {
	if d.cfg.Runs == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		if note := d.cfg.Runs(casemate.Runtime(m.Functions[name].Runtime)); note != "" {
			ptr := "/functions/" + manifest.Escape(name) + "/runtime"
			at := m.At(ptr)
			all = append(all, manifest.Problem{Line: at.Line, Column: at.Column, Path: ptr, Message: name + ": " + note})
		}
	}
	return all
}
