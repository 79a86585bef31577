package bundle

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"casemate"
	"casemate/deploy/manifest"
)

// layersFolder of a bundle holds the layers that came with the manifest, by function and place: layers/<function>/<n>.zip.
const layersFolder = "layers/"

func layerEntry(function string, n int) string {
	return fmt.Sprintf("%s%s/%d.zip", layersFolder, function, n)
}

// packLayers adds the folders and zips that functions have at /opt.
func packLayers(z *zip.Writer, root *os.Root, m *manifest.Manifest) error {
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		for n, l := range m.Functions[name].Layers {
			if l.Name != "" {
				continue
			}
			ext, data, err := packCode(root, l.Path)
			if err == nil && ext != ".zip" {
				err = &casemate.Error{Code: casemate.Invalid, Field: l.Path, Message: "a layer is a folder or a .zip", Hint: "name the folder that the file is in"}
			}
			if err != nil {
				return fmt.Errorf("packing layer %d of function %s: %w", n+1, name, err)
			}
			if err := plain(z, layerEntry(name, n), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// layers takes the entries that the functions' layers are in.
func (r *reader) layers(m *manifest.Manifest) (map[string]*io.SectionReader, error) {
	found := map[string]*io.SectionReader{}
	for name, f := range m.Functions {
		for n, l := range f.Layers {
			if l.Name != "" {
				continue
			}
			at := layerEntry(name, n)
			if found[at] = r.entries[at]; found[at] == nil {
				return nil, broken(at, "is missing", nil)
			}
			delete(r.entries, at)
		}
	}
	return found, nil
}

// Layer is one that came with the bundle: the n-th of a function; nil: that one has a name.
func (b *Contents) Layer(function string, n int) *io.SectionReader {
	return b.layers[layerEntry(function, n)]
}
