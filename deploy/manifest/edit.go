package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"casemate"
)

// Edit is one grant of a manifest that goes, or is replaced.
type Edit struct {
	Line int    // from 1: where the grant stands
	Old  string // the grant
	New  []string
}

// Rewrite makes the edits in a manifest's text and leaves everything else as it is, comments included. A grant that does not
// stand where an edit says is an *casemate.Error of code Conflict: the file is not the one that was deployed.
func Rewrite(text string, edits []Edit) (string, error) {
	lines := strings.Split(text, "\n")
	for _, e := range edits {
		if e.Line < 1 || e.Line > len(lines) || !rewrite(&lines[e.Line-1], e) {
			return "", casemate.Errorf(casemate.Conflict, "deploy the file that lies here, then ask again", "line %d does not hold the grant %q", e.Line, e.Old)
		}
	}
	return strings.Join(tidy(strings.Split(strings.Join(lines, "\n"), "\n")), "\n"), nil
}

// gone marks a line to be taken out; no manifest can hold it (NUL is no YAML character).
const gone = "\x00"

// rewrite changes one line: an item of a block list, or an element of a flow list.
func rewrite(line *string, e Edit) bool {
	quoted := `(?:"` + regexp.QuoteMeta(e.Old) + `"|'` + regexp.QuoteMeta(e.Old) + `'|` + regexp.QuoteMeta(e.Old) + `)`
	block := regexp.MustCompile(`^(\s*- +)` + quoted + `(\s+#.*)?\s*$`)
	if m := block.FindStringSubmatch(*line); m != nil {
		var items []string
		for i, n := range e.New {
			item := m[1] + scalar(n)
			if i == 0 {
				item += m[2]
			}
			items = append(items, item)
		}
		*line = strings.Join(items, "\n")
		if len(items) == 0 {
			*line = gone
		}
		return true
	}
	flow := regexp.MustCompile(`([\[,]\s*)` + quoted + `(\s*[,\]])`)
	at := flow.FindStringSubmatchIndex(*line)
	if at == nil {
		return false
	}
	before, after := (*line)[:at[3]], (*line)[at[4]:]
	var items []string
	for _, n := range e.New {
		items = append(items, strconv.Quote(n))
	}
	if len(items) == 0 { // one comma goes with it
		if rest := strings.TrimLeft(after, " "); strings.HasPrefix(rest, ",") {
			after = strings.TrimLeft(rest[1:], " ")
		} else {
			before = strings.TrimSuffix(strings.TrimRight(before, " "), ",")
		}
	}
	*line = before + strings.Join(items, ", ") + after
	return true
}

// scalar writes a grant as an item of a block list.
func scalar(grant string) string {
	if strings.ContainsAny(grant, `"'#:{}[],&*!|>%@`+"`") && (strings.Contains(grant, ": ") || strings.Contains(grant, " #") || strings.ContainsAny(grant[:1], "\"'#{}[],&*!|>%@`")) {
		return strconv.Quote(grant)
	}
	return grant
}

// tidy takes out lines that went, and lists and mappings that nothing is left of.
func tidy(lines []string) []string {
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == gone })
	empty := regexp.MustCompile(`grants:\s*\[\s*\](,\s*)?`)
	for i := 0; i < len(lines); i++ {
		if empty.MatchString(lines[i]) {
			lines[i] = strings.ReplaceAll(empty.ReplaceAllString(lines[i], ""), ", }", "}")
			if strings.TrimSpace(lines[i]) == "" {
				lines = slices.Delete(lines, i, i+1)
				i--
			}
			continue
		}
		if body, _, _ := strings.Cut(lines[i], "#"); strings.TrimSpace(body) != "grants:" || hasItems(lines, i) {
			continue
		}
		parent := above(lines, i)
		lines = slices.Delete(lines, i, i+1)
		if parent >= 0 && !hasItems(lines, parent) {
			name, comment, found := strings.Cut(lines[parent], "#")
			lines[parent] = strings.TrimRight(name, " ") + " {}"
			if found {
				lines[parent] += " #" + comment
			}
		}
		i--
	}
	return lines
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// plainLine reports a line that is neither blank nor a comment.
func plainLine(line string) bool {
	t := strings.TrimSpace(line)
	return t != "" && !strings.HasPrefix(t, "#")
}

// hasItems reports whether something belongs to the key of line i: what follows is deeper, or a list item as deep.
func hasItems(lines []string, i int) bool {
	for _, l := range lines[i+1:] {
		if plainLine(l) {
			return indent(l) > indent(lines[i]) || indent(l) == indent(lines[i]) && strings.HasPrefix(strings.TrimSpace(l), "- ")
		}
	}
	return false
}

// above finds the key that line i belongs to, or -1.
func above(lines []string, i int) int {
	for k := i - 1; k >= 0; k-- {
		if plainLine(lines[k]) && indent(lines[k]) < indent(lines[i]) {
			return k
		}
	}
	return -1
}

// LineOf reads the line of an origin that this package wrote for the file of this name; 0 when it is of another.
func LineOf(name, origin string) int {
	var line int
	rest, ok := strings.CutPrefix(origin, name+":")
	if n, err := fmt.Sscanf(rest, "%d ", &line); !ok || err != nil || n != 1 {
		return 0
	}
	return line
}
