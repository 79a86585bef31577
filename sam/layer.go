package sam

import (
	"path"
	"slices"
	"strings"

	"casemate/sam/template"
)

// layers: those of the template are packed with the function; another is one that was published on the node.
func layers(t *translator, f *function, v template.Value, at string) {
	for i, x := range v.List {
		if x.Unknown != "" || !x.Scalar() {
			t.bad(x.At, indexed(at, i), "refer to an AWS::Serverless::LayerVersion of this template", "the layer is not known here")
			continue
		}
		r := t.byARN(x, "AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")
		if r == nil {
			add(f.doc, "layers", text(x.At, x.Text))
			continue
		}
		if folder, ok := t.content(r); ok {
			add(f.doc, "layers", text(x.At, folder))
		}
	}
}

// content is the folder or zip of a layer, as the manifest writes it.
func (t *translator) content(r *template.Resource) (string, bool) {
	where := "Resources/" + r.ID + "/Properties"
	v, ok := r.Properties.Get("ContentUri")
	if !ok {
		v, ok = r.Properties.Get("Content")
	}
	if where, found := t.asset(r, v, "Content", "ContentUri"); ok && v.Kind == template.Map && found {
		return "./" + where, true
	}
	if !ok || v.Kind != template.String || v.Unknown != "" || strings.Contains(v.Text, "://") {
		t.bad(r.At, where+"/ContentUri", "name a folder or a .zip beside the template", "what the layer holds cannot be had")
		return "", false
	}
	return "./" + path.Join(t.Within, v.Text), true
}

// layerVersion is packed with the functions that name it.
func (t *translator) layerVersion(r *template.Resource) {
	if _, ok := t.content(r); ok {
		t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "layer %s, unpacked at /opt of the functions that name it", t.names.of(r.ID, r.Type))
	}
}

// asset is the folder or zip beside the template that holds what v says is in a bucket. A tool that uploads it says where it is: in the
// metadata of the resource, for one of the properties, or in a manifest of its own
// (https://docs.aws.amazon.com/cdk/v2/guide/assets.html).
func (t *translator) asset(r *template.Resource, v template.Value, properties ...string) (string, bool) {
	where, ok := r.Metadata.Get("aws:asset:path")
	of, _ := r.Metadata.Get("aws:asset:property")
	if ok && where.Kind == template.String && where.Unknown == "" && slices.Contains(properties, strings.TrimSuffix(of.Text, ".S3Key")) {
		return path.Join(t.Within, where.Text), true
	}
	key, ok := v.Get("S3Key")
	if !ok {
		key, _ = v.Get("Key")
	}
	if key.Unknown != "" || key.Text == "" {
		return "", false
	}
	for _, k := range []string{key.Text, path.Base(key.Text)} {
		if found := t.Assets[k]; found != "" {
			return path.Join(t.Within, found), true
		}
	}
	return "", false
}
