package sam

import (
	"strconv"
	"strings"

	"casemate"
)

// ConfigFile is where SAM's command line keeps its flags, beside the template.
const ConfigFile = "samconfig.toml"

// Config is what a deploy takes from a samconfig.toml.
type Config struct {
	Stack      string
	Parameters []string // as Overrides reads them
}

// maxConfig bounds a samconfig.toml, in bytes.
const maxConfig = 64 << 10

// ParseConfig reads stack_name and parameter_overrides of one environment ("default"), of its deploy command, else of all commands
// ("global"). What a value of another key says is left alone. An environment that is not there is an empty Config.
//
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
func ParseConfig(data []byte, environment string) (Config, error) {
	if len(data) > maxConfig {
		return Config{}, casemate.Errorf(casemate.TooLarge, "make it smaller", "%s is larger than %d bytes", ConfigFile, maxConfig)
	}
	var global, own Config
	into := (*Config)(nil)
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if strings.HasPrefix(line, "[") {
			section := strings.ReplaceAll(strings.Trim(line, "[] "), `"`, "")
			into = map[string]*Config{environment + ".global.parameters": &global, environment + ".deploy.parameters": &own}[section]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.Trim(strings.TrimSpace(key), `"`)
		if !ok || into == nil || strings.HasPrefix(line, "#") || key != "stack_name" && key != "parameter_overrides" {
			continue
		}
		for at := i; strings.HasPrefix(strings.TrimSpace(value), "[") && !strings.HasSuffix(strings.TrimSpace(value), "]") && i+1 < len(lines) && i-at < 200; i++ {
			value = strings.TrimSpace(value) + strings.TrimSpace(lines[i+1])
		}
		list, err := tomlTexts(strings.TrimSpace(value))
		if err != nil || len(list) == 0 || key == "stack_name" && len(list) != 1 {
			return Config{}, casemate.Errorf(casemate.Invalid, `write it as "text" or ["text", "text"]; or give the flag`, "%s:%d: the value of %s is not understood", ConfigFile, i+1, key)
		}
		if key == "stack_name" {
			into.Stack = list[0]
		} else {
			into.Parameters = list
		}
	}
	if own.Stack == "" {
		own.Stack = global.Stack
	}
	if own.Parameters == nil {
		own.Parameters = global.Parameters
	}
	return own, nil
}

// tomlTexts reads a text of TOML, or a list of texts.
func tomlTexts(s string) (out []string, err error) {
	inner, list := strings.CutPrefix(s, "[")
	if !list {
		inner = s
	}
	for {
		inner = strings.TrimLeft(inner, " \t,")
		switch {
		case inner == "" || strings.HasPrefix(inner, "#") || list && strings.HasPrefix(inner, "]"):
			return out, nil
		case inner[0] == '\'':
			text, rest, ok := strings.Cut(inner[1:], "'")
			if !ok {
				return nil, strconv.ErrSyntax
			}
			out, inner = append(out, text), rest
		default:
			quoted, err := strconv.QuotedPrefix(inner)
			if err != nil || quoted[0] != '"' {
				return nil, strconv.ErrSyntax
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			out, inner = append(out, text), inner[len(quoted):]
		}
	}
}

// Overrides reads parameters as SAM's command line takes them, "Key=Value Other='two words'" or
// "ParameterKey=Key,ParameterValue=Value", into the map.
func Overrides(into map[string]string, text string) error {
	for _, word := range words(text) {
		if rest, ok := strings.CutPrefix(word, "ParameterKey="); ok {
			key, value, _ := strings.Cut(rest, ",")
			value, ok := strings.CutPrefix(value, "ParameterValue=")
			if !ok || key == "" {
				return badOverride(word)
			}
			into[key] = value
			continue
		}
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" {
			return badOverride(word)
		}
		into[key] = value
	}
	return nil
}

// badOverride names the key alone: the value may be a secret.
func badOverride(word string) error {
	key, _, _ := strings.Cut(word, "=")
	return &casemate.Error{Code: casemate.Invalid, Field: "--parameter-overrides", Message: strconv.Quote(key) + " is no Key=Value", Hint: "--parameter-overrides \"Stage=prod Table='two words'\""}
}

// words are separated by spaces that stand in no quotes; a backslash keeps what follows it.
func words(s string) (out []string) {
	var b strings.Builder
	quote, some := rune(0), false
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, some = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, some = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if some {
				out = append(out, b.String())
				b.Reset()
			}
			some = false
		default:
			b.WriteRune(r)
			some = true
		}
	}
	if some {
		out = append(out, b.String())
	}
	return out
}
