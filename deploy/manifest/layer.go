package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"casemate"
)

// Layer is one archive of a function's /opt: a folder or a zip beside the manifest, or a version that was published.
type Layer struct {
	Path    string // of a folder or a .zip; "" when Name is set
	Name    string // of a published layer
	Version int    // of it
	ARN     string // as it was written, when it was
}

// Published versions are named as SAM and Lambda name them.
var (
	layerName = regexp.MustCompile(`^([A-Za-z0-9_-]{1,140}):([1-9][0-9]{0,8})$`)
	layerARN  = regexp.MustCompile(`^arn:aws:lambda:[a-z0-9-]{1,32}:[0-9]{12}:layer:([A-Za-z0-9_-]{1,140}):([1-9][0-9]{0,8})$`)
)

// parse reads "./layers/tools", "tools.zip", "tools:3" or the ARN of a layer's version.
func (l *Layer) parse(s string) error {
	match, arn := layerName.FindStringSubmatch(s), ""
	if strings.HasPrefix(s, "arn:") {
		if match, arn = layerARN.FindStringSubmatch(s), s; match == nil {
			return casemate.Errorf(casemate.Invalid, "write it as arn:aws:lambda:<region>:<account>:layer:<name>:<version>", "%q is no ARN of a layer's version", s)
		}
	}
	if match != nil {
		n, err := strconv.Atoi(match[2])
		*l = Layer{Name: match[1], Version: n, ARN: arn}
		return err
	}
	*l = Layer{Path: strings.TrimPrefix(s, "./")}
	return nil
}

// layers checks what a function has at /opt.
func (c *checker) layers(ptr string, f *Function, family string) {
	if len(f.Layers) > casemate.MaxLayers {
		c.bad(ptr+"/layers", "put some of them together", "more than %d layers", casemate.MaxLayers)
	}
	if len(f.Layers) > 0 && family == "wasm" {
		c.bad(ptr+"/layers", "leave it out", "a WebAssembly function has no /opt")
	}
	for i, l := range f.Layers {
		at := fmt.Sprintf("%s/layers/%d", ptr, i)
		if l.Name == "" {
			c.file(at, l.Path)
		}
		for _, o := range f.Layers[:i] {
			if o == l {
				c.bad(at, "", "the same layer stands here twice")
			}
		}
	}
}
