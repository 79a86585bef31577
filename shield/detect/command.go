package detect

import (
	"bytes"
	"strings"

	"casemate/shield/expand"
)

// maxCommand is the longest value that is taken for an argument somebody broke out of; what is longer is a document.
const maxCommand = 1024

// command looks for a separator of shells with a command behind it, in a value that is no shell script itself: somebody
// who pastes a script starts with a command, somebody who breaks out of an argument starts with the argument.
func (l *look) command() {
	v := bytes.TrimSpace(l.Value)
	if shellshock(v) {
		l.hit("shellshock", Command, Sure)
		return
	}
	if len(v) > maxCommand || len(v) < 2 || bytes.Count(v, []byte("\n")) > 2 {
		return
	}
	if bytes.Contains(v, []byte("${IFS}")) || bytes.Contains(v, []byte("$IFS")) {
		l.hit("command-ifs", Command, Sure)
		return
	}
	if option(v) {
		l.hit("option", Command, Sure)
		return
	}
	if l.Kind == expand.Name && len(v) > 64 {
		return
	}
	script := isScript(v) || commandLine(l.Last())
	for i := 0; i < len(v); i++ {
		rest, quoted := separator(v, i)
		if rest == nil || script && !(i == 0 && quoted) {
			continue
		}
		if runs(rest, quoted, i+1 < len(v) && v[i+1] != ' ') {
			l.hit("command", Command, Sure)
			return
		}
	}
}

// shellshock is CVE-2014-6271: a function in a value that becomes a variable.
func shellshock(v []byte) bool {
	rest, ok := bytes.CutPrefix(v, []byte("()"))
	if !ok {
		return false
	}
	rest = bytes.TrimLeft(rest, " \t")
	return len(rest) > 1 && rest[0] == '{' && bytes.IndexByte(rest, ';') > 0 && bytes.IndexByte(rest, '}') > 0
}

// option looks for options that make well-known programs run others.
func option(v []byte) bool {
	if v[0] != '-' {
		return false
	}
	for _, p := range [...]string{"-oProxyCommand=", "-o ProxyCommand=", "--upload-pack=", "-u./", "--checkpoint-action=", "--use-askpass=", "--exec=", "--to-command=", "--rsh-command=", "--post-file=", "-oPermitLocalCommand=", "--config=core.", "--open-files-in-pager="} {
		if bytes.HasPrefix(v, []byte(p)) {
			return true
		}
	}
	return false
}

// separator reports what follows a separator at i; quoted says that it is a substitution, `cmd` or $(cmd).
func separator(v []byte, i int) (rest []byte, quoted bool) {
	switch c := v[i]; c {
	case ';', '|', '\n', '\r':
	case '&':
		if i+1 < len(v) && v[i+1] == '#' || i > 0 && i+1 < len(v) && v[i-1] != ' ' && v[i+1] != ' ' && v[i+1] != '&' && bytes.IndexByte(v[i:], '=') > 0 { // an entity, a query
			return nil, false
		}
	case '`':
		end := bytes.IndexByte(v[i+1:], '`')
		if end < 0 || i > 0 && (v[i-1] == ' ' || v[i-1] == '\n' || v[i-1] == '(') && i+end+2 < len(v) || i > 0 && v[i-1] == '`' || end == 0 { // Markdown
			return nil, false
		}
		if i > 0 && v[i-1] == ' ' {
			return nil, false
		}
		return v[i+1 : i+1+end], true
	case '$', '<', '>':
		if i+2 >= len(v) || v[i+1] != '(' {
			return nil, false
		}
		rest = v[i+2:]
		if end := bytes.LastIndexByte(rest, ')'); end > 0 {
			if i > 1 && v[i-1] == ' ' && end+2 < len(rest) && rest[end+1] == ' ' && rest[end+2]|0x20 >= 'a' && rest[end+2]|0x20 <= 'z' { // in the middle of a sentence
				return nil, false
			}
			rest = rest[:end]
		}
		return rest, true
	default:
		return nil, false
	}
	rest = bytes.TrimLeft(v[i+1:], " \t\r\n&|;({\"'")
	return rest, false
}

// plainWord undoes what shells do not see in a word: quotes, backslashes, carets, and folders before it.
func plainWord(v []byte) (word string, path bool) {
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune("'\"\\^@{}", r) {
			return -1
		}
		return r
	}, string(v))
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		return strings.ToLower(s[i+1:]), true
	}
	return strings.ToLower(strings.TrimSuffix(s, ".exe")), false
}

// runs reports whether v starts with a command and is used as one; tight says that nothing stands between it and the
// separator.
func runs(v []byte, quoted, tight bool) bool {
	if file, ok := bytes.CutPrefix(v, []byte("<")); ok && quoted { // $(<file) is what the file holds
		file = bytes.TrimLeft(file, " ")
		return len(file) > 1 && (file[0] == '/' && file[1] != '>' || file[0] == '~' || file[0] == '.' && (file[1] == '/' || file[1] == '.'))
	}
	end := bytes.IndexAny(v, " \t\r\n;|&<>)`,$#")
	if end < 0 {
		end = len(v)
	}
	if end == 0 || end > 64 {
		return false
	}
	word, path := plainWord(v[:end])
	if strings.Contains(word, "?") && path || strings.HasPrefix(string(v), "/???/") {
		return true // /???/c?t
	}
	kind := commandKind(word)
	tail := v[end:]
	switch {
	case kind == 0:
		return false
	case kind == sure || path:
		return len(tail) == 0 || bytes.IndexByte([]byte(" \t\n;|&<>)`#,$"), tail[0]) >= 0
	case len(bytes.TrimSpace(tail)) == 0:
		return kind == alone || quoted || kind == tool && tight
	}
	return argument(tail, kind)
}

// argument reports whether what follows a word that is English as well is what follows a command.
func argument(tail []byte, kind byte) bool {
	if bytes.IndexByte([]byte(";|&<>#`"), tail[0]) >= 0 {
		return kind == alone
	}
	if i := bytes.IndexByte(tail, '>'); i > 0 && bytes.HasPrefix(bytes.TrimLeft(tail[i:], "> "), []byte("/")) {
		return true
	}
	arg := bytes.TrimLeft(tail, " \t,")
	if len(arg) == 0 {
		return false
	}
	switch c := arg[0]; {
	case c == '/' || c == '$' || c == '~' || c == '>' || c == '<' || c == '*':
		return true
	case c == '-':
		return len(arg) > 1 && arg[1] != ' '
	case c == '.':
		return len(arg) > 1 && (arg[1] == '/' || arg[1] == '.')
	case kind == tool && (c == '"' || c == '\'' || bytes.HasPrefix(arg, []byte("http")) || bytes.HasPrefix(arg, []byte("whoami"))):
		return true
	case c == ';' || c == '|' || c == '&' || c == '#' && kind == alone:
		return kind == alone
	case c >= '0' && c <= '9':
		return kind >= timed
	case len(arg) > 2 && arg[1] == ':' && arg[2] == '\\':
		return true
	}
	end := bytes.IndexAny(arg, " \t;|&")
	if end < 0 {
		end = len(arg)
	}
	switch string(bytes.ToLower(arg[:end])) { // "net user"
	case "user", "localgroup", "view", "share":
		return true
	}
	return kind >= timed && bytes.IndexByte(bytes.TrimRight(arg[:end], "."), '.') > 0 && (end == len(arg) || arg[end] != ' ' || kind == tool)
}

// Kinds of commands.
const (
	sure  byte = 1 + iota // no word of any language
	alone                 // used without an argument
	needs                 // a word of English; its argument tells
	timed                 // its argument is a number or a host
	tool                  // people talk about it: its argument tells, or that it stands where a command must
)

// commandKind is the kind of a command, 0 for what is none.
func commandKind(word string) byte {
	switch word {
	case "whoami", "uname", "ifconfig", "ipconfig", "netstat", "systeminfo", "tasklist", "ncat",
		"nslookup", "certutil", "bitsadmin", "mshta", "regsvr32", "rundll32", "wscript", "cscript", "crontab", "chmod", "chown", "mkfifo", "printenv",
		"useradd", "usermod", "iptables", "lsof", "mkfs", "xxd":
		return sure
	case "wget", "curl", "netcat", "bash", "zsh", "ksh", "dash", "powershell", "pwsh", "cmd", "busybox", "tftp", "telnet", "socat", "shutdown", "reboot", "gcc", "sudo", "python", "python2", "python3",
		"perl", "ruby", "php", "nodejs", "openssl", "base64", "xterm":
		return tool
	case "id", "ls", "ps", "env", "pwd", "set", "w", "dir", "ver", "hostname", "groups", "whoami;", "df", "du", "mount", "lsb_release", "arp", "calc", "notepad":
		return alone
	case "sleep", "ping", "ping6", "timeout", "host", "dig", "traceroute", "nc":
		return timed
	case "cat", "tac", "nl", "rm", "mv", "cp", "ln", "sh", "echo", "printf", "head", "tail", "more", "less", "sort", "find", "grep", "egrep", "awk", "sed", "cut", "tee", "touch", "kill", "killall",
		"mail", "node", "ssh", "scp", "ftp", "tar", "zip", "unzip", "dd", "xargs", "eval", "exec", "source", "export", "nohup", "watch", "type", "net", "del", "copy", "move", "reg", "sc", "start", "at",
		"mysql", "psql", "redis-cli", "git", "docker", "kubectl", "aws", "od", "strings", "test", "time", "who", "date", "vi", "nano", "rev", "cd", "npm", "pip":
		return needs
	}
	return 0
}

// commandLine reports whether a field of this name holds a command line by design: of a build, of a container.
func commandLine(name string) bool {
	switch name {
	case "run", "script", "scripts", "command", "entrypoint", "commands":
		return true
	}
	return false
}

// isScript reports whether v begins as a command line or a script does.
func isScript(v []byte) bool {
	for _, w := range [...]string{"FROM ", "RUN ", "CMD ", "COPY ", "ENTRYPOINT ", "SHELL ", "ENV "} { // of a Dockerfile
		if bytes.HasPrefix(v, []byte(w)) {
			return true
		}
	}
	if bytes.HasPrefix(v, []byte("#!")) || bytes.HasPrefix(v, []byte("```")) || bytes.HasPrefix(v, []byte("$ ")) || bytes.HasPrefix(v, []byte("# ")) {
		return true
	}
	end := bytes.IndexAny(v, " \t\n")
	if end <= 0 {
		return false
	}
	word, _ := plainWord(v[:end])
	if word == "make" || word == "go" || word == "cargo" || word == "yarn" || word == "pnpm" || word == "apt" || word == "apt-get" || word == "brew" || word == "mkdir" || word == "if" || word == "for" ||
		word == "while" || word == "run" || word == "select" {
		return true
	}
	return commandKind(word) != 0 && v[0] != '/' && v[0] != '"' && v[0] != '\''
}
