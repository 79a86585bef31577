package operator

import (
	"encoding/json"
	"testing"
)

// TestProvenFirstAfterARestart: the first sign-in of a room may be by a passkey, and takes everything that it needs with it.
func TestProvenFirstAfterARestart(t *testing.T) {
	n := start(t)
	n.add("ada", RoleView)
	n.restart()
	o, err := n.OpenProven(t.Context(), "ada", "passkey", Attempt{From: "192.0.2.1"}, func(json.RawMessage) error { return nil })
	if err != nil || o.Device == "" || o.Session.Level != LevelFull {
		t.Fatalf("%+v, %v", o.Session, err)
	}
}
