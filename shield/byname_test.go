package shield

import (
	"strings"
	"testing"
	"time"

	"casemate"
)

// What comes by no route is screened as routes are, its client context included, and the function says otherwise.
func TestEventsByNameAreScreened(t *testing.T) {
	const attack = `{"note":"1' UNION SELECT password FROM users--"}`
	for _, source := range []casemate.Source{casemate.SourceAdmin, casemate.SourceAWS, casemate.SourceRun, casemate.SourceAsync} {
		for name, c := range map[string]struct {
			way           casemate.Screen
			body, context string
			refused       bool
		}{
			"payload": {casemate.Screen{}, attack, "", true}, "context": {casemate.Screen{}, "{}", attack, true}, "tagged": {casemate.Screen{Mode: "tag"}, attack, attack, false},
			"off": {casemate.Screen{Mode: "off"}, attack, attack, false}, "clean": {casemate.Screen{}, `{"note":"O'Neil"}`, `{"client":{"app_title":"shop"}}`, false},
		} {
			m := &casemate.Match{Version: &casemate.Version{Runtime: "wasm", Screen: &c.way}}
			e := &casemate.Event{Source: source, Target: casemate.Target{Function: "f"}, ContentType: "application/json", ClientContext: c.context}
			_, err := Cleaner{Judge: Screening{Engine: compiled, Now: time.Now}.Judge}.Clean(m, e, []byte(c.body))
			if (err != nil) != c.refused {
				t.Errorf("%s from %s: %v", name, source, err)
			}
		}
	}
}

// What a function answers to another one, or to an SDK outside, is looked at by the function's own rules. An operator is told
// everything.
func TestAnswersByNameAreLookedAt(t *testing.T) {
	token := "ghp_" + strings.Repeat("a1B2c3D4", 4) + "e5F6"
	thrown := `{"errorType":"Error","errorMessage":"cannot read /var/task/secrets.json","trace":["Error: x","    at handler (/var/task/index.js:10:5)"]}`
	for _, c := range []struct {
		source  casemate.Source
		leaks   casemate.Leaks
		failure casemate.Failure
		payload string
		gone    string // what must not leave; "": all of it does
		refused bool
	}{
		{casemate.SourceAWS, casemate.Leaks{}, "", `{"t":"` + token + `"}`, token, false},
		{casemate.SourceRun, casemate.Leaks{}, "", `{"t":"` + token + `"}`, token, false},
		{casemate.SourceRun, casemate.Leaks{Secrets: "off"}, "", `{"t":"` + token + `"}`, "", false},
		{casemate.SourceRun, casemate.Leaks{Secrets: "block"}, "", `{"t":"` + token + `"}`, "", true},
		{casemate.SourceAWS, casemate.Leaks{}, casemate.FailureHandled, thrown, "index.js", false},
		{casemate.SourceAWS, casemate.Leaks{}, casemate.FailureHandled, thrown, "secrets.json", false},
		{casemate.SourceAWS, casemate.Leaks{Traces: "off"}, casemate.FailureHandled, thrown, "", false},
		{casemate.SourceRun, casemate.Leaks{}, "", `{"path":"/usr/lib/x","n":1}`, "", false},
		{casemate.SourceAdmin, casemate.Leaks{}, casemate.FailureHandled, thrown, "", false},
	} {
		res := &casemate.Result{Failure: c.failure, Payload: []byte(c.payload)}
		err := Leave(&casemate.Match{Version: &casemate.Version{Runtime: "wasm", Leaks: &c.leaks}}, &casemate.Event{Source: c.source}, nil, res)
		switch out := string(res.Payload); {
		case (err != nil) != c.refused:
			t.Errorf("%+v: %v", c, err)
		case c.gone == "" && out != c.payload:
			t.Errorf("%+v changed to %s", c, out)
		case c.gone != "" && (strings.Contains(out, c.gone) || len(res.Notes) == 0):
			t.Errorf("%+v leaves %s, %q", c, out, res.Notes)
		}
	}
}
