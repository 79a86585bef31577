package node

import (
	"casemate/catalog"
	"maps"
	"slices"
	"sync"
	"time"

	"casemate"
	"casemate/shield"
	"casemate/shield/screen"
)

// cleaner is the shield, inbound, with the rule set. The rules are compiled beside the start of the node: the first event
// that has text to be screened waits for them.
func (n *node) cleaner() func(m *casemate.Match, e *casemate.Event, raw []byte) (casemate.Cleaned, error) {
	compiled := sync.OnceValues(func() (*screen.Engine, error) { return screen.New(screen.Config{Attacks: true}) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := compiled(); err != nil {
			n.cfg.Log.Error("no rules to screen by: events with text are refused", "err", err)
		}
	}()
	n.onClose(func() error { <-done; return nil })
	c := shield.Cleaner{Judge: shield.Screening{Engine: compiled, Now: time.Now}.Judge}
	return c.Clean
}

// screenPosture tells of routes that let attacks pass, and of exceptions: the live ones, and those that ended.
func screenPosture(app *catalog.App, now time.Time) (fs []Finding) {
	for i := range app.Routes {
		r := &app.Routes[i]
		name := app.Name + " " + r.ID
		if r.URL {
			name = "URL of " + r.Function
		}
		fs = append(fs, weakScreen(name, &r.Screen, now)...)
	}
	for _, name := range slices.Sorted(maps.Keys(app.Functions)) {
		f := app.Functions[name]
		screen, _ := f.Number(f.Live).ByName()
		fs = append(fs, weakScreen("function "+name+" by name", &screen, now)...)
	}
	return fs
}

func weakScreen(name string, s *casemate.Screen, now time.Time) (fs []Finding) {
	switch s.Mode {
	case casemate.ScreenOff:
		fs = append(fs, Finding{"high", "weak", name, "nothing is screened for attacks", "screen: {mode: block}"})
	case casemate.ScreenTag:
		fs = append(fs, Finding{"medium", "weak", name, "attacks are noted, not refused", "screen: {mode: block}"})
	}
	for k := range s.Except {
		x := &s.Except[k]
		what, day := name+" "+x.Field, x.Expires.Format(time.DateOnly)
		if x.Live(now) {
			fs = append(fs, Finding{"low", "weak", what, "rule " + x.Rule + " lets it pass until " + day + ": " + x.Reason, "take the exception out when it is not needed any more"})
		} else {
			fs = append(fs, Finding{"low", "expired", what, "its exception from rule " + x.Rule + " ended on " + day, "take it out, or renew it with a reason"})
		}
	}
	return fs
}
