package deploy

import (
	"strings"
	"testing"

	"casemate"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
)

const document = `openapi: 3.1.0
servers: [{url: /v1}]
security: []
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {responses: {"200": {description: ok}}}
`

// TestContractIsComparedWithItsRoute: what would refuse every request is an error, what contradicts a warning.
func TestContractIsComparedWithItsRoute(t *testing.T) {
	for _, c := range []struct {
		route         casemate.Route
		where         manifest.Contract
		found, warned string
	}{
		{casemate.Route{Method: "GET", Path: "/v1/orders/{id}"}, manifest.Contract{Operation: "GET /orders/{id}"}, "", "asks for no credential"},
		{casemate.Route{Method: "GET", Path: "/orders/{id}"}, manifest.Contract{Operation: "GET /orders/{id}"}, "", "the document says /v1/orders/{id}"},
		{casemate.Route{Method: "POST", Path: "/v1/orders/{id}"}, manifest.Contract{Operation: "GET /orders/{id}"}, "the route takes POST", ""},
		{casemate.Route{Method: "GET", Path: "/v1/orders/{key}"}, manifest.Contract{Operation: "GET /orders/{id}"}, "the route has no {id}", ""},
		{casemate.Route{Method: "GET", Path: "/v1/orders/{id}"}, manifest.Contract{Operation: "PUT /orders/{id}"}, "no operation", ""},
		{casemate.Route{Method: "GET", Path: "/v1/orders/{id}"}, manifest.Contract{Message: "placed"}, "no operation", ""},
	} {
		b := &bundle.Contents{Manifest: &manifest.Manifest{}, Files: map[string][]byte{"api.yaml": []byte(document)}}
		found, docs := &manifest.Problems{}, map[string][]byte{}
		c.where.File = "api.yaml"
		id, err := contract(docs, b, &c.where, "/routes/x/contract", &c.route, found)
		if c.found != "" {
			if err == nil || found.Err() == nil || !strings.Contains(found.Err().Error(), c.found) {
				t.Errorf("%+v: %v, %v", c.where, err, found.Err())
			}
			continue
		}
		var warned []string
		for _, w := range b.Manifest.Warnings {
			warned = append(warned, w.Message)
		}
		if err != nil || found.Err() != nil || len(docs) != 1 || !strings.HasSuffix(id, "#"+c.where.Operation) || !strings.Contains(strings.Join(warned, "\n"), c.warned) {
			t.Errorf("%+v: %v, %v, %q", c.where, err, found.Err(), warned)
		}
	}
}
