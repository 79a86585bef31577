package dev

import (
	"path"
	"slices"
	"strings"
)

// Part is a function as far as building it goes.
type Part struct {
	Name  string
	Code  string // folder or file, relative to the watched folder
	Build string // command; empty: nothing is built
	Built string // command it was last built with; empty: it was not
}

// Within says whether file (slash-separated, below the watched folder) is code, or lies in it.
func Within(code, file string) bool {
	code = path.Clean(code)
	return code == "." || file == code || strings.HasPrefix(file, code+"/")
}

// Affected lists, sorted, the parts that must be built: those that were not, those whose command is another one, and those
// whose inputs changed. Inputs are the files of a part's code, and those in nobody's: sources and libraries that several
// share. The manifest is nobody's input, nor are contracts and texts beside it.
func Affected(parts []Part, changed []string, manifest string) []string {
	var names []string
	for _, p := range parts {
		if p.Build == "" {
			continue
		}
		if p.Built != p.Build || slices.ContainsFunc(changed, func(file string) bool { return file != manifest && p.takes(file, parts) }) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *Part) takes(file string, all []Part) bool {
	if Within(p.Code, file) {
		return true
	}
	if slices.ContainsFunc(all, func(o Part) bool { return Within(o.Code, file) }) {
		return false
	}
	return !slices.Contains([]string{".yaml", ".yml", ".md"}, path.Ext(file))
}
