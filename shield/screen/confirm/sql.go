package confirm

import (
	"slices"
	"strings"
)

// SQL reports whether a value changes the meaning of a statement that it is put into: in a string in either quotes, or
// where a number or a name stands.
func SQL(s string) bool {
	for _, quote := range []byte{'\'', '"'} {
		// Every quote may be the one that ends the string: what is before it is the string's.
		for at, n := 0, 0; ; n++ {
			i := strings.IndexByte(s[at:], quote)
			if i < 0 {
				break
			}
			if n == maxQuotes { // too much to look at: it is not cleared of what a rule said
				return true
			}
			at += i + 1
			if p := (parser{after(s[at:], n)}); p.broken(true) {
				return true
			}
		}
	}
	p := parser{lex(s)}
	if p.bare() {
		return true
	}
	return p.anywhere()
}

// Bounds of a long value: quotes before an attack hide nothing, and each costs the same.
const (
	wholeQuotes = 8 // behind so many all of the rest is read
	nearQuote   = 512
	maxQuotes   = 1 << 16
)

// after gives the tokens behind the quote number n: of all that follows, or of what is near. A token that the end of that
// cuts is none.
func after(s string, n int) []token {
	if n < wholeQuotes || len(s) <= nearQuote {
		return lex(s)
	}
	t := lex(s[:nearQuote])
	return t[:max(len(t)-1, 0)]
}

// parser looks at tokens by their place; past the end there are end tokens.
type parser struct{ t []token }

func (p parser) at(i int) token {
	if i < len(p.t) {
		return p.t[i]
	}
	return token{}
}

func (p parser) is(i int, words ...string) bool {
	t := p.at(i)
	return (t.kind == word || t.kind == sign) && slices.Contains(words, t.s)
}

// bare is for a place where no quotes are: a number or one name, and then SQL.
func (p parser) bare() bool {
	i := 0
	for p.is(i, "(", "-", "+") {
		i++
	}
	switch p.at(i).kind {
	case number, text:
		i++
	case word:
		if p.keyword(i) || p.is(i+1, "(") {
			break
		}
		i++
	}
	return parser{p.t[min(i, len(p.t)):]}.broken(false)
}

// keyword reports whether a token begins what follows a value, not a value.
func (p parser) keyword(i int) bool {
	return p.is(i, "or", "and", "xor", "union", "having", "order", "group", "limit", "procedure", "into", "waitfor", "rlike", "like", "in", "between", "not", "is")
}

// broken looks at what follows the end of a value: quoted says that a quote ended it.
func (p parser) broken(quoted bool) bool {
	i := 0
	for p.is(i, ")") {
		i++
	}
	switch t := p.at(i); {
	case t.kind == end:
		return false
	case t.kind == note: // the rest of the statement is gone
		return quoted
	case p.is(i, ";"):
		return p.statement(i+1) || quoted && p.at(i+1).kind == note
	case p.is(i, "or", "and", "xor", "||", "&&", "&", "|", "div", "mod"):
		return p.condition(i+1, quoted)
	case p.is(i, "union", "except", "intersect", "minus"):
		return p.union(i)
	case p.is(i, "+", "-", "*", "/", "^", "%", ","):
		return p.call(i+1) || p.is(i+1, "(") && p.is(i+2, "select", "case")
	case p.is(i, "like", "rlike", "regexp", "=", "<", ">", "<>", "!=", "<=>", "is", "in", "between", "not", ">=", "<="):
		return p.comparison(i, quoted)
	case p.is(i, "having", "where"):
		return p.condition(i+1, quoted)
	case p.is(i, "order", "group"):
		return p.is(i+1, "by") && (p.at(i+2).kind == number && (quoted && p.closes(i+3) || p.at(i+3).kind == note) || p.at(i+2).kind == word && (p.at(i+3).kind == note || p.is(i+3, "having") && p.condition(i+4, quoted)))
	case p.is(i, "limit"):
		return p.at(i+1).kind == number && (p.at(i+2).kind == note || p.is(i+2, "into", "procedure", "union", "offset") || p.is(i+2, ",") && p.at(i+4).kind == note)
	case p.is(i, "into"):
		return p.is(i+1, "outfile", "dumpfile")
	case p.is(i, "procedure"):
		return p.is(i+1, "analyse")
	case p.is(i, "waitfor"):
		return p.is(i+1, "delay", "time") && p.at(i+2).kind == text
	}
	return quoted && p.call(i)
}

// closes reports whether a statement can end here.
func (p parser) closes(i int) bool {
	return p.at(i).kind == end || p.at(i).kind == note || p.is(i, ",", ";", ")")
}

// condition looks at what is to be true: a comparison, a call, a query, or a constant and then nothing.
func (p parser) condition(i int, quoted bool) bool {
	for p.is(i, "not", "!", "(", "-", "+", "~", "binary", "exists", "distinct") {
		i++
	}
	if p.is(i, "select", "case") || p.call(i) {
		return true
	}
	if t := p.at(i); t.kind != word && t.kind != number && t.kind != text {
		return false
	}
	j := i + 1
	for p.is(j, ")") {
		j++
	}
	if p.at(i).kind == word && p.is(j, "=", "like") && p.at(j+1).kind == text { // x='y: only with the rest of the string, or without the rest of all
		return quoted && (p.at(j+1).open || p.at(j+2).kind == note) || p.is(j+2, "union", "--")
	}
	if p.is(j, "=", "<", ">", "<>", "!=", "<=>", ">=", "<=", "like", "rlike", "regexp", "in", "between", "is", "not", "sounds", "collate", "glob", "similar", "==") {
		return p.operand(j+1, quoted, p.at(i).kind != word)
	}
	switch p.at(i).kind {
	case number:
		return quoted && p.closes(j) || p.at(j).kind == note || p.is(j, "+", "-", "*") && p.at(j+1).kind == number
	case text: // the value's own quote closes it
		return quoted && p.at(i).open && p.closes(j)
	}
	if quoted && p.is(j, "limit") && p.at(j+1).kind == number && p.at(j+2).kind == note {
		return true
	}
	return p.is(i, "true", "false", "null", "sleep", "user", "current_user") && (quoted && p.closes(j) || p.at(j).kind == note) || p.at(j).kind == note && quoted
}

// operand is the right side of a comparison. literal says that the left one was a constant: prose compares none.
func (p parser) operand(i int, quoted, literal bool) bool {
	for p.is(i, "(", "not", "-", "+", "any", "all", "null", "binary", "like", "=", "in") {
		i++
		literal = true
	}
	switch t := p.at(i); t.kind {
	case number:
		return literal || quoted || p.at(i+1).kind == note
	case text:
		return literal || quoted
	case word:
		return quoted || p.call(i) || p.is(i, "select")
	}
	return quoted && literal
}

// comparison follows a value directly: '=” or ' like '%'.
func (p parser) comparison(i int, quoted bool) bool {
	if !quoted {
		return p.is(i, "=", "<", ">", "<>", "!=") && p.at(i+1).kind == number && p.at(i+2).kind == note || p.is(i, "in", "=", "like", "rlike", "regexp") && p.is(i+1, "(") && p.is(i+2, "select")
	}
	if p.is(i, "=", "<", ">", "<>", "!=", "<=>", ">=", "<=") {
		return (p.at(i+1).kind == number || p.is(i+1, "(", "-", "+") || p.at(i+1).kind == text && p.at(i+1).s == "") && p.closes(i+2) || p.is(i+1, "(") && p.is(i+2, "select") || p.at(i+2).kind == note && !p.is(i+1, ">")
	}
	return p.is(i, "like", "rlike", "regexp") && (p.at(i+1).kind == text && p.closes(i+2) || p.call(i+1)) || p.is(i, "is") && p.is(i+1, "null", "not") && (p.at(i+2).kind == note || p.is(i+2, "null")) ||
		p.is(i, "in", "between", "not") && (p.is(i+1, "(") && (p.is(i+2, "select") || p.at(i+2).kind == number || p.at(i+2).kind == text) || p.at(i+1).kind == number && p.is(i+2, "and"))
}

// union is a second query: what it selects is a list, or comes from somewhere.
func (p parser) union(i int) bool {
	i++
	for p.is(i, "all", "distinct", "(") {
		i++
	}
	if !p.is(i, "select", "values", "table") {
		return false
	}
	for p.is(i+1, "all", "distinct", "top", "(") {
		i++
	}
	switch t := p.at(i + 1); {
	case t.kind == number, t.kind == text, p.is(i+1, "*", "null", "@"), strings.HasPrefix(t.s, "@"), p.call(i + 1):
		return true
	}
	return p.is(i+2, ",", "from", "||", "::") || p.at(i+2).kind == note
}

// statement is another statement after a semicolon.
func (p parser) statement(i int) bool {
	next := map[string][]string{
		"drop": {"table", "database", "user", "view", "schema", "index", "procedure", "function", "column", "role", "login"}, "delete": {"from"}, "insert": {"into"},
		"alter": {"table", "user", "database", "login", "role", "system"}, "create": {"table", "user", "database", "function", "procedure", "or", "view", "trigger", "login", "role"},
		"waitfor": {"delay", "time"}, "truncate": {"table"}, "grant": {"all", "select", "dba", "insert", "execute"}, "merge": {"into"}, "replace": {"into"},
		"load": {"data", "extension"}, "attach": {"database"}, "backup": {"database", "log"}, "lock": {"tables", "table"},
	}
	first := p.at(i)
	switch {
	case first.kind != word:
		return false
	case slices.Contains(next[first.s], p.at(i+1).s):
		return true
	case p.is(i, "shutdown"):
		return p.closes(i+1) || p.is(i+1, "with", "immediate")
	case p.is(i, "exec", "execute", "call"):
		return p.is(i+1, "immediate") || p.is(i+1, "(") && runs(p.at(i+2).s) || strings.HasPrefix(p.at(i+1).s, "xp_") || strings.Contains(p.at(i+1).s, ".") || strings.HasPrefix(p.at(i+1).s, "sp_")
	case p.is(i, "update"):
		return p.is(i+2, "set")
	case p.is(i, "declare"):
		return strings.HasPrefix(p.at(i+1).s, "@")
	case p.is(i, "copy"):
		return p.is(i+2, "from", "to", "(")
	case p.is(i, "select"):
		return p.is(i+1, "*", "(") || p.call(i+1) || p.at(i+1).kind == number || p.from(i+1)
	}
	return false
}

// runs reports whether a string that is executed is SQL.
func runs(s string) bool {
	first, _, _ := strings.Cut(s, " ")
	return slices.Contains([]string{"select", "insert", "update", "delete", "drop", "create", "alter", "exec", "declare"}, first) || strings.HasPrefix(s, "xp_") || strings.HasPrefix(s, "sp_") ||
		strings.HasPrefix(s, "@") || strings.HasPrefix(s, "master")
}

// from reports whether a list of columns ends in FROM.
func (p parser) from(i int) bool {
	for n := 0; n < 40 && p.at(i).kind != end; n++ {
		if p.is(i+1, "from") {
			return p.at(i+2).kind == word || p.is(i+2, "(")
		}
		if !p.is(i+1, ",") {
			return false
		}
		i += 2
	}
	return false
}

// call reports whether a function is called that is there for databases, or a query stands in its place.
func (p parser) call(i int) bool {
	t := p.at(i)
	if p.is(i, "(") && p.is(i+1, "select", "case") || strings.HasPrefix(t.s, "@@") {
		return true
	}
	if t.kind != word || !p.is(i+1, "(") {
		return false
	}
	name := t.s
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		return strings.HasPrefix(name, "dbms_") || strings.HasPrefix(name, "utl_") || strings.HasPrefix(name, "ctxsys") || strings.HasPrefix(name, "sys.")
	}
	if a := p.at(i + 2); slices.Contains([]string{"sleep", "benchmark", "pg_sleep"}, name) {
		return a.kind == number && p.at(i+3).kind != word || p.is(i+2, "(", "select", "-") || strings.HasPrefix(a.s, "@")
	}
	return slices.Contains([]string{"ascii", "substring", "substr", "mid", "char", "chr", "concat", "concat_ws", "group_concat", "load_file", "extractvalue", "updatexml", "exp",
		"convert", "cast", "if", "iif", "ifnull", "nullif", "database", "user", "version", "current_user", "session_user", "system_user", "schema", "length", "len", "ord",
		"hex", "unhex", "md5", "sha1", "row", "row_count", "rand", "floor", "make_set", "elt", "geometrycollection", "polygon", "multipoint", "gtid_subset", "name_const",
		"json_keys", "xmltype", "randomblob", "sqlite_version", "load_extension", "pg_read_file", "lo_import", "query_to_xml", "current_setting", "dbms_xmlgen", "openrowset",
		"opendatasource", "fn_dblog", "db_name", "host_name", "suser_name", "has_dbaccess", "lower", "upper", "count", "coalesce", "isnull", "likelihood", "instr", "left", "right",
		"sys_context", "ctxsys", "bin", "conv", "pow", "abs", "select"}, name)
}

// anywhere finds what is no accident wherever it stands: a second query, a comparison of a constant with itself, a
// function that waits, a procedure that runs programs.
func (p parser) anywhere() bool {
	for i := range p.t {
		switch t := p.t[i]; {
		case t.kind != word && t.s != "||" && t.s != "&&" && t.s != ";":
			continue
		case p.is(i, "union"):
			if p.union(i) && i <= 12 {
				return true
			}
		case p.is(i, "or", "and", "||", "&&"):
			a, op, b := p.at(i+1), p.at(i+2), p.at(i+3)
			if a.kind == b.kind && (a.kind == number || a.kind == text) && p.is(i+2, "=", "like", "==") && op.kind != end && (a.s == b.s || a.kind == number) {
				return true
			}
		case slices.Contains([]string{"pg_sleep", "sleep", "benchmark"}, t.s):
			if p.call(i) && i <= 24 {
				return true
			}
		case p.is(i, "waitfor"):
			if p.is(i+1, "delay") && p.at(i+2).kind == text {
				return true
			}
		case p.is(i, ";"):
			if last := p.t[len(p.t)-1]; last.kind == note && p.statement(i+1) && i <= 12 {
				return true
			}
		case strings.HasPrefix(t.s, "xp_") && len(t.s) > 6 || p.is(i, "into") && p.is(i+1, "outfile", "dumpfile") && p.at(i+2).kind == text:
			return true
		}
	}
	return false
}
