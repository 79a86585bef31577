package deploy

import (
	"fmt"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

// budgets adds the manifest's ceilings in money.
func (d *Deployer) budgets(a *catalog.App, m *manifest.Manifest, found *manifest.Problems) {
	list, err := m.Ceilings()
	if err != nil {
		found.Add(m.At("/budgets"), "/budgets", "", "%s", err)
		return
	}
	for i, b := range list {
		if d.cfg.Budget == nil {
			break
		}
		if err := d.cfg.Budget(b); err != nil {
			ptr := fmt.Sprintf("/budgets/%d", i)
			found.Add(m.At(ptr), ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
		}
	}
	a.Budgets = list
}
