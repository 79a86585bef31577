package casemate

import "strconv"

// Layer is one archive that a version has unpacked at /opt beside its code, under those that stand after it in
// Version.Layers: where two hold the same file, the later one's is there
// (https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html).
type Layer struct {
	ARN  string `json:"arn,omitempty"` // of the layer's version, "" when it came with the manifest as a folder or a zip
	Code string `json:"code"`          // lower-case hex SHA-256 of the zip in the blob store
	Size int64  `json:"size"`          // of the zip, in bytes

	Unpacked int64 `json:"unpacked,omitempty"` // bytes of its files

	// Extensions are the programs in its folder extensions/, sorted: they run beside the function's own in every sandbox.
	Extensions []string `json:"extensions,omitempty"`
}

// Bounds of the layers of one version, as on Lambda.
const (
	MaxLayers     = 5
	MaxExtensions = 10 // of one sandbox, those that a runtime registers from within included
)

// LayerARN names one version of a layer.
func (p Place) LayerARN(name string, version int) string {
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":layer:" + name + ":" + strconv.Itoa(version)
}
