package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/authn/device"
	"casemate/authn/operator"
	"casemate/authn/passkey"
	"casemate/internal/casetest/authenticator"
	"casemate/internal/casetest/storetest"
	"casemate/internal/casetest/vault"
	"casemate/store"
)

const (
	origin   = "https://ops.example.com:8443"
	password = "kiwi granite 41 lamp-post"
)

// office is a desk with operators, a clock, and a browser in front of it.
type office struct {
	*Desk
	authenticator.Browser
	clock *storetest.Clock
	ops   map[string]func(ctx context.Context, l *casemate.Launch) (any, error)
}

func open(t testing.TB) *office {
	t.Helper()
	o := &office{clock: storetest.NewClock(), Browser: authenticator.Browser{Origin: origin}, ops: map[string]func(context.Context, *casemate.Launch) (any, error){}}
	s := store.Memory(o.clock.Now)
	keys, err := passkey.Open(t.Context(), passkey.Config{Store: s, Clock: o.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.At([]string{origin}); err != nil {
		t.Fatal(err)
	}
	people, err := operator.Open(t.Context(), operator.Config{Store: s, Vault: vault.New(), Place: casemate.DefaultPlace, Clock: o.clock.Now, Factors: []operator.Factor{Factor{Passkeys: keys}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := people.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Desk = &Desk{Operators: people, Passkeys: keys, Devices: device.New(o.clock.Now), Covers: func(*casemate.Launch, string, string, string) error { return nil }}
	page := origin
	o.Page.Store(&page)
	for _, op := range o.Operations() {
		o.ops[op.Name] = op.Run
	}
	return o
}

// do runs an operation as who has the token; "" is nobody.
func (o *office) do(t testing.TB, op, token string, question any) (json.RawMessage, error) {
	t.Helper()
	text, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	p := o.Operators.Stranger("192.0.2.7")
	if token != "" {
		if p, err = o.Operators.Verify(token, map[string][]string{}); err != nil {
			return nil, err
		}
	}
	answer, err := o.ops[op](t.Context(), &casemate.Launch{Principal: p, Payload: text, Event: &casemate.Event{Source: casemate.SourceAdmin, SourceIP: "192.0.2.7", UserAgent: "test"}})
	if err != nil {
		return nil, err
	}
	if n, ok := answer.(casemate.Noted); ok {
		if said := fmt.Sprint(n.Effects()); strings.Contains(said, operator.TokenMark) {
			t.Errorf("the record of %s says %s", op, said)
		}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return out, nil
}

func (o *office) must(t testing.TB, op, token string, question any) json.RawMessage {
	t.Helper()
	out, err := o.do(t, op, token, question)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return out
}

func field(t testing.TB, text json.RawMessage, name string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	var s string
	_ = json.Unmarshal(m[name], &s) // what is no text is ""
	return s
}

// enrolling makes an operator, and a session that can only enrol.
func (o *office) enrolling(t testing.TB, name string) string {
	t.Helper()
	roles := map[string][]string{"ada": {"view", "audit"}, "bob": {"view"}}[name]
	if _, _, err := o.Operators.Create(t.Context(), operator.Grantor{Name: "uid/0", All: true}, name, roles, password); err != nil {
		t.Fatal(err)
	}
	s, err := o.Operators.SignIn(t.Context(), operator.Attempt{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return s.Token
}

// enrol makes a passkey and gives a full session of name.
func (o *office) enrol(t testing.TB, name string) (*authenticator.Key, string) {
	t.Helper()
	token := o.enrolling(t, name)
	k, answer, err := o.Create(o.must(t, "passkey.begin", token, nil), authenticator.Twist{})
	if err != nil {
		t.Fatal(err)
	}
	out := o.must(t, "passkey.finish", token, map[string]any{"name": "laptop", "password": password, "response": json.RawMessage(answer)})
	if field(t, out, "token") == "" {
		t.Fatalf("no full session: %s", out)
	}
	return k, field(t, out, "token")
}

func (o *office) signIn(t testing.TB, k *authenticator.Key) (json.RawMessage, error) {
	t.Helper()
	const bound = "0123456789abcdef"
	answer, err := o.Get(o.must(t, "signin.passkey.begin", "", map[string]any{"bound": bound}), k, authenticator.Twist{})
	if err != nil {
		t.Fatal(err)
	}
	return o.do(t, "signin.passkey.finish", "", map[string]any{"bound": bound, "response": json.RawMessage(answer)})
}

func code(t testing.TB, err error, want casemate.Code, what string) {
	t.Helper()
	if err == nil || casemate.CodeOf(err) != want {
		t.Errorf("%s: %v, not %s", what, err, want)
	}
}

func TestPasskeyAloneIsAFullSignIn(t *testing.T) {
	o := open(t)
	k, _ := o.enrol(t, "ada")
	out, err := o.signIn(t, k)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Operators.Verify(field(t, out, "token"), nil)
	if err != nil || p.ID != "operator/ada" || o.Operators.SessionOf(p).Level != operator.LevelFull || o.Operators.SessionOf(p).Factor != Kind {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = o.Operators.SignIn(t.Context(), operator.Attempt{Name: "ada", Password: password})
	code(t, err, casemate.Unauthenticated, "the password alone")
}

func TestPasskeyAfterThePassword(t *testing.T) {
	o := open(t)
	ada, _ := o.enrol(t, "ada")
	bob, _ := o.enrol(t, "bob")
	for name, x := range map[string]struct {
		name, password string
		key            *authenticator.Key
		ok             bool
	}{
		"right": {"ada", password, ada, true}, "wrong password": {"ada", "x", ada, false}, "another's passkey": {"ada", password, bob, false}, "nobody": {"nobody", password, ada, false},
	} {
		p, err := o.Operators.Begin(t.Context(), operator.Attempt{Name: x.name, Password: x.password})
		if err != nil {
			t.Fatal(name, err) // whatever the password was
		}
		if strings.Contains(string(p.Ask[Kind]), "allowCredentials") {
			t.Errorf("%s: the question names passkeys: %s", name, p.Ask[Kind])
		}
		answer, err := o.Get(p.Ask[Kind], x.key, authenticator.Twist{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := o.Operators.Complete(t.Context(), p.ID, Kind, answer, "")
		if (err == nil) != x.ok || x.ok && s.Session.Level != operator.LevelFull {
			t.Errorf("%s: %v", name, err)
		}
		_, err = o.Operators.Complete(t.Context(), p.ID, Kind, answer, "")
		code(t, err, casemate.Unauthenticated, name+", again")
	}
	// An answer for one pending sign-in is none for another, not of the same operator either.
	first, err := o.Operators.Begin(t.Context(), operator.Attempt{Name: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	second, err := o.Operators.Begin(t.Context(), operator.Attempt{Name: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := o.Get(first.Ask[Kind], ada, authenticator.Twist{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Operators.Complete(t.Context(), second.ID, Kind, answer, "")
	code(t, err, casemate.Unauthenticated, "crossed")
}

// TestStolenSessionMakesNoPasskey: it takes the password, a session of one's own, and the answer to its own question.
func TestStolenSessionMakesNoPasskey(t *testing.T) {
	o := open(t)
	_, ada := o.enrol(t, "ada")
	_, bob := o.enrol(t, "bob")
	_, answer, err := o.Create(o.must(t, "passkey.begin", ada, nil), authenticator.Twist{})
	if err != nil {
		t.Fatal(err)
	}
	finish := func(token, word string) error {
		_, err := o.do(t, "passkey.finish", token, map[string]any{"password": word, "response": json.RawMessage(answer)})
		return err
	}
	code(t, finish(ada, "wrong"), casemate.Unauthenticated, "wrong password")
	code(t, finish(bob, password), casemate.Invalid, "another operator's")
	_, err = o.do(t, "passkey.begin", "", nil)
	code(t, err, casemate.Forbidden, "nobody")
	if err := finish(ada, password); err != nil {
		t.Error(err)
	}
	if list := o.must(t, "passkey.list", ada, nil); strings.Count(string(list), `"operator":"ada"`) != 2 || strings.Contains(string(list), `"bob"`) || strings.Contains(string(list), "public_key") {
		t.Errorf("%s", list)
	}
}

// TestWhatTheAccountDoesNotListOpensNothing: factors that were reset, and operators that were removed and made anew.
func TestWhatTheAccountDoesNotListOpensNothing(t *testing.T) {
	all := operator.Grantor{All: true}
	for name, change := range map[string]func(o *office) error{
		"reset": func(o *office) error {
			_, _, err := o.Operators.Reset(t.Context(), all, "ada", operator.Reset{Factors: true})
			return err
		},
		"removed": func(o *office) error { return o.Operators.Remove(t.Context(), all, "ada") },
		"made anew": func(o *office) error {
			if err := o.Operators.Remove(t.Context(), all, "ada"); err != nil {
				return err
			}
			_, _, err := o.Operators.Create(t.Context(), all, "ada", []string{"admin"}, password)
			return err
		},
	} {
		o := open(t)
		k, _ := o.enrol(t, "ada")
		if err := change(o); err != nil {
			t.Fatal(name, err)
		}
		_, err := o.signIn(t, k)
		code(t, err, casemate.Unauthenticated, name)
		if list := o.must(t, "passkey.list-all", "", nil); string(list) != "[]" {
			t.Errorf("%s: %s", name, list)
		}
	}
}

func TestRemoving(t *testing.T) {
	o := open(t)
	k, ada := o.enrol(t, "ada")
	var list []passkey.Passkey
	if err := json.Unmarshal(o.must(t, "passkey.list", ada, nil), &list); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	_, err := o.do(t, "passkey.remove", ada, map[string]any{"id": list[0].ID, "password": password})
	code(t, err, casemate.Conflict, "the last factor")
	_, bob := o.enrol(t, "bob")
	_, err = o.do(t, "passkey.remove", bob, map[string]any{"id": list[0].ID, "password": password})
	code(t, err, casemate.NotFound, "another's")
	_, err = o.do(t, "passkey.remove-any", bob, map[string]any{"id": list[0].ID})
	code(t, err, casemate.Forbidden, "of who is more")
	if _, err := o.signIn(t, k); err != nil {
		t.Error(err)
	}
}

func (o *office) ask(t testing.TB) (device, code string) {
	t.Helper()
	out := o.must(t, "signin.code.begin", "", map[string]any{"client": "casemate on laptop"})
	if page := field(t, out, "page"); page != origin+"/signin?code="+field(t, out, "code") {
		t.Errorf("%s", page)
	}
	return field(t, out, "device"), field(t, out, "code")
}

func TestApprovedCommandLine(t *testing.T) {
	o := open(t)
	_, ada := o.enrol(t, "ada")
	secret, c := o.ask(t)
	if out := o.must(t, "signin.code.poll", "", map[string]any{"device": secret}); field(t, out, "state") != "pending" || field(t, out, "token") != "" {
		t.Errorf("%s", out)
	}
	look := o.must(t, "signin.code.look", ada, map[string]any{"code": c})
	if field(t, look, "client") != "casemate on laptop" || field(t, look, "from") != "192.0.2.7" || field(t, look, "as") != "ada" || !strings.Contains(string(look), `"same_address":true`) || strings.Contains(string(look), secret) {
		t.Errorf("%s", look)
	}
	o.must(t, "signin.code.decide", ada, map[string]any{"code": c, "approve": true})
	o.clock.Advance(device.Interval)
	out := o.must(t, "signin.code.poll", "", map[string]any{"device": secret})
	p, err := o.Operators.Verify(field(t, out, "token"), nil)
	if err != nil || p.ID != "operator/ada" {
		t.Errorf("%+v, %v", p, err)
	}
	o.clock.Advance(device.Interval)
	_, err = o.do(t, "signin.code.poll", "", map[string]any{"device": secret})
	code(t, err, casemate.NotFound, "used twice")
}

func TestWhoMayApprove(t *testing.T) {
	o := open(t)
	_, ada := o.enrol(t, "ada")
	weak := o.enrolling(t, "bob")
	secret, c := o.ask(t)
	for name, token := range map[string]string{"nobody": "", "without a second factor": weak} {
		for _, op := range []string{"signin.code.look", "signin.code.decide"} {
			_, err := o.do(t, op, token, map[string]any{"code": c, "approve": true})
			code(t, err, casemate.Forbidden, name)
		}
	}
	peer := &casemate.Launch{Principal: &casemate.Principal{Kind: casemate.KindPeer, ID: "uid/0", Role: "operator"}, Payload: []byte(`{"code":"` + c + `","approve":true}`), Event: &casemate.Event{}}
	_, err := o.ops["signin.code.decide"](t.Context(), peer) // whose session should it become?
	code(t, err, casemate.Forbidden, "a peer")
	// A session that is revoked takes along what it approved and nobody fetched.
	o.must(t, "signin.code.decide", ada, map[string]any{"code": c, "approve": true})
	if _, err := o.Operators.RevokeAll(t.Context(), "ada", ""); err != nil {
		t.Fatal(err)
	}
	o.clock.Advance(device.Interval)
	_, err = o.do(t, "signin.code.poll", "", map[string]any{"device": secret})
	code(t, err, casemate.Unauthenticated, "approved by a revoked session")
}

// Whoever holds a session, and none of its owner's factors, cannot make it last: what it approves is no more than it is.
func TestApprovalProvesNothingAnew(t *testing.T) {
	o := open(t)
	_, ada := o.enrol(t, "ada")
	age := func(token string) string {
		t.Helper()
		keys := map[string][]string{}
		if _, err := o.Operators.Verify(token, keys); err != nil {
			t.Fatal(err)
		}
		return keys["aws:multifactorauthage"][0]
	}
	approved := func(by string) (string, operator.Session) {
		t.Helper()
		secret, c := o.ask(t)
		o.must(t, "signin.code.decide", by, map[string]any{"code": c, "approve": true})
		o.clock.Advance(device.Interval)
		token := field(t, o.must(t, "signin.code.poll", "", map[string]any{"device": secret}), "token")
		p, err := o.Operators.Verify(token, nil)
		if err != nil {
			t.Fatal(err)
		}
		return token, *o.Operators.SessionOf(p)
	}
	o.clock.Advance(20 * time.Minute)
	first := o.Operators.Sessions("ada")[0]
	token, s := approved(ada)
	if s.By != first.ID || !s.Expires.Equal(first.Expires) || age(token) != age(ada) {
		t.Errorf("%+v of %+v, factor of %s seconds", s, first, age(token))
	}
	_, c := o.ask(t)
	_, err := o.do(t, "signin.code.decide", token, map[string]any{"code": c, "approve": true})
	code(t, err, casemate.Forbidden, "approved by one that was approved")
	other, _ := approved(ada)
	if err := o.Operators.Revoke(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{ada, token, other} {
		if _, err := o.Operators.Verify(token, nil); err == nil {
			t.Error("outlived the session that approved it")
		}
	}
}

func TestQuestionsAreReadStrictly(t *testing.T) {
	o := open(t)
	for op, run := range o.ops {
		for _, text := range []string{`{"unknown":"canary"}`, `{} {}`, `[`, `"canary"`} {
			_, err := run(t.Context(), &casemate.Launch{Principal: o.Operators.Stranger(""), Payload: []byte(text), Event: &casemate.Event{}})
			if err == nil || casemate.CodeOf(err) != casemate.Invalid || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s of %s: %v", op, text, err)
			}
		}
	}
	for _, bound := range []string{"", "short", strings.Repeat("x", 129)} {
		_, err := o.do(t, "signin.passkey.begin", "", map[string]any{"bound": bound})
		code(t, err, casemate.Invalid, "bound "+bound)
	}
	o.Page.Store(nil)
	_, err := o.do(t, "signin.code.begin", "", map[string]any{"client": "x"})
	code(t, err, casemate.Unavailable, "no page")
}
