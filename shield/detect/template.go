package detect

import (
	"bytes"
)

// opening is how template languages begin an expression, and how they end it.
type opening struct{ from, to string }

var openings = [...]opening{{"%{", "}"}, {"{{", "}}"}, {"{%", "%}"}, {"${", "}"}, {"#{", "}"}, {"*{", "}"}, {"@{", "}"}, {"<%", "%>"}, {"@(", ")"}, {"<#", ">"}}

// maxExpression bounds how much of an expression is read.
const maxExpression = 2048

// template looks for expressions that compute or that reach what a template has no business with. A place for a name,
// {{first_name}}, is none; nor is a piece of source code that has some.
func (l *look) template() {
	v := l.Value
	if lookup(v) {
		l.hit("jndi", Template, Sure)
		return
	}
	for _, o := range &openings {
		for at := 0; ; {
			i := bytes.Index(v[at:], []byte(o.from))
			if i < 0 {
				break
			}
			at += i + len(o.from)
			rest := v[at:min(len(v), at+maxExpression)]
			end := closing(rest, o.to)
			if whole := bytes.TrimSpace(v); at == len(v)-len(bytes.TrimLeft(v, " \t"))+len(o.from) && bytes.HasSuffix(whole, []byte(o.to)) && probe(rest[:end], o.from) || computes(rest[:end], o.from) || reaches(rest[:end], o.from) {
				l.hit("template", Template, Sure)
				return
			}
		}
	}
	if bytes.HasPrefix(bytes.TrimSpace(v), []byte("#set(")) || bytes.Contains(v, []byte("#set($")) && bytes.Contains(v, []byte(".class")) {
		if reaches(v[:min(len(v), maxExpression)], "#set") {
			l.hit("template", Template, Sure)
		}
	}
}

// closing is where the expression ends; braces inside it are counted.
func closing(v []byte, to string) int {
	depth := 0
	for i := range v {
		if depth == 0 && bytes.HasPrefix(v[i:], []byte(to)) {
			return i
		}
		switch v[i] {
		case '{', '(':
			depth++
		case '}', ')':
			depth = max(depth-1, 0)
		}
	}
	return len(v)
}

// probe reports whether an expression that is the whole value shows the inside of a template engine.
func probe(v []byte, from string) bool {
	switch word := string(bytes.TrimSpace(v)); from {
	case "{{":
		return word == "config" || word == "self" || word == "request"
	case "{%":
		return word == "debug"
	}
	return false
}

// computes reports whether an expression is arithmetic on literals: what nobody writes but to see whether it is computed.
func computes(v []byte, from string) bool {
	v = bytes.Trim(v, " \t=-'\"")
	if len(v) < 3 || len(v) > 64 {
		return false
	}
	digits, operators := 0, 0
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '*', c == '+' && from != "#{":
			operators++
		case c == ' ', c == '\'', c == '"', c == '(', c == ')', c == '-', c == '/', c == '%', c == '.', c == '_':
		default:
			return false
		}
	}
	return digits >= 2 && operators >= 1 && v[0] != '*' && v[0] != '+'
}

// gadgets are the words by which expressions leave their template.
var gadgets = [...]string{"__class__", "__mro__", "__subclasses__", "__globals__", "__builtins__", "__import__", "__init__", "__getattribute__", "__base__", "__self__", "mainModule",
	"constructor.constructor", "constructor(", `"constructor"`, "getClass()", "getClass(", ".class.", "forName(", "java.lang.", "java.util.Scanner", "T(java", "new java.", "ProcessBuilder", "ScriptEngine",
	"getRuntime(", "os.system(", "os.popen(", ".popen(", "subprocess.", "shell_exec(", "passthru(", "IO.popen", "Kernel.", "%x(", "%x{", "_self.env", "registerUndefinedFilterCallback", "getClassLoader", "(#",
	"filter('system'", `filter("system"`, "map('system'", `map("system"`, "filter('exec'", "map('exec'", "sort('system'", "reduce('system'", "|attr(", "request.application", "lipsum.", "lipsum|", "cycler.",
	"joiner.", "config.items(", "config.SECRET_KEY", "config['SECRET_KEY']", "SECRET_KEY", "?new()", "?api", "freemarker.template", "get_flashed_messages.", "url_for.__", "dump(app", "import os",
	"child_process", "process.binding(", "binding.getClass", "getEngine()", "#rt", "@java", "runtime.exec", "Runtime.exec", "@@", "app.request.server", "self.__", "#this.getClass", "pageContext.request.getSession",
	"fs.readFileSync", "execSync", "spawnSync", "File.open('/etc", "File.read('/etc", `File.open("/etc`, `File.read("/etc`, "request.environ", "self._TemplateReference"}

// suspects are common in source code that is only talked about, where ${} is a placeholder.
var suspects = [...]string{"system(", "exec(", "eval(", "File.open(", "File.read(", "global.process", "process.env", "require(", "phpinfo("}

// reaches reports whether an expression holds a gadget.
func reaches(v []byte, from string) bool {
	if len(v) < 3 {
		return false
	}
	for _, w := range &gadgets {
		if bytes.Contains(v, []byte(w)) {
			return true
		}
	}
	if from == "${" || from == "@(" || from == "<#" || from == "{%" {
		return false
	}
	for _, w := range &suspects {
		if bytes.Contains(v, []byte(w)) {
			return true
		}
	}
	return from != "{{" && bytes.Count(v, []byte("`")) == 2
}

// lookup reports whether v holds a lookup of Log4j that fetches, or one that is taken apart so that nobody sees it
// (CVE-2021-44228).
func lookup(v []byte) bool {
	for at := 0; ; {
		i := bytes.Index(v[at:], []byte("${"))
		if i < 0 {
			return false
		}
		at += i + 2
		rest := bytes.ToLower(v[at:min(len(v), at+256)])
		for _, w := range [...]string{"jndi:", "::-", "lower:", "upper:", "java:", "ctx:loginid", "j${", "jn${", "jnd${", "${::-", "${lower:", "${upper:", "${env:"} {
			if bytes.HasPrefix(rest, []byte(w)) {
				return true
			}
		}
		if bytes.HasPrefix(rest, []byte("env:")) || bytes.HasPrefix(rest, []byte("sys:")) {
			end := bytes.IndexByte(rest, '}')
			if end > 0 && bytes.Contains(rest[:end], []byte(":-")) && bytes.Contains(rest, []byte("${")) {
				return true
			}
			if at == 2 && end == len(v)-3 && (bytes.Contains(rest, []byte("secret")) || bytes.Contains(rest, []byte("password")) || bytes.Contains(rest, []byte("token")) || bytes.Contains(rest, []byte("_key"))) {
				return true
			}
		}
	}
}
