package openapi

import (
	"errors"
	"fmt"
	"strings"

	"casemate"
	"casemate/shield/schema"
)

// Compile makes the contract of what where names: an operation ("POST /orders"), or a JSON pointer to the schema of a body.
func Compile(doc *schema.Document, where, name string) (casemate.Contract, error) {
	version, _ := doc.Root["openapi"].(string)
	dialect := schema.OpenAPI31
	switch {
	case strings.HasPrefix(version, "3.0."):
		dialect = schema.OpenAPI30
	case !strings.HasPrefix(version, "3.1."):
		return nil, errors.New("this is another OpenAPI than 3.0 and 3.1, whose schemas mean other things")
	}
	method, path, operation := strings.Cut(where, " ")
	if !operation {
		if where == "" || where[0] != '/' {
			return nil, fmt.Errorf("%q is neither a JSON pointer nor an operation", where)
		}
		return Body(doc, dialect, where, name)
	}
	at := "/paths/" + schema.Escape(path) + "/" + strings.ToLower(method)
	_, at, err := doc.Object(at)
	if err != nil {
		return nil, fmt.Errorf("there is no operation %q", where)
	}
	body, at, err := doc.Object(at + "/requestBody")
	if err != nil {
		return nil, err
	}
	b, err := Body(doc, dialect, at+"/content/application~1json/schema", name)
	if err != nil {
		return nil, err
	}
	required, said := body["required"].(bool)
	b.spared = said && !required
	return b, nil
}
