package sam

import (
	"cmp"
	"slices"
	"strings"

	"casemate"
	"casemate/sam/template"
)

// Setting is what a translation depends on besides the template.
type Setting struct {
	App   string // name of the stack, and of the app
	Place casemate.Place
	Arch  string // of the node, as AWS says it: x86_64 or arm64
	// Assets are the folders and zips beside the template that hold what it says is in a bucket, by the key or its last part.
	Assets map[string]string
	Within string // folder of the template below that which its paths are for the manifest; "": the same
	// Open lets everybody call the routes and URLs that the template leaves open, with a reason and an end; nil refuses them.
	Open *casemate.Exception
	// URL is the address of a function's URL, or of an alias's, for what refers to it; may be nil.
	URL func(function, alias string) string // alias "": that of the function itself
}

// File is code that stands in a template itself.
type File struct{ Name, Text string }

// Translation is a template as a manifest.
type Translation struct {
	Manifest Document
	Notes    []Note            // in the order of the template
	Inline   map[string]File   // code that stands in the template, by the name of its function
	Outputs  []template.Output // with the names that this node gives
	Stored   []Stored          // secrets and parameters, with their values: not for a log, a record or a file
	Exports  map[string]string // what other stacks may import, by name
	Imports  []string          // what this one imports, by name
	APIs     map[string]string // ids that stand for an API in addresses, with its stage: outputs name the node in their place
}

// Resolve resolves t for this setting: what its resources refer to each other by is what they are called on the node. in gives the
// parameters; its names, Ref and Attribute are set here.
func Resolve(t *template.Template, in template.Inputs, s Setting) (*Stack, template.Problems) {
	n := s.names()
	in.Region, in.Account, in.StackName, in.Partition = s.Place.Region, s.Place.Account, s.App, "aws"
	in.Ref, in.Attribute = n.ref, n.attribute
	for range 2 { // who is called what: a name may itself be computed, and what leads to a function names it by that
		first, found := t.Resolve(in)
		if len(found) > 0 {
			return nil, found
		}
		for i := range first.Resources {
			n.learn(&first.Resources[i])
		}
	}
	out, found := &Stack{Globals: map[string]template.Value{}}, template.Problems(nil)
	if out.Stack, found = t.Resolve(in); len(found) > 0 {
		return nil, found
	}
	for _, kind := range []string{"Api", "HttpApi"} {
		if out.Globals[kind], found = t.Global(kind, in); len(found) > 0 {
			return nil, found
		}
	}
	return out, nil
}

// Stack is a resolved template with the Globals that hold for the APIs which SAM makes itself.
type Stack struct {
	*template.Stack
	Globals map[string]template.Value
}

// translator makes one manifest.
type translator struct {
	Setting
	names *names
	stack *Stack
	doc   *template.Value
	notes []Note
	found template.Problems

	functions []*function
	resources map[string]*template.Resource // by logical id
	apis      map[string]*api               // by logical id
	callers   []string                      // route keys that take keys or signatures of callers
	stored    []Stored
	plan      string // usage plan of the role of callers
	inline    map[string]File
	open      template.Value // Metadata: Casemate: open: of the template
}

// function is one function of the stack.
type function struct {
	*template.Resource
	name       string
	doc        *template.Value
	open       template.Value // Metadata: Casemate: open: of the function
	statements []template.Value
	urls       map[string]template.Value // of aliases, by their names
}

func (f *function) path() string { return "Resources/" + f.ID + "/Properties" }

// Translate makes the manifest of a resolved stack. What cannot be kept is a problem, and all are found at once.
func Translate(stack *Stack, s Setting) (*Translation, template.Problems) {
	t := &translator{Setting: s, stack: stack, doc: mapping(template.Position{Line: 1, Column: 1}), resources: map[string]*template.Resource{},
		apis: map[string]*api{}, inline: map[string]File{},
		names: s.names()}
	if len(stack.Resources) > 0 {
		t.doc.At = template.Position{File: stack.Resources[0].At.File, Line: 1, Column: 1}
	}
	set(t.doc, "app", text(t.doc.At, s.App))
	for _, w := range stack.Warnings {
		t.note(Ignored, "", w.At, w.Path, "%s", w.Message)
	}
	t.index()
	for i := range t.stack.Resources {
		t.resource(&t.stack.Resources[i])
	}
	for _, f := range t.functions {
		t.finish(f)
	}
	t.routes()
	t.metadata()
	out := &Translation{Manifest: Document{Marks: map[string]template.Position{}}, Outputs: stack.Outputs, Exports: map[string]string{}, Imports: stack.Imports, APIs: map[string]string{}}
	for _, o := range stack.Outputs {
		t.export(out, o)
	}
	out.Inline, out.Stored = t.inline, t.stored
	slices.SortStableFunc(t.notes, func(a, b Note) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	out.Notes = t.notes
	for id, a := range t.apis {
		out.APIs[t.names.api(id)] = a.stage
	}
	if len(t.functions) == 0 {
		t.bad(t.doc.At, "Resources", "add an AWS::Serverless::Function", "the template declares no function")
	}
	if len(t.found) > 0 {
		return nil, sorted(t.found)
	}
	if err := out.Manifest.encode(*t.doc, ""); err != nil {
		t.bad(t.doc.At, "", "", "%v", err)
		return nil, t.found
	}
	return out, nil
}

func sorted(p template.Problems) template.Problems {
	_ = p.Err() // it sorts
	return p
}

// index finds what others refer to: names, functions, APIs.
func (t *translator) index() {
	if m, ok := t.stack.Metadata.Get("Casemate"); ok {
		t.open, _ = m.Get("open")
	}
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		t.resources[r.ID] = r
		t.names.learn(r)
		if isAPI(r.ID, r.Type) && !socket(r) {
			t.api(r.ID, r)
		}
	}
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if r.Type != "AWS::Serverless::Function" && r.Type != "AWS::Lambda::Function" {
			continue
		}
		f := &function{Resource: r, name: t.names.of(r.ID, r.Type), doc: mapping(r.At)}
		if m, ok := r.Metadata.Get("Casemate"); ok {
			f.open, _ = m.Get("open")
		}
		for _, o := range t.functions {
			if o.name == f.name {
				t.bad(r.At, "Resources/"+r.ID, "give each a FunctionName of its own", "%s and %s are both called %s", o.ID, f.ID, f.name)
			}
		}
		t.functions = append(t.functions, f)
	}
}

// functionOf finds a function of the stack by what a property says: its name, its ARN, or an address that holds its ARN.
func (t *translator) functionOf(v template.Value) *function {
	for _, f := range t.functions {
		arn := t.Place.FunctionARN(f.name)
		at := strings.Index(v.Text, arn)
		if v.Text == f.name || at >= 0 && (len(v.Text) == at+len(arn) || strings.ContainsRune(":/", rune(v.Text[at+len(arn)]))) {
			return f
		}
	}
	return nil
}

// byARN finds a resource of one type by its name or ARN.
func (t *translator) byARN(v template.Value, types ...string) *template.Resource {
	for i := range t.stack.Resources {
		r := &t.stack.Resources[i]
		if slices.Contains(types, r.Type) && v.Text != "" && (v.Text == t.names.resource(r.ID, r.Type) || v.Text == t.names.of(r.ID, r.Type)) {
			return r
		}
	}
	return nil
}

// finish puts a function into the manifest.
func (t *translator) finish(f *function) {
	t.aliasURLs(f)
	if len(f.statements) > 0 {
		add(f.doc, "statements", f.statements...)
	}
	t.isolate(f)
	t.overlay(f)
	all, _ := t.doc.Get("functions")
	if all.Kind != template.Map {
		all = *mapping(f.At)
	}
	set(&all, f.name, *f.doc)
	all.Members[len(all.Members)-1].KeyAt = f.At
	set(t.doc, "functions", all)
}

// export lets other stacks import an output.
func (t *translator) export(out *Translation, o template.Output) {
	path := "Outputs/" + o.Name + "/Export"
	_, twice := out.Exports[o.Export]
	switch {
	case o.Export == "":
	case twice:
		t.bad(o.At, path, "give it another name", "%q is exported twice", o.Export)
	case o.Value.Secret:
		t.bad(o.At, path, "keep it as an AWS::SecretsManager::Secret, and export its name", "a NoEcho parameter goes into what %q exports", o.Export)
	case o.Value.Unknown != "":
		t.note(NotServed, "", o.At, path, "%s is not known: nothing can import it", o.Value.Unknown)
	default:
		out.Exports[o.Export] = o.Value.Text
		t.note(Honoured, "", o.At, path, "other stacks of this node import it as %s", o.Export)
	}
}
