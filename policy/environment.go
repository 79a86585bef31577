package policy

import (
	"fmt"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// environments keep dev, staging and production apart on one node. nil: no app is in one, and nothing is kept apart.
type environments struct {
	names     map[string]bool
	roles     map[string]string // of apps, to their environment; "" is the part of the node that is in none
	apps      map[string]string
	functions map[string]string // by ARN
}

// newEnvironments reads what belongs where.
func newEnvironments(list []casemate.Environment) *environments {
	x := &environments{map[string]bool{}, map[string]string{}, map[string]string{}, map[string]string{}}
	for i := range list {
		e := &list[i]
		if e.Name != "" {
			x.names[e.Name] = true
		}
		for _, r := range e.Roles {
			x.roles[r] = e.Name
		}
		for _, a := range e.Apps {
			x.apps[a] = e.Name
		}
		for _, f := range e.Functions {
			x.functions[f] = e.Name
		}
	}
	if len(x.names) == 0 {
		return nil
	}
	return x
}

// crosses refuses who holds a role of one environment what belongs to another, whatever anybody allows. Operators hold no role
// of an app; for nobody, and across accounts, the resource's own policy speaks.
func (x *environments) crosses(e *env) (casemate.Decision, bool) {
	if x == nil || !e.known {
		return casemate.Decision{}, false
	}
	mine, subject := x.roles[e.Principal.Role]
	if !subject {
		return casemate.Decision{}, false
	}
	theirs, found := x.of(e.Request.Resource)
	if !found || mine == theirs {
		return casemate.Decision{}, false
	}
	d := casemate.Decision{Layer: LayerEnvironment, Statement: "environments are kept apart", Origin: "built in",
		Reason: fmt.Sprintf("%s is of %s, and %s is of %s", e.who(), named(mine), show(e.Request.Resource), named(theirs)),
		Hint:   "deploy the app to the environment that it needs"}
	if theirs == "" {
		d.Hint = "name it " + mine + "/... or " + mine + "-...: what has no such name is of no environment"
	}
	return d, true
}

func named(environment string) string {
	if environment == "" {
		return "no environment"
	}
	return "environment " + environment
}

// of is the environment that a resource belongs to: a route and a function to that of their app; what is stored (secrets,
// parameters, tables, buckets, objects, queues, topics, buses) to the one that its name begins with. found is false for what
// is in none by its nature: hosts, the platform itself.
func (x *environments) of(resource string) (name string, found bool) {
	a, ok := condition.SplitARN(resource)
	if !ok {
		return "", false
	}
	kind, rest, _ := strings.Cut(a.Tail, "/")
	switch a.Head[2] {
	case "execute-api":
		name, found = x.apps[kind]
		return name, found
	case "lambda":
		_, fn, _ := strings.Cut(a.Tail, ":")
		fn, _, _ = strings.Cut(fn, ":")
		name, found = x.functions[strings.TrimSuffix(resource, a.Tail)+"function:"+fn]
		return name, found
	case "casemate":
		switch kind {
		case "app":
			name, found = x.apps[rest]
			return name, found
		case "object":
			return x.prefix(rest), true
		}
		return "", false
	case "secretsmanager":
		return x.prefix(strings.TrimPrefix(a.Tail, "secret:")), true
	case "ssm", "dynamodb", "events":
		return x.prefix(rest), true
	case "s3", "sqs", "sns":
		return x.prefix(a.Tail), true
	}
	return "", false
}

// prefix is the environment that a stored thing's name begins with, up to a slash, a dot, a dash or an underscore.
func (x *environments) prefix(name string) string {
	name = strings.TrimPrefix(name, "/")
	if i := strings.IndexAny(name, "/.-_:"); i >= 0 {
		name = name[:i]
	}
	if x.names[name] {
		return name
	}
	return ""
}
