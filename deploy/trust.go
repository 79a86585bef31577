package deploy

import (
	"slices"

	"casemate"
	"casemate/catalog"
)

// lends reports whether a deploy lets others assume a role that may more than its app's own: what an operator once granted
// to the role's holders is not for a deployer of the app to hand on.
func (d *Deployer) lends(was, is catalog.Role, within func(*casemate.Statement) bool) bool {
	if len(is.Trust) == 0 || same(was.Trust, is.Trust) {
		return false
	}
	return slices.ContainsFunc(is.Statements, func(s casemate.Statement) bool { return !within(&s) })
}
