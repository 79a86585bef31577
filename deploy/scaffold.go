package deploy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"casemate"
	"casemate/deploy/manifest"
)

//go:embed template
var templates embed.FS

// Languages are those that Scaffold knows.
func Languages() []string { return []string{"go", "node", "python", "wasm"} }

// Scaffold writes a first project into dir: a commented manifest with its schema, a contract, a function in the language. The app is
// named after name, as far as names allow. Nothing is overwritten: when one of the files exists, none is written.
func Scaffold(dir, language, name string) error {
	if !slices.Contains(Languages(), language) {
		return &casemate.Error{Code: casemate.Invalid, Field: "language", Message: fmt.Sprintf("there is no template for %q", language),
			Hint: "known: " + strings.Join(Languages(), ", ")}
	}
	function, err := templates.ReadFile("template/" + language + "/function.yaml")
	if err != nil {
		return fmt.Errorf("reading a template: %w", err)
	}
	fill := strings.NewReplacer("@NAME@", AppName(name), "@FUNCTION@", strings.TrimRight(string(function), "\n"))
	files := map[string]string{".casemate/casemate.schema.json": string(manifest.Schema())} // for editors
	for _, folder := range [...]string{"common", language} {
		if err := readTemplates(folder, fill, files); err != nil {
			return fmt.Errorf("reading a template: %w", err)
		}
	}
	for name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return &casemate.Error{Code: casemate.Conflict, Field: name, Message: "this file exists, and nothing is overwritten", Hint: "choose an empty folder"}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking at %s: %w", name, err)
		}
	}
	for name, text := range files {
		if err := create(filepath.Join(dir, name), text); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

func readTemplates(folder string, fill *strings.Replacer, files map[string]string) error {
	root := "template/" + folder
	return fs.WalkDir(templates, root, func(p string, d fs.DirEntry, err error) error {
		name, is := strings.CutSuffix(strings.TrimPrefix(p, root+"/"), ".tmpl")
		if err != nil || d.IsDir() || !is {
			return err
		}
		text, err := templates.ReadFile(p)
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(path.Base(name), "dot-"); ok {
			name = path.Join(path.Dir(name), "."+rest)
		}
		files[name] = fill.Replace(string(text))
		return nil
	})
}

// create writes a file that must not exist.
func create(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// AppName makes an app's name of any text: letters in lower case, digits and dashes, at most 40 bytes.
func AppName(s string) string {
	s = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(s), "-"), "-")
	if s == "" || s[0] < 'a' {
		s = strings.TrimRight("app-"+s, "-")
	}
	return strings.TrimRight(s[:min(len(s), 40)], "-")
}
