package schema

import (
	"strings"
	"testing"

	"casemate"
)

// TestDeepestPlaceIsNamed: an object that holds something wrong is not itself unknown.
func TestDeepestPlaceIsNamed(t *testing.T) {
	doc := `{"$ref":"#/$defs/o","$defs":{"o":{"type":"object","required":["items"],"properties":{"items":{"type":"array","minItems":1,
"items":{"$ref":"#/$defs/i"}},"n":{"type":"integer"}}},"i":{"type":"object","properties":{"sku":{"type":"string"}}}}}`
	c, err := compiled(doc)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{"items":[{"sku":"a","price":0}]}`:     "/items/0/price: unknown member",
		`{"items":[{"sku":1}]}`:                 "/items/0/sku: type: string",
		`{"items":[]}`:                          "/items: minItems: 1",
		`{"items":[{}],"x":1}`:                  "/x: unknown member",
		`{"items":[{"price":0}],"n":"1","x":1}`: "/items/0/price: unknown member; /n: type: integer",
		`{"items":[{"price":0}],"n":1}`:         "/items/0/price: unknown member",
		`{"n":1}`:                               "/items: required",
	} {
		_, err := c.JSON(Body(), "test", []byte(body))
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Count(err.Error(), ";") != strings.Count(want, ";") {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
		if first, _, _ := strings.Cut(want, ":"); casemate.AsError(err).Field != first {
			t.Errorf("%s: field %s, want %s", body, casemate.AsError(err).Field, first)
		}
	}
}
