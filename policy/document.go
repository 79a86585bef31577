package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

// maxDocument bounds a policy document, in bytes. AWS's largest, a bucket policy, ends at 20 KB.
const maxDocument = 128 << 10

// Parse reads an identity policy in strict IAM JSON: the policy of a role, a boundary, a guardrail or a scope. Origin says
// where it was written and goes into every decision that it makes. Unknown and repeated keys, wrong types and anything
// that Check refuses are an *casemate.Error of code Invalid whose Field names the place, "Statement[1].Effect"; a document
// over 128 KiB is TooLarge. A document without a Version is read as 2012-10-17.
func Parse(doc []byte, origin string) ([]casemate.Statement, error) {
	return parse(doc, origin, identityKind)
}

// ParseResource reads a resource policy, whose statements say in Principal or NotPrincipal whom they are about.
func ParseResource(doc []byte, origin string) ([]casemate.Statement, error) {
	return parse(doc, origin, resourceKind)
}

// check reports what is wrong with a statement of an identity policy, as an *casemate.Error whose Field is relative to it.
func check(s *casemate.Statement) error {
	if _, f := compile(s, identityKind, ""); f != nil {
		return invalid(f.Field, "%s", f.Text)
	}
	return nil
}

// grammarHint goes with every mistake in a policy.
const grammarHint = "see the IAM JSON policy grammar: " +
	"https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"

func invalid(field, format string, args ...any) *casemate.Error {
	e := casemate.Errorf(casemate.Invalid, grammarHint, format, args...)
	e.Field = field
	return e
}

// parse is both Parse and ParseResource. The JSON decoder replaces invalid UTF-8 in silence, so that is looked at first.
func parse(doc []byte, origin string, k kind) ([]casemate.Statement, error) {
	if len(doc) > maxDocument {
		return nil, casemate.Errorf(casemate.TooLarge, "split the policy", "the policy is longer than %d bytes", maxDocument)
	}
	if !utf8.Valid(doc) {
		return nil, invalid("", "the policy is not valid UTF-8")
	}
	r := &reader{json: json.NewDecoder(bytes.NewReader(doc))}
	r.json.UseNumber()
	statements, err := r.document()
	if err != nil {
		return nil, err
	}
	if len(statements) == 0 {
		return nil, invalid("Statement", "is missing or empty: a policy that says nothing is a mistake")
	}
	sids := map[string]bool{}
	for i := range statements {
		s := &statements[i]
		s.Origin = origin
		field := fmt.Sprintf("Statement[%d]", i)
		if _, f := compile(s, k, ""); f != nil {
			return nil, invalid(field+"."+f.Field, "%s", f.Text)
		}
		if s.Sid != "" && sids[s.Sid] {
			return nil, invalid(field+".Sid", "%q is used twice", s.Sid)
		}
		sids[s.Sid] = true
	}
	return statements, nil
}

// reader reads a document token by token: only so are repeated keys seen, and nothing nests deeper than the grammar.
type reader struct {
	json *json.Decoder
	old  bool // Version 2008-10-17
	vars bool // a variable was seen
}

func (r *reader) document() ([]casemate.Statement, error) {
	var statements []casemate.Statement
	err := r.object("", func(key string) (err error) {
		switch key {
		case "Version":
			var v string
			if v, err = r.text(key); err == nil && v != "2012-10-17" && v != "2008-10-17" {
				err = invalid(key, "is %q: known are 2012-10-17 and 2008-10-17", v)
			}
			r.old = v == "2008-10-17"
		case "Id":
			_, err = r.text(key)
		case "Statement":
			statements, err = r.statements()
		default:
			err = invalid(key, "is no element of a policy: known are Version, Id and Statement")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// Anything behind the document would be dropped without a word: perhaps the Deny that somebody appended.
	if _, err := r.json.Token(); err != io.EOF {
		return nil, invalid("", "something follows the policy document")
	}
	// AWS reads ${...} literally under the old version: a Deny written with one would silently protect nothing.
	if r.old && r.vars {
		return nil, invalid("Version", "2008-10-17 takes ${...} for plain text: write 2012-10-17")
	}
	return statements, nil
}

// statements reads the Statement element: one object, or a list of them.
func (r *reader) statements() ([]casemate.Statement, error) {
	var list []casemate.Statement
	err := r.oneOrMany("Statement", func(field string, t json.Token) error {
		if t != json.Delim('{') {
			return invalid(field, "is not a statement object")
		}
		s, err := r.statement(field)
		list = append(list, s)
		return err
	})
	return list, err
}

// statement reads one statement whose brace is behind us. Names are case-sensitive: "effect" is a typing error.
func (r *reader) statement(field string) (casemate.Statement, error) {
	var s casemate.Statement
	err := r.members(field, func(key string) (err error) {
		at := field + "." + key
		switch key {
		case "Sid":
			s.Sid, err = r.text(at)
		case "Effect":
			var v string
			v, err = r.text(at)
			s.Effect = casemate.PolicyEffect(v)
		case "Principal":
			s.Principal, err = r.principal(at)
		case "NotPrincipal":
			s.NotPrincipal, err = r.principal(at)
		case "Action":
			s.Action, err = r.values(at, false)
		case "NotAction":
			s.NotAction, err = r.values(at, false)
		case "Resource":
			s.Resource, err = r.values(at, false)
		case "NotResource":
			s.NotResource, err = r.values(at, false)
		case "Condition":
			s.Condition, err = r.condition(at)
		default:
			err = invalid(at, "is no element of a statement: known are Sid, Effect, Principal, NotPrincipal, "+
				"Action, NotAction, Resource, NotResource and Condition")
		}
		return err
	})
	return s, err
}

// principal reads "*" or an object of forms.
func (r *reader) principal(field string) (map[string][]string, error) {
	t, err := r.token(field)
	if err != nil {
		return nil, err
	}
	if t == "*" {
		return map[string][]string{"*": {"*"}}, nil
	}
	if t != json.Delim('{') {
		return nil, invalid(field, `is neither "*" nor an object like {"AWS": "..."}`)
	}
	return r.lists(field, false)
}

// condition reads operator -> key -> values; what they mean is for package condition to check.
func (r *reader) condition(field string) (map[string]map[string][]string, error) {
	c := map[string]map[string][]string{}
	err := r.object(field, func(operator string) error {
		at := field + "." + operator
		t, err := r.token(at)
		if err != nil {
			return err
		}
		if t != json.Delim('{') {
			return invalid(at, "is not an object of condition keys")
		}
		c[operator], err = r.lists(at, true)
		return err
	})
	return c, err
}

// lists reads the rest of an object whose values are texts or lists of texts.
func (r *reader) lists(field string, scalars bool) (map[string][]string, error) {
	m := map[string][]string{}
	err := r.members(field, func(key string) error {
		list, err := r.values(field+"."+key, scalars)
		m[key] = list
		return err
	})
	return m, err
}

// values reads one text or a list of them; with scalars, numbers and booleans count as their text.
func (r *reader) values(field string, scalars bool) ([]string, error) {
	list := []string{}
	err := r.oneOrMany(field, func(field string, t json.Token) error {
		switch v := t.(type) {
		case string:
			r.vars = r.vars || strings.Contains(v, "${")
			list = append(list, v)
			return nil
		case json.Number:
			if scalars {
				list = append(list, v.String())
				return nil
			}
		case bool:
			if scalars {
				list = append(list, strconv.FormatBool(v))
				return nil
			}
		}
		return invalid(field, "is not a text")
	})
	if err == nil && len(list) == 0 {
		err = invalid(field, "is an empty list")
	}
	return list, err
}

// oneOrMany reads a value or a list of values and calls each with its first token.
func (r *reader) oneOrMany(field string, each func(field string, t json.Token) error) error {
	t, err := r.token(field)
	if err != nil || t != json.Delim('[') {
		if err != nil {
			return err
		}
		return each(field, t)
	}
	for i := 0; ; i++ {
		at := fmt.Sprintf("%s[%d]", field, i)
		t, err := r.token(at)
		if err != nil {
			return err
		}
		if t == json.Delim(']') {
			return nil
		}
		if err := each(at, t); err != nil {
			return err
		}
	}
}

// text reads one text; null, numbers and lists are none.
func (r *reader) text(field string) (string, error) {
	t, err := r.token(field)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", invalid(field, "is not a text")
	}
	return s, nil
}

// object reads a whole object.
func (r *reader) object(field string, member func(key string) error) error {
	t, err := r.token(field)
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return invalid(field, "is not an object")
	}
	return r.members(field, member)
}

// members reads an object whose brace is behind us, to its end.
func (r *reader) members(field string, member func(key string) error) error {
	seen := map[string]bool{}
	for {
		t, err := r.token(field)
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return nil // the decoder lets nothing but a key or the closing brace stand here
		}
		if seen[key] {
			return invalid(strings.TrimPrefix(field+"."+key, "."), "is there twice")
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
}

// token reads on. The error does not repeat the document: it may hold names that the reader of the error should not see.
func (r *reader) token(field string) (json.Token, error) {
	t, err := r.json.Token()
	if err != nil {
		return nil, invalid(field, "the policy is not JSON: at byte %d the text ends or does not fit", r.json.InputOffset())
	}
	return t, nil
}
