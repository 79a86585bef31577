package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
	"casemate/policy/condition"
)

// maxName bounds a name of a principal, and a grant, in bytes.
const maxName = 2048

// principals is the Principal element of a resource policy.
type principals struct {
	everyone  bool
	accounts  []string
	arns      []string
	services  []string
	federated []string
}

// newPrincipals reads the element's forms; one that is not known refuses the statement, for a Deny that names nobody would
// protect nothing.
func newPrincipals(field string, element map[string][]string) (*principals, *fault) {
	p := &principals{}
	for _, form := range slices.Sorted(maps.Keys(element)) {
		values := element[form]
		if len(values) == 0 {
			return nil, faultf(field+"."+form, "is empty")
		}
		for i, v := range values {
			if err := p.add(form, v); err != nil {
				return nil, faultf(fmt.Sprintf("%s.%s[%d]", field, form, i), "%q %v", v, err)
			}
		}
	}
	return p, nil
}

// add reads one value of one form.
func (p *principals) add(form, v string) error {
	if form != "AWS" && form != "*" && form != "Service" && form != "Federated" {
		return fmt.Errorf("has the form %q: known are AWS, Service, Federated and *", form)
	}
	if v == "*" && (form == "*" || form == "AWS") {
		p.everyone = true
		return nil
	}
	// A wildcard inside a principal would match roles that do not exist yet; AWS refuses it too.
	if v == "" || len(v) > maxName || strings.ContainsAny(v, "*?$ ") {
		return fmt.Errorf("is empty or holds a wildcard, variable or space: principals are named in full")
	}
	switch form {
	case "*":
		return fmt.Errorf("is not *")
	case "Service":
		p.services = append(p.services, v)
		return nil
	case "Federated":
		p.federated = append(p.federated, v)
		return nil
	}
	if isAccount(v) {
		p.accounts = append(p.accounts, v)
		return nil
	}
	a, ok := condition.SplitARN(v)
	if !ok || a.Head[2] != "iam" && a.Head[2] != "sts" || !isAccount(a.Head[4]) || a.Tail == "" {
		return fmt.Errorf("is neither *, an account of 12 digits nor the ARN of a principal")
	}
	if a.Head[2] == "iam" && a.Tail == "root" {
		p.accounts = append(p.accounts, a.Head[4])
		return nil
	}
	p.arns = append(p.arns, v)
	return nil
}

// isAccount reports the form of an AWS account number.
func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// match reports whether the caller is one of p. With direct set, naming the caller's account is not enough. Nobody is
// only ever meant by the star.
func (p *principals) match(e *env, direct bool) bool {
	if p.everyone || !e.known {
		return p.everyone
	}
	who := e.Principal
	if !direct && who.Account != "" && slices.Contains(p.accounts, who.Account) {
		return true
	}
	if who.ARN != "" && slices.Contains(p.arns, who.ARN) {
		return true
	}
	if who.Role != "" && who.Account != "" &&
		slices.Contains(p.arns, casemate.Place{Account: who.Account}.RoleARN(who.Role)) {
		return true
	}
	if service, ok := strings.CutPrefix(who.ID, servicePrefix); ok {
		return slices.Contains(p.services, service)
	}
	// Federated names the issuer of a token; the claim was verified with the token.
	return who.Kind == casemate.KindToken && federatedBy(p.federated, who.Claims["iss"], who.Account)
}

// servicePrefix starts the ID of a principal that is a service of the platform, "service/events.amazonaws.com".
const servicePrefix = "service/"
