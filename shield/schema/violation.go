package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"casemate"
	"casemate/shield/text"
)

// maxViolations bounds what one body can make us say.
const maxViolations = 10

// violation is one broken rule: where, which, and what to do. The rule is the contract's text, never the caller's.
type violation struct{ field, rule, hint string }

// violated turns the library's error, whose texts hold the caller's values, into ours.
func violated(p Place, contract string, err error) error {
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return fmt.Errorf("checking %s: %w", p.What, err)
	}
	var all []violation
	collect(ve, &all)
	all = withoutEchoes(all)
	sort.Slice(all, func(i, j int) bool {
		return all[i].field < all[j].field || all[i].field == all[j].field && all[i].rule < all[j].rule
	})
	if len(all) == 0 {
		all = []violation{{"", "contract", "compare the body with the contract"}}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s breaks its contract %s", p.What, contract)
	for i, v := range all[:min(len(all), maxViolations)] {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, orRoot(p, v.field), v.rule)
	}
	if more := len(all) - maxViolations; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return &casemate.Error{Code: casemate.Invalid, Field: p.Name + all[0].field, Rule: all[0].rule, Message: b.String(), Hint: all[0].hint}
}

const unknownMember = "unknown member"

// withoutEchoes leaves out members that may be called unknown only because something else is wrong beside or below them:
// where a part of a schema fails, nothing that it looked at counts as evaluated, and closing the object finds it again.
// A member that really is unknown there is named as soon as the rest holds.
func withoutEchoes(all []violation) []violation {
	failing := map[string]bool{} // objects that fail for another reason than a member of their own that is unknown
	for _, v := range all {
		at := v.field
		if v.rule == unknownMember {
			if at = parent(at); at == "" {
				continue
			}
			at = parent(at)
		}
		for ; !failing[at]; at = parent(at) {
			failing[at] = true
		}
	}
	return slices.DeleteFunc(all, func(v violation) bool { return v.rule == unknownMember && failing[parent(v.field)] })
}

func parent(ptr string) string { return ptr[:max(strings.LastIndexByte(ptr, '/'), 0)] }

func orRoot(p Place, ptr string) string {
	if p.Plain && ptr == "" {
		return p.In
	}
	if ptr == "" && p.Name == "" {
		return "body"
	}
	return p.Name + ptr
}

func collect(e *jsonschema.ValidationError, all *[]violation) {
	at := func(more ...string) string {
		return text.Pointer(append(append([]string{}, e.InstanceLocation...), more...))
	}
	add := func(field, rule, hint string) { *all = append(*all, violation{field, rule, hint}) }
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, c := range e.Causes {
			collect(c, all)
		}
	case *kind.Required:
		for _, m := range k.Missing {
			add(at(m), "required", "send this member")
		}
	case *kind.DependentRequired:
		for _, m := range k.Missing {
			add(at(m), "required beside "+k.Prop, "send this member")
		}
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			add(at(p), unknownMember, "leave it out: the contract does not name it")
		}
	case *kind.PropertyNames:
		add(at(k.Property), "propertyNames", "use a name that the contract takes")
	case *kind.FalseSchema:
		add(at(), falseRule(e.SchemaURL), "leave it out: the contract does not name it")
	default:
		rule, hint := describe(e.ErrorKind)
		add(at(), rule, hint)
	}
}

func falseRule(url string) string {
	switch {
	case strings.HasSuffix(url, "/unevaluatedProperties"), strings.HasSuffix(url, "/additionalProperties"):
		return unknownMember
	case strings.HasSuffix(url, "/unevaluatedItems"), strings.HasSuffix(url, "/items"):
		return "no more items"
	}
	return "must not be there"
}

// describe gives the rule of a keyword in words, from the contract alone.
func describe(k jsonschema.ErrorKind) (rule, hint string) {
	switch k := k.(type) {
	case *kind.Type:
		return "type: " + strings.Join(k.Want, " or "), "send another type"
	case *kind.Enum:
		return "one of " + wanted(k.Want), "send one of the values named"
	case *kind.Const:
		return "const: " + wanted(k.Want), "send exactly this value"
	case *kind.Format:
		return "format: " + k.Want, "write the value in this format"
	case *kind.Pattern:
		return "pattern: " + cut(k.Want), "send a text that matches"
	case *kind.MinLength, *kind.MaxLength, *kind.MinItems, *kind.MaxItems, *kind.MinProperties, *kind.MaxProperties:
		return count(k), "mind the length"
	case *kind.Minimum:
		return "minimum: " + number(k.Want), "send a larger number"
	case *kind.Maximum:
		return "maximum: " + number(k.Want), "send a smaller number"
	case *kind.ExclusiveMinimum:
		return "exclusiveMinimum: " + number(k.Want), "send a larger number"
	case *kind.ExclusiveMaximum:
		return "exclusiveMaximum: " + number(k.Want), "send a smaller number"
	case *kind.MultipleOf:
		return "multipleOf: " + number(k.Want), "send a multiple"
	case *kind.UniqueItems:
		return "uniqueItems", "send each item once"
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "oneOf: more than one form fits", "send what fits exactly one form"
		}
		return "oneOf: no form fits", "send what fits one form of the contract"
	case *kind.Not:
		return "not", "send what the contract does not exclude"
	case *kind.AnyOf:
		return "anyOf: no form fits", "send what fits one form of the contract"
	}
	return strings.Join(k.KeywordPath(), "/"), "compare the body with the contract"
}

func count(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinLength:
		return fmt.Sprintf("minLength: %d", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("maxLength: %d", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("minItems: %d", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("maxItems: %d", k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("minProperties: %d", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("maxProperties: %d", k.Want)
	}
	return "count"
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return cut(r.RatString())
	}
	return cut(strings.TrimRight(r.FloatString(12), "0"))
}

// wanted is a value of the contract as JSON, cut.
func wanted(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "the value in the contract"
	}
	return cut(string(b))
}

func cut(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}
