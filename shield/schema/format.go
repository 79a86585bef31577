package schema

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// formats are OpenAPI's own, besides those of JSON Schema that the library asserts
// (https://spec.openapis.org/registry/format/). float, double, password and binary say nothing that can be checked.
func formats() []*jsonschema.Format {
	whole := func(bits float64) func(v any) error {
		return func(v any) error {
			n, ok := v.(json.Number)
			if !ok {
				return nil
			}
			r, ok := new(big.Rat).SetString(n.String())
			limit := new(big.Rat).SetFloat64(math.Ldexp(1, int(bits)-1))
			if !ok || !r.IsInt() || r.Cmp(limit) >= 0 || r.Cmp(limit.Neg(limit)) < 0 {
				return errors.New("out of range")
			}
			return nil
		}
	}
	free := func(any) error { return nil }
	return []*jsonschema.Format{
		{Name: "int32", Validate: whole(32)}, {Name: "int64", Validate: whole(64)}, {Name: "byte", Validate: isBase64},
		{Name: "float", Validate: free}, {Name: "double", Validate: free}, {Name: "password", Validate: free},
		{Name: "binary", Validate: free},
	}
}

func isBase64(v any) error {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	_, err := base64.StdEncoding.Strict().DecodeString(s)
	return err
}

// knownFormat reports whether a format is asserted, or known to say nothing.
func knownFormat(v any) bool {
	s, ok := v.(string)
	const all = ` int32 int64 byte float double password binary date-time date time duration email hostname ipv4 ipv6 uri
 uri-reference iri iri-reference uuid uri-template json-pointer relative-json-pointer regex period semver `
	return ok && s != "" && !strings.ContainsAny(s, " \n") && strings.Contains(strings.ReplaceAll(all, "\n", " "), " "+s+" ")
}
