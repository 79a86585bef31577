package manifest

import (
	"errors"
	"strings"
	"testing"

	"casemate"
)

func TestParseFromNamesWhereThingsComeFrom(t *testing.T) {
	place := func(ptr string) Mark {
		switch {
		case strings.HasPrefix(ptr, "/functions/f/timeout"):
			return Mark{40, 7}
		case strings.HasPrefix(ptr, "/functions/f/statements/0"):
			return Mark{50, 9}
		}
		return Mark{3, 1}
	}
	s := Setting{Place: casemate.DefaultPlace}
	const start = `{"app": "a", "functions": {"f": {"runtime": "wasm", "code": "a.wasm", `
	_, err := ParseFrom("template.yaml", []byte(start+`"timeout": "1000s"}}}`), s, place)
	var p *Problems
	if !errors.As(err, &p) || !strings.HasPrefix(err.Error(), "template.yaml:40:7: must be from") {
		t.Errorf("a value: %v", err)
	}
	if _, err = ParseFrom("template.yaml", []byte(start+`"nosuch": "x"}}}`), s, place); !strings.Contains(err.Error(), `template.yaml:3:1: there is no key "nosuch"`) {
		t.Errorf("a key: %v", err)
	}
	m, err := ParseFrom("template.yaml", []byte(start+`"statements": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}}`), s, place)
	if err != nil {
		t.Fatal(err)
	}
	if w := m.Warnings[0]; w.Line != 50 || w.Column != 9 || m.Functions["f"].Statements[0].Mark.Line != 50 || m.Origin(m.At("/functions/f/timeout"), "x") != "template.yaml:3 x" {
		t.Errorf("%+v", m.Warnings)
	}
}
