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
	out, rest := r.layers(list, false)
	if len(rest) > 0 {
		out, rest = r.layers(list, true)
	}
	if len(rest) > 0 {
		circle := r.circle(rest)
		at := r.resources[circle[0]]
		r.found.Add(at.KeyAt, "Resources/"+circle[0], "", "circular dependency: %s", strings.Join(circle, " -> "))
	}
	return out
}

// layers takes resources whose needs are met until none is left, or only circles are.
func (r *resolver) layers(list []Resource, hardOnly bool) (out, rest []Resource) {
	done := map[string]bool{}
	for rest = list; len(rest) > 0; {
		var next []Resource
		for _, x := range rest {
			ready := true
			for id, hard := range r.resources[x.ID].needs {
				ready = ready && (done[id] || hardOnly && !hard)
			}
			if ready {
				done[x.ID] = true
				out = append(out, x)
			} else {
				next = append(next, x)
			}
		}
		if len(next) == len(rest) {
			return out, rest
		}
		rest = next
	}
	return out, nil
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
