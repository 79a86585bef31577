package deploy

import (
	"maps"
	"reflect"
	"strconv"

	"casemate/catalog"
	"casemate/deploy/manifest"
)

// aliases gives a function the names that the manifest has for its versions. What Lambda's API made beside them stays.
func aliases(f *catalog.Function, m *manifest.Manifest, function string, found *manifest.Problems) {
	said, was := m.Functions[function], f.Manages()
	next := was
	next.Named, next.Aliases = nil, maps.Clone(was.Aliases)
	for _, name := range said.Versions {
		if next.Named == nil {
			next.Named = map[string]int{}
		}
		if next.Named[name] = was.Named[name]; f.Published(was.Named[name]) == nil {
			next.Named[name] = f.Live
		}
	}
	maps.DeleteFunc(next.Aliases, func(name string, a *catalog.Alias) bool { return a.Declared && said.Aliases[name] == nil })
	for name, s := range said.Aliases {
		a := catalog.Alias{Description: s.Description, Declared: true, Follows: s.Version == ""}
		ptr := "/functions/" + manifest.Escape(function) + "/aliases/" + manifest.Escape(name)
		a.Version = number(f, next.Named, s.Version, m, ptr+"/version", found)
		if s.Other != "" {
			other := number(f, next.Named, s.Other, m, ptr+"/other", found)
			weight, err := strconv.ParseFloat(s.Weight, 64)
			if err != nil || other == a.Version {
				found.Add(m.At(ptr), ptr, "the other version is one that was in force before", "it would lead to version %d twice", a.Version)
				continue
			}
			a.Weights = map[int]float64{other: weight}
		}
		if old := next.Aliases[name]; old != nil {
			if a.Edits = old.Edits; reflect.DeepEqual(a, *old) {
				continue
			}
			a.Edits++
		}
		if next.Aliases == nil {
			next.Aliases = map[string]*catalog.Alias{}
		}
		next.Aliases[name] = &a
	}
	if !maps.Equal(next.Named, was.Named) || !maps.Equal(next.Aliases, was.Aliases) {
		next.Edits++
		f.Managed = &next
	}
}

// number is the version that a manifest means: by its number or one of its names; "" is the one in force.
func number(f *catalog.Function, named map[string]int, said string, m *manifest.Manifest, ptr string, found *manifest.Problems) int {
	if said == "" {
		return f.Live
	}
	if n := named[said]; n > 0 {
		return n
	}
	n, err := strconv.Atoi(said)
	if err != nil || f.Published(n) == nil {
		found.Add(m.At(ptr), ptr, "casemate history shows which there are", "there is no version %s", said)
	}
	return n
}

// follow takes the aliases that lead to the version in force along when that becomes another one.
func follow(f *catalog.Function, to int) {
	if f.Managed == nil || f.Published(to) == nil {
		return
	}
	next := *f.Managed
	next.Aliases = maps.Clone(next.Aliases)
	for name, a := range next.Aliases {
		if _, weighted := a.Weights[to]; a.Follows && a.Version == f.Live && !weighted {
			moved := *a
			moved.Version, moved.Edits = to, a.Edits+1
			next.Aliases[name] = &moved
		}
	}
	next.Edits++
	f.Managed = &next
}
