package dev

import (
	"path"
	"regexp"
	"strings"
)

// Checker is the program that says whether a script can be parsed, and the arguments before the file's path. It only parses:
// nothing of the script runs.
type Checker struct {
	Programs []string // the first of them that is installed
	Args     []string
}

const pythonCheck = `import sys
p = sys.argv[1]
try:
    compile(open(p, "rb").read(), p, "exec", dont_inherit=True)
except SyntaxError as e:
    print("%s:%d\n%s\n%s^\n%s: %s" % (p, e.lineno or 1, (e.text or "").rstrip("\n"), " " * ((e.offset or 1) - 1), type(e).__name__, e.msg), file=sys.stderr)
    sys.exit(1)
`

// CheckerOf is the checker of a file of a function whose runtime is of the family ("nodejs", "python"); false where there is none.
func CheckerOf(family, runtime, file string) (Checker, bool) {
	switch ext := path.Ext(file); {
	case family == "nodejs" && (ext == ".js" || ext == ".mjs" || ext == ".cjs"):
		return Checker{[]string{"node"}, []string{"--check"}}, true
	case family == "python" && ext == ".py":
		return Checker{[]string{runtime, "python3"}, []string{"-I", "-c", pythonCheck}}, true
	}
	return Checker{}, false
}

// Complaint is what a checker found.
type Complaint struct {
	Line, Column int // from 1
	Text         string
}

var (
	place = regexp.MustCompile(`^(?:file://)?\S.*:(\d+)$`)
	named = regexp.MustCompile(`^[A-Z][A-Za-z]*Error: .*`)
)

// ParseComplaint reads what a checker wrote: the place, the line, a caret below the column, the error. False: it is no
// complaint about syntax, and the checker itself failed.
func ParseComplaint(output string) (Complaint, bool) {
	var c Complaint
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		switch m := place.FindStringSubmatch(line); {
		case c.Line == 0 && m != nil:
			for _, d := range m[1][:min(len(m[1]), 9)] {
				c.Line = c.Line*10 + int(d-'0')
			}
		case c.Line > 0 && c.Column == 0 && strings.Trim(line, " \t^~") == "" && strings.Contains(line, "^"):
			c.Column = len([]rune(line[:strings.IndexByte(line, '^')])) + 1
		case c.Line > 0 && named.MatchString(line):
			c.Text = line
			c.Column = max(c.Column, 1)
			return c, true
		}
	}
	return c, false
}
