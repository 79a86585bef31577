package operator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/authn/operator"
	"casemate/internal/casetest/vault"
	"casemate/store"
)

const good = "umbrella-lattice-9-quarry"

// desk is the operations over a room of its own.
type desk struct {
	t    *testing.T
	room *operator.Room
	ops  map[string]Operation
	asks []string // what the policy was asked besides
}

func open(t *testing.T) *desk {
	t.Helper()
	room, err := operator.Open(t.Context(), operator.Config{Store: store.Memory(time.Now), Vault: vault.New(), Place: casemate.DefaultPlace, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := room.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &desk{t: t, room: room, ops: map[string]Operation{}}
	for _, o := range Operations(Config{Room: room, Covers: func(_ *casemate.Launch, action, kind, name string) error {
		d.asks = append(d.asks, action+" "+kind+"/"+name)
		return nil
	}}) {
		d.ops[o.Name] = o
	}
	return d
}

func (d *desk) call(p *casemate.Principal, name, body string, out any) error {
	d.t.Helper()
	answer, err := d.ops[name].Run(d.t.Context(), &casemate.Launch{Principal: p, Payload: []byte(body), Event: &casemate.Event{SourceIP: "192.0.2.1"}})
	if err != nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if n, ok := answer.(casemate.Noted); ok {
		for _, e := range n.Effects() { // what the record keeps
			var o opened
			_ = json.Unmarshal(text, &o) // other answers have no token
			if o.Token != "" && strings.Contains(e.Target+e.Reason, o.Token) || strings.Contains(e.Target+e.Reason, good) {
				d.t.Errorf("%s records a secret: %+v", name, e)
			}
		}
	}
	return err
}

func TestOperations(t *testing.T) {
	d := open(t)
	root := &casemate.Principal{Kind: casemate.KindPeer, ID: "uid/0", Role: "operator"}
	for _, name := range []string{"ada", "bob"} {
		if err := d.call(root, "operator.add", `{"name":"`+name+`","roles":["view"],"password":"`+good+`"}`, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.asks) != 2 || d.asks[0] != "casemate:CreateOperator operator/ada" {
		t.Errorf("the policy was asked %q", d.asks)
	}
	if err := d.call(root, "own.password", `{}`, nil); casemate.CodeOf(err) != casemate.Conflict {
		t.Error("who is signed in by no session:", err)
	}
	who := map[string]*casemate.Principal{}
	tokens := map[string]opened{}
	for _, name := range []string{"ada", "bob"} {
		var o opened
		if err := d.call(d.room.Stranger("192.0.2.1"), "session.open", `{"name":"`+name+`","password":"`+good+`"}`, &o); err != nil || o.Token == "" {
			t.Fatal(err)
		}
		p, err := d.room.Verify(o.Token, nil)
		if err != nil {
			t.Fatal(err)
		}
		who[name], tokens[name] = p, o
	}
	var c caller
	if err := d.call(who["ada"], "whoami", "", &c); err != nil || c.ID != "operator/ada" || c.Session == nil {
		t.Error(c, err)
	}
	if err := d.call(who["bob"], "session.close", `{"id":"`+tokens["ada"].Session.ID+`"}`, nil); casemate.CodeOf(err) != casemate.NotFound {
		t.Error("somebody else's session was closed:", err)
	}
	var own []operator.Session
	if err := d.call(who["bob"], "session.own", "", &own); err != nil || len(own) != 1 || own[0].Operator != "bob" {
		t.Error(own, err)
	}
	if err := d.call(who["ada"], "session.close", "", nil); err != nil {
		t.Error(err)
	}
	if _, err := d.room.Verify(tokens["ada"].Token, nil); err == nil {
		t.Error("a closed session opens")
	}
	for _, body := range []string{`{}`, `{"id":"a","operator":"b"}`} {
		if err := d.call(root, "session.revoke", body, nil); casemate.CodeOf(err) != casemate.Invalid {
			t.Error(body, err)
		}
	}
	if err := d.call(root, "operator.reset", `{"name":"bob"}`, nil); casemate.CodeOf(err) != casemate.Invalid {
		t.Error(err)
	}
}

// TestQuestionsTellNothingBack: what cannot be read may hold a password.
func TestQuestionsTellNothingBack(t *testing.T) {
	d := open(t)
	for name := range d.ops {
		for _, body := range []string{`{"pass-` + good + `":1}`, `{"name":"` + good, `"` + good + `"`, `{} "` + good + `"`, `[` + good} {
			err := d.call(d.room.Stranger(""), name, body, nil)
			if casemate.CodeOf(err) != casemate.Invalid || err == nil || strings.Contains(err.Error(), good) || casemate.AsError(err).Err != nil {
				t.Errorf("%s of %s: %v", name, body, err)
			}
		}
	}
}

// TestStrangersOperations: of all operations, those of casemate:OpenSession are for who is nobody yet, and no others.
func TestStrangersOperations(t *testing.T) {
	for name, o := range open(t).ops {
		if SignsIn(name) != (o.Action == "casemate:OpenSession") {
			t.Errorf("%s is %s", name, o.Action)
		}
	}
}
