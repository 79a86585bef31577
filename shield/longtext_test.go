package shield

import (
	"strings"
	"testing"
	"time"

	"casemate"
)

// Much free text is refused with the setting that lets a route take more of it; with it, it passes, and an attack at its very
// end is found.
func TestLongTextIsARoutesChoice(t *testing.T) {
	prose := strings.Repeat("We're glad to select (some of) the best apples from the list; don't drop them -- thanks, O'Neil & sons! ", 6000) // 620 KB
	ask := func(text int64, body string) error {
		m := &casemate.Match{Version: &casemate.Version{Limits: casemate.Limits{Request: 6 << 20}}, Route: &casemate.Route{Screen: casemate.Screen{Text: text}}}
		_, err := Cleaner{Judge: Screening{Engine: compiled, Now: time.Now}.Judge}.Clean(m, &casemate.Event{ContentType: "text/plain"}, []byte(body))
		return err
	}
	start := time.Now()
	err := ask(0, prose)
	if e := casemate.AsError(err); err == nil || e.Rule != ruleBudget || e.Code != casemate.TooLarge || !strings.Contains(e.Hint, "screen: {text:") {
		t.Errorf("by default: %v", err)
	}
	t.Logf("refused after %s", time.Since(start))
	start = time.Now()
	if err := ask(1<<20, prose); err != nil {
		t.Errorf("with room for it: %v", err)
	}
	t.Logf("%d bytes screened in %s", len(prose), time.Since(start))
	if err := ask(1<<20, prose+"' UNION SELECT password FROM users--"); casemate.CodeOf(err) != casemate.Invalid || err == nil {
		t.Errorf("an attack at its end: %v", err)
	}
}
