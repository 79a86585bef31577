package control

import (
	"context"
	"slices"
	"strconv"

	"casemate"
	published "casemate/service/lambda/layer"
)

// Layers is what has been published for functions to have at /opt. Its errors are those of the layer room.
type Layers interface {
	Publish(ctx context.Context, name string, v published.Version, zip []byte) (published.Version, error)
	Get(ctx context.Context, name string, number int) (v published.Version, there bool, err error)
	All(ctx context.Context) ([]published.Named, error)
	Delete(ctx context.Context, name string, number int) error
}

// layerOperations are those on layers. They are Lambda's, but that no archive can be fetched: there is no object store to fetch it from.
func (d *desk) layerOperations() []casemate.Operation {
	return []casemate.Operation{
		onLayer(d, "PublishLayerVersion", "", codeBody, false, d.publishLayer),
		onLayer(d, "GetLayerVersion", "", askBody, true, d.getLayer),
		onLayer(d, "GetLayerVersionByArn", "lambda:GetLayerVersion", askBody, true, d.getLayer),
		onLayer(d, "DeleteLayerVersion", "", askBody, true, d.deleteLayer),
		onAll(d, "ListLayers", d.listLayers),
		onAll(d, "ListLayerVersions", d.listLayerVersions),
	}
}

type layerIn struct {
	LayerName     string
	VersionNumber int
	Arn           string // of a version, where that is asked by
	Description   string
	LicenseInfo   string
	Content       struct {
		ZipFile         []byte
		S3Bucket, S3Key string
	}
	CompatibleRuntimes      []string
	CompatibleArchitectures []string
}

type layerContent struct {
	CodeSha256 string
	CodeSize   int64
}

type layerOut struct {
	Content                   *layerContent `json:",omitempty"`
	LayerArn, LayerVersionArn string
	layerTold
}

// layerTold is what a list tells of a version as well.
type layerTold struct {
	Version                 int
	Description             string
	CreatedDate             string
	CompatibleRuntimes      []string `json:",omitempty"`
	LicenseInfo             string   `json:",omitempty"`
	CompatibleArchitectures []string `json:",omitempty"`
}

// onLayer makes an operation on a layer, or on one of its versions: action is "" where it is the operation's own.
func onLayer(d *desk, name, action string, body int64, versioned bool, run func(ctx context.Context, l *casemate.Launch, in *layerIn) (any, error)) casemate.Operation {
	read := func(place casemate.Place, body []byte) (*layerIn, string, error) {
		in, err := decode[layerIn](d, name, body)
		if err != nil {
			return nil, "", err
		}
		text := in.LayerName
		if in.Arn != "" {
			text = in.Arn
		}
		stem, number, ok := published.Parse(place, text)
		if !ok || number != 0 && in.Arn == "" {
			return nil, "", parameter("Invalid Layer name: %s", clip(text))
		}
		if in.LayerName = stem; in.Arn != "" {
			in.VersionNumber = number
		}
		if !versioned {
			return in, layerARN(place, stem), nil
		}
		if in.VersionNumber < 1 {
			return nil, "", parameter("Layer Version Cannot be less than 1.")
		}
		return in, place.LayerARN(stem, in.VersionNumber), nil
	}
	if action == "" {
		action = "lambda:" + name
	}
	return casemate.Operation{Service: "lambda", Name: name, Action: action, Body: body,
		Resource: func(place casemate.Place, body []byte) (string, error) {
			_, arn, err := read(place, body)
			return arn, err
		},
		Run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			in, _, err := read(d.Place, l.Payload)
			if err != nil {
				return nil, err
			}
			return run(ctx, l, in)
		}}
}

// layerARN names a layer as a whole.
func layerARN(place casemate.Place, name string) string {
	arn := place.LayerARN(name, 0)
	return arn[:len(arn)-len(":0")]
}

// publishLayer is PublishLayerVersion.
func (d *desk) publishLayer(ctx context.Context, _ *casemate.Launch, in *layerIn) (any, error) {
	switch zip := in.Content.ZipFile; {
	case in.Content.S3Bucket != "" || in.Content.S3Key != "":
		return nil, parameter("Layers are taken as a ZipFile alone: there is no object store here to fetch them from.")
	case len(zip) == 0:
		return nil, parameter("Uploaded file must be a non-empty zip")
	case len(zip) > maxZip:
		return nil, failure(casemate.TooLarge, "RequestTooLargeException", "the archive is larger than %d bytes", maxZip)
	}
	v, err := d.Layers.Publish(ctx, in.LayerName, published.Version{Description: in.Description, License: in.LicenseInfo, Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures}, in.Content.ZipFile)
	if casemate.CodeOf(err) == casemate.Invalid {
		return nil, parameter("Could not unzip uploaded file. Please check your file, then try to upload again. (%s)", casemate.AsError(err).Message)
	}
	if err != nil {
		return nil, err
	}
	return d.layer(in.LayerName, &v), nil
}

// layer is a version as Lambda tells of it.
func (d *desk) layer(name string, v *published.Version) *layerOut {
	return &layerOut{Content: &layerContent{sum(v.Code), v.Size}, LayerArn: layerARN(d.Place, name), LayerVersionArn: v.ARN, layerTold: toldOf(v)}
}

func toldOf(v *published.Version) layerTold {
	return layerTold{Version: v.Number, Description: v.Description, CreatedDate: v.Created.UTC().Format("2006-01-02T15:04:05.000-0700"), CompatibleRuntimes: v.Runtimes,
		LicenseInfo: v.License, CompatibleArchitectures: v.Architectures}
}

// getLayer is GetLayerVersion, and GetLayerVersionByArn.
func (d *desk) getLayer(ctx context.Context, _ *casemate.Launch, in *layerIn) (any, error) {
	v, there, err := d.Layers.Get(ctx, in.LayerName, in.VersionNumber)
	if err == nil && !there {
		err = failure(casemate.NotFound, codeMissing, noResource)
	}
	if err != nil {
		return nil, err
	}
	return d.layer(in.LayerName, &v), nil
}

// deleteLayer is DeleteLayerVersion: what is not there is deleted already.
func (d *desk) deleteLayer(ctx context.Context, _ *casemate.Launch, in *layerIn) (any, error) {
	return nil, d.Layers.Delete(ctx, in.LayerName, in.VersionNumber)
}

type layersIn struct {
	LayerName, CompatibleRuntime, CompatibleArchitecture, Marker string
	MaxItems                                                     int
}

// suits reports whether a version is said to be for what is asked for.
func (in *layersIn) suits(v *published.Version) bool {
	return (in.CompatibleRuntime == "" || slices.Contains(v.Runtimes, in.CompatibleRuntime)) && (in.CompatibleArchitecture == "" || slices.Contains(v.Architectures, in.CompatibleArchitecture))
}

type listedLayer struct {
	LayerName, LayerArn   string
	LatestMatchingVersion *listedVersion
}

type listedVersion struct {
	LayerVersionArn string
	layerTold
}

// listLayers is ListLayers: each with its newest version that suits.
func (d *desk) listLayers(ctx context.Context, _ *casemate.Launch, in *layersIn) (any, error) {
	p, after, err := begin[listedLayer](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	all, err := d.Layers.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		i := slices.IndexFunc(x.Versions, func(v published.Version) bool { return in.suits(&v) })
		if x.Name <= after || i < 0 {
			continue
		}
		v := &x.Versions[i]
		if !p.add(x.Name, listedLayer{x.Name, layerARN(d.Place, x.Name), &listedVersion{v.ARN, toldOf(v)}}) {
			break
		}
	}
	return struct {
		NextMarker string `json:",omitempty"`
		Layers     []listedLayer
	}{p.next, p.items}, nil
}

// listLayerVersions is ListLayerVersions: the newest first.
func (d *desk) listLayerVersions(ctx context.Context, _ *casemate.Launch, in *layersIn) (any, error) {
	name, number, ok := published.Parse(d.Place, in.LayerName)
	if !ok || number != 0 {
		return nil, parameter("Invalid Layer name: %s", clip(in.LayerName))
	}
	p, after, err := begin[listedVersion](in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	all, err := d.Layers.All(ctx)
	if err != nil {
		return nil, err
	}
	below, _ := strconv.Atoi(after) // 0: from the newest on
	for _, x := range all {
		if x.Name != name {
			continue
		}
		for i := range x.Versions {
			v := &x.Versions[i]
			if below > 0 && v.Number >= below || !in.suits(v) {
				continue
			}
			if !p.add(strconv.Itoa(v.Number), listedVersion{v.ARN, toldOf(v)}) {
				break
			}
		}
	}
	return struct {
		NextMarker    string `json:",omitempty"`
		LayerVersions []listedVersion
	}{p.next, p.items}, nil
}

// mayGet asks whether the caller may read a layer that it adds: a function reads all of it.
func (d *desk) mayGet(l *casemate.Launch, arn string) error {
	verdict := d.Judge(l, "lambda:GetLayerVersion", arn)
	if verdict.Verdict == casemate.Allowed {
		return nil
	}
	return &casemate.Error{Code: casemate.Forbidden, AWS: codeDenied, Rule: verdict.Statement, Hint: verdict.Hint,
		Message: "User: " + who(l) + " is not authorized to perform: lambda:GetLayerVersion on resource: " + clip(arn)}
}

// putLayers gives a version the layers that a request names; nil leaves those that it has.
func (d *desk) putLayers(l *casemate.Launch, arns *[]string, v *casemate.Version) error {
	if arns == nil {
		return nil
	}
	if len(*arns) > casemate.MaxLayers {
		return parameter("Cannot reference more than %d layers.", casemate.MaxLayers)
	}
	had := v.Layers
	v.Layers = nil
	var unpacked int64
	brought := map[string]bool{}
	for _, arn := range *arns {
		name, number, ok := published.Parse(d.Place, arn)
		if !ok || number == 0 {
			return parameter("Layer version %s does not exist.", clip(arn))
		}
		if !slices.ContainsFunc(had, func(y casemate.Layer) bool { return y.ARN == arn }) {
			if err := d.mayGet(l, d.Place.LayerARN(name, number)); err != nil {
				return err
			}
		}
		x, err := d.Layer(arn)
		if casemate.CodeOf(err) == casemate.NotFound {
			return parameter("Layer version %s does not exist.", clip(arn))
		}
		if err != nil {
			return err
		}
		for _, y := range v.Layers {
			if other, _, _ := published.Parse(d.Place, y.ARN); other == name {
				return parameter("Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are not allowed.", y.ARN, arn)
			}
		}
		unpacked += x.Unpacked
		for _, e := range x.Extensions {
			brought[e] = true
		}
		v.Layers = append(v.Layers, x)
	}
	switch {
	case unpacked > maxUnzipped:
		return parameter("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", maxUnzipped, unpacked)
	case len(brought) > casemate.MaxExtensions:
		return parameter("The layers bring %d extensions, and a sandbox takes %d.", len(brought), casemate.MaxExtensions)
	}
	return nil
}
