package lambda

import (
	"cmp"
	"strconv"
	"strings"

	"casemate"
)

// named is a function as a request names it: by its name, a part of its ARN or the whole
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestSyntax).
type named struct {
	region, account string // "" where the request says none
	name, qualifier string
}

// latest is the qualifier that a function has where a request names none.
const latest = "$LATEST"

// What Lambda holds names to, in its own words.
const (
	namePattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)` +
		`(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`
	qualifierPattern = `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`
	tenantPattern    = `[a-zA-Z0-9\._:\/=+\-@ ]+`
	nameMost         = 256
	qualifierMost    = 128
	tenantMost       = 256
)

// parseName reads a name; false: it is none.
func parseName(s string) (n named, ok bool) {
	rest, arn := strings.CutPrefix(s, "arn:")
	f := strings.Split(rest, ":")
	if arn {
		if len(f) < 3 || f[0] != "" && !strings.HasPrefix(f[0], "aws") || f[1] != "lambda" {
			return n, false
		}
		f = f[2:]
	}
	if len(f) > 1 && region(f[0]) {
		n.region, f = f[0], f[1:]
	}
	if len(f) > 1 && len(f[0]) == 12 && made(f[0], digits) {
		n.account, f = f[0], f[1:]
	}
	if len(f) > 1 && f[0] == "function" {
		f = f[1:]
	}
	n.name = f[0]
	switch len(f) {
	case 1:
		return n, made(n.name, letters+digits+"-_.")
	case 2:
		n.qualifier = f[1]
		return n, made(n.name, letters+digits+"-_.") && (n.qualifier == latest || made(n.qualifier, letters+digits+"-_"))
	}
	return n, false
}

// region reports whether s looks like a region of AWS: "us-east-1", "us-gov-west-1".
func region(s string) bool {
	f := strings.Split(s, "-")
	return (len(f) == 3 || len(f) == 4) && len(f[0]) == 2 && made(f[0]+f[1]+f[len(f)-2], letters) && len(f[len(f)-1]) == 1 && made(f[len(f)-1], digits)
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// made reports whether s is made of these characters, and of one at least.
func made(s, of string) bool { return s != "" && strings.Trim(s, of) == "" }

// qualify puts the qualifier of the query beside the name. Two that differ are refused, as Lambda does.
func (n *named) qualify(qualifier string) error {
	if qualifier == "" || qualifier == n.qualifier {
		return nil
	}
	if n.qualifier != "" {
		return invalid(codeName, "The derived qualifier from the function name does not match the specified qualifier.")
	}
	n.qualifier = qualifier
	return nil
}

// target is the name as the catalog looks it up.
func (n *named) target() string {
	if n.qualifier == "" {
		return n.name
	}
	return n.name + ":" + n.qualifier
}

// arn is what the policy decides on: with the qualifier that the request names, and without one where it names none.
func (n *named) arn(place casemate.Place) string { return place.FunctionARN(n.target()) }

// place is where it is; what the request leaves out is that of here.
func (n *named) place(here casemate.Place) casemate.Place {
	return casemate.Place{Region: cmp.Or(n.region, here.Region), Account: cmp.Or(n.account, here.Account)}
}

func (n *named) here(here casemate.Place) bool { return n.place(here) == here }

// elsewhere refuses a function of another place, in Lambda's words; nil where it is of this one.
func (n *named) elsewhere(here casemate.Place) error {
	if n.region != "" && n.region != here.Region {
		return &casemate.Error{Code: casemate.NotFound, Message: "Functions from '" + n.region + "' are not reachable from this region ('" + here.Region + "')", AWS: codeMissing}
	}
	if !n.here(here) {
		return missing(n.place(here), *n)
	}
	return nil
}

// missing says that there is no such function.
func missing(place casemate.Place, n named) *casemate.Error {
	if n.qualifier == "" {
		n.qualifier = latest
	}
	return &casemate.Error{Code: casemate.NotFound, Message: "Function not found: " + n.arn(place), AWS: codeMissing}
}

// violations are what a request breaks of its model; they are told all at once, as Lambda does.
type violations []string

// must notes that the value of a member breaks a constraint.
func (v *violations) must(ok bool, member, value, constraint string) {
	if ok {
		return
	}
	if len(value) > nameMost {
		value = strings.ToValidUTF8(value[:nameMost], "") + "..."
	}
	*v = append(*v, "Value '"+value+"' at '"+member+"' failed to satisfy constraint: "+constraint)
}

func (v violations) err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return invalid(codeModel, "1 validation error detected: "+v[0])
	}
	return invalid(codeModel, strconv.Itoa(len(v))+" validation errors detected: "+strings.Join(v, "; "))
}

func pattern(p string) string { return "Member must satisfy regular expression pattern: " + p }
func atMost(n int) string {
	return "Member must have length less than or equal to " + strconv.Itoa(n)
}
func oneOf(words string) string { return "Member must satisfy enum value set: [" + words + "]" }
