// Package text reads JSON and YAML within bounds, and refuses what two readers could read in two ways. It is pure. Its errors
// name the place and the rule, never the caller's value.
package text
