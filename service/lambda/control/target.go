package control

import (
	"strings"

	"casemate"
	"casemate/catalog"
)

// settle reads what the function is called by: a name, a partial ARN or a whole one, with a qualifier that must not contradict
// the one beside it.
func (t *target) settle(here casemate.Place) error {
	rest, qualifier := t.FunctionName, ""
	if tail, ok := strings.CutPrefix(rest, "arn:"); ok {
		parts := strings.SplitN(tail, ":", 6) // aws, lambda, region, account, "function", name and qualifier
		if len(parts) != 6 || parts[4] != "function" || parts[1] != "lambda" {
			return parameter("Invalid ARN provided: %s", clip(t.FunctionName))
		}
		rest = strings.Join(parts[2:], ":")
	}
	if region, tail, ok := strings.Cut(rest, ":"); ok && strings.Count(region, "-") >= 2 && isDigits(last(region)) && startsAccount(tail) {
		if region != here.Region {
			return failure(casemate.NotFound, codeMissing, "Functions from '%s' are not reachable in this region ('%s')", clip(region), here.Region)
		}
		rest = tail
	}
	if startsAccount(rest) {
		if rest[:12] != here.Account {
			return failure(casemate.Forbidden, codeDenied, "the function %s is of another account", clip(t.FunctionName))
		}
		rest = rest[13:]
	}
	rest = strings.TrimPrefix(rest, "function:")
	t.name, qualifier, _ = strings.Cut(rest, ":")
	switch {
	case t.name == "" || strings.Contains(qualifier, ":"):
		return parameter("the name %s is malformed", clip(t.FunctionName))
	case t.Qualifier == "":
		t.Qualifier = qualifier
	case qualifier != "" && qualifier != t.Qualifier:
		return parameter("The derived qualifier from the function name does not match the specified qualifier.")
	}
	return nil
}

// startsAccount reports whether a text begins with an account and a colon.
func startsAccount(s string) bool { return len(s) > 13 && s[12] == ':' && isDigits(s[:12]) }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// last is what follows the last hyphen.
func last(s string) string { return s[strings.LastIndexByte(s, '-')+1:] }

// clip is text as an error repeats it.
func clip(s string) string {
	if len(s) > 170 {
		s = s[:170]
	}
	return strings.ToValidUTF8(s, "?")
}

// missing says that there is no such function, with the qualifier that was asked for.
func (d *desk) missing(t *target) *casemate.Error {
	arn := d.Place.FunctionARN(t.name)
	if t.Qualifier != "" {
		arn += ":" + t.Qualifier
	}
	return failure(casemate.NotFound, codeMissing, "Function not found: %s", arn)
}

// find gives a function, its app and the version that the request is about.
func (d *desk) find(t *target) (*catalog.Function, string, *casemate.Version, error) {
	f, app := d.Apps.Snapshot().Find(t.name)
	if f == nil {
		return nil, "", nil, d.missing(t)
	}
	v := f.Qualified(t.Qualifier, "")
	if v == nil {
		return nil, "", nil, d.missing(t)
	}
	return f, app, v, nil
}
