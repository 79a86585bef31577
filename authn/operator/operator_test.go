package operator

import (
	"bytes"
	"context"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"casemate"
	"casemate/internal/casetest/storetest"
	"casemate/internal/casetest/vault"
	"casemate/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is what outlives a room, with a clock that is moved by hand.
type node struct {
	t     testing.TB
	store store.Store
	safe  *vault.Memory
	log   bytes.Buffer
	clock *storetest.Clock
	*Room
}

func start(t testing.TB, factors ...Factor) *node {
	t.Helper()
	n := &node{t: t, safe: vault.New(), clock: storetest.NewClock()}
	n.store = store.Memory(n.clock.Now)
	n.open(factors...)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) open(factors ...Factor) {
	n.t.Helper()
	var err error
	n.Room, err = Open(context.Background(), Config{Store: n.store, Vault: n.safe, Place: casemate.DefaultPlace, Clock: n.clock.Now, Factors: factors, memory: 64, Log: slog.New(slog.NewTextHandler(&n.log, nil))})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) restart() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Fatal(err)
	}
	n.open()
}

const good = "umbrella-lattice-9-quarry"

var socket = Grantor{Name: "uid/0", All: true}

// person is an operator with an app on the phone.
type person struct {
	n        *node
	name     string
	secret   []byte
	recovery []string
}

// add makes an operator with a second factor, and gives a full session of it.
func (n *node) add(name string, roles ...string) (*person, Opened) {
	n.t.Helper()
	ctx := n.t.Context()
	if _, _, err := n.Create(ctx, socket, name, roles, good); err != nil {
		n.t.Fatal(err)
	}
	o, err := n.SignIn(ctx, Attempt{Name: name, Password: good, From: "192.0.2.1"})
	if err != nil || o.Session.Level != LevelEnrol {
		n.t.Fatal(o, err)
	}
	p := &person{n: n, name: name}
	uri, err := n.BeginTOTP(ctx, &o.Session, good)
	if err != nil {
		n.t.Fatal(err)
	}
	p.secret = secretOf(n.t, uri)
	full, codes, err := n.ConfirmTOTP(ctx, &o.Session, p.code(0))
	if err != nil || full.Session.Level != LevelFull || len(codes) != recoveryCodes {
		n.t.Fatal(full, len(codes), err)
	}
	p.recovery = codes
	n.clock.Advance(totpStep * time.Second)
	return p, full
}

func secretOf(t testing.TB, uri string) []byte {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		t.Fatal(uri, err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || len(secret) != totpSecret {
		t.Fatal(uri, err)
	}
	return secret
}

func (p *person) code(step int64) string {
	return code(p.secret, p.n.clock.Now().Unix()/totpStep+step, totpDigits)
}

func (p *person) from(address string) Attempt {
	return Attempt{Name: p.name, Password: good, Code: p.code(0), From: address}
}

// wrong is a code that is none of now.
func (p *person) wrong() string {
	for _, c := range []string{"000000", "111111", "222222", "333333"} {
		if c != p.code(0) && c != p.code(1) && c != p.code(-1) {
			return c
		}
	}
	p.n.t.Fatal("unreachable: three codes of four")
	return ""
}

// refused demands the one refusal there is.
func refused(t testing.TB, what string, o Opened, err error) {
	t.Helper()
	want := casemate.AsError(refusal(nil)).Body("")
	if err == nil || o.Token != "" || casemate.AsError(err).Body("") != want {
		t.Fatalf("%s: %v, %v", what, o, err)
	}
}

func TestSignIn(t *testing.T) {
	n := start(t)
	ada, first := n.add("ada", RoleView)
	keys := map[string][]string{}
	p, err := n.Verify(first.Token, keys)
	if err != nil || p.Kind != casemate.KindOperator || p.ID != "operator/ada" || p.Role != "operator/view" || keys["aws:multifactorauthpresent"][0] != "true" || keys["aws:multifactorauthage"][0] != "30" {
		t.Fatalf("%+v, %v, %v", p, keys, err)
	}
	ctx := t.Context()
	a := ada.from("192.0.2.1")
	o, err := n.SignIn(ctx, a)
	if err != nil || o.Session.Factor != "totp" || o.Token == first.Token || o.Device == "" || len(o.Token) != tokenLen {
		t.Fatal(o, err)
	}
	if text := fmt.Sprintf("%v %#v %+v %v %#v", o, o, o.Session, a, a); strings.Contains(text, o.Token) || strings.Contains(text, good) || strings.Contains(text, a.Code) {
		t.Error("a secret is printed")
	}
	o, err = n.SignIn(ctx, a)
	refused(t, "a code taken twice", o, err)
	n.clock.Advance(totpStep * time.Second)
	if _, err := n.SignIn(ctx, Attempt{Name: " ADA ", Password: good, Code: ada.code(1), From: "192.0.2.1"}); err != nil {
		t.Error("one step ahead:", err)
	}
	a.Code = ada.code(0)
	o, err = n.SignIn(ctx, a)
	refused(t, "a code before one that was taken", o, err)
	n.clock.Advance(10 * time.Minute)
	for what, code := range map[string]string{"two steps old": ada.code(-2), "two steps ahead": ada.code(2)} {
		o, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, Code: code, From: "192.0.2.1"})
		refused(t, what, o, err)
		n.clock.Advance(time.Hour)
	}
	if o, err = n.SignIn(ctx, Attempt{Name: "ada", Password: good, From: "192.0.2.1"}); err == nil {
		t.Error("no code at all:", o)
	}
	refused(t, "no code", o, err)
}

// TestEnrollingSessionCanDoNothingElse: by its role, whatever a resource's policy says; and it does not live long.
func TestEnrollingSessionCanDoNothingElse(t *testing.T) {
	n := start(t)
	if _, _, err := n.Create(t.Context(), socket, "ada", RoleNames(), good); err != nil {
		t.Fatal(err)
	}
	o, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	p, err := n.Verify(o.Token, keys)
	if err != nil || p.Role != roleEnrol || keys["aws:multifactorauthpresent"][0] != "false" || keys["aws:multifactorauthage"] != nil {
		t.Fatalf("%+v %v %v", p, keys, err)
	}
	if g := n.Grantor(p); g.All || len(g.Roles) > 0 {
		t.Errorf("it may grant %+v", g)
	}
	if _, err := n.BreakGlass(t.Context(), o.Session.ID, "because I want to", 0); casemate.CodeOf(err) != casemate.Forbidden {
		t.Error(err)
	}
	if _, err := n.NewRecovery(t.Context(), &o.Session, good); casemate.CodeOf(err) != casemate.Conflict {
		t.Error("recovery codes without a factor:", err)
	}
	n.clock.Advance(enrolLife)
	if _, err := n.Verify(o.Token, nil); err == nil {
		t.Error("it lives on")
	}
}

// TestFixation: what a session can do grows with a new token only, and nobody chooses a token.
func TestFixation(t *testing.T) {
	n := start(t)
	if _, _, err := n.Create(t.Context(), socket, "ada", []string{RoleView}, good); err != nil {
		t.Fatal(err)
	}
	o, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good})
	if err != nil {
		t.Fatal(err)
	}
	uri, err := n.BeginTOTP(t.Context(), &o.Session, good)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{n: n, name: "ada", secret: secretOf(t, uri)}
	full, _, err := n.ConfirmTOTP(t.Context(), &o.Session, p.code(0))
	if err != nil || full.Token == o.Token || full.Session.ID == o.Session.ID {
		t.Fatal(full, err)
	}
	if _, err := n.Verify(o.Token, nil); err == nil {
		t.Error("the token from before the second factor lives on")
	}
	other, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good, Code: p.code(1)})
	if err != nil {
		t.Fatal(err)
	}
	mixed := other.Token[:len(TokenMark)+idLen+1] + full.Token[len(TokenMark)+idLen+1:]
	for _, token := range []string{mixed, strings.ToUpper(full.Token), full.Token + "a", full.Token[1:], "", "cs_", other.Session.ID} {
		if _, err := n.Verify(token, nil); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%q: %v", token, err)
		}
	}
}

// TestStolenToken: after logout, revocation, a changed password, a reset, a removal it opens nothing; nor after a restart.
func TestStolenToken(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	for what, end := range map[string]func(p *person, stolen, own Opened) error{
		"logout":      func(_ *person, stolen, _ Opened) error { return n.Revoke(ctx, stolen.Session.ID) },
		"all revoked": func(p *person, _, _ Opened) error { _, err := n.RevokeAll(ctx, p.name, ""); return err },
		"password":    func(_ *person, _, own Opened) error { return n.SetPassword(ctx, &own.Session, good, good+"!") },
		"reset": func(p *person, _, _ Opened) error {
			_, drawn, err := n.Reset(ctx, socket, p.name, Reset{Password: true})
			if drawn == "" {
				t.Error("no password was drawn")
			}
			return err
		},
		"factors": func(p *person, _, _ Opened) error {
			_, _, err := n.Reset(ctx, socket, p.name, Reset{Factors: true})
			return err
		},
		"removal": func(p *person, _, _ Opened) error { return n.Remove(ctx, socket, p.name) },
		"a new app": func(p *person, _, own Opened) error {
			uri, err := n.BeginTOTP(ctx, &own.Session, good)
			if err != nil {
				return err
			}
			p.secret = secretOf(t, uri)
			_, _, err = n.ConfirmTOTP(ctx, &own.Session, p.code(0))
			return err
		},
	} {
		name := strings.ReplaceAll(what, " ", "-")
		p, stolen := n.add(name, RoleView)
		own, err := n.SignIn(ctx, p.from("192.0.2.1"))
		if err != nil {
			t.Fatal(what, err)
		}
		if _, err := n.Verify(stolen.Token, nil); err != nil {
			t.Fatal(what, err)
		}
		if err := end(p, stolen, own); err != nil {
			t.Fatal(what, err)
		}
		_, err = n.Verify(own.Token, nil)
		if mine := what == "password" || what == "logout" || what == "a new app"; mine != (err == nil) {
			t.Errorf("%s: the own session: %v", what, err)
		}
		for range 2 {
			if _, err := n.Verify(stolen.Token, nil); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
				t.Errorf("%s: the stolen token is %v", what, err)
			}
			n.restart()
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	n := start(t)
	_, o := n.add("ada", RoleView)
	for range 24 {
		n.clock.Advance(29 * time.Minute)
		if _, err := n.Verify(o.Token, nil); err != nil {
			t.Fatal(err)
		}
		n.restart() // the last use is kept
	}
	n.clock.Advance(29 * time.Minute) // twelve hours are over
	if _, err := n.Verify(o.Token, nil); err == nil {
		t.Error("the session outlives its life")
	}
	_, o = n.add("bob", RoleView)
	n.clock.Advance(DefaultIdle)
	if _, err := n.Verify(o.Token, nil); err == nil || len(n.Sessions("")) > 0 {
		t.Error("an idle session lives on")
	}
	n.restart()
	if _, err := n.Verify(o.Token, nil); err == nil || len(n.sessions) > 0 {
		t.Error("an idle session comes back")
	}
}

// TestBoundedSessions: signing in again and again fills nothing; the one that was used longest ago goes.
func TestBoundedSessions(t *testing.T) {
	n := start(t)
	ada, first := n.add("ada", RoleView)
	last := first
	for range perOperator {
		n.clock.Advance(totpStep * time.Second)
		var err error
		if last, err = n.SignIn(t.Context(), ada.from("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
	}
	if list := n.Sessions("ada"); len(list) != perOperator || slices.ContainsFunc(list, func(s Session) bool { return s.ID == first.Session.ID }) {
		t.Errorf("%d sessions", len(list))
	}
	if _, err := n.Verify(last.Token, nil); err != nil {
		t.Error(err)
	}
}

// TestRecoveryCodeOnce: of many who have one code, one gets in.
func TestRecoveryCodeOnce(t *testing.T) {
	n := start(t)
	ada, _ := n.add("ada", RoleView)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, other := 0, []error{}
	for i := range 10 {
		wg.Go(func() {
			_, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good, Code: strings.ToUpper(ada.recovery[3]), From: fmt.Sprintf("198.51.100.%d", i)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if casemate.CodeOf(err) != casemate.Unauthenticated {
				other = append(other, err)
			}
		})
	}
	wg.Wait()
	if o, _ := n.Get("ada"); won != 1 || len(other) > 0 || o.Codes != recoveryCodes-1 {
		t.Fatalf("%d got in, %d codes are left, %v", won, o.Codes, other)
	}
	n.restart()
	o, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good, Code: ada.recovery[3], From: "192.0.2.1"})
	refused(t, "again after a restart", o, err)
}

// TestOneCodeRaced: the same of a code of the app.
func TestOneCodeRaced(t *testing.T) {
	n := start(t)
	ada, _ := n.add("ada", RoleView)
	c := ada.code(0)
	won := make(chan bool, 8)
	for i := range cap(won) {
		go func() {
			_, err := n.SignIn(context.Background(), Attempt{Name: "ada", Password: good, Code: c, From: fmt.Sprintf("198.51.100.%d", i)})
			won <- err == nil
		}()
	}
	total := 0
	for range cap(won) {
		if <-won {
			total++
		}
	}
	if total != 1 {
		t.Errorf("%d got in by one code", total)
	}
}

func TestEscalation(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	_, o := n.add("eve", RoleAdmin, RoleView)
	n.add("root", RoleNames()...)
	p, err := n.Verify(o.Token, nil)
	if err != nil {
		t.Fatal(err)
	}
	try := func(g Grantor) map[string]error {
		out := map[string]error{}
		_, _, out["make somebody who is more"] = n.Create(ctx, g, "tool", []string{RoleSecrets}, good)
		_, out["become more"] = n.SetRoles(ctx, g, "eve", []string{RoleAdmin, RoleSecrets})
		_, out["take from who is more"] = n.SetRoles(ctx, g, "root", []string{RoleView})
		_, _, out["sign in as who is more"] = n.Reset(ctx, g, "root", Reset{Password: true, Factors: true})
		out["remove who is more"] = n.Remove(ctx, g, "root")
		return out
	}
	for what, err := range try(n.Grantor(p)) {
		if casemate.CodeOf(err) != casemate.Forbidden || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := n.BreakGlass(ctx, o.Session.ID, "to make it last", 0); err != nil {
		t.Fatal(err)
	}
	if p, err = n.Verify(o.Token, nil); err != nil || !Broken(p.Role) {
		t.Fatal(p, err)
	}
	for what, err := range try(n.Grantor(p)) { // what a break-glass gives is not handed on
		if casemate.CodeOf(err) != casemate.Forbidden || err == nil {
			t.Errorf("under break-glass, %s: %v", what, err)
		}
	}
	for _, p := range []*casemate.Principal{{Kind: casemate.KindKey, ID: "operator/root", Role: "operator"}, {Kind: casemate.KindOperator, ID: "operator/root"}, n.Stranger("192.0.2.1"), {}} {
		for what, err := range try(n.Grantor(p)) {
			if casemate.CodeOf(err) != casemate.Forbidden || err == nil {
				t.Errorf("%s as %v: %v", what, p.Kind, err)
			}
		}
	}
	if _, _, err := n.Create(ctx, n.Grantor(p), "bob", []string{RoleView}, good); err != nil {
		t.Error("what one holds, one may give:", err)
	}
	for _, name := range []string{"", "Ada", "0a", "a/b", "a b", "é", strings.Repeat("a", 33), "a*"} {
		if _, _, err := n.Create(ctx, socket, name, nil, good); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := n.Create(ctx, socket, "carl", []string{"operator"}, good); casemate.CodeOf(err) != casemate.Invalid {
		t.Error("a role out of nowhere:", err)
	}
}

// TestRolesTakenAway are gone from sessions that are open; roles given come with the next.
func TestRolesTakenAway(t *testing.T) {
	n := start(t)
	_, o := n.add("ada", RoleView, RoleDeploy)
	p, _ := n.Verify(o.Token, nil)
	if p == nil || p.Role != "operator/deploy+view" || n.Still(p) != nil {
		t.Fatalf("%+v", p)
	}
	if _, err := n.SetRoles(t.Context(), socket, "ada", []string{RoleView, RoleSecrets}); err != nil {
		t.Fatal(err)
	}
	if n.Still(p) == nil {
		t.Error("what was queued with a role that was taken away runs")
	}
	if p, _ = n.Verify(o.Token, nil); p == nil || p.Role != "operator/view" {
		t.Fatalf("%+v", p)
	}
	if err := n.Remove(t.Context(), socket, "ada"); err != nil || n.Still(p) == nil {
		t.Error("what was queued by somebody who is gone runs:", err)
	}
}

func TestBreakGlass(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	_, o := n.add("ada", RoleView)
	id := o.Session.ID
	for _, reason := range []string{"", "short", strings.Repeat("long ", 60), "two\nlines of it", "       x       "} {
		if _, err := n.BreakGlass(ctx, id, reason, 0); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", reason, err)
		}
	}
	for _, d := range []time.Duration{-time.Hour, time.Second, time.Hour + 1} {
		if _, err := n.BreakGlass(ctx, id, "the hall is on fire", d); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%v: %v", d, err)
		}
	}
	n.log.Reset()
	s, err := n.BreakGlass(ctx, id, "the hall is on fire", 0)
	if err != nil || s.Glass.Until.Sub(n.clock.Now()) != DefaultGlass || !strings.Contains(n.log.String(), "level=ERROR") || !strings.Contains(n.log.String(), "the hall is on fire") {
		t.Fatal(s, err, n.log.String())
	}
	if _, err := n.BreakGlass(ctx, id, "a little longer please", time.Hour); casemate.CodeOf(err) != casemate.Conflict {
		t.Error("made longer:", err)
	}
	p, _ := n.Verify(o.Token, nil)
	if p.Role != roleGlass || len(n.Glasses()) != 1 || n.Still(p) != nil {
		t.Errorf("%+v", p)
	}
	n.restart()
	n.clock.Advance(DefaultGlass - time.Second)
	if p, _ := n.Verify(o.Token, nil); p.Role != roleGlass {
		t.Errorf("a restart mended it: %+v", p)
	}
	n.clock.Advance(time.Second)
	if again, _ := n.Verify(o.Token, nil); again.Role != "operator/view" || len(n.Glasses()) != 0 || n.Still(p) == nil {
		t.Errorf("it does not end: %+v", again)
	}
	if err := n.keep(ctx); err != nil || !strings.Contains(n.log.String(), "BREAK-GLASS is over") {
		t.Error("its end is not logged:", err)
	}
	if _, err := n.BreakGlass(ctx, id, "it burns again", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := n.EndGlass(ctx, id); err != nil {
		t.Fatal(err)
	}
	if p, _ := n.Verify(o.Token, nil); p.Role != "operator/view" {
		t.Errorf("%+v", p)
	}
	if err := n.EndGlass(ctx, id); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
	n.add("boss", RoleAdmin)
	if list := Policies()[roleGlass]; slices.ContainsFunc(list, func(s casemate.Statement) bool { return slices.Contains(s.Action, "casemate:SetOperator") }) {
		t.Error("a break-glass keeps operators")
	}
}

// TestDamagedStoreStopsTheStart: leaving something out could bring back what was revoked.
func TestDamagedStoreStopsTheStart(t *testing.T) {
	for bucket, key := range map[string]string{"operators": "ada", "operators.sessions": "abcdefghijkl"} {
		for _, value := range []string{"{", `{"name":"bob","id":"other"}`} {
			s := store.Memory(time.Now)
			kv, err := s.KV(bucket)
			if err == nil {
				_, err = kv.Put(t.Context(), key, []byte(value), store.NewKey)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), Config{Store: s, Vault: vault.New(), Clock: time.Now}); err == nil {
				t.Errorf("%s with %s starts", bucket, value)
			}
		}
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("the zero configuration opens")
	}
}
