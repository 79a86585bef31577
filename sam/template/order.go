package template

import (
	"maps"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// needs gives what the resource at hand depends on, sorted, and keeps which of it must be there before.
func (r *resolver) needs(d *declared) []string {
	on, _ := d.Value.Get("DependsOn")
	list := on.List
	if on.Kind == String {
		list = []Value{on}
	}
	for _, x := range list {
		if owner, _, ok := r.owner(x.Text); ok && owner != "" && owner != d.Key && r.resources[owner].here {
			r.deps[owner] = true
		} else if owner == d.Key {
			r.problem(x.At, "", "%s depends on itself", d.Key)
		}
	}
	d.needs = r.deps
	return sortedKeys(r.deps)
}

// sorted puts each resource after what it depends on, otherwise in the order of the file. What SAM makes afterwards
// counts as a dependency only where that makes no circle.
func (r *resolver) sorted(list []Resource) []Resource {
	var out []Resource
	done := map[string]bool{}
	for rest := slices.Clone(list); len(rest) > 0; {
		i := r.ready(rest, done, false)
		if i < 0 {
			i = r.ready(rest, done, true)
		}
		if i < 0 {
			circle := r.circle(rest)
			r.found.Add(r.resources[circle[0]].KeyAt, "Resources/"+circle[0], "", "circular dependency: %s", strings.Join(circle, " -> "))
			return nil
		}
		out = append(out, rest[i])
		done[rest[i].ID] = true
		rest = slices.Delete(rest, i, i+1)
	}
	return out
}

// ready gives the first resource whose needs are met, or -1.
func (r *resolver) ready(rest []Resource, done map[string]bool, hardOnly bool) int {
	return slices.IndexFunc(rest, func(x Resource) bool {
		for id, hard := range r.resources[x.ID].needs {
			if !done[id] && (hard || !hardOnly) {
				return false
			}
		}
		return true
	})
}

// circle walks along needs that are not met until it comes back to where it was.
func (r *resolver) circle(rest []Resource) []string {
	left := map[string]bool{}
	for _, x := range rest {
		left[x.ID] = true
	}
	var walk []string
	for id := rest[0].ID; ; {
		if i := slices.Index(walk, id); i >= 0 {
			return append(walk[i:], id)
		}
		walk = append(walk, id)
		for _, next := range sortedKeys(r.resources[id].needs) {
			if left[next] && r.resources[id].needs[next] {
				id = next
				break
			}
		}
	}
}
