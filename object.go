package casemate

import "strings"

// Object says which object a request of a route is about, so that the policy decides on it as well as on the route.
type Object struct {
	Resource string `json:"resource"` // ARN, with ${path:name} for parameters of the route
	Read     string `json:"read"`     // IAM action of GET, HEAD and OPTIONS
	Write    string `json:"write"`    // of every other method
}

// Of gives the action and the resource of a request with these path parameters, decoded. Values are put in as they are: in
// a resource that is decided on, nothing is a wildcard. A parameter that is missing or empty is an *Error of code Invalid.
func (o *Object) Of(method string, params map[string]string) (action, resource string, err error) {
	action = o.Write
	if method == "GET" || method == "HEAD" || method == "OPTIONS" {
		action = o.Read
	}
	var b strings.Builder
	for rest := o.Resource; ; {
		before, after, found := strings.Cut(rest, "${path:")
		b.WriteString(before)
		if !found {
			return action, b.String(), nil
		}
		name, tail, _ := strings.Cut(after, "}")
		if params[name] == "" {
			return "", "", &Error{Code: Invalid, Field: name, Message: "the path names no object", Hint: "send a path with a name in this place"}
		}
		b.WriteString(params[name])
		rest = tail
	}
}
