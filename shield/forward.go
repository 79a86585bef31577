package shield

import (
	"go.yaml.in/yaml/v4"

	"casemate/shield/text"
)

// Bounds limit a JSON text before anything is built from it.
type Bounds = text.Bounds

// Spot is an error at a place of a text.
type Spot = text.Spot

// DefaultBounds is text.DefaultBounds.
func DefaultBounds() Bounds { return text.DefaultBounds() }

// Scan is text.Scan.
func Scan(body []byte, b Bounds) error { return text.Scan(body, b) }

// ParseYAML is text.ParseYAML.
func ParseYAML(data []byte) (*yaml.Node, error) { return text.ParseYAML(data) }

// Plain is text.Plain.
func Plain(n *yaml.Node) (any, error) { return text.Plain(n) }
