package leak

import (
	"bytes"
	"regexp"
)

// telling are what an answer that carries a trace holds.
var telling = [...]string{`"stack`, `"trace"`, `"traceback`, `"exception"`, `Traceback (most recent call last)`, "goroutine 1 ["}

// suspicious reports whether an answer that is no error by its status is shaped like one that carries a trace.
func suspicious(body []byte) bool {
	for _, name := range telling {
		if bytes.Contains(body, []byte(name)) {
			return true
		}
	}
	return false
}

// The frames of stack traces, by language, as one line each; \\\\ and \\" stand for what JSON makes of \ and ".
var frame = regexp.MustCompile(`^(?:` +
	`at (?:async |new )?[^ ]* ?\(?(?:[^()]*:\d+:\d+|<anonymous>|native)\)?,?$` + // Node
	`|at [\w.$<>/` + "`" + `\[\],+ ]+\(.*\)(?: in .+)?$` + // Java, .NET
	`|File \\?"[^"\\]+(?:\\\\[^"\\]+)*\\?", line \d+` + // Python
	`|Traceback \(most recent call last\):?` +
	`|During handling of the above exception|The above exception was the direct cause` +
	`|goroutine \d+ \[` + // Go
	`|[\w./*()]+\((?:0x[0-9a-f]+|\.\.\.|\{|, )*[^)]*\)$|created by [\w./]+` +
	`|/[^ ]+\.(?:go|rs|c|cpp|s):\d+(?: \+0x[0-9a-f]+)?$` +
	`|#\d+ +(?:/|\{main\}|[A-Z]:|0x|\[internal)` + // PHP
	`|(?:from )?/?[\w./-]+\.(?:rb|ru|erb|ex|exs):\d+(?::in )?` + // Ruby
	`|Stack trace:|Caused by: |\.\.\. \d+ (?:more|common frames)|node:internal/|Node\.js v\d|--- End of (?:inner exception )?stack trace` +
	`)`)

// What errors tell about the inside.
var (
	hostPath = regexp.MustCompile(`(?:file://)?/(?:var|home|usr|opt|app|srv|root|tmp|etc|proc|build|workspace|src|go|Users|private|mnt|data|code|lib|run|nix)/[\w.@+/-]+(?::\d+(?::\d+)?)?|\b[A-Z]:(?:\\{1,2}[\w .@+-]+)+`)
	innerIP  = regexp.MustCompile(`\b(?:10\.\d{1,3}|127\.\d{1,3}|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}(?::\d{1,5})?\b|\[(?:::1|f[cd][0-9a-f]{2}:[0-9a-f:]+|fe80:[0-9a-f:]+)\](?::\d{1,5})?`)
	inner    = regexp.MustCompile(`\b(?:localhost:\d{2,5}|[a-z0-9][a-z0-9.-]*\.(?:internal|local|svc|lan|corp|intranet|cluster\.local|localdomain)(?::\d{1,5})?)\b`)
	onLine   = regexp.MustCompile(` (?:in|at) \[path\](?: on line \d+|:line \d+|:\d+)?`)
)

// removed stands where a trace was.
const removed = "[trace removed]"

// traces gives body without the frames of stack traces; json says that it is JSON, whose strings are then looked at one by
// one, so that it stays so. all removes paths and names of the inside as well.
func traces(body []byte, json, all bool, f *finder) []byte {
	out := make([]byte, 0, len(body))
	if !json {
		return inside(scrub(out, body, textBreak, f), all, f)
	}
	for i := 0; i < len(body); {
		if body[i] != '"' {
			out, i = append(out, body[i]), i+1
			continue
		}
		end := i + 1
		for end < len(body) && body[end] != '"' {
			if body[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(body))
		out = append(out, '"')
		mark := len(out)
		out = scrub(out, body[i+1:end], jsonBreak, f)
		if all {
			out = append(out[:mark], inside(bytes.Clone(out[mark:]), true, f)...)
		}
		i = end
		if i < len(body) {
			out, i = append(out, '"'), i+1
		}
	}
	return out
}

// lineBreak finds where a line ends, and how long its end is.
type lineBreak func(v []byte) (at, size int)

func textBreak(v []byte) (int, int) {
	for i := range v {
		switch {
		case v[i] == '\n':
			return i, 1
		case v[i] == '<' && (bytes.HasPrefix(v[i:], []byte("<br")) || bytes.HasPrefix(v[i:], []byte("<li")) || bytes.HasPrefix(v[i:], []byte("<pre")) || bytes.HasPrefix(v[i:], []byte("</"))):
			if end := bytes.IndexByte(v[i:], '>'); end > 0 {
				return i, end + 1
			}
		}
	}
	return len(v), 0
}

func jsonBreak(v []byte) (int, int) {
	for i := 0; i+1 < len(v); i++ {
		if v[i] == '\\' {
			if v[i+1] == 'n' {
				return i, 2
			}
			i++
		}
	}
	return len(v), 0
}

// scrub copies v without the lines that are frames, and without the line of source code that Python shows below one, which
// can be the next text of a list; the first of a run leaves a mark.
func scrub(out, v []byte, next lineBreak, f *finder) []byte {
	dropping, source := false, f.source
	for len(v) > 0 {
		at, size := next(v)
		line := v[:at]
		text := bytes.Trim(bytes.ReplaceAll(line, []byte(`\t`), []byte(" ")), " \t\r")
		deep := len(line) > 3 && (bytes.HasPrefix(line, []byte("    ")) || bytes.HasPrefix(line, []byte("\t")))
		python := bytes.HasPrefix(text, []byte("File "))
		switch {
		case len(text) > 0 && len(text) < 2000 && frame.Match(text) && !call(text, dropping):
			if !dropping {
				out = append(out, removed...)
				f.note("leak/trace")
			}
			dropping, source = true, python
		case source && deep:
			if source = false; !dropping {
				out = append(out, removed...)
			}
			dropping = true
		case dropping && len(text) == 0:
			source = false
		default:
			if dropping {
				out = append(out, breakOf(v[:at+size], at, size, v)...)
			}
			dropping, source = false, false
			out = append(append(out, line...), v[at:at+size]...)
		}
		v = v[at+size:]
	}
	f.source = source
	return out
}

// breakOf separates what follows from the mark, as its own lines are.
func breakOf(_ []byte, at, size int, v []byte) []byte {
	if size > 0 && v[at] == '\\' {
		return []byte(`\n`)
	}
	return []byte{' '}
}

// call reports whether a line only looks like a frame of Go, which is a call, and stands outside of a trace.
func call(text []byte, dropping bool) bool {
	if dropping || bytes.HasPrefix(text, []byte("at ")) || bytes.HasPrefix(text, []byte("created by")) {
		return false
	}
	return text[len(text)-1] == ')' && bytes.IndexByte(text, '(') > 0 && !bytes.ContainsAny(text, "#:\"")
}

// inside takes paths of hosts and names of the inside network out of v.
func inside(v []byte, all bool, f *finder) []byte {
	if !all {
		return v
	}
	for _, s := range [...]struct {
		rule string
		re   *regexp.Regexp
		with string
	}{{"leak/path", hostPath, "[path]"}, {"leak/address", innerIP, "[internal]"}, {"leak/name", inner, "[internal]"}, {"", onLine, ""}} {
		if !s.re.Match(v) {
			continue
		}
		if s.rule != "" {
			f.note(s.rule)
		}
		v = s.re.ReplaceAll(v, []byte(s.with))
	}
	return v
}
