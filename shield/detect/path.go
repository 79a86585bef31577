package detect

import (
	"bytes"
	"strings"

	"casemate/shield/expand"
)

// maxPath is the longest value that is taken for a path.
const maxPath = 4096

// traversal looks for paths that leave their folder, and for those of files that only an attacker asks for. A text that
// has a path in it is no path.
func (l *look) traversal() {
	v := bytes.TrimSpace(l.Value)
	if len(v) > maxPath || len(v) < 3 {
		return
	}
	l.route()
	if l.wrapper(v) {
		l.hit("stream-wrapper", Path, Sure)
		return
	}
	if l.Kind == expand.File && rooted(v) {
		l.hit("file-name", Path, Sure)
		return
	}
	if share(v) {
		l.hit("remote-share", Path, Sure)
		return
	}
	if l.Has&expand.High == 0 && !bytes.Contains(v, []byte("..")) && !outside(v) || !pathlike(v, l.Has) {
		return
	}
	up, down := climbs(v)
	switch {
	case up == 0:
		if sensitive(v) {
			l.hit("sensitive-file", Path, Sure)
		}
	case up > 1, bytes.Contains(v, []byte("..;")), sensitive(v), l.Kind == expand.File, down > 0 && up > down, down == 0 && l.In != "body":
		if l.In == "header" && up == 1 {
			return
		}
		l.hit("traversal", Path, Sure)
	case down == 0 || l.In != "body": // "src/../a" stays where it was
		l.hit("traversal", Path, Likely)
	}
}

// share reports whether v is a share of a host that is named as the Internet names them: opening it hands out a hash of the
// password (NTLM).
func share(v []byte) bool {
	rest, ok := bytes.CutPrefix(v, []byte(`\\`))
	if !ok {
		return false
	}
	host, path, ok := bytes.Cut(rest, []byte(`\`))
	return ok && len(path) > 0 && bytes.IndexByte(host, '.') > 0 && !bytes.ContainsAny(host, " \n/")
}

// outside reports whether v starts where the paths of a system do.
func outside(v []byte) bool {
	switch v[0] {
	case '/':
		return len(v) > 4 && bytes.IndexByte([]byte("epvrwbdm."), v[1]|0x20) >= 0
	case '~', '\\', '.':
		return true
	}
	return v[1] == ':' || v[0]|0x20 == 'f'
}

// pathlike reports whether all of v can be one path.
func pathlike(v []byte, has expand.Trait) bool {
	if has&(expand.Line|expand.Angle|expand.Open) != 0 && !bytes.HasPrefix(v, []byte("/")) && !bytes.HasPrefix(v, []byte("..")) {
		return false
	}
	first := v[:min(len(v), 256)]
	if i := bytes.IndexAny(first, " \t\n"); i >= 0 && !bytes.Contains(v[:i], []byte("..")) && bytes.Count(v, []byte(" ")) > 3 {
		return false
	}
	return bytes.IndexByte(first, '/') >= 0 || bytes.IndexByte(first, '\\') >= 0
}

// climbs counts the steps up and the named steps before the first of them. What servers and filters let pass for a step up
// counts: "..;", "....//", and dots and slashes in too many bytes.
func climbs(v []byte) (up, down int) {
	s := overlong(string(v))
	if i := strings.IndexAny(s, "?#"); i > 0 && !strings.Contains(s[:i], "..") && strings.Contains(s[i:], "=") { // an address with a query
		s = s[i+1+strings.Index(s[i:], "="):]
	}
	named := 0
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '/' || r == '\\' || r == 0 }) {
		p := strings.Trim(part, " \t\"'")
		if i := strings.LastIndexAny(p, "=:"); i >= 0 {
			p = p[i+1:]
		}
		switch {
		case p == "..", strings.HasPrefix(p, "..;"), len(p) >= 4 && strings.Trim(p, ".") == "":
			if up++; up == 1 {
				down = named
			}
		default:
			named++
		}
	}
	return up, down
}

// overlong writes the dots and slashes of RFC 3629's forbidden forms as what they stand for.
func overlong(s string) string {
	if strings.IndexByte(s, 0xc0) < 0 && strings.IndexByte(s, 0xc1) < 0 && strings.IndexByte(s, 0xe0) < 0 && !strings.ContainsAny(s, "∕⁄․‥") {
		return s
	}
	return strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`, "\xc0\x2f", "/", "\xc0\x5c", `\`, "\xe0\x80\xaf", "/", "\xe0\x80\xae", ".",
		"\xe0\x40\xae", ".", "\xc0\x2e", ".", "\xc1\x1c", "/", "∕", "/", "⁄", "/", "․", ".", "‥", "..").Replace(s)
}

// sensitive reports whether v is, or leads to, a file of the system or of credentials.
func sensitive(v []byte) bool {
	s := strings.ToLower(strings.ReplaceAll(overlong(string(v)), `\`, "/"))
	if i := strings.IndexByte(s, 0); i > 0 {
		s = s[:i]
	}
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	for _, f := range [...]string{"/etc/passwd", "/etc/shadow", "/etc/hosts", "/etc/group", "/etc/issue", "/etc/sudoers", "/etc/crontab", "/proc/self/", "/proc/1/", "/proc/version", "/proc/cmdline",
		"/var/run/secrets/", "/root/.", "/.ssh/", "/.aws/credentials", "/.aws/config", "/.git/config", "/.git/head", "/.docker/config.json", "/.kube/config", "/windows/win.ini", "/winnt/win.ini", "/windows/system32/",
		"/boot.ini", "/web-inf/", "/meta-inf/", "/web.config", "/.htpasswd", "/.bash_history", "/etc/apache2/", "/etc/nginx/", "/var/log/auth.log", "/etc/ssh/", "/var/task/", "/dev/tcp/"} {
		if i := strings.Index(s, f); i >= 0 {
			return i == 0 || s[0] == '/' || s[0] == '~' || s[0] == '.' || strings.Contains(s[:i+1], "../") || i == 2 && s[1] == ':' || strings.HasPrefix(s, "file:")
		}
	}
	base := s[strings.LastIndexByte(s, '/')+1:]
	return strings.Contains(s, "../") && (base == ".env" || base == "id_rsa" || base == "passwd" || base == "shadow" || base == "win.ini" || base == "credentials" || base == "boot.ini")
}

// wrapper reports whether v is an address whose scheme reads files or runs code where a file or a page is due.
func (l *look) wrapper(v []byte) bool {
	if i := bytes.Index(v[:min(len(v), 24)], []byte(":")); i < 2 {
		return false
	}
	s := strings.ToLower(string(v[:min(len(v), 24)]))
	s = strings.TrimPrefix(s, "url:")
	for _, p := range [...]string{"php://", "phar://", "expect://", "zip://", "compress.zlib://", "glob://", "ogg://", "ssh2.", "file:///", "file://localhost", "file:/", "netdoc:", "jar:http", "jar:file",
		"gopher://", "dict://", "view-source:", "local_file:", "rar://"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// rooted reports whether the name of a file is more than one.
func rooted(v []byte) bool {
	if v[0] == '/' || bytes.HasPrefix(v, []byte(`\\`)) || bytes.IndexByte(v, 0) >= 0 {
		return true
	}
	return len(v) > 2 && v[1] == ':' && (v[2] == '\\' || v[2] == '/')
}

// nul looks for a zero byte where a path or a name is due: everything behind it is lost on C.
func (l *look) nul() {
	if bytes.IndexByte(l.Value, 0) < 0 {
		return
	}
	if l.In == "body" && l.Kind == expand.Text {
		l.hit("nul", Path, Likely)
		return
	}
	l.hit("nul", Path, Sure)
}
