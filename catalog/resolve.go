package catalog

import (
	"net"
	"strings"

	"casemate"
	"casemate/catalog/route"
)

// Resolve finds what an event asks for, in the snapshot of this moment.
func (c *Catalog) Resolve(e *casemate.Event) (*casemate.Match, error) { return c.Snapshot().Resolve(e) }

// Resolve finds the version, route, action, resource, policy and contract of an event: all of one snapshot. What does
// not exist is NotFound, a path that is not plain is Invalid. Built-in operations are not the catalog's.
func (s *Snapshot) Resolve(e *casemate.Event) (*casemate.Match, error) {
	switch {
	case e.Target.Function != "":
		return s.byName(e)
	case e.Target.Path != "":
		return s.byRoute(e)
	}
	return nil, casemate.Errorf(casemate.NotFound, "name a route or a function", "the event asks for nothing")
}

func (s *Snapshot) match(v *casemate.Version) *casemate.Match {
	return &casemate.Match{Version: v, Policy: s.Policy, Revision: s.Revision}
}

// byName resolves a function's name or ARN. A qualifier is a version's number, an alias or $LATEST, the version in force.
func (s *Snapshot) byName(e *casemate.Event) (*casemate.Match, error) {
	name, qualifier, err := parseFunction(s.place, e.Target.Function)
	if err != nil {
		return nil, err
	}
	f, ok := s.functions.get(name)
	if !ok {
		return nil, notFound("function", name)
	}
	v := f.Qualified(qualifier, e.ID)
	if v == nil {
		return nil, notFound("function", name+":"+qualifier)
	}
	m := s.match(v)
	if v.Contract != "" {
		if m.Contract = s.contracts[v.App][v.Contract]; m.Contract == nil {
			return nil, &casemate.Error{Code: casemate.Fault, Message: "the function has no contract in force", Hint: "deploy the app again"}
		}
	}
	m.Action, m.Resource = e.Action, v.ARN
	if m.Action == "" {
		m.Action = "lambda:InvokeFunction"
	}
	if qualifier != "" {
		m.Resource += ":" + qualifier
	}
	m.Async, m.Told = f.async(qualifier, v), f.told(qualifier, v)
	return m, nil
}

// byRoute resolves an HTTP request. A host of the form <id>.lambda-url.<domain> is a function URL and nothing else.
func (s *Snapshot) byRoute(e *casemate.Event) (*casemate.Match, error) {
	path, err := route.Canonical(e.Target.Path)
	if err != nil {
		return nil, err
	}
	host, method := hostName(e.Target.Host), e.Target.Method
	if id, rest, ok := strings.Cut(host, "."); ok && strings.HasPrefix(rest, "lambda-url.") {
		r, ok := s.urls.get(id)
		if !ok {
			return nil, notFound("function URL", host)
		}
		m, err := s.serve(r, e.ID)
		if err == nil {
			m.Action, m.Resource = "lambda:InvokeFunctionUrl", Qualify(m.Version.ARN, r.Alias())
			if r.ByAPI() {
				m.ObjectAction, m.Object = "lambda:InvokeFunction", m.Resource
			}
		}
		return m, err
	}
	if route.Reserved(path) {
		return nil, notFound("route", method+" "+path)
	}
	r := s.find(host, method, path)
	if r == nil {
		return nil, notFound("route", method+" "+path)
	}
	m, err := s.serve(r, e.ID)
	if err != nil {
		return nil, err
	}
	m.Params = route.Params(r.Path, path)
	m.Action, m.Resource = "execute-api:Invoke", s.place.RouteARN(r.App, method, path)
	if a := s.apps[r.App]; a != nil && len(a.Resources) > 0 {
		m.Pattern = s.place.RouteARN(r.App, r.Method, r.Path)
	}
	if r.Object == nil {
		return m, nil
	}
	// Decoded it would be a name below another one, and perhaps somebody else's.
	if strings.Contains(path, "%2F") {
		return nil, casemate.Errorf(casemate.Invalid, "send a name without a slash", "the path names an object with an escaped slash")
	}
	if m.ObjectAction, m.Object, err = r.Object.Of(method, m.Params); err != nil {
		return nil, err
	}
	return m, nil
}

// serve makes the match of a route.
func (s *Snapshot) serve(r *casemate.Route, event string) (*casemate.Match, error) {
	f, ok := s.functions.get(r.Function)
	if !ok || f.app() != r.App {
		return nil, notFound("function", r.Function)
	}
	m := s.match(f.Qualified(r.Alias(), event)) // the catalog holds no URL of an alias that is not there
	m.Route = r
	if r.Contract != "" {
		if m.Contract = s.contracts[r.App][r.Contract]; m.Contract == nil {
			return nil, &casemate.Error{Code: casemate.Fault, Message: "the route has no contract in force",
				Hint: "deploy the app again"}
		}
	}
	return m, nil
}

// hostName is a Host header in lower case, without port and final dot.
func hostName(h string) string {
	if host, _, err := net.SplitHostPort(h); err == nil {
		h = host
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}
