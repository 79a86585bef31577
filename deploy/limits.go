package deploy

import (
	"maps"
	"slices"

	"casemate"
	"casemate/deploy/manifest"
)

// limitOf is a limit of the manifest.
func limitOf(r *manifest.Room) casemate.Limit {
	if r == nil {
		return casemate.Limit{}
	}
	return casemate.Limit{Rate: r.Rate.Rate, Concurrency: r.Concurrency, Day: int64(r.Day), Month: int64(r.Month)}
}

// plans are the usage plans of the manifest.
func plans(m *manifest.Manifest) map[string]*casemate.Plan {
	if len(m.Plans) == 0 {
		return nil
	}
	all := make(map[string]*casemate.Plan, len(m.Plans))
	for name, p := range m.Plans {
		x := &casemate.Plan{Name: name, App: m.App, Limit: limitOf(&manifest.Room{Rate: p.Rate, Concurrency: p.Concurrency, Day: p.Day, Month: p.Month})}
		for route, r := range p.Routes {
			if x.Routes == nil {
				x.Routes = map[string]casemate.Limit{}
			}
			x.Routes[route] = limitOf(r)
		}
		all[name] = x
	}
	return all
}

// reserve refuses an app whose functions would set aside more places than the node can give away.
func (d *Deployer) reserve(out *draft, m *manifest.Manifest, found *manifest.Problems) {
	sum, first := 0, ""
	for _, name := range slices.Sorted(maps.Keys(out.app.Functions)) {
		f := out.app.Functions[name]
		if r := f.Number(f.Live).Limits.Reserved; r != nil {
			if sum += *r; first == "" {
				first = "/functions/" + manifest.Escape(name) + "/reserved_concurrency"
			}
		}
	}
	if first == "" || d.cfg.Reserve == nil {
		return
	}
	if err := d.cfg.Reserve(m.App, sum); err != nil {
		found.Add(m.At(first), first, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
	}
}
