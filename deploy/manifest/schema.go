package manifest

import _ "embed"

//go:embed casemate.schema.json
var schema []byte

// Schema is the published JSON Schema of casemate.yaml, for editors; a test holds it to the types.
func Schema() []byte { return append([]byte(nil), schema...) }
