package egress

import (
	"slices"
	"strings"
	"testing"

	"casemate"
)

// Runs that come and go must not bring back the traffic that those before them used up.
func TestSharedTrafficDoesNotComeBack(t *testing.T) {
	var rec recorder
	e, err := New(*pin("a.example:7", outside(t, echo)))
	if err != nil {
		t.Fatal(err)
	}
	o := opening(&rec, "a.example:7")
	o.Version.Limits = casemate.Limits{Traffic: 1000}
	o.Version.Isolation = casemate.IsolationWarm
	d, err := e.Door(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	long, short := &casemate.Launch{RequestID: "long"}, &casemate.Launch{RequestID: "short"}
	d.Share([]*casemate.Launch{long})
	conn := enter(t, d, "a.example", 7)()
	say(t, conn, strings.Repeat("x", 300))
	d.Share([]*casemate.Launch{long, short})
	if got := rec.effects(); !slices.Equal(got, []string{"allow connect a.example:7"}) {
		t.Errorf("a stretch that ended recorded %q", got)
	}
	say(t, conn, strings.Repeat("x", 500)) // more than is left of the first, and they share
	d.Share([]*casemate.Launch{long})
	for range 3 { // the same run in stretch after stretch
		d.Share([]*casemate.Launch{long})
	}
	conn.Write([]byte(strings.Repeat("x", 400)))
	broken(t, conn)
	if d.Share(nil); !slices.Contains(rec.effects(), "deny connect a.example:7: "+reasonTraffic) {
		t.Errorf("recorded %q", rec.effects())
	}
}
