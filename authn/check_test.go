package authn

import (
	"testing"

	"casemate"
)

// A check leaves what is in force alone, whatever it says.
func TestCheckIssuersChangesNothing(t *testing.T) {
	tr := newTrust(Config{})
	id := &Identity{trust: tr}
	good := casemate.Issuer{App: "a", Issuer: "https://id.example", Audience: []string{"a"}, KeySetURL: "https://id.example/k", Algorithms: []string{"ES256"}, Role: "r"}
	if err := id.SetIssuers([]casemate.Issuer{good}); err != nil {
		t.Fatal(err)
	}
	before := tr.by.Load()
	twin, weak := good, good
	twin.App = "b"
	weak.Audience, weak.Algorithms = []string{"b"}, []string{"HS256"}
	for _, list := range [][]casemate.Issuer{{good, twin}, {good, weak}} {
		if err := id.CheckIssuers(list); err == nil {
			t.Errorf("%+v hold together", list)
		}
	}
	if err := id.CheckIssuers(nil); err != nil {
		t.Error(err)
	}
	if tr.by.Load() != before || len((*before)["https://id.example"]) != 1 {
		t.Error("the check changed who is trusted")
	}
}
