package sam

import (
	"fmt"

	"casemate/sam/template"
)

// Class says what became of a part of a template. What is refused is no note but a problem.
type Class string

// The classes. Weak is honoured as AWS does it, where Casemate's own default is stricter: it is said aloud at every deploy.
const (
	Weak      Class = "weak default"
	NotServed Class = "not served yet"
	Ignored   Class = "ignored"
	Honoured  Class = "honoured"
)

// Classes lists them in the order in which a person should read them.
func Classes() []Class { return []Class{Weak, NotServed, Ignored, Honoured} }

// Note is one line of what a deploy says about its template.
type Note struct {
	Class  Class  `json:"class"`
	Path   string `json:"path"` // Resources/Orders/Properties/VpcConfig
	Type   string `json:"type,omitempty"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

func (n Note) String() string {
	return fmt.Sprintf("%s: %s:%d:%d: %s: %s", n.Class, n.File, n.Line, n.Column, n.Path, n.Text)
}

// note adds a line about something at a place, once.
func (t *translator) note(c Class, typ string, at template.Position, path, format string, args ...any) {
	n := Note{c, path, typ, at.File, at.Line, at.Column, fmt.Sprintf(format, args...)}
	for _, o := range t.notes {
		if o == n {
			return
		}
	}
	t.notes = append(t.notes, n)
}

// bad refuses: the deploy stops, with all that is wrong said at once.
func (t *translator) bad(at template.Position, path, hint, format string, args ...any) {
	t.found.Add(at, path, hint, format, args...)
}
