package sam

import (
	"strings"

	"casemate/sam/template"
)

// learnAlias takes what an alias, or a function that makes one, says about it.
func (n *names) learnAlias(r *template.Resource) {
	key := map[string]string{"AWS::Serverless::Function": "AutoPublishAlias", "AWS::Lambda::Alias": "FunctionName"}[r.Type]
	if v, ok := r.Properties.Get(key); ok && v.Scalar() && v.Unknown == "" {
		n.alias[r.ID] = v.Text
	}
}

// aliasARN is that of an alias of a function of the template.
func (n *names) aliasARN(id string) (template.Value, bool) {
	for fn, typ := range n.types {
		if !strings.HasSuffix(typ, "::Function") || n.given[id] == "" {
			continue
		}
		plain := names{place: n.place, stack: n.stack} // the alias may have been read before the function's name was known
		for _, said := range []string{n.of(fn, typ), n.resource(fn, typ), plain.of(fn, typ), plain.resource(fn, typ)} {
			if n.alias[id] == said {
				return known(n.resource(fn, typ) + ":" + n.given[id])
			}
		}
	}
	return template.Value{}, false
}

// aliased gives a function an alias in the manifest.
func (t *translator) aliased(f *function, name template.Value, path string, a template.Value) bool {
	all, _ := f.doc.Get("aliases")
	if _, twice := all.Get(name.Text); twice {
		t.bad(name.At, path, "give it another name", "the function %s has an alias %s already", f.ID, name.Quoted())
		return false
	}
	if all.Kind != template.Map {
		all = *mapping(name.At)
	}
	all.Members = append([]template.Member{}, all.Members...)
	set(&all, name.Text, a)
	set(f.doc, "aliases", all)
	return true
}

// autoAlias is AutoPublishAlias: a name that leads to what each deploy puts in force.
func autoAlias(t *translator, f *function, v template.Value, path string) {
	if t.wants(v, path, template.String) && t.aliased(f, v, path, *mapping(v.At)) {
		t.note(Honoured, f.Type, v.At, path, "alias %s leads to the version in force; routes and sources run that as well", v.Text)
	}
}

// preference says what becomes of a gradual deployment
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-deploymentpreference.html).
func preference(t *translator, f *function, v template.Value, path string) {
	on, said := v.Get("Enabled")
	kind, _ := v.Get("Type")
	_, hooks := v.Get("Hooks")
	_, alarms := v.Get("Alarms")
	switch {
	case said && on.Text == "false":
		t.note(Ignored, f.Type, v.At, path, "it is off")
	case hooks:
		t.note(NotServed, f.Type, v.At, path, "a deploy puts the new version in force at once, and no hook runs before: check first with casemate deploy --plan, go back with casemate rollback")
	case kind.Text == "AllAtOnce" && !alarms:
		t.note(Honoured, f.Type, v.At, path, "a deploy puts the new version in force at once")
	default:
		t.note(NotServed, f.Type, v.At, path, "a deploy puts the new version in force at once; an AWS::Lambda::Alias with RoutingConfig gives it a share of the events, casemate rollback goes back")
	}
}

// versionResource is AWS::Lambda::Version: it names the version of the deploy that first has it, and stays with that
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-version.html).
func (t *translator) versionResource(r *template.Resource) {
	f := t.target(r, "FunctionName")
	if f == nil {
		return
	}
	path := "Resources/" + r.ID
	for _, m := range r.Properties.Members {
		at := path + "/Properties/" + m.Key
		switch m.Key {
		case "FunctionName":
		case "Description":
			t.note(Ignored, r.Type, m.KeyAt, at, "the history of a deploy has its note")
		case "CodeSha256":
			t.note(Ignored, r.Type, m.KeyAt, at, "the code is packed by this deploy, and its own digest is recorded")
		case "ProvisionedConcurrencyConfig":
			provisioned(t, f, m.Value, at)
		case "RuntimePolicy":
			t.note(Ignored, r.Type, m.KeyAt, at, "the runtime is what is installed on the node")
		default:
			t.bad(m.KeyAt, at, template.Nearest(m.Key, []string{"FunctionName", "Description", "CodeSha256", "ProvisionedConcurrencyConfig"}), "%s has no such property", r.Type)
		}
	}
	add(f.doc, "versions", text(r.At, r.ID))
	t.note(Honoured, r.Type, r.At, path, "the version of %s in the deploy that first has %s; a later one needs another logical id, as on AWS", f.name, r.ID)
}

// aliasResource is AWS::Lambda::Alias
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-alias.html).
func (t *translator) aliasResource(r *template.Resource) {
	f := t.target(r, "FunctionName")
	if f == nil {
		return
	}
	path, a := "Resources/"+r.ID+"/Properties", mapping(r.At)
	for _, m := range r.Properties.Members {
		at := path + "/" + m.Key
		switch m.Key {
		case "FunctionName", "Name", "ProvisionedConcurrencyConfig":
		case "FunctionVersion":
			t.version(f, a, "version", m.Value, at)
		case "Description":
			t.copy(a, "description", m.Value, at)
		case "RoutingConfig":
			t.weights(f, a, m.Value, at)
		default:
			t.bad(m.KeyAt, at, template.Nearest(m.Key, []string{"FunctionName", "Name", "FunctionVersion", "Description", "RoutingConfig", "ProvisionedConcurrencyConfig"}), "%s has no such property", r.Type)
		}
	}
	name, ok := r.Properties.StringAt("Name", path, &t.found)
	if v, _ := r.Properties.Get("Name"); !ok || !t.aliased(f, v, path+"/Name", *a) {
		return
	}
	pinned, _ := a.Get("version")
	if v, ok := r.Properties.Get("ProvisionedConcurrencyConfig"); ok && pinned.Text == "" {
		provisioned(t, f, v, path+"/ProvisionedConcurrencyConfig")
	} else if ok {
		t.note(NotServed, r.Type, v.At, path+"/ProvisionedConcurrencyConfig", "sandboxes are kept for the version in force alone")
	}
	t.note(Honoured, r.Type, r.At, "Resources/"+r.ID, "alias %s of %s; routes and sources of this template run the version in force", name, f.name)
}

// version writes which version an alias leads to: a number, one that the template names, or the one in force.
func (t *translator) version(f *function, a *template.Value, key string, v template.Value, path string) {
	id, published := strings.CutSuffix(v.Unknown, ".Version")
	r := t.resources[id]
	switch {
	case published && r != nil && r.Type == "AWS::Lambda::Version":
		if name, _ := r.Properties.Get("FunctionName"); t.functionOf(name) != f {
			t.bad(v.At, path, "", "%s is a version of another function", id)
			return
		}
		set(a, key, text(v.At, id))
	case v.Text == "$LATEST" && v.Unknown == "" && key == "version":
	case v.Unknown == "" && v.Scalar() && v.Text != "" && strings.Trim(v.Text, "0123456789") == "":
		set(a, key, text(v.At, v.Text))
	default:
		t.bad(v.At, path, "!GetAtt MyVersion.Version of an AWS::Lambda::Version, or a number", "%s is no version that is known here", v.Quoted())
	}
}

// weights reads a RoutingConfig.
func (t *translator) weights(f *function, a *template.Value, v template.Value, path string) {
	path += "/AdditionalVersionWeights"
	list, _ := v.Get("AdditionalVersionWeights")
	if list.Kind != template.List || len(list.List) > 1 {
		t.bad(v.At, path, "AdditionalVersionWeights: [{FunctionVersion: ..., FunctionWeight: 0.1}]", "a list of one version is wanted here")
		return
	}
	for _, x := range list.List {
		other, _ := x.Get("FunctionVersion")
		weight, _ := x.Get("FunctionWeight")
		if t.wants(weight, path+"/0/FunctionWeight", template.String) {
			t.version(f, a, "other", other, path+"/0/FunctionVersion")
			set(a, "weight", text(weight.At, weight.Text))
		}
	}
}

// qualifier is the alias that a permission is about, ":live"; "" is the function itself.
func (t *translator) qualifier(f *function, r *template.Resource) string {
	v, _ := r.Properties.Get("FunctionName")
	if rest, ok := strings.CutPrefix(v.Text, t.Place.FunctionARN(f.name)+":"); ok && v.Unknown == "" {
		return ":" + rest
	}
	return ""
}
