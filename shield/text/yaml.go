package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds of a YAML document. A manifest or contract beyond them is refused before it is built.
const (
	maxYAMLBytes = 4 << 20
	maxYAMLDepth = 64
	maxYAMLNodes = 200_000
)

// Spot is an error at a place of a text, both parts counted from 1; Line 0 means the text as a whole.
type Spot struct {
	Line, Column int
	Message      string
}

// Error is "line:column: message".
func (s *Spot) Error() string { return fmt.Sprintf("%d:%d: %s", s.Line, s.Column, s.Message) }

// ParseYAML reads one YAML document into its node tree. Anchors, aliases, merge keys, custom tags, duplicate keys,
// second documents, bad UTF-8 and anything beyond the bounds are refused: what is left means the same to every reader.
// JSON is YAML. Every error is a *Spot.
func ParseYAML(data []byte) (*yaml.Node, error) {
	if len(data) > maxYAMLBytes {
		return nil, &Spot{Message: fmt.Sprintf("the document is larger than %d bytes", maxYAMLBytes)}
	}
	if at := BadUTF8(data); at >= 0 {
		line := 1 + bytes.Count(data[:at], []byte("\n"))
		return nil, &Spot{line, at - bytes.LastIndexByte(data[:at], '\n'), "the text is not UTF-8"}
	}
	dec, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(yamlLimits{}))
	if err != nil {
		return nil, spotOf(err)
	}
	var doc yaml.Node
	if err := dec.Load(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, spotOf(err)
	} else if err != nil || len(doc.Content) != 1 {
		return nil, &Spot{1, 1, "the document is empty"}
	}
	n := 0
	if s := inspect(doc.Content[0], 0, &n); s != nil {
		return nil, s
	}
	var more yaml.Node
	if err := dec.Load(&more); err == nil {
		return nil, &Spot{max(more.Line, 1), max(more.Column, 1), "a second document: keep one document a file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, spotOf(err)
	}
	return doc.Content[0], nil
}

// yamlLimits makes the YAML library stop at our depth instead of its own 10,000; aliases are refused in the tree.
type yamlLimits struct{}

// CheckDepth implements yaml.LoaderLimitsPlugin.
func (yamlLimits) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxYAMLDepth {
		return fmt.Errorf("nested deeper than %d", maxYAMLDepth)
	}
	return nil
}

// CheckAlias implements yaml.LoaderLimitsPlugin.
func (yamlLimits) CheckAlias(int, int) error { return nil }

// spotOf keeps the place and the message of a library error, without its prefixes.
func spotOf(err error) *Spot {
	var e *yaml.LoadError
	if errors.As(err, &e) {
		return &Spot{max(e.Mark.Line, 1), max(e.Mark.Column, 1), e.Message}
	}
	return &Spot{1, 1, strings.TrimPrefix(err.Error(), "yaml: ")}
}

// BadUTF8 gives the offset of the first byte that is no UTF-8, or -1.
func BadUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// inspect refuses what ParseYAML promises to refuse, in n and below.
func inspect(n *yaml.Node, depth int, count *int) *Spot {
	*count++
	bad := func(format string, args ...any) *Spot {
		return &Spot{max(n.Line, 1), max(n.Column, 1), fmt.Sprintf(format, args...)}
	}
	switch {
	case depth > maxYAMLDepth:
		return bad("nested deeper than %d", maxYAMLDepth)
	case *count > maxYAMLNodes:
		return bad("more than %d values", maxYAMLNodes)
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return bad("anchors and aliases are not taken: write the value out")
	case !plainTag(n):
		return bad("the tag %s is not taken", n.ShortTag())
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			switch {
			case k.Kind != yaml.ScalarNode || k.ShortTag() == "!!null":
				return &Spot{k.Line, k.Column, "a key must be a text"}
			case k.ShortTag() == "!!merge":
				return &Spot{k.Line, k.Column, "merge keys are not taken: write the value out"}
			case seen[k.Value]:
				return &Spot{k.Line, k.Column, fmt.Sprintf("the key %q stands here a second time", k.Value)}
			}
			seen[k.Value] = true
		}
	}
	for _, c := range n.Content {
		if s := inspect(c, depth+1, count); s != nil {
			return s
		}
	}
	return nil
}

// plainTag reports whether n has the type that its own text says.
func plainTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge":
		return n.Kind == yaml.ScalarNode && n.Style&yaml.TaggedStyle == 0
	case "!!map":
		return n.Kind == yaml.MappingNode && n.Style&yaml.TaggedStyle == 0
	case "!!seq":
		return n.Kind == yaml.SequenceNode && n.Style&yaml.TaggedStyle == 0
	}
	return false
}

// Plain gives a tree of ParseYAML as JSON values: map[string]any, []any, string, bool, nil and json.Number. Keys are
// taken by their text, so a status 200 as a key is "200"; times stay texts.
func Plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := Plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		l := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := Plain(c)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		return l, nil
	}
	return scalar(n)
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return n.Value == "true" || n.Value == "True" || n.Value == "TRUE", nil
	case "!!int", "!!float":
		if !jsonNumber(n.Value) {
			return nil, &Spot{n.Line, n.Column, "write the number as JSON does"}
		}
		return json.Number(n.Value), nil
	}
	return n.Value, nil
}

// jsonNumber reports whether s is a number by RFC 8259 of at most 64 characters: no hexadecimal, underscore, infinity.
func jsonNumber(s string) bool {
	return len(s) <= 64 && s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}

// WriteYAML writes a tree of maps, lists, texts, numbers and words, keys sorted. What is none of these is an error.
func WriteYAML(v any) ([]byte, error) {
	out, err := yaml.Dump(v)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return out, nil
}
