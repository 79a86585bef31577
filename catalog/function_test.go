package catalog

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"casemate"
)

// versioned is an app whose function f0 has published versions 1 and 2 and a draft in force.
func versioned(name string) *App {
	a := app(name, 1)
	for fn, f := range a.Functions {
		one := f.Versions[0]
		two, draft := *one, *one
		two.Number, two.ID = 2, strings.Repeat("b", 64)
		draft.Number, draft.ID, draft.Managed = 3, strings.Repeat("c", 64), &casemate.Managed{Draft: true}
		f.Versions, f.Live = []*casemate.Version{one, &two, &draft}, 3
		a.Functions[fn] = f
	}
	return a
}

func only(a *App) *Function {
	for _, f := range a.Functions {
		return f
	}
	return nil
}

// Lambda checklist: 74
// TestWeights: of 10,000 events each version gets its share, within 3 %, and an event that is tried again the same one.
func TestWeights(t *testing.T) {
	for _, weight := range []float64{0, 0.1, 0.5, 0.97, 1} {
		f := only(versioned("w"))
		f.Manage().Aliases = map[string]*Alias{"live": {Version: 1, Weights: map[int]float64{2: weight}}}
		got := 0
		for range 10_000 {
			id := casemate.NewID()
			v := f.Qualified("live", id)
			if again := f.Qualified("live", id); again != v {
				t.Fatalf("event %s runs %d and then %d", id, v.Number, again.Number)
			}
			if v.Number == 2 {
				got++
			}
		}
		if math.Abs(float64(got)/10_000-weight) > 0.03 {
			t.Errorf("weight %v: %d of 10,000", weight, got)
		}
	}
}

// TestQualifiers: a draft has no number for callers, and an alias no draft.
func TestQualifiers(t *testing.T) {
	f := only(versioned("q"))
	f.Manage().Aliases = map[string]*Alias{"one": {Version: 1}, "newest": {}}
	for qualifier, want := range map[string]int{"": 3, "$LATEST": 3, "1": 1, "2": 2, "3": 0, "4": 0, "01": 0, "-1": 0, "one": 1, "newest": 3, "none": 0, "$latest": 0} {
		v := f.Qualified(qualifier, "id")
		if (v == nil) != (want == 0) || v != nil && v.Number != want {
			t.Errorf("%q: %+v", qualifier, v)
		}
	}
}

// TestAliasesLeadSomewhere: an app whose alias leads to no published version is refused on every path in.
func TestAliasesLeadSomewhere(t *testing.T) {
	for what, aliases := range map[string]map[string]*Alias{
		"nowhere": {"a": {Version: 9}}, "a draft": {"a": {Version: 3}}, "a weighted draft": {"a": {Version: 1, Weights: map[int]float64{3: 0.5}}}, "itself": {"a": {Version: 1, Weights: map[int]float64{1: 0.5}}},
		"too much": {"a": {Version: 1, Weights: map[int]float64{2: 1.5}}}, "less than nothing": {"a": {Version: 1, Weights: map[int]float64{2: -0.5}}}, "a number": {"12": {Version: 1}},
		"no name": {"": {Version: 1}}, "a reserved name": {"$LATEST": {Version: 1}}, "nothing": {"a": nil}, "$LATEST with weights": {"a": {Weights: map[int]float64{2: 0.5}}},
	} {
		a := versioned("a")
		only(a).Manage().Aliases = aliases
		if err := a.check(casemate.DefaultPlace); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("an alias that leads to %s: %v", what, err)
		}
	}
	a := versioned("a")
	only(a).Manage().Aliases = map[string]*Alias{"a": {Version: 1, Weights: map[int]float64{2: 1}}, "b": {}}
	if err := a.check(casemate.DefaultPlace); err != nil {
		t.Error(err)
	}
}

// TestClone: an edit of a copy is no edit of what serves.
func TestClone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := versioned("c")
		m := only(a).Manage()
		m.Aliases, m.Tags = map[string]*Alias{"x": {Version: 1}}, map[string]string{"k": "v"}
		before, _ := a.encode() // plain data
		c := a.Clone()
		f := only(c)
		switch rapid.IntRange(0, 5).Draw(t, "edit") {
		case 0:
			f.Manage().Tags["k"] = "other"
		case 1:
			delete(f.Manage().Aliases, "x")
		case 2:
			f.Versions[0] = &casemate.Version{}
		case 3:
			c.Roles["r"] = Role{Plan: "p"}
		case 4:
			c.Functions["new"] = f
		case 5:
			f.Live = 1
		}
		if after, _ := a.encode(); string(after) != string(before) {
			t.Fatalf("the app in force changed")
		}
	})
}

// TestRevisions: no two states that a write makes have one revision.
func TestRevisions(t *testing.T) {
	f := only(versioned("r"))
	seen := map[string]bool{}
	for i := range 5 {
		if r := f.Revision(); seen[r] || len(r) != 36 || strings.Count(r, "-") != 4 {
			t.Errorf("write %d: %s", i, r)
		} else {
			seen[r] = true
		}
		f.Manage()
	}
	v := f.Number(1)
	if f.RevisionOf(v, "1") == f.RevisionOf(f.Number(2), "2") || f.RevisionOf(v, "1") == f.Revision() {
		t.Error("versions share a revision")
	}
}
