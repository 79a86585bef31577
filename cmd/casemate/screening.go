package main

import (
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
