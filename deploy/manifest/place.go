package manifest

import (
	"strconv"

	"go.yaml.in/yaml/v4"
)

// ParseFrom is Parse for a document that another one was translated to. place gives, by JSON pointer, where a value comes from there:
// problems, warnings and the origins of statements name that place, in the file called name.
func ParseFrom(name string, data []byte, s Setting, place func(ptr string) Mark) (*Manifest, error) {
	return parse(name, data, s, func(root *yaml.Node) { relocate(root, "", place) })
}

// relocate gives every node the place that it comes from.
func relocate(n *yaml.Node, ptr string, place func(ptr string) Mark) {
	at := place(ptr)
	n.Line, n.Column = at.Line, at.Column
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			below := ptr + "/" + Escape(n.Content[i].Value)
			relocate(n.Content[i+1], below, place)
			at := place(below)
			n.Content[i].Line, n.Content[i].Column = at.Line, at.Column
		}
	case yaml.SequenceNode:
		for i, x := range n.Content {
			relocate(x, ptr+"/"+strconv.Itoa(i), place)
		}
	}
}
