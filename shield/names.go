package shield

import (
	"casemate/shield/asyncapi"
	"casemate/shield/openapi"
	"casemate/shield/schema"
)

// Contracts lists what Compile takes as where in a document, sorted: the operations of an OpenAPI document, the messages of
// an AsyncAPI one, "" for a JSON Schema. An error is that the document cannot be read at all.
func Contracts(data []byte) ([]string, error) {
	doc, err := schema.Read(data)
	if err != nil {
		return nil, err
	}
	switch {
	case doc.Root["openapi"] != nil || doc.Root["swagger"] != nil:
		return openapi.Operations(doc), nil
	case doc.Root["asyncapi"] != nil:
		names := asyncapi.Messages(doc)
		for i, name := range names {
			names[i] = "message " + name
		}
		return names, nil
	}
	return []string{""}, nil
}
