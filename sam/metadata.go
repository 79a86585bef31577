package sam

import (
	"path"
	"slices"
	"strings"

	"casemate/sam/template"
)

// sections are the keys of a manifest that the template's own Metadata may have.
var sections = []string{"functions", "routes", "roles", "budgets", "auth", "webhooks", "authorizers", "certificates", "plans", "flows", "guardrails", "resources", "environment"}

// metadata lays what stands under Metadata: Casemate: over the manifest. Functions may be named by their logical ids there.
func (t *translator) metadata() {
	own, ok := t.stack.Metadata.Get("Casemate")
	if !ok {
		return
	}
	over := mapping(own.At)
	for _, m := range own.Members {
		switch {
		case m.Key == "open":
		case !slices.Contains(sections, m.Key):
			t.bad(m.KeyAt, "Metadata/Casemate/"+m.Key, template.Nearest(m.Key, sections), "there is no such key here")
		case m.Key == "functions":
			named := mapping(m.KeyAt)
			for _, f := range m.Value.Members {
				f.Value.Members = t.below(f.Value.Members)
				set(named, t.called(f.Key), f.Value)
			}
			set(over, m.Key, *named)
		default:
			set(over, m.Key, m.Value)
		}
	}
	merge(t.doc, *over)
}

// called is the name of the function with this logical id; any other word is a name itself.
func (t *translator) called(id string) string {
	for _, f := range t.functions {
		if f.ID == id {
			return f.name
		}
	}
	return id
}

// overlay lays the Metadata of a function over it: the keys of a function of the manifest, and open.
func (t *translator) overlay(f *function) {
	own, _ := f.Metadata.Get("Casemate")
	over := mapping(own.At)
	for _, m := range t.below(own.Members) {
		if m.Key != "open" {
			over.Members = append(over.Members, m)
		}
	}
	merge(f.doc, *over)
}

// below are the members of a function with the code and the layers that they name in the folder of the template. The files of contracts
// and keys are put there once the manifest is read.
func (t *translator) below(members []template.Member) []template.Member {
	members = slices.Clone(members)
	for i := range members {
		switch v := &members[i].Value; {
		case t.Within == "":
		case members[i].Key == "code" && v.Kind == template.String:
			v.Text = path.Join(t.Within, v.Text)
		case members[i].Key == "layers":
			v.List = slices.Clone(v.List)
			for k := range v.List {
				if x := &v.List[k]; x.Kind == template.String && !strings.Contains(x.Text, ":") { // no published one
					x.Text = "./" + path.Join(t.Within, x.Text)
				}
			}
		}
	}
	return members
}
