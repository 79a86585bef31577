package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// scheme is one kind of credential that the document names.
type scheme struct {
	name  string
	kinds []casemate.CredentialKind
}

// credentials reads which credentials the document asks for. The route decides which are taken; this is for comparing.
func (r *reader) credentials(op map[string]any, at string) error {
	list, ok := op["security"].([]any)
	if !ok {
		at = ""
		if list, ok = r.doc.Root["security"].([]any); !ok {
			return nil
		}
	}
	r.out.said = true
	r.out.open = len(list) == 0
	for i := range list {
		one, _ := list[i].(map[string]any)
		r.out.open = r.out.open || len(one) == 0
		for _, name := range slices.Sorted(maps.Keys(one)) {
			m, here, err := r.doc.Object("/components/securitySchemes/" + schema.Escape(name))
			if err != nil {
				return fmt.Errorf("%s: there is no security scheme %q", r.doc.Place(fmt.Sprintf("%s/security/%d", at, i)), name)
			}
			s := scheme{name: name}
			switch kind, in := str(m["type"]), strings.ToLower(str(m["in"])+" "+str(m["name"])); {
			case kind == "apiKey" && in == "header x-api-key":
				s.kinds = []casemate.CredentialKind{casemate.CredentialKey}
			case kind == "apiKey" && strings.HasPrefix(in, "header "), kind == "apiKey" && strings.HasPrefix(in, "cookie "), kind == "apiKey" && strings.HasPrefix(in, "query "):
				s.kinds = []casemate.CredentialKind{casemate.CredentialAuthorizer, casemate.CredentialWebhook, casemate.CredentialSession, casemate.CredentialAccess}
			case kind == "http" && strings.EqualFold(str(m["scheme"]), "bearer"):
				s.kinds = []casemate.CredentialKind{casemate.CredentialBearer, casemate.CredentialKey, casemate.CredentialAuthorizer}
			case kind == "http":
				s.kinds = []casemate.CredentialKind{casemate.CredentialAuthorizer, casemate.CredentialAccess}
			case kind == "oauth2" || kind == "openIdConnect":
				s.kinds = []casemate.CredentialKind{casemate.CredentialBearer, casemate.CredentialAuthorizer}
			case kind == "mutualTLS":
				s.kinds = []casemate.CredentialKind{casemate.CredentialCertificate}
			default:
				return fmt.Errorf("%s: %q is no type of a security scheme", r.doc.Place(here), kind)
			}
			r.out.security = append(r.out.security, s)
		}
	}
	return nil
}

// Fits compares the operation with a route that it is the contract of: errors are what would refuse every request, warnings
// what contradicts.
func (o *Operation) Fits(route *casemate.Route) (errs, warnings []string) {
	if route.Method != o.Method && route.Method != "ANY" {
		errs = append(errs, fmt.Sprintf("the route takes %s, the operation is %s", route.Method, o.Method))
	}
	for _, p := range o.path {
		if !strings.Contains(route.Path, "{"+p.name+"}") && !strings.Contains(route.Path, "{"+p.name+"+}") {
			errs = append(errs, fmt.Sprintf("the route has no {%s}, which the operation needs", p.name))
		}
	}
	// A function URL takes every path, and what it says of / is said of all of them.
	if want := o.base + o.Path; len(errs) == 0 && strings.ReplaceAll(route.Path, "+}", "}") != want && (route.Path != "$default" || want != "/") {
		warnings = append(warnings, fmt.Sprintf("the document says %s, the route is %s", want, route.Path))
	}
	switch open := route.Auth.Open != nil; {
	case !o.said:
	case open && !o.open:
		warnings = append(warnings, "the document asks for a credential, the route is open to everybody")
	case !open && o.open && len(o.security) == 0:
		warnings = append(warnings, "the document asks for no credential, the route does")
	case !open && !o.open && !slices.ContainsFunc(o.security, func(s scheme) bool {
		return slices.ContainsFunc(s.kinds, func(k casemate.CredentialKind) bool { return slices.Contains(route.Auth.Kinds, k) })
	}):
		warnings = append(warnings, "the route takes none of the credentials that the document names")
	}
	return errs, warnings
}
