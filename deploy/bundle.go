package deploy

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog/code"
	"casemate/deploy/manifest"
	"casemate/sam"
)

// Bounds of a bundle.
const (
	maxBundle = 300 << 20
	maxFile   = 4 << 20
)

// bundle is a deploy as the node reads it: nothing in it has been believed yet but its form.
type bundle struct {
	manifest *manifest.Manifest
	options  Options
	code     map[string]*io.SectionReader // by function
	files    map[string][]byte            // by path in the manifest
	layers   map[string]*io.SectionReader // by entry
	stack    *Stack                       // of a template; nil: a manifest
	kept     *memory                      // what the app remembers of the template; nil: a manifest
	stored   []sam.Stored                 // secrets and parameters that the template declares
}

// open reads a bundle strictly: exactly the files that its manifest names, each once, stored plainly.
func open(data []byte, s manifest.Setting, at *around) (*bundle, error) {
	r, err := entries(data)
	if err != nil {
		return nil, err
	}
	return r.bundle(s, at)
}

// entries are the parts of a bundle.
func entries(data []byte) (*reader, error) {
	if len(data) > maxBundle {
		return nil, &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("bundle <= %d bytes", maxBundle), Message: "the bundle is too large",
			Hint: "leave out what the functions do not need, with .casemateignore"}
	}
	raw := bytes.NewReader(data)
	z, err := zip.NewReader(raw, raw.Size())
	if err != nil {
		return nil, broken("", "is no zip", err)
	}
	entries := map[string]*io.SectionReader{}
	for _, f := range z.File {
		at, err := f.DataOffset()
		if err != nil || f.Method != zip.Store || f.Flags&1 != 0 || f.CompressedSize64 != f.UncompressedSize64 || !f.Mode().IsRegular() || f.CompressedSize64 > maxBundle {
			return nil, broken(f.Name, "is not a plain, stored file", err)
		}
		if entries[f.Name] != nil {
			return nil, broken(f.Name, "stands twice", nil)
		}
		entries[f.Name] = io.NewSectionReader(raw, at, int64(f.CompressedSize64))
	}
	return &reader{entries}, nil
}

type reader struct{ entries map[string]*io.SectionReader }

func (r *reader) bundle(s manifest.Setting, at *around) (*bundle, error) {
	b := &bundle{code: map[string]*io.SectionReader{}, files: map[string][]byte{}}
	err := r.request(b)
	if err != nil {
		return nil, err
	}
	if err := r.described(b, s, at); err != nil {
		return nil, err
	}
	for name, f := range b.manifest.Functions {
		at := codeFolder + name + ".zip"
		if strings.HasSuffix(f.Code, ".wasm") {
			at = codeFolder + name + ".wasm"
		}
		if b.code[name] = r.entries[at]; b.code[name] == nil {
			return nil, broken(at, "is missing", nil)
		}
		delete(r.entries, at)
	}
	if b.layers, err = r.layers(b.manifest); err != nil {
		return nil, err
	}
	for _, name := range b.manifest.Files() {
		if b.files[name], err = r.take(filesFolder + name); err != nil {
			return nil, err
		}
	}
	for name := range r.entries {
		return nil, broken(name, "belongs to nothing in the manifest", nil)
	}
	return b, nil
}

// request reads the options that travel in the bundle.
func (r *reader) request(b *bundle) error {
	if r.entries[requestFile] == nil {
		return nil
	}
	data, err := r.take(requestFile)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b.options); err != nil {
		return broken(requestFile, "is not a request", err)
	}
	return nil
}

// take reads a small entry and counts it as used.
func (r *reader) take(name string) ([]byte, error) {
	e := r.entries[name]
	if e == nil {
		return nil, broken(name, "is missing", nil)
	}
	if e.Size() > maxFile {
		return nil, broken(name, fmt.Sprintf("is larger than %d bytes", maxFile), nil)
	}
	data, err := io.ReadAll(e)
	if err != nil {
		return nil, broken(name, "is damaged", err)
	}
	delete(r.entries, name)
	return data, nil
}

func broken(name, why string, err error) error {
	if len(name) > 100 {
		name = name[:100]
	}
	return &casemate.Error{Code: casemate.Invalid, Field: name, Message: "this part of the bundle " + why,
		Hint: "let casemate deploy pack the bundle", Err: err}
}

// inspect refuses code that could not run as its runtime, before it is stored.
func (d *Deployer) inspect(name string, f *manifest.Function, r *io.SectionReader) error {
	if strings.HasSuffix(f.Code, ".wasm") {
		module := make([]byte, r.Size())
		if _, err := r.ReadAt(module, 0); err != nil && r.Size() > 0 {
			return broken(name, "is damaged", err)
		}
		return d.cfg.Inspect(module)
	}
	if err := code.Inspect(r, r.Size(), code.Bounds{}); err != nil {
		return err
	}
	z, err := zip.NewReader(r, r.Size())
	if err != nil {
		return broken(name, "is no zip", err)
	}
	var wanted []string
	switch casemate.Runtime(f.Runtime).Family() {
	case "provided":
		if wanted = []string{"bootstrap"}; len(f.Layers) > 0 {
			wanted = nil // a layer may bring it
		}
	case "nodejs":
		folder, base := path.Split(f.Handler) // "src/index.handler": the module ends at the first dot of the last part
		base, _, _ = strings.Cut(base, ".")
		file := path.Join(folder, base)
		wanted = []string{file + ".js", file + ".mjs", file + ".cjs"}
	case "python":
		file := strings.ReplaceAll(f.Handler[:max(0, strings.LastIndexByte(f.Handler, '.'))], ".", "/")
		wanted = []string{file + ".py", file + "/__init__.py"}
	}
	if len(wanted) > 0 && !strings.HasPrefix(f.Handler, "/opt/") && !holds(z, wanted...) {
		return &casemate.Error{Code: casemate.Invalid, Message: "the code has no " + strings.Join(wanted, " or ") + " at its root",
			Hint: "correct handler:, or code:"}
	}
	for _, c := range f.Children {
		if own, is := strings.CutPrefix(c.Path, taskDir); is && !holds(z, own) {
			return &casemate.Error{Code: casemate.Invalid, Message: "it has no " + own + ", which children: names", Hint: "put the program into the folder of the code, or correct children:"}
		}
	}
	return nil
}

// holds reports whether a file of one of the names is in z.
func holds(z *zip.Reader, names ...string) bool {
	return slices.ContainsFunc(z.File, func(e *zip.File) bool { return slices.Contains(names, e.Name) })
}
