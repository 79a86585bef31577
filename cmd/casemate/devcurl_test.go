package main

import (
	"os"
	"path/filepath"
	"testing"

	"casemate"
	"casemate/deploy/manifest"
	"casemate/node"
)

const devContract = `openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /orders/{id}:
    post:
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, pattern: "^o [0-9]$"}}
        - {name: q, in: query, required: true, schema: {type: integer, minimum: 3}}
        - {name: X-Shop, in: header, required: true, schema: {type: string, example: "it's"}}
      requestBody: {content: {application/json: {schema: {type: object, required: [sku], properties: {sku: {type: string, example: "tea & $5"}}}}}}
      responses: {"200": {description: ok}}
  /never:
    post:
      requestBody: {content: {application/json: {schema: {type: object, required: [a], properties: {a: {type: string, pattern: "^a$", minLength: 5}}}}}}
      responses: {"200": {description: ok}}
`

// TestDevCurlLines: a line that is pasted asks for what the contract requires, and says what has to be put in.
func TestDevCurlLines(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "openapi.yaml"), []byte(devContract), 0o600); err != nil {
		t.Fatal(err)
	}
	contract := func(operation string) *manifest.Contract {
		return &manifest.Contract{File: "openapi.yaml", Operation: operation}
	}
	m := &manifest.Manifest{Routes: map[string]*manifest.Route{"POST /orders/{id}": {Contract: contract("POST /orders/{id}")}, "POST /never": {Contract: contract("POST /never")},
		"GET /{path+}": {}, "PUT /plain": {}}, Functions: map[string]*manifest.Function{"f": {}}}
	l := &loop{dir: dir, address: node.Address{HTTP: []string{"http://127.0.0.1:1"}}}
	key := casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}
	for _, c := range []struct {
		route      casemate.Route
		line, note string
	}{
		{casemate.Route{ID: "POST /orders/{id}", Method: "POST", Path: "/orders/{id}", Auth: key},
			`curl -H x-api-key:K -H 'X-Shop: it'\''s' -H 'content-type: application/json' -d '{"sku":"tea & $5"}' 'http://127.0.0.1:1/orders/o%201?q=3'`, ""},
		{casemate.Route{ID: "POST /never", Method: "POST", Path: "/never", Auth: key}, `curl -H x-api-key:K -H 'content-type: application/json' -d '{"a":""}' http://127.0.0.1:1/never`,
			"no sample was found that openapi.yaml takes, change it: /a: the body breaks its contract openapi.yaml: /a: minLength: 5; /a: pattern: ^a$"},
		{casemate.Route{ID: "GET /{path+}", Method: "GET", Path: "/{path+}", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialBearer}}},
			`curl -H "authorization: Bearer $TOKEN" http://127.0.0.1:1/path`, "takes bearer: put a token of its issuer into TOKEN"},
		{casemate.Route{ID: "PUT /plain", Method: "PUT", Path: "/plain", Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialAuthorizer},
			Authorizer: &casemate.Authorizer{Name: "a", Function: "who", Identity: []casemate.IdentitySource{{In: "query", Name: "t"}, {In: "header", Name: "X-T"}}}}},
			`curl -H "X-T: $TOKEN" -X PUT -H 'content-type: application/json' -d '{}' "http://127.0.0.1:1/plain?t=$TOKEN"`, "takes authorizer:a: put what function who takes into TOKEN"},
	} {
		if line, note := l.curl(&c.route, "K", "", m); line != c.line || note != c.note {
			t.Errorf("%s:\n%s\n%s\nexpected %s\n%s", c.route.ID, line, note, c.line, c.note)
		}
	}
	if got := l.event("f", m); got != "'{}'" {
		t.Errorf("without event.json: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "event.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := l.event("f", m); got != shell("@"+filepath.Join(dir, "event.json")) {
		t.Errorf("with event.json: %s", got)
	}
}
