package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"casemate"
)

// assetsFile ends the name of the file in which the CDK says what belongs to the template beside it, <stack>.template.json
// (https://docs.aws.amazon.com/cdk/api/v2/docs/cloud-assembly-schema-readme.html). It is at most maxAssets long.
const (
	assetsFile   = ".assets.json"
	templateTail = ".template.json"
	maxAssets    = 4 << 20

	assetPrefix  = "asset."             // how the names of assets begin
	besideFolder = `"../` + assetPrefix // of a stage, whose stacks have a folder beside what they share
)

// beside reports whether code lies beside the folder of the template.
func (q *Template) beside(text []byte) bool {
	for _, at := range q.Assets {
		if strings.HasPrefix(at, "../") {
			return true
		}
	}
	return bytes.Contains(text, []byte(besideFolder))
}

// outward opens the folder around that of a template whose code is beside it.
func (q *Template) outward(dir string) (*os.Root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", dir, err)
	}
	root, err := os.OpenRoot(filepath.Dir(abs))
	if err != nil {
		return nil, &casemate.Error{Code: casemate.NotFound, Field: filepath.Dir(abs), Message: "the folder of the assets cannot be read", Hint: "run cdk synth again", Err: err}
	}
	q.Within = filepath.Base(abs)
	return root, nil
}

// fits refuses what a template whose code is also beside its folder names there but assets: the folder around it may be anything, a home
// directory too. Links lead out of an asset likewise.
func (q *Template) fits(root *os.Root, made *read) error {
	if q.Within == "" {
		return nil
	}
	names := made.manifest.Files()
	for function, f := range made.manifest.Functions {
		if _, here := made.inline[function]; !here {
			names = append(names, f.Code)
		}
		for _, l := range f.Layers {
			names = append(names, l.Path)
		}
	}
	for _, name := range names {
		if name == "" { // of a layer that is known by its name
			continue
		}
		name = path.Clean(name)
		first, rest, _ := strings.Cut(name, "/")
		ok := first == q.Within || strings.HasPrefix(first, assetPrefix)
		for at := first; ok; { // of what Within is, who deploys it named the folder
			info, err := root.Lstat(at)
			ok = err != nil || at == q.Within || info.Mode()&fs.ModeSymlink == 0
			if rest == "" {
				break
			}
			first, rest, _ = strings.Cut(rest, "/")
			at += "/" + first
		}
		if !ok {
			return &casemate.Error{Code: casemate.Invalid, Field: name, Message: "it is outside of the folder of the template, and no asset beside it",
				Hint: "beside that folder, code is in " + assetPrefix + "*, and no link"}
		}
	}
	return nil
}

// assets finds what a template says is in a bucket: by the manifest of assets beside it, and zips beside it that it names. The bundle
// says where they were, so that the node translates the template to the same.
func (q *Template) assets(root *os.Root, text []byte) error {
	q.Assets = map[string]string{}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return &casemate.Error{Code: casemate.NotFound, Field: q.File, Message: "its folder cannot be read", Hint: "name a SAM or CloudFormation template", Err: err}
	}
	for _, e := range entries {
		if path.Ext(e.Name()) == ".zip" && bytes.Contains(text, []byte(e.Name())) {
			q.Assets[e.Name()] = e.Name()
		}
	}
	stack, ok := strings.CutSuffix(q.File, templateTail)
	if !ok {
		return nil
	}
	name := stack + assetsFile
	info, err := root.Stat(name)
	if os.IsNotExist(err) {
		return nil
	}
	var data []byte
	if err == nil && info.Mode().IsRegular() && info.Size() <= maxAssets {
		data, err = root.ReadFile(name)
	}
	var said struct {
		Files map[string]struct {
			Source       struct{ Path string }
			Destinations map[string]struct{ ObjectKey string }
		}
	}
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil {
		return &casemate.Error{Code: casemate.Invalid, Field: name, Message: "it cannot be read", Hint: "run cdk synth again", Err: err}
	}
	for _, f := range said.Files {
		for _, d := range f.Destinations {
			if f.Source.Path != "" && bytes.Contains(text, []byte(d.ObjectKey)) {
				q.Assets[d.ObjectKey] = path.Clean(f.Source.Path)
			}
		}
	}
	return nil
}
