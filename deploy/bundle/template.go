package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/manifest"
	"casemate/sam"
	"casemate/sam/template"
)

// templateFile is where a bundle of a SAM or CloudFormation template holds it: as it was written, in the place of a manifest. The node
// translates it again, so that what the translation refuses cannot be smuggled past it.
const templateFile = "template"

// Template is what a bundle says about its template besides the text.
type Template struct {
	File       string              `json:"file"`  // its name in messages: template.yaml
	Stack      string              `json:"stack"` // name of the app
	Parameters map[string]string   `json:"parameters,omitempty"`
	Open       *casemate.Exception `json:"open,omitempty"` // for routes and URLs that the template leaves open

	Within string            `json:"within,omitempty"` // folder of the template, where its code is also beside that
	Assets map[string]string `json:"assets,omitempty"` // where code lies that the template says is in a bucket, by its key there

	Recalled *Recalled `json:"-"` // what the node knows; nil: it was not asked
}

// Stack is what a deploy says about its template.
type Stack struct {
	File    string       `json:"file"`
	Notes   []sam.Note   `json:"notes"`
	Outputs []sam.Output `json:"outputs,omitempty"`
}

// read is a template as a manifest, with what to say about it.
type read struct {
	manifest *manifest.Manifest
	inline   map[string]sam.File
	stored   []sam.Stored
	kept     *Memory
	*Stack
}

// translate makes a manifest of a template. at tells where this node is, so that outputs name it; may be nil. The error names the
// places of the template, whether the translation found what is wrong or the manifest's own checks did.
func (q *Template) translate(text []byte, s manifest.Setting, arch string, around *Around) (*read, error) {
	where := around.address()
	set := sam.Setting{App: q.Stack, Place: s.Place, Arch: arch, Open: q.Open, Assets: q.Assets, Within: q.Within, URL: func(function, alias string) string {
		return where.URL(catalog.URLID(catalog.Qualify(s.Place.FunctionARN(function), alias)))
	}}
	parsed, found := template.Parse(q.File, text)
	if err := found.Err(); err != nil {
		return nil, err
	}
	inputs, err := q.inputs(parsed, around)
	if err != nil {
		return nil, err
	}
	stack, found := sam.Resolve(parsed, inputs, set)
	if err := found.Err(); err != nil {
		return nil, err
	}
	out, found := sam.Translate(stack, set)
	if err := found.Err(); err != nil {
		return nil, err
	}
	m, err := manifest.ParseFrom(q.File, out.Manifest.Data, s, func(ptr string) manifest.Mark {
		x := out.Manifest.At(ptr)
		return manifest.Mark{Line: max(x.Line, 1), Column: max(x.Column, 1)}
	})
	if err != nil {
		return nil, err
	}
	m.Below(q.Within)
	return &read{m, out.Inline, out.Stored, remember(parsed, inputs, out), &Stack{File: q.File, Notes: out.Notes, Outputs: out.Shown(where)}}, nil
}

// described is what the bundle describes: a manifest, or a template that is made one.
func (r *reader) described(b *Contents, s manifest.Setting, at *Around) error {
	name := File
	if r.entries[templateFile] != nil {
		name = templateFile
	}
	text, err := r.take(name)
	if err != nil {
		return err
	}
	if name == File {
		if b.Options.Template != nil {
			return broken(requestFile, "is about a template, and there is none", nil)
		}
		b.Manifest, err = manifest.Parse(File, text, s)
		return err
	}
	if b.Options.Template == nil {
		return broken(requestFile, "does not say what the stack is called", nil)
	}
	made, err := b.Options.Template.translate(text, s, arch(), at)
	if err != nil {
		return err
	}
	b.Manifest, b.Stack, b.Stored, b.Kept = made.manifest, made.Stack, made.stored, made.kept
	return nil
}

// arch is the processor of this machine, as AWS calls it.
func arch() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// PackTemplate reads a SAM or CloudFormation template in dir and writes its bundle: the template as it is, and the code that it names,
// as Pack does. The manifest is that of this machine's translation; the node's own counts.
func PackTemplate(dir, file string, s manifest.Setting, o Options, w io.Writer) (*manifest.Manifest, error) {
	made, text, root, err := readTemplate(dir, file, s, o.Template)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	z := zip.NewWriter(w)
	if err := plain(z, templateFile, text); err != nil {
		return nil, err
	}
	return made.manifest, packRest(z, root, made.manifest, made.inline, o)
}

// ReadTemplate gives the manifest that a template makes on this machine, and what there is to say about it; nothing is packed.
func ReadTemplate(dir, file string, s manifest.Setting, q *Template) (*manifest.Manifest, *Stack, error) {
	made, _, root, err := readTemplate(dir, file, s, q)
	if err != nil {
		return nil, nil, err
	}
	return made.manifest, made.Stack, root.Close()
}

// readTemplate reads and translates a template. The root, which the caller closes, is the folder that its code is below.
func readTemplate(dir, file string, s manifest.Setting, q *Template) (*read, []byte, *os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, nil, &casemate.Error{Code: casemate.NotFound, Field: dir, Message: "there is no folder to deploy", Hint: "name the template", Err: err}
	}
	text, err := root.ReadFile(file)
	if err != nil {
		err = &casemate.Error{Code: casemate.NotFound, Field: file, Message: "the template cannot be read", Hint: "name a SAM or CloudFormation template", Err: err}
	} else {
		err = q.assets(root, text)
	}
	if err == nil && q.beside(text) {
		root.Close()
		root, err = q.outward(dir)
	}
	var made *read
	if err == nil {
		made, err = q.translate(text, s, "", q.around())
	}
	if err == nil {
		err = q.fits(root, made)
	}
	if err != nil && root != nil {
		root.Close()
	}
	return made, text, root, err
}

// packRest writes all of a bundle but what describes the app: code, layers, files and the request.
func packRest(z *zip.Writer, root *os.Root, m *manifest.Manifest, inline map[string]sam.File, o Options) error {
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		ext, data, err := ".zip", []byte(nil), error(nil)
		if f, ok := inline[name]; ok {
			data, err = packInline(f)
		} else {
			ext, data, err = packCode(root, m.Functions[name].Code)
		}
		if err != nil {
			return fmt.Errorf("packing function %s: %w", name, err)
		}
		if err := plain(z, codeFolder+name+ext, data); err != nil {
			return err
		}
	}
	if err := packLayers(z, root, m); err != nil {
		return err
	}
	for _, name := range m.Files() {
		data, err := root.ReadFile(name)
		if err != nil {
			return missing(name, err)
		}
		if err := plain(z, filesFolder+name, data); err != nil {
			return err
		}
	}
	return packRequest(z, o)
}

// packInline makes the zip of code that stands in the template.
func packInline(f sam.File) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
	h.SetMode(0o644)
	w, err := z.CreateHeader(h)
	if err == nil {
		_, err = io.WriteString(w, f.Text)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return buf.Bytes(), nil
}

// StackName makes the name of an app for a template whose stack nobody named: that of the stack in <stack>.template.json, else that of
// the project's folder. What a tool builds into a hidden folder, .aws-sam/build, is of the folder around that.
func StackName(dir, file string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	if stack, ok := strings.CutSuffix(file, templateTail); ok {
		abs = stack
	}
	for up := filepath.Dir(abs); up != abs && (filepath.Base(abs)[0] == '.' || filepath.Base(up) == ".aws-sam"); up = filepath.Dir(abs) {
		abs = up
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(path.Base(filepath.ToSlash(abs))))
	name = strings.Trim(name, "-")
	if name == "" || name[0] < 'a' {
		name = "app-" + name
	}
	return strings.TrimSuffix(name[:min(len(name), 63)], "-")
}

// String lists what became of the template, class by class, and its outputs.
func (s *Stack) String() string {
	var b strings.Builder
	for _, class := range sam.Classes() {
		head := false
		for _, n := range s.Notes {
			if n.Class != class {
				continue
			}
			if !head {
				fmt.Fprintf(&b, "%s\n", class)
				head = true
			}
			fmt.Fprintf(&b, "  %s:%d:%d: %s: %s\n", n.File, n.Line, n.Column, n.Path, n.Text)
		}
	}
	if len(s.Outputs) > 0 {
		b.WriteString("outputs\n")
	}
	for _, o := range s.Outputs {
		fmt.Fprintf(&b, "  %s: %s\n", o.Name, o.Value)
	}
	return b.String()
}
