// Package bundle packs what a deploy sends, a manifest or a template with the code, layers and files that it names, and reads it again
// strictly: exactly those entries, each once, stored plainly. A template is translated on either side; what the node's own translation
// says counts. Nothing that is read has been believed yet but its form: what it asks for is decided in the room deploy.
package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"casemate"
	"casemate/deploy/manifest"
	"casemate/sam"
)

// Bounds of a bundle.
const (
	maxBundle = 300 << 20
	maxFile   = 4 << 20
)

// Contents is a deploy as the node reads it: nothing in it has been believed yet but its form.
type Contents struct {
	Manifest *manifest.Manifest
	Options  Options
	Code     map[string]*io.SectionReader // by function
	Files    map[string][]byte            // by path in the manifest
	layers   map[string]*io.SectionReader // by entry
	Stack    *Stack                       // of a template; nil: a manifest
	Kept     *Memory                      // what the app remembers of the template; nil: a manifest
	Stored   []sam.Stored                 // secrets and parameters that the template declares
}

// Open reads a bundle strictly: exactly the files that its manifest names, each once, stored plainly.
func Open(data []byte, s manifest.Setting, at *Around) (*Contents, error) {
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

func (r *reader) bundle(s manifest.Setting, at *Around) (*Contents, error) {
	b := &Contents{Code: map[string]*io.SectionReader{}, Files: map[string][]byte{}}
	err := r.request(b)
	if err != nil {
		return nil, err
	}
	if err := r.described(b, s, at); err != nil {
		return nil, err
	}
	for name, f := range b.Manifest.Functions {
		at := codeFolder + name + ".zip"
		if strings.HasSuffix(f.Code, ".wasm") {
			at = codeFolder + name + ".wasm"
		}
		if b.Code[name] = r.entries[at]; b.Code[name] == nil {
			return nil, broken(at, "is missing", nil)
		}
		delete(r.entries, at)
	}
	if b.layers, err = r.layers(b.Manifest); err != nil {
		return nil, err
	}
	for _, name := range b.Manifest.Files() {
		if b.Files[name], err = r.take(filesFolder + name); err != nil {
			return nil, err
		}
	}
	for name := range r.entries {
		return nil, broken(name, "belongs to nothing in the manifest", nil)
	}
	return b, nil
}

// request reads the options that travel in the bundle.
func (r *reader) request(b *Contents) error {
	if r.entries[requestFile] == nil {
		return nil
	}
	data, err := r.take(requestFile)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b.Options); err != nil {
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

// App names the app of a bundle that Pack or PackTemplate wrote.
func App(data []byte, s manifest.Setting) (string, error) {
	r, err := entries(data)
	if err != nil {
		return "", err
	}
	var of Contents
	if err := r.request(&of); err != nil {
		return "", err
	}
	if t := of.Options.Template; t != nil && r.entries[templateFile] != nil { // the node may know parameters that this machine does not
		return t.Stack, nil
	}
	b, err := Open(data, s, nil)
	if err != nil {
		return "", err
	}
	return b.Manifest.App, nil
}
