package bundle

import (
	"archive/zip"
	"path"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog/code"
)

// TaskDir is where a function's own code is: a program there is fixed by the digest of the code.
const TaskDir = "/var/task/"

// Inspect refuses code of a function that could not run as its runtime, before it is stored; module is asked about WebAssembly.
func (b *Contents) Inspect(name string, module func([]byte) error) error {
	f, r := b.Manifest.Functions[name], b.Code[name]
	if strings.HasSuffix(f.Code, ".wasm") {
		data := make([]byte, r.Size())
		if _, err := r.ReadAt(data, 0); err != nil && r.Size() > 0 {
			return broken(name, "is damaged", err)
		}
		return module(data)
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
		if own, is := strings.CutPrefix(c.Path, TaskDir); is && !holds(z, own) {
			return &casemate.Error{Code: casemate.Invalid, Message: "it has no " + own + ", which children: names", Hint: "put the program into the folder of the code, or correct children:"}
		}
	}
	return nil
}

// holds reports whether a file of one of the names is in z.
func holds(z *zip.Reader, names ...string) bool {
	return slices.ContainsFunc(z.File, func(e *zip.File) bool { return slices.Contains(names, e.Name) })
}
