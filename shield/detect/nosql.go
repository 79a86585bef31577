package detect

import (
	"bytes"
	"strings"

	"casemate/shield/expand"
)

// operators of MongoDB's query language and its pipeline (https://www.mongodb.com/docs/manual/reference/operator/query/).
// Those that only update, and the marks that extended JSON, JSON Schema and analytics put into names, are not among them.
func isOperator(name string) bool {
	switch name {
	case "$where", "$ne", "$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$regex", "$exists", "$or", "$and", "$nor", "$not", "$expr", "$function",
		"$accumulator", "$elemMatch", "$mod", "$jsonSchema", "$lookup", "$out", "$merge", "$unionWith", "$all", "$size", "$text", "$near", "$nearSphere", "$geoWithin", "$geoIntersects",
		"$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet", "$graphLookup", "$sampleRate", "$like", "$ilike", "$notLike", "$iLike", "$notILike", "$notIn", "$regexp", "$iRegexp", "$between",
		"$notBetween", "$overlap", "$col":
		return true
	}
	return false
}

// operator looks for a query operator where the name of a field is due: {"password": {"$ne": ""}}, password[$ne]=.
func (l *look) operator() {
	v := l.Value
	switch string(v) {
	case "py/object", "py/reduce", "py/function", "py/type", "py/repr", "py/newargs": // jsonpickle
		l.hit("typed-json", Deserialisation, Sure)
	}
	if len(v) > 256 || l.Has&expand.Dollar == 0 {
		return
	}
	for part := range strings.FieldsFuncSeq(string(v), func(r rune) bool { return r == '[' || r == ']' || r == '.' }) {
		if isOperator(strings.TrimSpace(part)) {
			l.hit("nosql-operator", NoSQL, Sure)
			return
		}
	}
}

// query looks for operators in a text that wants to be read as a query, or to break out of one. A text that holds a query
// among other words is none.
func (l *look) query() {
	v := bytes.TrimSpace(l.Value)
	if len(v) > 4096 {
		return
	}
	for at := 0; ; {
		i := bytes.IndexByte(v[at:], '$')
		if i < 0 {
			return
		}
		at += i
		end := at + 1
		for end < len(v) && v[end]|0x20 >= 'a' && v[end]|0x20 <= 'z' {
			end++
		}
		if isOperator(string(v[at:end])) && named(v[end:]) && asQuery(v, at) {
			l.hit("nosql-query", NoSQL, Sure)
			return
		}
		at = end
	}
}

// named reports whether a colon follows, as it does behind a name.
func named(v []byte) bool {
	v = bytes.TrimLeft(v, `'" `+"\t")
	return len(v) > 0 && v[0] == ':'
}

// asQuery reports whether the name at i stands in an object that is the whole text, or behind a quote and a comma.
func asQuery(v []byte, i int) bool {
	before := bytes.TrimRight(v[:i], `'" `+"\t\n")
	if len(before) == 0 || before[len(before)-1] != '{' && before[len(before)-1] != ',' {
		return false
	}
	if (v[0] == '{' || v[0] == '[') && len(v) > 2 && (v[len(v)-1] == '}' || v[len(v)-1] == ']') {
		return true
	}
	rest := bytes.TrimRight(before[:len(before)-1], " \t}")
	return before[len(before)-1] == ',' && len(rest) > 0 && len(rest) < 64 && (rest[len(rest)-1] == '\'' || rest[len(rest)-1] == '"' || len(rest) <= 16 && bytes.IndexByte(rest, ' ') < 0)
}

// script looks for a value that ends the text of a JavaScript condition, as $where takes it, and makes it true.
func (l *look) script() {
	v := l.Value
	i := bytes.IndexAny(v, `'"`)
	if i < 0 || i > 64 || len(v) > 512 || bytes.IndexByte(v, '\n') >= 0 {
		return
	}
	rest := bytes.TrimLeft(v[i+1:], " \t)")
	for _, w := range [...]string{"||", "&&", ";"} {
		if after, ok := bytes.CutPrefix(rest, []byte(w)); ok && (bytes.Contains(after, []byte("==")) || bytes.Contains(after, []byte("return true")) || bytes.Contains(after, []byte("this."))) {
			l.hit("nosql-query", NoSQL, Sure)
			return
		}
	}
}

// prototype looks for names that reach the prototype that all objects of a JavaScript program share.
func (l *look) prototype() {
	if pollutes(l.Value) || string(l.Value) == "prototype" && string(l.Above) == "constructor" {
		l.hit("prototype", Prototype, Sure)
	}
}

func pollutes(v []byte) bool {
	if len(v) > 512 {
		return false
	}
	last := ""
	for part := range strings.FieldsFuncSeq(string(v), func(r rune) bool { return strings.ContainsRune("[].'\"/", r) }) {
		if part == "__proto__" || part == "prototype" && last == "constructor" {
			return true
		}
		last = part
	}
	return false
}

// route looks for the same in a value that is a path through an object: JSON Patch has those, and so do setters by path.
func (l *look) route() {
	v := l.Value
	if len(v) < 11 || len(v) > 256 || l.Has&(expand.Space|expand.Paren|expand.Line|expand.Angle|expand.Colon) != 0 {
		return
	}
	if (bytes.Contains(v, []byte("__proto__")) && string(v) != "__proto__" || bytes.Contains(v, []byte("constructor"))) && pollutes(v) {
		l.hit("prototype-path", Prototype, Sure)
	}
}
