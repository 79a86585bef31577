package imports

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Check reads every Go file below root and gives the violations of the table, sorted; none means the rules hold.
func Check(root string) ([]string, error) {
	c := &checker{fset: token.NewFileSet(), rooms: map[string]*Room{}, importers: map[string]map[string]bool{},
		lines: map[string]int{}, functions: map[string][]int{}}
	for i := range Rooms {
		c.rooms[Rooms[i].Path] = &Rooms[i]
	}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || strings.HasSuffix(filepath.ToSlash(p), "deploy/template")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return c.file(p, filepath.ToSlash(rel))
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	c.totals()
	sort.Strings(c.found)
	return slices.Compact(c.found), nil
}

type checker struct {
	fset      *token.FileSet
	rooms     map[string]*Room
	importers map[string]map[string]bool
	lines     map[string]int
	functions map[string][]int
	found     []string
}

func (c *checker) say(at, format string, args ...any) {
	c.found = append(c.found, at+": "+fmt.Sprintf(format, args...))
}

// file checks one file; tests are held only to what concerns tests.
func (c *checker) file(full, rel string) error {
	f, err := parser.ParseFile(c.fset, full, nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parsing %s: %w", rel, err)
	}
	at := path.Dir(rel)
	if at == "." {
		at = ""
	}
	test := strings.HasSuffix(rel, "_test.go")
	c.names(rel, f)
	for _, tree := range Exempt {
		if at == tree || strings.HasPrefix(at, tree+"/") {
			return nil
		}
	}
	room := c.rooms[at]
	if room == nil {
		c.say(rel, "package %q is no room of the table", at)
		return nil
	}
	if test {
		c.calls(rel, room, f, map[string][]string{"time.Sleep": {}})
		return nil
	}
	src, err := os.ReadFile(full)
	if err != nil {
		return fmt.Errorf("reading %s: %w", rel, err)
	}
	c.lines[at] += codeLines(src)
	for _, spec := range f.Imports {
		c.dependency(rel, room, spec)
	}
	forbidden := calls
	if room.Pure {
		forbidden = map[string][]string{"time.Now": {}, "time.Since": {}, "time.Until": {}}
	}
	c.calls(rel, room, f, forbidden)
	c.declarations(rel, room, f)
	return nil
}

// codeLines counts the lines that hold code: a comment or a blank line costs nothing, so that no ceiling is met by
// leaving the contract out.
func codeLines(src []byte) int {
	var s scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	s.Init(file, src, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue
		}
		first := file.Line(pos)
		for i := range strings.Count(lit, "\n") + 1 {
			lines[first+i] = true
		}
	}
}

func (c *checker) names(rel string, f *ast.File) {
	if badNames[f.Name.Name] {
		c.say(rel, "package name %q says nothing", f.Name.Name)
	}
}

func (c *checker) dependency(rel string, room *Room, spec *ast.ImportSpec) {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		c.say(rel, "import %s: %v", spec.Path.Value, err)
		return
	}
	if p == Module || strings.HasPrefix(p, Module+"/") {
		c.inner(rel, room, strings.TrimPrefix(strings.TrimPrefix(p, Module), "/"))
		return
	}
	if room.Pure && slices.Contains(impure, p) {
		c.say(rel, "pure room %s imports %s", room.Path, p)
	}
	if p == "unsafe" && !strings.HasSuffix(rel, "_unsafe.go") && !strings.HasSuffix(rel, "_linux.go") {
		c.say(rel, "unsafe outside a file named *_unsafe.go or *_linux.go")
	}
	owned := false
	for prefix, owners := range Owners {
		if p == strings.TrimSuffix(prefix, "/") || strings.HasPrefix(p, prefix) && strings.HasSuffix(prefix, "/") || strings.HasPrefix(p, prefix+"/") && strings.Contains(prefix, ".") {
			owned = true
			if !slices.Contains(owners, room.Path) {
				c.say(rel, "%s is owned by %v, not by %q", p, owners, room.Path)
			}
		}
	}
	if first, _, _ := strings.Cut(p, "/"); !owned && strings.Contains(first, ".") {
		c.say(rel, "dependency %s has no owner in the table", p)
	}
}

// inner checks an import of one room by another.
func (c *checker) inner(rel string, room *Room, to string) {
	target := c.rooms[to]
	switch {
	case strings.HasPrefix(to, "internal/casetest"):
		c.say(rel, "non-test code imports %s", to)
		return
	case strings.HasPrefix(to, "cmd/"):
		c.say(rel, "nobody imports %s", to)
		return
	case target == nil:
		c.say(rel, "imports %s, which is no room", to)
		return
	}
	if c.importers[to] == nil {
		c.importers[to] = map[string]bool{}
	}
	c.importers[to][room.Path] = true
	switch {
	case slices.Contains(room.Never, to):
		c.say(rel, "%s never imports %s", room.Path, to)
	case room.Only != nil && !slices.Contains(room.Only, to):
		c.say(rel, "%s imports %q; it may import only %q", room.Path, to, room.Only)
	case target.Tier >= room.Tier && !slices.Contains(room.May, to):
		c.say(rel, "%s (tier %d) imports %s (tier %d)", room.Path, room.Tier, to, target.Tier)
	}
	if few, ok := Confined[to]; ok && !slices.Contains(few, room.Path) {
		c.say(rel, "%s is for %v alone", to, few)
	}
	if room.Pure && to == "store" {
		c.say(rel, "pure room %s imports store", room.Path)
	}
}

// calls finds uses of functions that only some rooms, or none, may call, and doors opened as literals.
func (c *checker) calls(rel string, room *Room, f *ast.File, forbidden map[string][]string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			name := selector(n.Fun)
			if owners, ok := forbidden[name]; ok && !slices.Contains(owners, room.Path) {
				c.say(c.at(rel, n), "%s may not call %s", quoted(room.Path), name)
			}
		case *ast.CompositeLit:
			name := selector(n.Type)
			if owners, ok := literals[name]; ok && !strings.HasSuffix(rel, "_test.go") && !slices.Contains(owners, room.Path) {
				c.say(c.at(rel, n), "%s may not make a %s", quoted(room.Path), name)
			}
		}
		return true
	})
}

// declarations checks the shape of what a file declares.
func (c *checker) declarations(rel string, room *Room, f *ast.File) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		n := c.fset.Position(fn.End()).Line - c.fset.Position(fn.Pos()).Line + 1
		c.functions[room.Path] = append(c.functions[room.Path], n)
		if n > functionMax {
			c.say(c.at(rel, fn), "%s is %d lines long; the hard stop is %d", fn.Name.Name, n, functionMax)
		}
		if fn.Recv == nil && fn.Name.Name == "init" && !inits[room.Path] {
			c.say(c.at(rel, fn), "no init outside of the early dispatches")
		}
		c.panics(rel, fn)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxMethods {
			c.say(c.at(rel, i), "an interface of %d methods; at most %d", i.Methods.NumFields(), maxMethods)
		}
		return true
	})
}

func (c *checker) panics(rel string, fn *ast.FuncDecl) {
	if strings.HasPrefix(strings.ToLower(fn.Name.Name), "must") {
		return
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
				c.say(c.at(rel, call), "panic outside a must function")
			}
		}
		return true
	})
}

// totals checks what only the whole tree shows.
func (c *checker) totals() {
	for p, n := range c.lines {
		if r := c.rooms[p]; r.Ceiling > 0 && n > r.Ceiling {
			c.say(quoted(p), "%d lines; its ceiling is %d", n, r.Ceiling)
		}
	}
	for p, lengths := range c.functions {
		sort.Ints(lengths)
		if p90 := lengths[(len(lengths)*9-1)/10]; p90 > functionP90 {
			c.say(quoted(p), "the 90th percentile of function length is %d lines; at most %d", p90, functionP90)
		}
	}
	for p, by := range c.importers {
		if p != "" && p != "store" && p != "internal/walls" && len(by) > maxImporters {
			c.say(quoted(p), "imported by %d rooms; at most %d", len(by), maxImporters)
		}
	}
}

func (c *checker) at(rel string, n ast.Node) string {
	return rel + ":" + strconv.Itoa(c.fset.Position(n.Pos()).Line)
}

func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	id, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return id.Name + "." + s.Sel.Name
}

func quoted(p string) string {
	if p == "" {
		return "root"
	}
	return p
}
