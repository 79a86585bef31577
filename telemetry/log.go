package telemetry

import (
	"io"
	"log/slog"
	"strings"

	"casemate"
)

const hidden = "[hidden]"

// secretNames are parts of attribute names whose values never reach a log.
var secretNames = [...]string{"secret", "token", "password", "passwd", "credential", "authorization", "api-key", "api_key", "apikey", "private", "cookie", "body", "payload"}

// Logger makes the node's logger. format is "json" or "text", level "debug", "info", "warn" or "error"; anything else
// is refused. Values under a name that sounds secret, and values that look like a key or token, are hidden.
func Logger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	switch level {
	case "debug":
		l = slog.LevelDebug
	case "info":
		l = slog.LevelInfo
	case "warn":
		l = slog.LevelWarn
	case "error":
		l = slog.LevelError
	default:
		return nil, refused("log-level", "no such level", "debug, info, warn or error")
	}
	o := &slog.HandlerOptions{Level: l, ReplaceAttr: hide}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return nil, refused("log-format", "no such format", "json or text")
}

func hide(_ []string, a slog.Attr) slog.Attr {
	name := strings.ToLower(a.Key)
	for _, s := range secretNames {
		if strings.Contains(name, s) {
			return slog.String(a.Key, hidden)
		}
	}
	switch v := a.Value.Any().(type) {
	case string:
		return slog.String(a.Key, scrub(v))
	case error:
		return slog.String(a.Key, scrub(v.Error()))
	case casemate.Credential:
		return slog.String(a.Key, v.String())
	}
	return a
}

// scrub hides the words of s that look like an API key, a JWT or a bearer credential.
func scrub(s string) string {
	if !strings.Contains(s, "ck_") && !strings.Contains(s, "eyJ") && !strings.Contains(strings.ToLower(s), "bearer ") {
		return s
	}
	words := strings.FieldsFunc(s, separator)
	var pairs []string
	for i, w := range words {
		key := strings.HasPrefix(w, "ck_") && len(w) > 20 // shorter ones are public key ids
		token := strings.HasPrefix(w, "eyJ") && strings.Count(w, ".") >= 2
		bearer := i > 0 && strings.EqualFold(words[i-1], "bearer")
		if key || token || bearer {
			pairs = append(pairs, w, hidden)
		}
	}
	if pairs == nil {
		return s
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

func separator(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'=:,;()<>[]{}`, r) }
