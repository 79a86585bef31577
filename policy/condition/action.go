package condition

import (
	"fmt"
	"strings"
)

// ActionPattern matches actions in lower case: IAM compares them without case. It never holds a variable.
type ActionPattern struct {
	Pattern
	Service string // the literal service, empty when it holds a wildcard
}

// ParseAction reads "service:Operation" with wildcards, or "*". The error is the end of a sentence that starts with the text.
func ParseAction(text string) (ActionPattern, error) {
	const syntax = "is no action: write service:Operation, with * and ? as wildcards, or *"
	for _, c := range text {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:*?", c)) {
			return ActionPattern{}, fmt.Errorf("%s", syntax)
		}
	}
	lower := strings.ToLower(text)
	service, operation, ok := strings.Cut(lower, ":")
	if lower != "*" && (!ok || service == "" || operation == "" || strings.Contains(operation, ":")) {
		return ActionPattern{}, fmt.Errorf("%s", syntax)
	}
	p, err := Parse(lower, true)
	if err != nil {
		return ActionPattern{}, err
	}
	if strings.ContainsAny(service, "*?") {
		service = ""
	}
	return ActionPattern{p, service}, nil
}
