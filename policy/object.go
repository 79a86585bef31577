package policy

import (
	"strings"

	"casemate"
)

// Attached gives the ARN that the policy of a resource stands under, and the resources that its statements are about where
// they name none: of KIND/NAME as in a grant, of "function/NAME", or of "route/METHOD /path" in the app. Errors are
// *casemate.Error of code Invalid.
func Attached(place casemate.Place, app, name string) (arn string, resources []string, err error) {
	kind, rest, _ := strings.Cut(name, "/")
	verb := "read "
	switch kind {
	case "function":
		return place.FunctionARN(rest), []string{place.FunctionARN(rest)}, nil
	case "route":
		s, err := Grant(place, app, "call "+rest, "")
		method, path, _ := strings.Cut(rest, " ")
		return place.RouteARN(app, method, path), s.Resource, err
	case "queue":
		verb = "receive "
	case "topic", "bus":
		verb = "publish "
	}
	if strings.ContainsAny(rest, "*$") {
		return "", nil, casemate.Errorf(casemate.Invalid, "name one: secret/db", "a resource policy is about one resource, not about %q", name)
	}
	s, err := Grant(place, app, verb+name, "")
	if err != nil {
		return "", nil, err
	}
	resources = s.Resource
	if kind == "table" || kind == "object" {
		resources = append(resources[:1:1], s.Resource[0]+"/*")
	}
	return s.Resource[0], resources, nil
}

// Object reads what the requests of a route are about: KIND/NAME as in a grant, with ${path:name} as whole segments for
// parameters of the route: table/orders/${path:id}. The kinds are those that can be read and written: table, bucket, secret,
// parameter, and object, which is a name of the app's own for whatever its functions keep. names lists the parameters in
// the order they stand. Errors are *casemate.Error of code Invalid.
func Object(place casemate.Place, text string) (o *casemate.Object, names []string, err error) {
	bad := func(format string, args ...any) (*casemate.Object, []string, error) {
		e := casemate.Errorf(casemate.Invalid, `write it as "table/orders/${path:id}"; kinds are table, bucket, secret, parameter and object`, format, args...)
		return nil, nil, e
	}
	kind, name, _ := strings.Cut(text, "/")
	for _, seg := range splitName(name) {
		param, is := strings.CutPrefix(seg, "${path:")
		switch {
		case is && isVariable(seg):
			names = append(names, strings.TrimSuffix(param, "}"))
		case !isName(seg, "-_.") || seg == "." || seg == "..":
			return bad("the segment %q is neither plain text nor ${path:name}", seg)
		}
	}
	if len(names) == 0 {
		return bad("%q names no parameter of the path: the route itself says as much", text)
	}
	o = &casemate.Object{}
	for _, r := range resourceVerbs() {
		if r.object != kind {
			continue
		}
		service, rest, _ := strings.Cut(r.arns[0], ":")
		rest = strings.Replace(rest, "R:A:", place.Region+":"+place.Account+":", 1)
		o.Resource = "arn:aws:" + service + ":" + strings.Replace(rest, "NAME", name, 1)
		switch r.verb {
		case "read":
			o.Read = r.actions[0]
		case "write":
			o.Write = r.actions[0]
		}
	}
	if o.Read == "" || o.Write == "" {
		return bad("%q is no kind of object", kind)
	}
	return o, names, nil
}
