package catalog

import (
	"strings"

	"casemate"
	"casemate/browser"
	"casemate/catalog/route"
)

// Route is the route or function URL that a request would come by, nil when there is none or its path is not plain.
func (s *Snapshot) Route(host, method, path string) *casemate.Route {
	host = hostName(host)
	if id, rest, ok := strings.Cut(host, "."); ok && strings.HasPrefix(rest, "lambda-url.") {
		r, _ := s.urls.get(id)
		return r
	}
	path, err := route.Canonical(path)
	if err != nil || route.Reserved(path) {
		return nil
	}
	return s.find(host, method, path)
}

// find is the route of a canonical path.
func (s *Snapshot) find(host, method, path string) *casemate.Route {
	r := route.Find(s.routes.get, host, path, method)
	if r == nil && host != "" {
		r = route.Find(s.routes.get, "", path, method)
	}
	return r
}

// checkBrowser holds what a route tells browsers to the rules that its manifest was held to.
func checkBrowser(r *casemate.Route) error {
	if r.Browser == nil {
		return nil
	}
	return browser.Check(r.Browser)
}
