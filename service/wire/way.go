package wire

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"casemate"
)

//go:embed ways.txt
var ways string

// way is where a REST-JSON service has one of its operations
// (https://smithy.io/2.0/spec/http-bindings.html).
type way struct {
	operation string
	status    int
	path      string // "/2015-03-31/functions/{FunctionName}"
	query     string // what it may hold, separated by spaces
}

// find gives the operation that a method and a path name. false: the service has no such operation, or is not in the table.
func find(service, method, path, query string) (way, bool) {
	for line := range strings.Lines(ways) {
		rest, mine := cutWord(line, service)
		if rest, mine = cutIf(rest, method, mine); !mine {
			continue
		}
		status, rest, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
		template, rest, _ := strings.Cut(rest, " ")
		template, fixed, _ := strings.Cut(template, "?")
		if !fits(template, path) || fixed != "" && !holds(query, fixed) {
			continue
		}
		w := way{path: template}
		w.operation, w.query, _ = strings.Cut(rest, " ")
		w.status, _ = strconv.Atoi(status) // a test reads every line
		return w, true
	}
	return way{}, false
}

func cutWord(s, word string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(s, word); ok {
		rest, ok = strings.CutPrefix(rest, " ")
	}
	return rest, ok
}

func cutIf(s, word string, so bool) (string, bool) {
	if !so {
		return s, false
	}
	return cutWord(s, word)
}

// fits reports whether a path, as it was sent, is one of a template's. A final slash makes no difference.
func fits(template, path string) bool {
	path = strings.TrimSuffix(path, "/")
	for {
		var want, have string
		var more, left bool
		want, template, more = strings.Cut(template, "/")
		have, path, left = strings.Cut(path, "/")
		if more != left || want != have && (have == "" || !strings.HasPrefix(want, "{")) {
			return false
		}
		if !more {
			return true
		}
	}
}

// holds reports whether a query has a parameter with this value.
func holds(query, fixed string) bool {
	name, value, _ := strings.Cut(fixed, "=")
	v, err := url.ParseQuery(query)
	return err == nil && v.Get(name) == value
}

// members are those of a question that stand in its path and its query, decoded; nothing else of the query is taken.
func (w *way) members(path, query string) (map[string]any, error) {
	members := map[string]any{}
	template, rest := w.path, strings.TrimSuffix(path, "/")
	for template != "" {
		var want, have string
		want, template, _ = strings.Cut(template, "/")
		have, rest, _ = strings.Cut(rest, "/")
		if !strings.HasPrefix(want, "{") {
			continue
		}
		value, err := url.PathUnescape(have)
		if err != nil {
			return nil, badQuestion("the path is malformed")
		}
		member, kind, _ := strings.Cut(strings.Trim(want, "{}"), ":")
		if members[member], err = typed([]string{value}, member, kind); err != nil {
			return nil, err
		}
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return nil, badQuestion("the query is malformed")
	}
	for _, spec := range strings.Fields(w.query) {
		sent, kind, _ := strings.Cut(spec, ":")
		sent, member, renamed := strings.Cut(sent, "=")
		if !renamed {
			member = sent
		}
		values := parameters[sent]
		if len(values) == 0 {
			continue
		}
		if members[member], err = typed(values, sent, kind); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// typed is a parameter as the question holds it.
func typed(values []string, name, kind string) (any, error) {
	if slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
		return nil, badQuestion("the parameter " + name + " is not UTF-8")
	}
	if kind == "l" {
		return values, nil
	}
	if len(values) != 1 {
		return nil, badQuestion("the parameter " + name + " is repeated")
	}
	switch kind {
	case "n":
		n, err := strconv.Atoi(values[0])
		if err != nil {
			return nil, badQuestion("the parameter " + name + " is no whole number")
		}
		return n, nil
	case "b":
		return values[0] == "true", nil
	}
	return values[0], nil
}

// merge adds members to a body, a JSON object or nothing. They come last and so win over what the body says under their
// names: what a request is about is its path's to say.
func merge(body []byte, members map[string]any) ([]byte, error) {
	if body = bytes.TrimSpace(body); len(body) == 0 {
		body = []byte("{}")
	}
	if len(body) < 2 || body[0] != '{' || !json.Valid(body) {
		return nil, &casemate.Error{Code: casemate.Invalid, AWS: "InvalidRequestContentException", Message: "Could not parse request body into json"}
	}
	if len(members) == 0 {
		return body, nil
	}
	for name := range members {
		if bytes.Contains(body, []byte(`"`+name+`"`)) {
			if body = without(body, members); body == nil {
				return nil, badQuestion("the body is malformed")
			}
			break
		}
	}
	tail, err := json.Marshal(members)
	if err != nil {
		return nil, badQuestion("the path is malformed")
	}
	body = body[:len(body)-1]
	out := make([]byte, 0, len(body)+len(tail)+1)
	out = append(out, body...)
	if len(bytes.TrimSpace(body)) > 1 {
		out = append(out, ',')
	}
	return append(out, tail[1:]...), nil
}

// without is an object that lacks these members; nil when it cannot be read.
func without(body []byte, members map[string]any) []byte {
	var own map[string]json.RawMessage
	if json.Unmarshal(body, &own) != nil {
		return nil
	}
	for name := range members {
		delete(own, name)
	}
	b, err := json.Marshal(own)
	if err != nil {
		return nil
	}
	return b
}

func badQuestion(message string) error {
	return &casemate.Error{Code: casemate.Invalid, AWS: "InvalidParameterValueException", Message: message}
}
