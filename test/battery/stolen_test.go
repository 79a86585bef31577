package battery

import (
	"strings"
	"testing"
)

// thefts are attacks with the credentials of another sandbox.
func thefts() []attack {
	return []attack{
		{name: "stolen credentials", walls: "own key per sandbox", function: "second", seen: "service sts:GetCallerIdentity", order: map[string]string{"attack": "use credentials"}, prepare: stolenFrom("neighbour"), quick: true},
		{name: "credentials of an ended sandbox", walls: "key dies with its sandbox", function: "second", seen: "service sts:GetCallerIdentity", order: map[string]string{"attack": "use credentials"}, prepare: stolenFrom("unruly")},
	}
}

// stolenFrom has a function give its credentials away. One that is kept warm lives on, another one is gone.
func stolenFrom(function string) func(*testing.T, *node, map[string]string) func(reply) (bool, string) {
	return func(t *testing.T, n *node, order map[string]string) func(reply) (bool, string) {
		r, err := n.send(t.Context(), function, map[string]string{"attack": "tell credentials"})
		if err != nil || len(strings.Fields(r.Detail)) != 3 {
			t.Fatalf("%s tells %+v, %v", function, r, err)
		}
		order["credentials"] = r.Detail
		return nil
	}
}

// TestOwnCredentials shows that a sandbox's own credentials are taken: else the thefts would fail for another reason.
func TestOwnCredentials(t *testing.T) {
	n := furnished(t, withWalls, 0)
	order := map[string]string{"attack": "use credentials"}
	stolenFrom("neighbour")(t, n, order)
	r, err := n.send(t.Context(), "neighbour", order)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Worked || !strings.Contains(r.Detail, "neighbour") {
		t.Errorf("they were refused: %+v", r)
	}
}

// TestSecondClient: another program in a sandbox that asks for the event gets the one that the sandbox has, as on AWS,
// and never another. Both that it asked again and who did is in the record.
func TestSecondClient(t *testing.T) {
	n := furnished(t, withWalls, 0)
	r, err := n.send(t.Context(), "unruly", map[string]string{"attack": "second client"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Worked || r.Detail != "it is given event "+r.ID {
		t.Errorf("event %s: %+v", r.ID, r)
	}
	rec := n.record(t, r.ID)
	for _, want := range []string{"runtime-api client", "runtime-api next"} {
		if as := recorded(&rec); !strings.Contains(as, want) {
			t.Errorf("the record holds %q, not %q", as, want)
		}
	}
}
