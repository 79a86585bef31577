package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/policy"
)

// attached adds the resource policies of what is there.
func (d *Deployer) attached(a *catalog.App, m *manifest.Manifest) error {
	for name, list := range m.Resources {
		fn, is := strings.CutPrefix(name, "function/")
		if fn, _, _ = strings.Cut(fn, ":"); is && a.Functions[fn] == nil {
			continue // left out
		}
		arn, patterns, err := policy.Attached(d.cfg.Place, a.Name, name)
		if err != nil {
			return fmt.Errorf("reading the policy of %s: %w", name, err)
		}
		if a.Resources == nil {
			a.Resources = map[string][]casemate.Statement{}
		}
		for _, s := range list {
			x, err := s.ParseOn(m.Origin(s.Mark, "resource "+name), arn, patterns)
			if err != nil {
				return fmt.Errorf("reading the policy of %s: %w", name, err)
			}
			a.Resources[arn] = append(a.Resources[arn], x)
		}
	}
	return nil
}

// resources lists the resource policies of next that current did not have so, of what bears another name than the app's: who
// says there who may is the owner of all apps.
func (d *Deployer) resources(current, next *catalog.App) (what []string) {
	arns := slices.AppendSeq(slices.Collect(maps.Keys(current.Resources)), maps.Keys(next.Resources))
	slices.Sort(arns)
	for _, arn := range slices.Compact(arns) {
		parts := strings.SplitN(arn, ":", 6)
		if d.own(next, arn) || d.own(current, arn) || len(parts) == 6 && d.named(next, parts[2], arn) || same(current.Resources[arn], next.Resources[arn]) {
			continue
		}
		what = append(what, "the policy of "+parts[len(parts)-1])
	}
	return what
}

// environment is the one that a deploy is for: what the manifest says, what the operator said, and what the node is for must
// not contradict each other.
func (d *Deployer) environment(b *bundle.Contents) (string, error) {
	name := ""
	for _, said := range [...]string{b.Manifest.Environment, b.Options.Environment, d.cfg.Environment} {
		if said != "" && name != "" && said != name {
			return "", casemate.Errorf(casemate.Invalid, "deploy it where it belongs: environment: in the manifest, --environment of the deploy and of the node must agree", "the app is for environment %s, and this is %s", name, said)
		}
		name = cmp.Or(name, said)
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(name) > 32 {
		return "", casemate.Errorf(casemate.Invalid, "dev, staging, prod", "%q is no name of an environment: lower-case letters and digits", name)
	}
	return name, nil
}
