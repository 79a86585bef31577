package schema

import (
	"fmt"
	"strings"
	"testing"

	"casemate"
)

// ladder is a schema of n steps, each of which looks at the one below twice.
func ladder(n int) string {
	var b strings.Builder
	b.WriteString(`{"type":"object","properties":{"a":{"$ref":"#/$defs/s` + fmt.Sprint(n) + `"}},"$defs":{"s0":{"type":"string"}`)
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `,"s%d":{"anyOf":[{"$ref":"#/$defs/s%d"},{"$ref":"#/$defs/s%d"}]}`, i, i-1, i-1)
	}
	return b.String() + "}}"
}

// expression is what many APIs have: alternatives that all lead back to the whole.
const expression = `{"$ref":"#/$defs/x","$defs":{"x":{"oneOf":[
	{"type":"object","required":["of","kind"],"properties":{"kind":{"const":"and"},"of":{"type":"array","items":{"$ref":"#/$defs/x"}}}},
	{"type":"object","required":["of","kind"],"properties":{"kind":{"const":"or"},"of":{"type":"array","items":{"$ref":"#/$defs/x"}}}},
	{"type":"string"}]}}}`

func nested(depth int) string {
	return strings.Repeat(`{"kind":"or","of":[`, depth) + `"x"` + strings.Repeat(`]}`, depth)
}

// TestContractWorkIsBounded: thirty lines of a contract, or three and a body of 300 bytes, held a core for minutes.
func TestContractWorkIsBounded(t *testing.T) {
	for _, c := range []struct {
		name, doc, body string
		hard            bool
		code            casemate.Code // Fault: none
	}{
		{"ladder", ladder(29), `{"a":1}`, true, casemate.TooLarge},
		{"low ladder", ladder(3), `{"a":"x"}`, false, casemate.Fault},
		{"low ladder, wrong", ladder(3), `{"a":1}`, false, casemate.Invalid},
		{"deep expression", expression, nested(15), true, casemate.TooLarge},
		{"expression", expression, nested(5), true, casemate.Fault},
		{"wrong expression", expression, `{"kind":"not","of":[]}`, true, casemate.Invalid},
		{"tree", `{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"l":{"$ref":"#/$defs/t"},"r":{"$ref":"#/$defs/t"}}}}}`,
			strings.Repeat(`{"l":{},"r":`, 20) + `{}` + strings.Repeat(`}`, 20), false, casemate.Fault},
		{"list", `{"type":"array","items":{"type":"object","properties":{"a":{"type":"integer"}}}}`, `[{"a":1},{"a":2}]`, false, casemate.Fault},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := compiled(c.doc)
			if err != nil {
				t.Fatal(err)
			}
			if k.hard != c.hard {
				t.Errorf("hard: %t", k.hard)
			}
			_, err = k.JSON(Body(), c.name, []byte(c.body))
			if (err == nil) != (c.code == casemate.Fault) || err != nil && casemate.CodeOf(err) != c.code {
				t.Errorf("got %v", err)
			}
		})
	}
}
