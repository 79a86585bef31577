package template

import (
	"fmt"
	"sort"
	"strings"

	"casemate"
	"casemate/internal/spelling"
)

// maxProblems bounds what one template can make us say.
const maxProblems = 50

// Problem is one thing that is wrong, or doubtful, at one place of a template.
type Problem struct {
	At            Position
	Path          string // Resources/Fn/Properties/Timeout
	Message, Hint string
}

// String is "file:line:column: path: message (hint)".
func (p Problem) String() string {
	s := p.At.String() + ": "
	if p.Path != "" {
		s += p.Path + ": "
	}
	s += p.Message
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Problems is all that was found in one template, at most 50. Use Err where an error is wanted: a nil list in an error
// is not a nil error.
type Problems []Problem

// Add notes a problem; the same one a second time, and what is beyond the bound, is left out.
func (p *Problems) Add(at Position, path, hint, format string, args ...any) {
	x := Problem{at, path, fmt.Sprintf(format, args...), hint}
	if len(*p) >= maxProblems {
		return
	}
	for _, y := range *p {
		if y == x {
			return
		}
	}
	*p = append(*p, x)
}

// Err is p in the order of the file, or nil when nothing was found.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	p.sort()
	return p
}

func (p Problems) sort() {
	sort.SliceStable(p, func(i, j int) bool {
		a, b := p[i].At, p[j].At
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
}

// Error is one line a problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the coded form, so that every front answers alike.
func (p Problems) Unwrap() error {
	if len(p) == 0 {
		return nil
	}
	return &casemate.Error{Code: casemate.Invalid, Message: p.Error(), Field: p[0].Path,
		Hint: "correct the lines named and deploy again; nothing has changed"}
}

// longestWord is the length of CloudFormation's longest names.
const longestWord = 255

// Nearest proposes the closest of words, as a hint; "" when none is close.
func Nearest(got string, words []string) string {
	lower := make([]string, len(words))
	for i, w := range words {
		lower[i] = strings.ToLower(w)
	}
	i := spelling.Nearest(strings.ToLower(got), lower, longestWord)
	if i < 0 {
		return ""
	}
	return "did you mean " + words[i] + "?"
}
