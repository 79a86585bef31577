package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlLimits makes the YAML library stop at our depth instead of its own; aliases are bounded in the tree.
type yamlLimits struct{}

// CheckDepth implements yaml.LoaderLimitsPlugin.
func (yamlLimits) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > 2*maxDepth { // a block sequence in a mapping counts twice there
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// CheckAlias implements yaml.LoaderLimitsPlugin.
func (yamlLimits) CheckAlias(int, int) error { return nil }

// yamlReader turns the library's node tree into values.
type yamlReader struct {
	reader
	file string
	open map[*yaml.Node]bool // anchored nodes that are being read: an alias to one would never end
}

// parseYAML reads one document of YAML 1.1 as CloudFormation and the SAM command line read it: dates stay texts, keys
// are taken by their text, short tags become their long form, anchors and merge keys are expanded within the bounds.
// Whole numbers with a leading zero and sexagesimals stay texts, so that no account id or time becomes another number.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
func parseYAML(file string, data []byte) (Value, Problems) {
	r := &yamlReader{file: file, open: map[*yaml.Node]bool{}}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(yamlLimits{}))
	if err != nil {
		r.library(err)
		return Value{}, r.found
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); err != nil && !errors.Is(err, io.EOF) {
		r.library(err)
		return Value{}, r.found
	} else if err != nil || len(doc.Content) != 1 {
		r.stop(Position{file, 1, 1}, "the template is empty")
		return Value{}, r.found
	}
	v := r.value(doc.Content[0], 0)
	if err := loader.Load(&more); err == nil {
		r.found.Add(r.at(&more), "", "keep one document in the file", "a second document begins here")
	} else if !errors.Is(err, io.EOF) {
		r.library(err)
	}
	return v, r.found
}

// library notes an error of the library, without its prefixes.
func (r *yamlReader) library(err error) {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		r.stop(Position{r.file, max(e.Mark.Line, 1), max(e.Mark.Column, 1)}, "%s", e.Message)
		return
	}
	r.stop(Position{r.file, 1, 1}, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
}

func (r *yamlReader) at(n *yaml.Node) Position {
	return Position{r.file, max(n.Line, 1), max(n.Column, 1)}
}

func (r *yamlReader) value(n *yaml.Node, depth int) Value {
	at := r.at(n)
	if !r.enter(at, depth) {
		return Value{At: at}
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil || r.open[n.Alias] {
			r.stop(at, "the alias *%s stands within what it names", n.Value)
			return Value{At: at}
		}
		return r.value(n.Alias, depth+1)
	}
	if n.Anchor != "" {
		r.open[n] = true
		defer delete(r.open, n)
	}
	if name, ok := shortTag(n); ok {
		return r.function(name, n, depth)
	}
	return r.plain(n, depth)
}

// shortTag gives the name of a tag of the template's own, such as Ref of !Ref.
func shortTag(n *yaml.Node) (string, bool) {
	name, ok := strings.CutPrefix(n.Tag, "!")
	return name, ok && name != "" && name[0] != '!' && n.Style&yaml.TaggedStyle != 0
}

// shortNames are the functions that may be written as a tag.
func shortNames() []string {
	return strings.Fields("Ref Condition And Base64 Cidr Equals FindInMap GetAZs GetAtt If ImportValue Join Length Not Or " +
		"Select Split Sub ToJsonString Transform Contains EachMemberEquals EachMemberIn RefAll ValueOf ValueOfAll")
}

// function gives the long form of a value with a short tag.
func (r *yamlReader) function(name string, n *yaml.Node, depth int) Value {
	at := r.at(n)
	if !slices.Contains(shortNames(), name) {
		r.found.Add(at, "", Nearest(name, shortNames()), "the tag !%s is no function of CloudFormation", name)
		return Value{At: at}
	}
	arg := Value{Kind: String, Text: n.Value, At: at}
	if n.Kind != yaml.ScalarNode {
		arg = r.plain(n, depth+1)
	} else if id, attribute, ok := strings.Cut(n.Value, "."); ok && name == "GetAtt" {
		arg = Value{Kind: List, At: at, List: []Value{{Kind: String, Text: id, At: at}, {Kind: String, Text: attribute, At: at}}}
	}
	if name != "Ref" && name != "Condition" {
		name = "Fn::" + name
	}
	return Value{Kind: Map, At: at, Members: []Member{{name, at, arg}}}
}

// plain reads a node by its own kind.
func (r *yamlReader) plain(n *yaml.Node, depth int) Value {
	v := Value{At: r.at(n)}
	switch n.Kind {
	case yaml.ScalarNode:
		r.scalar(n, &v)
	case yaml.SequenceNode:
		v.Kind = List
		for _, c := range n.Content {
			if x := r.value(c, depth+1); !r.stopped {
				v.List = append(v.List, x)
			}
		}
	case yaml.MappingNode:
		v.Kind = Map
		r.members(n, &v, depth)
	}
	return v
}

// members reads a mapping. What a merge key brings gives way to keys that stand here, an earlier merge before a later.
func (r *yamlReader) members(n *yaml.Node, v *Value, depth int) {
	seen := make(map[string]bool, len(n.Content)/2)
	var merged []Member
	for i := 0; i+1 < len(n.Content) && !r.stopped; i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if _, tagged := shortTag(k); k.Kind != yaml.ScalarNode || tagged {
			r.found.Add(r.at(k), "", "", "a key must be a text")
			continue
		}
		x := r.value(n.Content[i+1], depth+1)
		if k.Value == "<<" && k.Style == 0 {
			merged = append(merged, r.merge(x)...)
			continue
		}
		if seen[k.Value] {
			r.found.Add(r.at(k), "", "keep one of them", "the key %q stands here a second time", k.Value)
			continue
		}
		seen[k.Value] = true
		v.Members = append(v.Members, Member{k.Value, r.at(k), x})
	}
	for _, m := range merged {
		if !seen[m.Key] {
			seen[m.Key] = true
			v.Members = append(v.Members, m)
		}
	}
}

// merge gives what a merge key brings: the members of a mapping, or of each of a list of them.
func (r *yamlReader) merge(v Value) []Member {
	if v.Kind == Map {
		return v.Members
	}
	var out []Member
	for _, x := range v.List {
		if x.Kind != Map {
			v.Kind = Null
		}
		out = append(out, x.Members...)
	}
	if v.Kind != List {
		r.found.Add(v.At, "", "", "a merge key takes a mapping or a list of mappings")
	}
	return out
}

var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)(\.[0-9]*([eE][-+][0-9]+)?)?$|^[-+]?\.[0-9]+$`)

// scalar gives an untagged plain scalar the kind that YAML 1.1 gives it; everything else is a text.
func (r *yamlReader) scalar(n *yaml.Node, v *Value) {
	v.Kind, v.Text = String, n.Value
	if n.Style&yaml.TaggedStyle != 0 {
		if n.ShortTag() != "!!str" && n.Tag != "!" {
			r.found.Add(v.At, "", "", "the tag %s is not taken in templates", n.ShortTag())
		}
		return
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Tag == "!" {
		return
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		v.Kind, v.Text = Null, ""
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		v.Kind, v.Text, v.Written = Bool, "true", n.Value
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		v.Kind, v.Text, v.Written = Bool, "false", n.Value
	default:
		if len(n.Value) <= 64 && decimal.MatchString(n.Value) {
			v.Kind = Number
		}
	}
}
