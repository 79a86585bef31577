package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// hint says how the caller of e could be allowed.
func hint(e *env) string {
	what, ok := ShortGrant(e.Request.Action, e.Request.Resource)
	if ok {
		what = `the grant "` + what + `"`
	} else {
		what = "the statement " + statementText(e.Request.Action, e.Request.Resource)
	}
	switch {
	case !e.known:
		return "send a credential whose role has " + what
	case e.Principal.Role == "":
		return "give " + show(e.Principal.ID) + " a role with " + what
	}
	return "add " + what + " to role " + show(e.Principal.Role)
}

// ShortGrant gives the text of the narrowest grant that would allow the action on the resource, when there is one:
// Grant of it, in the app that the resource names, matches the request.
func ShortGrant(action, resource string) (string, bool) {
	a, ok := condition.SplitARN(resource)
	names := strings.Replace(resource, "/$default/", "/", 1)
	if !ok || a.Head[2] != "casemate" && (strings.ContainsAny(names, `*?{} "\`) || strings.ContainsFunc(names, isOdd)) {
		return "", false
	}
	text, app := shortText(strings.ToLower(action), action, a)
	verb, object, _ := strings.Cut(text, " ")
	g := granter{place: casemate.Place{Region: a.Head[3], Account: a.Head[4]}, app: app}
	s := casemate.Statement{Effect: casemate.Allow}
	if err := g.fill(&s, verb, object); err != nil {
		return "", false
	}
	// The request came from outside, so the guess is proved: a hint must never propose more or other than what was asked.
	c, f := compile(&s, identityKind, "")
	e, _ := newEnv(&casemate.AccessRequest{Action: action, Resource: resource})
	return text, f == nil && e != nil && c.applies(e)
}

// shortText is a guess at the grant; ShortGrant proves it.
func shortText(action, written string, a condition.ARN) (text, app string) {
	switch a.Head[2] {
	case "execute-api":
		app, rest, _ := strings.Cut(a.Tail, "/$default/")
		method, path, _ := strings.Cut(rest, "/")
		return "call " + method + " /" + path, app
	case "lambda":
		name, _, _ := strings.Cut(strings.TrimPrefix(a.Tail, "function:"), ":")
		return "invoke " + name, ""
	case "casemate":
		if host, ok := strings.CutPrefix(a.Tail, "host/"); ok && action == "casemate:connect" {
			return "connect " + networkOf(host), ""
		}
		_, operation, _ := strings.Cut(written, ":")
		if name, ok := strings.CutPrefix(a.Tail, "object/"); ok && strings.HasSuffix(action, "object") {
			return strings.TrimSuffix(action[len("casemate:"):], "object") + " object/" + name, ""
		}
		return "admin " + operation, ""
	}
	for _, r := range resourceVerbs() {
		if !slices.ContainsFunc(r.actions, func(x string) bool { return strings.EqualFold(x, action) }) {
			continue
		}
		return r.verb + " " + r.object + "/" + nameIn(r, a), ""
	}
	return "", ""
}

// nameIn takes the NAME out of a resource part that was made for r.
func nameIn(r resourceVerb, a condition.ARN) string {
	name := a.Tail
	switch r.object {
	case "table":
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "table/"), "/")
	case "bucket":
		name, _, _ = strings.Cut(name, "/")
	case "secret":
		name = strings.TrimPrefix(name, "secret:")
		if n := len(name) - 7; n > 0 && name[n] == '-' {
			name = name[:n]
		}
	case "parameter":
		name = strings.TrimPrefix(name, "parameter/")
	case "bus":
		name = strings.TrimPrefix(name, "event-bus/")
	}
	return name
}

// statementText is the full statement for a request, wildcards and dollar signs of its names escaped.
func statementText(action, resource string) string {
	resource = strings.NewReplacer("${", "${$}{", "*", "${*}", "?", "${?}").Replace(resource)
	if !strings.HasPrefix(resource, "arn:") {
		resource = "*"
	}
	b, err := json.Marshal(struct{ Effect, Action, Resource string }{"Allow", action, resource})
	if err != nil || len(b) > 1000 {
		return "that allows " + action + " on it"
	}
	return string(b) // JSON escapes what a terminal would act on
}

// networkOf writes an address and its port as the network of that address alone; a name stays as it is.
func networkOf(host string) string {
	at, err := netip.ParseAddrPort(host)
	if err != nil {
		return host
	}
	ip, port := at.Addr().Unmap(), strconv.Itoa(int(at.Port()))
	if ip.Is6() {
		return "[" + ip.String() + "/128]:" + port
	}
	return ip.String() + "/32:" + port
}
