package deploy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/catalog/code"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

// layers finds what a function has at /opt. What came with the bundle is looked at and noted to be stored; a published
// version is asked for. What is wrong is said in found.
func (d *Deployer) layers(out *draft, b *bundle.Contents, name string, found *manifest.Problems) (list []casemate.Layer, ok bool) {
	ok = true
	bad := func(n int, err error) {
		ptr := fmt.Sprintf("/functions/%s/layers/%d", manifest.Escape(name), n)
		found.Add(b.Manifest.At(ptr), ptr, casemate.AsError(err).Hint, "layer %d of %s: %s", n+1, name, casemate.AsError(err).Error())
		ok = false
	}
	for n, l := range b.Manifest.Functions[name].Layers {
		if l.Name != "" {
			x, err := d.published(l)
			if err != nil {
				bad(n, err)
				continue
			}
			list = append(list, x)
			continue
		}
		r := b.Layer(name, n)
		content, err := code.InspectLayer(r, r.Size(), code.Bounds{})
		if err != nil {
			bad(n, err)
			continue
		}
		digest, err := digestOf(r)
		if err != nil {
			bad(n, err)
			continue
		}
		out.code[digest] = r
		list = append(list, casemate.Layer{Code: digest, Size: r.Size(), Unpacked: content.Bytes, Extensions: content.Extensions})
	}
	if ok && len(list) > 0 {
		own, err := code.InspectLayer(b.Code[name], b.Code[name].Size(), code.Bounds{})
		if err == nil {
			err = CheckLayers(list, own.Bytes)
			if at := b.Manifest.Functions[name].AtOnce; err == nil && at > 1 && slices.ContainsFunc(list, func(l casemate.Layer) bool { return len(l.Extensions) > 0 }) {
				err = casemate.Errorf(casemate.Invalid, "leave sandbox_concurrency out, or the extensions", "an extension is told of one event at a time, and a sandbox has several at once")
			}
		}
		if err != nil {
			bad(0, err)
		}
	}
	return list, ok
}

// published finds a layer's version that this node has.
func (d *Deployer) published(l manifest.Layer) (casemate.Layer, error) {
	arn := l.ARN
	if arn == "" {
		arn = d.cfg.Place.LayerARN(l.Name, l.Version)
	}
	if d.cfg.Layer == nil || arn != d.cfg.Place.LayerARN(l.Name, l.Version) {
		return casemate.Layer{}, casemate.Errorf(casemate.NotFound, "publish it first, or name a folder or a .zip", "there is no layer %s on this node", arn)
	}
	return d.cfg.Layer(arn)
}

// mounted lists the published layers that next newly has, is not the namesake of and its deployer may not read: a function
// reads all of its layers, and its answers show what it likes.
func (d *Deployer) mounted(current, next *catalog.App) (what []string) {
	if d.guard.Layer == nil {
		return nil
	}
	had, stem := publishedIn(current), strings.TrimSuffix(d.cfg.Place.LayerARN("", 0), ":0")
	for _, arn := range slices.Sorted(maps.Keys(publishedIn(next))) {
		name, _, _ := strings.Cut(strings.TrimPrefix(arn, stem), ":")
		if !had[arn] && !bears(name, next.Name) && d.guard.Layer(arn) != nil {
			what = append(what, "layer "+arn)
		}
	}
	return what
}

// publishedIn are the published layers of an app's versions, by ARN.
func publishedIn(a *catalog.App) map[string]bool {
	all := map[string]bool{}
	for _, f := range a.Functions {
		for _, v := range f.Versions {
			for _, l := range v.Layers {
				if l.ARN != "" {
					all[l.ARN] = true
				}
			}
		}
	}
	return all
}

// CheckLayers holds the bounds of the layers of one version: how many, how much unpacked together with its code, how many
// extensions.
func CheckLayers(list []casemate.Layer, own int64) error {
	if len(list) > casemate.MaxLayers {
		return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("layers <= %d", casemate.MaxLayers), Message: "the function has too many layers", Hint: "put some of them together"}
	}
	total := own
	var extensions []string
	for _, l := range list {
		total += l.Unpacked
		for _, x := range l.Extensions {
			if !slices.Contains(extensions, x) {
				extensions = append(extensions, x)
			}
		}
	}
	if most := code.DefaultBounds().Total; total > most {
		return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("unpacked bytes of code and layers <= %d", most), Message: "the code of the function and its layers hold too much", Hint: "leave out what it does not need"}
	}
	if len(extensions) > casemate.MaxExtensions {
		return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("extensions <= %d", casemate.MaxExtensions), Message: "the layers of the function bring too many extensions", Hint: "leave some of them out"}
	}
	return nil
}

// inLayers reports whether a program lies in what layers bring: its content is fixed by their digests.
func inLayers(path string) bool { return strings.HasPrefix(path, "/opt/") }

// fits holds a version that an edit made to the bounds of its layers together with its code, as a deploy does.
func (d *Deployer) fits(ctx context.Context, v *casemate.Version) error {
	if len(v.Layers) == 0 || v.Runtime.Family() == "wasm" {
		return nil
	}
	r, err := d.cfg.Blobs.Open(ctx, v.Code)
	if err != nil {
		return fmt.Errorf("opening the code of %s: %w", v.Function, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("reading the code of %s: %w", v.Function, err)
	}
	own, err := code.InspectLayer(bytes.NewReader(data), int64(len(data)), code.Bounds{})
	if err != nil {
		return err
	}
	if err = CheckLayers(v.Layers, own.Bytes); err == nil {
		return nil
	}
	e := *casemate.AsError(err)
	e.AWS = "InvalidParameterValueException"
	total := own.Bytes
	for _, l := range v.Layers {
		total += l.Unpacked
	}
	if most := code.DefaultBounds().Total; total > most { // in Lambda's words
		e.Message = fmt.Sprintf("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", most, total)
	}
	return &e
}
