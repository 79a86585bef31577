package shield

import (
	"errors"
	"fmt"
	"strings"
)

// locate turns what a manifest says into a JSON pointer to a schema. optional is true when an OpenAPI request body says
// `required: false`; a contract that says nothing wants a body.
func locate(root any, where string) (ptr string, optional bool, err error) {
	doc, ok := root.(map[string]any)
	if !ok {
		return "", false, errors.New("the document is not an object")
	}
	version, api := doc["openapi"].(string)
	if _, old := doc["swagger"]; old || api && !strings.HasPrefix(version, "3.1.") {
		return "", false, errors.New("this is another OpenAPI than 3.1, whose schemas mean other things")
	}
	if d, ok := doc["jsonSchemaDialect"]; ok && d != dialect && d != "https://spec.openapis.org/oas/3.1/dialect/base" {
		return "", false, errors.New("jsonSchemaDialect is not JSON Schema 2020-12")
	}
	method, path, operation := strings.Cut(where, " ")
	switch {
	case operation && !api:
		return "", false, errors.New("an operation needs an OpenAPI document")
	case api && where == "":
		return "", false, errors.New("an OpenAPI document needs an operation or a pointer")
	case !operation && where != "" && where[0] != '/':
		return "", false, fmt.Errorf("%q is neither a JSON pointer nor an operation", where)
	case !operation:
		return where, false, nil
	}
	at := "/paths/" + escape(path) + "/" + strings.ToLower(method)
	if _, ok := find(root, at); !ok {
		return "", false, fmt.Errorf("there is no operation %q", where)
	}
	return requestBody(root, at+"/requestBody", where)
}

// requestBody finds the schema of an operation's JSON body, through at most one reference.
func requestBody(root any, at, operation string) (ptr string, optional bool, err error) {
	v, _ := find(root, at)
	body, ok := v.(map[string]any)
	if ref, is := body["$ref"].(string); is {
		if at, err = target(ref); err != nil {
			return "", false, err
		}
		v, _ = find(root, at)
		body, ok = v.(map[string]any)
	}
	at += "/content/application~1json/schema"
	if _, there := find(root, at); !ok || !there {
		return "", false, fmt.Errorf("%q has no request body of type application/json", operation)
	}
	required, said := body["required"].(bool)
	return at, said && !required, nil
}
