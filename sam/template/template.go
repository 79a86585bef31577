// Package template reads AWS SAM and CloudFormation templates: Parse gives a tree in which every value has its place,
// Resolve decides the conditions, evaluates the intrinsic functions and merges Globals as SAM does. What a template
// says and this package does not know is a problem, never left out in silence.
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html and
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html are the
// sources of what is read and how.
package template

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	inbytes "casemate/shield/text"
)

// The transforms that are known; any other macro is refused.
const (
	Serverless         = "AWS::Serverless-2016-10-31"
	LanguageExtensions = "AWS::LanguageExtensions"
)

// Bounds of CloudFormation.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const (
	maxResources   = 500
	maxParameters  = 200
	maxMappings    = 200
	maxOutputs     = 200
	maxDescription = 1024 // bytes
)

// Template is a template that has been read and is well formed. Its values are not resolved.
type Template struct {
	Description string
	Transform   []string
	Metadata    Value

	file                                                          string
	parameters, mappings, conditions, rules, globals, res, output Value
}

// Parse reads a template in YAML 1.1 or JSON, at most 1 MB. All that is wrong with its form is found at once; file
// names it in every place. The Template is nil exactly when there are problems.
func Parse(file string, data []byte) (*Template, Problems) {
	var found Problems
	start := Position{file, 1, 1}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > maxBytes {
		found.Add(start, "", "split the template", "the template is larger than %d bytes", maxBytes)
		return nil, found
	}
	if at := inbytes.BadUTF8(data); at >= 0 {
		found.Add((&text{file: file, data: data}).at(at), "", "", "the text is not UTF-8")
		return nil, found
	}
	var root Value
	if json.Valid(data) {
		root, found = parseJSON(&text{file: file, data: data})
	} else {
		root, found = parseYAML(file, data)
	}
	if len(found) > 0 {
		found.sort()
		return nil, found
	}
	s := &shape{t: &Template{file: file}}
	s.template(root)
	if len(s.found) > 0 {
		s.found.sort()
		return nil, s.found
	}
	return s.t, nil
}

// uses reports whether the template names a transform.
func (t *Template) uses(transform string) bool { return slices.Contains(t.Transform, transform) }

// shape checks the form of a template.
type shape struct {
	t     *Template
	found Problems
}

func sections() []string {
	return strings.Fields("AWSTemplateFormatVersion Description Metadata Parameters Rules Mappings Conditions Transform " +
		"Globals Resources Outputs")
}

func (s *shape) template(root Value) {
	if root.Kind != Map {
		s.found.Add(root.At, "", "", "a template is a mapping with Resources, this is %s", root.Kind)
		return
	}
	for _, m := range root.Members {
		s.section(m)
	}
	if s.t.res.Kind != Map || len(s.t.res.Members) == 0 {
		s.found.Add(root.At, "Resources", "", "a template declares at least one resource")
	}
	s.dependent()
}

func (s *shape) section(m Member) {
	into := map[string]*Value{"Parameters": &s.t.parameters, "Rules": &s.t.rules, "Mappings": &s.t.mappings,
		"Conditions": &s.t.conditions, "Globals": &s.t.globals, "Resources": &s.t.res, "Outputs": &s.t.output,
		"Metadata": &s.t.Metadata}[m.Key]
	switch {
	case into != nil:
		if m.Value.Kind != Map {
			s.found.Add(m.Value.At, m.Key, "leave the section out when it is empty", "a mapping is wanted here, this is %s", m.Value.Kind)
			return
		}
		*into = m.Value
	case m.Key == "AWSTemplateFormatVersion":
		if m.Value.Text != "2010-09-09" {
			s.found.Add(m.Value.At, m.Key, "2010-09-09 is the only one", "this version of the format is not known")
		}
	case m.Key == "Description":
		s.t.Description = m.Value.Text
		if !m.Value.Scalar() || len(m.Value.Text) > maxDescription {
			s.found.Add(m.Value.At, m.Key, "", "a text of at most %d bytes is wanted here", maxDescription)
		}
	case m.Key == "Transform":
		s.transform(m.Value)
	case m.Key == "Hooks":
		s.found.Add(m.KeyAt, m.Key, "remove the section", "Hooks are not taken: nothing here would run them")
	default:
		s.found.Add(m.KeyAt, m.Key, Nearest(m.Key, sections()), "this is no section of a template")
	}
}

func (s *shape) transform(v Value) {
	list := v.List
	if v.Kind != List {
		list = []Value{v}
	}
	for _, x := range list {
		if x.Kind != String || x.Text != Serverless && x.Text != LanguageExtensions {
			s.found.Add(x.At, "Transform", "known are "+Serverless+" and "+LanguageExtensions,
				"the macro %s cannot be run here", x.Quoted())
			continue
		}
		s.t.Transform = append(s.t.Transform, x.Text)
	}
}

// dependent checks what needs all sections: their sizes and the form of the entries.
func (s *shape) dependent() {
	for _, x := range []struct {
		name  string
		v     Value
		limit int
	}{{"Parameters", s.t.parameters, maxParameters}, {"Mappings", s.t.mappings, maxMappings},
		{"Resources", s.t.res, maxResources}, {"Outputs", s.t.output, maxOutputs}} {
		if len(x.v.Members) > x.limit {
			s.found.Add(x.v.At, x.name, "split the template", "%d entries: at most %d", len(x.v.Members), x.limit)
		}
	}
	if s.t.globals.Kind != Null && !s.t.uses(Serverless) {
		s.found.Add(s.t.globals.At, "Globals", "add Transform: "+Serverless, "Globals belong to SAM")
	}
	for _, m := range s.t.res.Members {
		s.resource(m)
	}
	for _, section := range []Value{s.t.parameters, s.t.output, s.t.rules, s.t.mappings, s.t.conditions} {
		for _, m := range section.Members {
			if m.Value.Kind != Map && !forEach(m.Key) {
				s.found.Add(m.Value.At, m.Key, "", "a mapping is wanted here, this is %s", m.Value.Kind)
			}
		}
	}
}

// forEach reports whether a key is a loop instead of a name.
func forEach(key string) bool { return strings.HasPrefix(key, "Fn::ForEach::") }

var (
	logicalID    = regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)
	resourceType = regexp.MustCompile(`^[A-Za-z0-9_@-]+(::[A-Za-z0-9_@-]+)+$`)
)

func attributes() []string {
	return strings.Fields("Type Properties DependsOn Condition Metadata DeletionPolicy UpdateReplacePolicy UpdatePolicy " +
		"CreationPolicy Description Connectors IgnoreGlobals")
}

// resource checks the attributes of one resource. Its properties are looked at when they are resolved.
func (s *shape) resource(m Member) {
	path := "Resources/" + m.Key
	if forEach(m.Key) {
		return
	}
	if !logicalID.MatchString(m.Key) {
		s.found.Add(m.KeyAt, path, "use letters and digits", "this is no logical id")
	}
	if m.Value.Kind != Map {
		s.found.Add(m.Value.At, path, "", "a resource is a mapping with a Type, this is %s", m.Value.Kind)
		return
	}
	for _, a := range m.Value.Members {
		sam := a.Key == "Connectors" || a.Key == "IgnoreGlobals"
		if !slices.Contains(attributes(), a.Key) || sam && !s.t.uses(Serverless) {
			s.found.Add(a.KeyAt, path+"/"+a.Key, Nearest(a.Key, attributes()), "this is no attribute of a resource")
		}
	}
	typ, ok := m.Value.Get("Type")
	switch {
	case !ok:
		s.found.Add(m.KeyAt, path, "", "the resource has no Type")
	case typ.Kind != String || !resourceType.MatchString(typ.Text):
		s.found.Add(typ.At, path+"/Type", "a type is written AWS::Lambda::Function", "this is no resource type: %s", typ.Quoted())
	case strings.HasPrefix(typ.Text, "AWS::Serverless::") && !s.t.uses(Serverless):
		s.found.Add(typ.At, path+"/Type", "add Transform: "+Serverless, "the type %s needs the SAM transform", typ.Text)
	}
}
