package shield

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/shield/screen"
)

var compiled = sync.OnceValues(func() (*screen.Engine, error) { return screen.New(screen.Config{Attacks: true}) })

func screened(way casemate.Screen, now time.Time, body string) (casemate.Cleaned, error) {
	m := &casemate.Match{Version: &casemate.Version{}, Route: &casemate.Route{Screen: way}}
	c := Cleaner{Judge: Screening{Engine: compiled, Now: func() time.Time { return now }}.Judge}
	return c.Clean(m, &casemate.Event{ContentType: "application/json"}, []byte(body))
}

func TestScreeningModesAndExceptions(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const attack, table, prose = `{"note":"1' UNION SELECT password FROM users--"}`, `{"note":"<table style=\"color:red\">"}`, `{"note":"O'Neil: select one from the union of lists; drop me a line"}`
	all := func(expires time.Time, field string) casemate.Screen {
		var s casemate.Screen
		for _, rule := range []string{"942100", "942190", "942270", "942360", "942190", "942130", "942550"} {
			s.Except = append(s.Except, casemate.ScreenExcept{Rule: rule, Field: field, Exception: casemate.Exception{Reason: "holds SQL", Expires: expires}})
		}
		return s
	}
	for name, c := range map[string]struct {
		way   casemate.Screen
		body  string
		rule  string // that refuses; "" is none
		notes bool
	}{
		"an attack is refused":                   {casemate.Screen{}, attack, "942100", true},
		"prose passes, with a note":              {casemate.Screen{}, prose, "", true},
		"markup that runs nothing is noted":      {casemate.Screen{}, table, "", true},
		"the rule set alone refuses it":          {casemate.Screen{Profile: casemate.ScreenCRS}, table, "941160", true},
		"a tagging route lets an attack pass":    {casemate.Screen{Mode: casemate.ScreenTag}, attack, "", true},
		"off looks at nothing":                   {casemate.Screen{Mode: casemate.ScreenOff}, attack, "", false},
		"a live exception lets it pass":          {all(now.Add(time.Hour), "body/note"), attack, "", false},
		"an expired exception does not":          {all(now, "body/note"), attack, "942100", true},
		"an exception for another field neither": {all(now.Add(time.Hour), "body/not"), attack, "942100", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := screened(c.way, now, c.body)
			rule := ""
			if err != nil {
				e := casemate.AsError(err)
				if rule = e.Rule; strings.Contains(e.Message+e.Field+e.Hint, "password") {
					t.Errorf("the refusal quotes the caller: %v", e)
				}
			}
			if rule != c.rule || (len(got.Notes) > 0) != c.notes {
				t.Errorf("refused by %q with the notes %q; want %q, notes %v", rule, got.Notes, c.rule, c.notes)
			}
			if strings.Contains(strings.Join(got.Notes, " "), "password") {
				t.Errorf("the notes quote the caller: %q", got.Notes)
			}
		})
	}
}

// TestDetectorsAreKnown holds the list of rules that exceptions may name against what the detectors say.
func TestDetectorsAreKnown(t *testing.T) {
	files, err := filepath.Glob("detect/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no detectors", err)
	}
	said := regexp.MustCompile(`hit\("([a-z0-9-]+)"`)
	var names []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(data), -1) {
			names = append(names, m[1])
			if !KnownRule("casemate/" + m[1]) {
				t.Errorf("%s: no exception can name casemate/%s", f, m[1])
			}
		}
	}
	for name := range strings.FieldsSeq(detectors) {
		if !slices.Contains(names, name) {
			t.Errorf("no detector says casemate/%s", name)
		}
	}
	if KnownRule("942999") || KnownRule("casemate/nothing") || KnownRule("920100") || !KnownRule("942100") {
		t.Error("rules that are none are known, or the other way round")
	}
}
