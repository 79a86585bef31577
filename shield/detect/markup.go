package detect

import (
	"bytes"
	"strings"

	"casemate/shield/expand"
)

// markup looks for documents that declare entities or include others, and for includes that a server runs.
func (l *look) markup() {
	v := l.Value
	if i := bytes.Index(v, []byte("<!--#")); i >= 0 {
		for _, w := range [...]string{"exec", "include", "echo", "config", "printenv", "set"} {
			if bytes.HasPrefix(v[i+5:], []byte(w)) {
				l.hit("server-include", Code, Sure)
				return
			}
		}
	}
	if bytes.Contains(v, []byte("<esi:include")) {
		l.hit("server-include", Code, Sure)
	}
	if entity(v) || doctype(v) {
		l.hit("xxe", XXE, Sure)
		return
	}
	if bytes.Contains(v, []byte("http://www.w3.org/2001/XInclude")) && bytes.Contains(v, []byte("include")) {
		l.hit("xinclude", XXE, Sure)
	}
}

// entity reports whether v declares one: <!ENTITY name SYSTEM "...">, or a general one inside a document type.
func entity(v []byte) bool {
	for at := 0; ; {
		i := bytes.Index(v[at:], []byte("<!"))
		if i < 0 {
			return false
		}
		at += i + 2
		if len(v) < at+8 || !strings.EqualFold(string(v[at:at+6]), "ENTITY") {
			continue
		}
		head := strings.ToUpper(string(v[at+6 : min(len(v), at+256)]))
		if fields := strings.Fields(head); len(fields) >= 2 && (strings.ContainsAny(fields[1], `"'`) || fields[0] == "%" || fields[1] == "SYSTEM" || fields[1] == "PUBLIC") {
			return true
		}
	}
}

// doctype reports whether v begins with a document type that has a subset of its own, or takes one from somewhere other
// than the W3C.
func doctype(v []byte) bool {
	i := bytes.Index(v[:min(len(v), 512)], []byte("<!"))
	if i < 0 || len(v) < i+12 || !strings.EqualFold(string(v[i+2:i+9]), "DOCTYPE") {
		return false
	}
	if i > 0 && bytes.IndexByte(v[:i], '<') != 0 && len(bytes.TrimSpace(v[:i])) > 3 { // in the middle of a text
		return false
	}
	end := bytes.IndexByte(v[i:], '>')
	if end < 0 {
		end = len(v) - i
	}
	head := strings.ToUpper(string(v[i : i+end]))
	if strings.Contains(head, "[") {
		return true
	}
	return strings.Contains(head, "SYSTEM") && !strings.Contains(head, "ABOUT:LEGACY-COMPAT") ||
		strings.Contains(head, "PUBLIC") && !strings.Contains(head, `"-//W3C//`) && !strings.Contains(head, `"-//APPLE//`) && !strings.Contains(head, `"-//OASIS//`)
}

// filter looks for a value that ends the filter of LDAP it is put into (RFC 4515) and begins another: *)(uid=*.
func (l *look) filter() {
	v := l.Value
	if len(v) > maxCommand {
		return
	}
	depth := 0
	for i, c := range v {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth >= 0 {
				continue
			}
			depth = 0
			if condition(v[i+1:]) {
				l.hit("ldap-filter", LDAP, Sure)
				return
			}
		}
	}
}

// condition reports whether v begins with conditions of a filter.
func condition(v []byte) bool {
	v = bytes.TrimLeft(v, ")")
	for len(v) > 1 && v[0] == '(' && v[1] == '(' {
		v = v[1:]
	}
	if len(v) < 2 || v[0] != '(' {
		return false
	}
	if v[1] == '&' || v[1] == '|' || v[1] == '!' {
		return true
	}
	i := 1
	for i < len(v) && (v[i]|0x20 >= 'a' && v[i]|0x20 <= 'z' || v[i] >= '0' && v[i] <= '9' || v[i] == '-' || v[i] == ':' || v[i] == '.') {
		i++
	}
	return i > 1 && i < len(v) && (v[i] == '=' || i+1 < len(v) && (v[i] == '>' || v[i] == '<' || v[i] == '~') && v[i+1] == '=')
}

// xpath looks for a value that ends the text of an expression of XPath and goes on with one.
func (l *look) xpath() {
	v := l.Value
	if len(v) > maxCommand || len(v) < 6 {
		return
	}
	quote := bytes.IndexAny(v, `'"`)
	if quote < 0 || quote > 64 || bytes.ContainsAny(v[:quote], "/[(<{=") {
		return
	}
	rest := bytes.TrimLeft(v[quote+1:], " \t)")
	if len(rest) == 0 || rest[0] != ']' && rest[0] != '|' && !bytes.HasPrefix(rest, []byte("or ")) && !bytes.HasPrefix(rest, []byte("and ")) && rest[0] != '/' {
		return
	}
	for _, w := range [...]string{"//*", "::node()", "::*", "count(/", "string-length(", "substring(//", "substring(name(", "name(/", "name(parent", "/text()", "/child::", "position()", "doc(", "//user", "//password", "//text()", "/@*"} {
		if bytes.Contains(rest, []byte(w)) {
			l.hit("xpath", XPath, Sure)
			return
		}
	}
}

// code looks for calls by which a value that is evaluated leaves its language; source code of more than a line is no value.
func (l *look) code() {
	l.route()
	v := bytes.TrimSpace(l.Value)
	if len(v) > 512 || bytes.IndexByte(v, '\n') >= 0 || l.Has&expand.Paren == 0 {
		return
	}
	for _, w := range [...]string{"__import__('os')", `__import__("os")`, "__import__('subprocess')", `__import__("subprocess")`, "process.mainModule.require", "global.process.mainModule", "require('child_process').",
		`require("child_process").`, "process.binding('spawn_sync')", "Runtime.getRuntime().exec(", "constructor.constructor(", "().__class__.__", "''.__class__.__", `"".__class__.__`, "__builtins__", "importlib.import_module('os').",
		"this.constructor.constructor", "getattr(__", "(#_memberAccess", "#_memberAccess[", "@java.lang.Runtime@", "ognl.OgnlContext", "com.opensymphony.xwork2", "import('child_process')", "open('/etc/", `open("/etc/`} {
		if bytes.Contains(v, []byte(w)) {
			l.hit("code", Code, Sure)
			return
		}
	}
	for _, w := range [...]string{"system(", "exec(", "passthru(", "shell_exec(", "popen(", "phpinfo(", "sleep(", "assert("} {
		if i := bytes.Index(v, []byte(w)); i > 0 && breaksOut(v[:i]) {
			l.hit("code", Code, Sure)
			return
		}
	}
}

// formula looks for cells that make a spreadsheet run a program or send what it holds.
func (l *look) formula() {
	v := bytes.TrimSpace(l.Value)
	if len(v) < 6 || len(v) > 1024 || bytes.IndexByte([]byte("=+-@"), v[0]) < 0 {
		return
	}
	up := bytes.ToUpper(v)
	if i := bytes.IndexByte(up, '|'); i > 0 && bytes.IndexByte(up[i:], '!') > 0 && (bytes.Contains(up[:i], []byte("CMD")) || bytes.Contains(up[:i], []byte("MSEXCEL")) || bytes.Contains(up[:i], []byte("POWERSHELL"))) {
		l.hit("formula", Code, Sure)
		return
	}
	for _, w := range [...]string{"HYPERLINK(", "WEBSERVICE(", "IMPORTXML(", "IMPORTDATA(", "IMPORTHTML(", "IMPORTFEED("} {
		if i := bytes.Index(up, []byte(w)); i >= 0 && i < 16 && bytes.Contains(up[i:], []byte("HTTP")) && (w != "HYPERLINK(" || bytes.Contains(up, []byte(`"&`))) {
			l.hit("formula", Code, Sure)
			return
		}
	}
}

// breaksOut reports whether what stands before a call ends a text or a statement first.
func breaksOut(v []byte) bool {
	v = bytes.TrimRight(v, " \t@$")
	if len(v) == 0 || len(v) > 64 || bytes.IndexByte([]byte(";.+|&,"), v[len(v)-1]) < 0 {
		return false
	}
	v = bytes.TrimRight(v[:len(v)-1], " \t)}|&;")
	return len(v) > 0 && (v[len(v)-1] == '\'' || v[len(v)-1] == '"') && bytes.Count(v, v[len(v)-1:])%2 == 1
}
