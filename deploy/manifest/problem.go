package manifest

import (
	"fmt"
	"sort"
	"strings"

	"casemate"
	"casemate/internal/spelling"
)

// maxProblems bounds what one manifest can make us say.
const maxProblems = 25

// Problem is one thing that is wrong, or doubtful, at one place of a manifest.
type Problem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"` // JSON pointer
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Problems is every problem of one manifest, in the order of the file, at most 25 of them. It is an error of code
// Invalid.
type Problems struct {
	File string
	List []Problem
	More int // how many were found beyond the bound
}

func (p *Problems) full() bool { return len(p.List) >= maxProblems }

// Add notes a problem; beyond the bound it is only counted.
func (p *Problems) Add(at Mark, ptr, hint, format string, args ...any) {
	if p.full() {
		p.More++
		return
	}
	p.List = append(p.List, Problem{at.Line, at.Column, ptr, fmt.Sprintf(format, args...), hint})
}

// Err is p, sorted by place, or nil when nothing was found.
func (p *Problems) Err() error {
	if len(p.List) == 0 {
		return nil
	}
	p.sort()
	return p
}

func (p *Problems) sort() {
	sort.SliceStable(p.List, func(i, j int) bool {
		a, b := p.List[i], p.List[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
}

// Error is one line a problem: "casemate.yaml:3:5: message (hint)".
func (p *Problems) Error() string {
	var b strings.Builder
	for i, x := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", p.File, x.Line, x.Column, x.Message)
		if x.Hint != "" {
			fmt.Fprintf(&b, " (%s)", x.Hint)
		}
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "\n%s: and %d more", p.File, p.More)
	}
	return b.String()
}

// Unwrap gives the coded form, so that every front answers alike.
func (p *Problems) Unwrap() error {
	return &casemate.Error{Code: casemate.Invalid, Message: p.Error(), Field: p.List[0].Path,
		Hint: "correct the lines named and deploy again; nothing has changed"}
}

// longestWord bounds what is taken for a misspelt word.
const longestWord = 64

// meant proposes the closest of the words, when one is close.
func meant(got string, words []string) string {
	if len(words) == 0 {
		return "none is known here: declare it first"
	}
	i := spelling.Nearest(got, words, longestWord)
	if i < 0 {
		return "known here: " + strings.Join(words, ", ")
	}
	return "did you mean " + words[i] + "?"
}
