package deploy

import (
	"fmt"
	"strings"

	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/diff"
	"casemate/deploy/manifest"
)

// Plan is what a deploy or rollback would change, permissions first.
type Plan struct {
	App        string             `json:"app"`
	Generation int                `json:"generation"` // in force; 0: the app is new
	Changes    diff.Changes       `json:"changes"`
	New        []string           `json:"new,omitempty"`      // functions that get a new version
	LeftOut    []string           `json:"left_out,omitempty"` // functions whose runtime is not on this machine
	Warnings   []manifest.Problem `json:"warnings,omitempty"`
	Template   *bundle.Stack      `json:"template,omitempty"` // what there is to say about a template; nil: a manifest was deployed
}

// Empty reports whether nothing would change.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Summary is one line for a history.
func (p *Plan) Summary() string {
	n, wider := map[string]int{}, 0
	for _, c := range p.Changes {
		n[c.Kind]++
		if c.Wider {
			wider++
		}
	}
	var parts []string
	for _, k := range [...]string{diff.KindPermission, diff.KindRoute, diff.KindFunction, diff.KindLimit} {
		if n[k] == 1 {
			parts = append(parts, "1 "+k)
		} else if n[k] > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n[k], k))
		}
	}
	if len(parts) == 0 {
		return "no change"
	}
	if wider > 0 && p.Generation > 0 {
		parts = append(parts, fmt.Sprintf("%d of them wider than before", wider))
	}
	return strings.Join(parts, ", ")
}

// String is the plan for a person: "+" comes, "-" goes, "~" changes, "!" lets more through than before.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", p.App, p.Summary())
	if p.Generation == 0 {
		b.WriteString(" (new app)")
	}
	b.WriteByte('\n')
	b.WriteString(p.Changes.String())
	for _, f := range p.LeftOut {
		fmt.Fprintf(&b, "LEFT OUT: function %s and its routes: its runtime is not on this machine\n", f)
	}
	file := manifest.File
	if p.Template != nil {
		file = p.Template.File
		b.WriteString(p.Template.String())
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s:%d:%d: %s", file, w.Line, w.Column, w.Message)
		if w.Hint != "" {
			fmt.Fprintf(&b, " (%s)", w.Hint)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// compare is the plan that leads from one state of an app to another; current is nil for a new one.
func compare(current, next *catalog.App) *Plan {
	p := &Plan{App: next.Name, LeftOut: next.LeftOut, Changes: diff.Of(current, next)}
	if current != nil {
		p.Generation = current.Generation
	}
	return p
}
