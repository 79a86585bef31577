package detect

import (
	"bytes"
	"strconv"

	"casemate/shield/expand"
)

// serialised looks for objects that run code, or choose what class runs it, when they are read back.
func (l *look) serialised() {
	v := l.Value
	switch {
	case pickle(v):
		l.hit("pickle", Deserialisation, Sure)
	case bytes.HasPrefix(v, []byte("\xac\xed\x00\x05")) || l.Kind == expand.Bytes && bytes.Contains(v, []byte("\xac\xed\x00\x05")):
		l.hit("java-serialised", Deserialisation, Sure)
	case bytes.HasPrefix(v, []byte("\x00\x01\x00\x00\x00\xff\xff\xff\xff")) || bytes.HasPrefix(v, []byte("\xff\x01\x32")):
		l.hit("dotnet-serialised", Deserialisation, Sure)
	case bytes.HasPrefix(v, []byte("\x04\x08")) && rubyObject(v[2:]):
		l.hit("ruby-marshal", Deserialisation, Sure)
	}
	if l.Kind == expand.Bytes {
		return
	}
	switch {
	case bytes.Contains(v, []byte("_$$ND_FUNC$$_")) || bytes.HasPrefix(v, []byte("$$FUNC$$")):
		l.hit("node-serialize", Deserialisation, Sure)
	case phpObject(v):
		l.hit("php-serialised", Deserialisation, Sure)
	case yamlTag(v):
		l.hit("yaml-tag", Deserialisation, Sure)
	}
}

// phpObject reports whether v holds a serialised object of PHP: O:8:"stdClass":0:{ with a length that is true
// (https://www.php.net/manual/en/function.serialize.php).
func phpObject(v []byte) bool {
	for at := 0; ; {
		i := bytes.Index(v[at:], []byte(`:"`))
		if i < 0 {
			return false
		}
		at += i + 2
		n, kind := lengthBefore(v, at-2)
		if kind != 'O' && kind != 'C' && kind != 'E' || n <= 0 || at+n+2 > len(v) || v[at+n] != '"' || v[at+n+1] != ':' && kind != 'E' {
			continue
		}
		if bytes.IndexFunc(v[at:at+n], func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '\\' || r == ':' || r >= 0x80)
		}) < 0 {
			return true
		}
	}
}

// lengthBefore reads the digits that end at i, and the letter before their colon.
func lengthBefore(v []byte, i int) (n int, kind byte) {
	start := i
	for start > 0 && i-start < 6 && v[start-1] >= '0' && v[start-1] <= '9' {
		start--
	}
	if start < i && start > 0 && v[start-1] == '+' { // O:+8: is read as O:8:
		start--
	}
	if start < 2 || start == i || v[start-1] != ':' {
		return 0, 0
	}
	n, err := strconv.Atoi(string(bytes.TrimPrefix(v[start:i], []byte("+"))))
	if err != nil {
		return 0, 0
	}
	if start >= 3 && !bytes.ContainsAny(v[start-3:start-2], ";{}:\x00|\"' \n=(") {
		return 0, 0
	}
	return n, v[start-2]
}

// rubyObject reports whether what follows the version of Ruby's Marshal holds an object, a class or a user's own type.
func rubyObject(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	if bytes.IndexByte([]byte("ouUCcmMeSd"), v[0]) >= 0 {
		return true
	}
	for _, mark := range [...]string{"o:", "U:", "u:", "c", "e:"} {
		i := bytes.Index(v, []byte(mark))
		if i >= 0 && i+3 < len(v) && v[i+len(mark)] > 5 && v[i+len(mark)+1] >= 'A' && v[i+len(mark)+1] <= 'Z' {
			return true
		}
	}
	return false
}

// yamlTag reports whether v is YAML with a tag that makes objects of any class. A text that only names one has no
// argument behind it.
func yamlTag(v []byte) bool {
	for at := 0; ; {
		i := bytes.IndexByte(v[at:], '!')
		if i < 0 {
			return false
		}
		at += i
		rest := v[at:]
		free := at == 0 || bytes.IndexByte([]byte(" \n\t:-[,{>"), v[at-1]) >= 0
		at++
		if !free {
			continue
		}
		for _, tag := range [...]string{"!!python/object", "!!python/name:", "!!python/module:", "!!python/tuple", "!ruby/object", "!ruby/hash:", "!ruby/struct",
			"!ruby/exception", "!!js/function", "!<tag:yaml.org,2002:python/", "!!javax.", "!!com.sun.", "!!org.", "!!java.", "!!sun."} {
			if bytes.HasPrefix(rest, []byte(tag)) && (tagged(rest[len(tag):]) || tag == "!!js/function" && len(rest) > len(tag)+3) {
				return true
			}
		}
	}
}

// tagged reports whether the rest of a tag names a class and something follows it as its value.
func tagged(v []byte) bool {
	end := bytes.IndexAny(v, " \t\n[{\"'")
	if end < 0 {
		end = len(v)
	}
	if name := v[:end]; len(name) == 0 || !bytes.ContainsAny(name, ".:/") && len(name) < 4 {
		return false
	}
	next := bytes.TrimLeft(v[end:], " \t\r\n")
	return len(next) == 0 || bytes.IndexByte([]byte("[{\"'-!"), next[0]) >= 0 || bytes.Contains(next[:min(len(next), 64)], []byte(":"))
}

// typed reports whether the piece names a class that does more than hold data, as JSON libraries take it: in a member
// called @type, or first in an array.
func (l *look) typed() bool {
	return len(l.Value) > 16 && len(l.Value) < 256 && dangerousClass(l.Value)
}

func dangerousClass(v []byte) bool {
	name, _, _ := bytes.Cut(v, []byte(","))
	if bytes.Count(name, []byte(".")) < 2 || bytes.ContainsAny(name, " /@#()") {
		return false
	}
	for _, p := range [...]string{"com.sun.rowset.", "com.sun.org.apache.", "com.sun.jndi.", "javax.script.", "javax.naming.", "javax.management.BadAttribute", "java.lang.Runtime",
		"java.lang.ProcessBuilder", "java.net.URLClassLoader", "java.net.Inet", "java.net.URL", "java.lang.AutoCloseable", "java.lang.Class", "org.apache.commons.collections.functors.", "org.apache.commons.collections4.functors.", "org.apache.xbean.",
		"org.apache.tomcat.dbcp.", "org.apache.ibatis.datasource.jndi.", "org.springframework.context.support.ClassPathXml", "org.springframework.context.support.FileSystemXml",
		"org.springframework.beans.factory.config.PropertyPath", "org.codehaus.groovy.runtime.", "com.mchange.v2.c3p0.", "com.zaxxer.hikari.HikariConfig", "ch.qos.logback.core.db.",
		"br.com.anteros.", "org.hibernate.jmx.", "System.Windows.Data.ObjectDataProvider", "System.Configuration.Install.AssemblyInstaller", "System.Diagnostics.Process",
		"System.Windows.Markup.XamlReader", "System.Security.Principal.WindowsIdentity", "System.Web.UI.LosFormatter", "System.Management.Automation.", "System.Workflow.ComponentModel.",
		"System.Activities.Presentation.WorkflowDesigner", "System.IO.FileSystemInfo", "System.Data.DataViewManager", "Microsoft.VisualStudio.Text.Formatting.", "[System."} {
		if bytes.HasPrefix(name, []byte(p)) {
			return true
		}
	}
	return false
}
