package bundle

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"casemate"
	"casemate/deploy/manifest"
)

// File is the name of the manifest, at the root of a project and of a bundle.
const File = manifest.File

// Names inside a bundle: the manifest, the request, code/<function>.zip or .wasm, layers/, files/<path in the manifest>.
const (
	requestFile = "request.json"
	codeFolder  = "code/"
	filesFolder = "files/"
)

// Unborn is the generation that Options.Expect an app to have that is not there.
const Unborn = -1

// Options travel inside the bundle, so that a deploy is one body.
type Options struct {
	LeaveOut bool   `json:"leave_out,omitempty"` // leave out functions whose runtime is not installed, instead of refusing
	Expect   int    `json:"expect,omitempty"`    // generation the plan was made against; 0: whatever is in force; Unborn: none
	Note     string `json:"note,omitempty"`      // one line for the history

	Environment string `json:"environment,omitempty"` // that the app is for; empty: as the manifest says

	Template *Template `json:"template,omitempty"` // of a bundle that holds a template in the place of a manifest
}

// Pack reads the project in dir (the manifest, the code of every function, contracts and key sets) and writes its bundle.
// The same files make the same bytes: sorted, without times and owners. Links that stay inside a code folder are packed
// as what they lead to; others are refused. What .casemateignore names is left out.
func Pack(dir string, s manifest.Setting, o Options, w io.Writer) (*manifest.Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.NotFound, Field: dir, Message: "there is no folder to deploy", Hint: "casemate init makes one", Err: err}
	}
	defer root.Close()
	text, err := root.ReadFile(File)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.NotFound, Field: File, Message: "there is no " + File + " here", Hint: "casemate init writes one", Err: err}
	}
	m, err := manifest.Parse(File, text, s)
	if err != nil {
		return nil, err
	}
	z := zip.NewWriter(w)
	if err := plain(z, File, text); err != nil {
		return nil, err
	}
	return m, packRest(z, root, m, nil, o)
}

// packRequest writes the options and ends the bundle.
func packRequest(z *zip.Writer, o Options) error {
	request, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("packing the request: %w", err)
	}
	if err := plain(z, requestFile, request); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return nil
}

func missing(name string, err error) error {
	return &casemate.Error{Code: casemate.NotFound, Field: name, Message: "the manifest names this file, and it cannot be read",
		Hint: "build first, or correct the path", Err: err}
}

// plain adds an entry as it is. Bundles hold zips and travel locally: packing them again would only cost time.
func plain(z *zip.Writer, name string, data []byte) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err == nil {
		_, err = w.Write(data)
	}
	if err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	return nil
}

// packCode gives the code at a path: a file as it is, a folder as a zip.
func packCode(root *os.Root, name string) (ext string, data []byte, err error) {
	name = strings.TrimSuffix(name, "/")
	st, err := root.Stat(name)
	if err != nil {
		return "", nil, missing(name, err)
	}
	if !st.IsDir() {
		if ext = path.Ext(name); ext != ".zip" && ext != ".wasm" {
			return "", nil, &casemate.Error{Code: casemate.Invalid, Field: name, Message: "code is a folder, a .zip or a .wasm",
				Hint: "name the folder that the file is in"}
		}
		if data, err = root.ReadFile(name); err != nil {
			return "", nil, missing(name, err)
		}
		return ext, data, nil
	}
	folder, err := root.OpenRoot(name)
	if err != nil {
		return "", nil, missing(name, err)
	}
	defer folder.Close()
	outer, err := readIgnore(root)
	if err != nil {
		return "", nil, err
	}
	inner, err := readIgnore(folder)
	if err != nil {
		return "", nil, err
	}
	data, err = packFolder(folder, func(p string, dir bool) bool {
		return ignored(inner, p, dir) || ignored(outer, path.Join(name, p), dir)
	})
	return ".zip", data, err
}

func packFolder(root *os.Root, skip func(p string, dir bool) bool) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	n := 0
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if skip(p, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		st, err := root.Stat(p) // follows links, but never out of the folder
		if err != nil || !st.Mode().IsRegular() {
			return &casemate.Error{Code: casemate.Invalid, Field: p, Message: "this is no plain file of the folder",
				Hint: "copy the file in, or name it in .casemateignore", Err: err}
		}
		n++
		return packFile(z, root, p, st.Mode())
	})
	if err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	if n == 0 {
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the code folder holds no file", Hint: "build first"}
	}
	return buf.Bytes(), nil
}

func packFile(z *zip.Writer, root *os.Root, p string, mode fs.FileMode) error {
	h := &zip.FileHeader{Name: p, Method: zip.Deflate}
	h.SetMode(0o644 | mode&0o111)
	w, err := z.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("packing %s: %w", p, err)
	}
	f, err := root.Open(p)
	if err != nil {
		return missing(p, err)
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("packing %s: %w", p, err)
	}
	return nil
}

// readIgnore reads the patterns of .casemateignore: one a line, # starts a comment, ! takes back, a slash at the end
// means folders only, a slash inside anchors to the folder, * and ? stay within a name.
func readIgnore(root *os.Root) ([]string, error) {
	list := []string{".git/", ".casemate/", ".casemateignore", ".DS_Store", File}
	data, err := root.ReadFile(".casemateignore")
	if os.IsNotExist(err) {
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading .casemateignore: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		l := strings.TrimSpace(lines.Text())
		if l == "" || l[0] == '#' {
			continue
		}
		if _, err := path.Match(strings.Trim(l, "!/"), ""); err != nil {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: ".casemateignore", Message: fmt.Sprintf("%q is no pattern", l), Hint: "* ? and [a-z] are taken"}
		}
		list = append(list, l)
	}
	return list, lines.Err()
}

// ignored applies the patterns in order; the last one that matches decides.
func ignored(patterns []string, p string, dir bool) (out bool) {
	for _, l := range patterns {
		l, back := strings.CutPrefix(l, "!")
		l, folder := strings.CutSuffix(l, "/")
		if folder && !dir {
			continue
		}
		subject := path.Base(p)
		if strings.Contains(l, "/") {
			l, subject = strings.TrimPrefix(l, "/"), p
		}
		if ok, _ := path.Match(l, subject); ok {
			out = !back
		}
	}
	return out
}
