package ssm

import (
	"strconv"
	"strings"

	"casemate"
	"casemate/service/shape"
)

// Bounds of names (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html).
const (
	maxName  = 1011
	maxDepth = 15
)

// ARN is that of a parameter: its name behind "parameter/". The slash in front of a hierarchy's name is that slash, so
// "db" and "/db" are one parameter.
func ARN(place casemate.Place, name string) string {
	return prefix(place) + strings.TrimPrefix(name, "/")
}

func prefix(place casemate.Place) string {
	return "arn:aws:ssm:" + place.Region + ":" + place.Account + ":parameter/"
}

// selector is what comes after a colon behind a name: a version or a label.
type selector string

// version reads a version's number; 0: it is a label, or nothing.
func (s selector) version() int {
	n, err := strconv.Atoi(string(s))
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// shown is the selector as answers have it.
func (s selector) shown() string {
	if s == "" {
		return ""
	}
	return ":" + string(s)
}

// split reads what a request calls a parameter by: name or ARN, and a selector. The name comes back as the parameter is
// kept, without a slash in front.
func split(place casemate.Place, text string) (name string, sel selector, err error) {
	rest, arn := strings.CutPrefix(text, prefix(place))
	if !arn && strings.HasPrefix(text, "arn:") {
		return "", "", notFound()
	}
	rest, behind, selected := strings.Cut(rest, ":")
	if selected && !plainText(behind, "") {
		return "", "", invalid("The selector behind the parameter's name is neither a version nor a label.")
	}
	if arn {
		rest = "/" + strings.TrimPrefix(rest, "/")
	}
	return strings.TrimPrefix(rest, "/"), selector(behind), checkName(rest)
}

// checkName refuses what no parameter can be called.
func checkName(name string) error {
	bare := strings.TrimPrefix(name, "/")
	parts := strings.Split(bare, "/")
	switch {
	case len(name) > maxName:
		return invalid("Parameter name must have at most 1011 characters.")
	case len(parts) > maxDepth:
		return shape.Failure(casemate.Invalid, "HierarchyLevelLimitExceededException", "A parameter name can have at most 15 levels.")
	case len(parts) > 1 && bare == name:
		return invalid("Parameter name must be a fully qualified name: it begins with a slash.")
	case reserved(parts[0]):
		return shape.Failure(casemate.Invalid, "AccessDeniedException", "No access to reserved parameter name: names beginning with aws or ssm are reserved.")
	}
	for _, p := range parts {
		if !plainText(p, "") {
			return invalid("Parameter name: can't be empty; only a-z, A-Z, 0-9, and . - _ / are allowed.")
		}
	}
	return nil
}

func reserved(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "aws") || strings.HasPrefix(s, "ssm")
}

// plainText reports a text of letters, digits, dots, dashes, underscores and what else is given; not an empty one.
func plainText(s, more string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return s != ""
}

// isLabel reports whether a version can have this label: it must not look like a version
// (https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html).
func isLabel(s string) bool {
	return len(s) <= 100 && plainText(s, "") && (s[0] < '0' || s[0] > '9') && !reserved(s)
}
