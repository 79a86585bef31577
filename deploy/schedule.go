package deploy

import (
	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
)

// schedules adds those of the manifest, each with the role that it calls its function in.
func (d *Deployer) schedules(a *catalog.App, m *manifest.Manifest) {
	for name, s := range m.Schedules {
		if a.Functions[s.Function] == nil {
			continue // refused before, or left out
		}
		x := &casemate.Schedule{App: a.Name, Name: name, Function: s.Function, When: s.When, Zone: s.Zone, Input: s.Input, Disabled: s.State == "disabled"}
		x.Start, x.End = s.Between()
		if s.Overlap == "skip" {
			x.Overlap = casemate.ScheduleAlone
		}
		if s.Missed != "once" {
			x.Missed = s.Missed
		}
		if a.Schedules == nil {
			a.Schedules = map[string]*casemate.Schedule{}
		}
		a.Schedules[name] = x
		arn := d.cfg.Place.FunctionARN(x.Function)
		a.Roles[x.Role()] = catalog.Role{Statements: []casemate.Statement{{Sid: "Schedule", Effect: casemate.Allow, Action: []string{"lambda:InvokeFunction"},
			Resource: []string{arn, arn + ":*"}, Origin: m.Origin(m.At("/schedules/"+manifest.Escape(name)), "schedule "+name)}}}
	}
}
