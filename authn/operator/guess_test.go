package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
)

// TestThousandGuesses from one source: none gets in, few are looked at, and nobody else notices.
func TestThousandGuesses(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	ada, o := n.add("ada", RoleView)
	bob, _ := n.add("bob", RoleView)
	n.limits = newLimiter() // as if nobody had signed in from anywhere
	before := n.hasher.work.Load()
	for i := range 1000 {
		o, err := n.SignIn(ctx, Attempt{Name: "ada", Password: fmt.Sprintf("guess number %d", i), Code: ada.code(0), From: "203.0.113.9"})
		refused(t, "a guess", o, err)
	}
	if looked := n.hasher.work.Load() - before; looked != freeGuesses+1 { // the one after the free ones begins the wait
		t.Errorf("%d of 1,000 guesses in no time were looked at", looked)
	}
	if !strings.Contains(n.log.String(), "sign-in not looked at") {
		t.Error("nothing is logged")
	}
	if _, err := n.Verify(o.Token, nil); err != nil {
		t.Error("her session:", err)
	}
	for what, a := range map[string]Attempt{"bob from there": bob.from("203.0.113.9"), "ada from elsewhere": ada.from("198.51.100.1")} {
		if _, err := n.SignIn(ctx, a); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	x, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, Code: ada.recovery[0], From: "203.0.113.9"})
	refused(t, "even the right password, from there, until it has waited", x, err)

	// A guesser who has time: how much of a day is looked at, in all.
	before = n.hasher.work.Load()
	for range 24 * 60 {
		n.clock.Advance(time.Minute)
		x, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, Code: ada.wrong(), From: "203.0.113.9"})
		refused(t, "a patient guess", x, err)
	}
	if looked := n.hasher.work.Load() - before; looked > dayGuesses {
		t.Errorf("%d guesses in a day were looked at", looked)
	}
}

// TestLockoutLocksOutNobodyElse: whoever guesses from everywhere uses up the day's guesses of strangers, and that is all.
func TestLockoutLocksOutNobodyElse(t *testing.T) {
	n := start(t)
	ctx := t.Context()
	ada, _ := n.add("ada", RoleView)
	known, err := n.SignIn(ctx, ada.from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	n.clock.Advance(totpStep * time.Second)
	before := n.hasher.work.Load()
	for i := range 1000 {
		o, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, Code: ada.wrong(), From: fmt.Sprintf("2001:db8:%x::1", i), Device: "forged.x." + known.Device[len(known.Device)-43:]})
		refused(t, "a guess", o, err)
	}
	if looked := n.hasher.work.Load() - before; looked != dayGuesses {
		t.Errorf("%d guesses were looked at", looked)
	}
	if len(n.limits.names["ada"].From) > dayGuesses+1 {
		t.Errorf("%d places are remembered", len(n.limits.names["ada"].From))
	}
	o, err := n.SignIn(ctx, ada.from("198.51.100.77"))
	refused(t, "a new place on such a day", o, err)
	n.restart() // forgets nothing of it
	o, err = n.SignIn(ctx, ada.from("198.51.100.78"))
	refused(t, "a new place after a restart", o, err)
	if _, err := n.SignIn(ctx, ada.from("192.0.2.1")); err != nil {
		t.Error("from where she always signs in:", err)
	}
	n.clock.Advance(totpStep * time.Second)
	a := ada.from("198.51.100.79")
	a.Device = known.Device
	if _, err := n.SignIn(ctx, a); err != nil {
		t.Error("from elsewhere, with her own machine:", err)
	}
	n.clock.Advance(totpStep * time.Second)
	if _, _, err := n.Reset(ctx, socket, "ada", Reset{Unlock: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.SignIn(ctx, ada.from("198.51.100.80")); err != nil {
		t.Error("unlocked:", err)
	}
}

// TestStolenDevice opens nothing, and has few guesses of its own.
func TestStolenDevice(t *testing.T) {
	n := start(t)
	ada, _ := n.add("ada", RoleView)
	known, err := n.SignIn(t.Context(), ada.from("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	before := n.hasher.work.Load()
	for i := range 200 {
		o, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: good, Code: ada.wrong(), From: fmt.Sprintf("198.51.100.%d", i), Device: known.Device})
		refused(t, "a guess", o, err)
	}
	if looked := n.hasher.work.Load() - before; looked != freeGuesses+1 {
		t.Errorf("%d guesses were looked at", looked)
	}
	key, err := n.key(t.Context())
	if err != nil || n.knownDevice(key, "ada", known.Device) == "" || n.knownDevice(key, "bob", known.Device) != "" {
		t.Error("a device is known for its own operator alone", err)
	}
	n.clock.Advance(deviceLife + time.Second)
	if n.knownDevice(key, "ada", known.Device) != "" {
		t.Error("a device is known for ever")
	}
}

// TestNamesAreNotTold: neither by words nor by work, whoever asks how often.
func TestNamesAreNotTold(t *testing.T) {
	n := start(t)
	n.add("ada", RoleView)
	n.limits = newLimiter()
	work := func(name string, i int) int64 {
		before := n.hasher.work.Load()
		o, err := n.SignIn(t.Context(), Attempt{Name: name, Password: "wrong horse battery", Code: "123456", From: fmt.Sprintf("198.51.100.%d", i%150)})
		refused(t, name, o, err)
		return n.hasher.work.Load() - before
	}
	for i := range 400 { // more than a day's
		if a, b, c := work("ada", i), work("nobody", i+1000), work("Not A Name/*", i+2000); a != b || b != c {
			t.Fatalf("try %d: work %d of a name that is, %d and %d of names that are not", i, a, b, c)
		}
	}
	_, err := n.SignIn(t.Context(), Attempt{Name: "ada", Password: strings.Repeat("x", 1<<20), From: "192.0.2.200"})
	if err == nil || n.hasher.usual.Load() < 0 {
		t.Error("a long password")
	}
}

// TestManyNamesFromOnePlace: spraying one password over many names is bounded by its place.
func TestManyNamesFromOnePlace(t *testing.T) {
	n := start(t)
	if _, err := n.key(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 2*mostPlaces + 50 {
		o, err := n.SignIn(t.Context(), Attempt{Name: fmt.Sprintf("name%d", i), Password: "Summer-of-2029!", From: "203.0.113.9"})
		refused(t, "spray", o, err)
	}
	if looked := n.hasher.work.Load(); looked != freeNames+1 {
		t.Errorf("%d were looked at", looked)
	}
	if g := &n.limits.ghosts; len(g.young) > mostPlaces || len(g.old) > mostPlaces || len(n.limits.names) > 0 {
		t.Errorf("%d and %d names are remembered", len(g.young), len(g.old))
	}
}

// TestFloodIsBounded: however many sign in at once, two hashes are computed and few wait; who is known passes by.
func TestFloodIsBounded(t *testing.T) {
	l := newLane()
	var at, most, turned atomic.Int64
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			err := l.do(context.Background(), func() {
				most.Store(max(most.Load(), at.Add(1)))
				<-gate
				at.Add(-1)
			})
			if casemate.CodeOf(err) == casemate.Unavailable {
				turned.Add(1)
			}
		})
	}
	for turned.Load() < 200-laneLen { // the others are in the lane, and stay there
		l2 := newLane()
		if err := l2.do(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newHasher(time.Now, 64).known.do(ctx, func() {}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(gate)
	wg.Wait()
	if most.Load() != 1 || turned.Load() != 200-laneLen {
		t.Errorf("%d at once, %d turned away", most.Load(), turned.Load())
	}
}

// TestBusyIsNoGuess: whoever is turned away because others flood has lost no guess.
func TestBusyIsNoGuess(t *testing.T) {
	n := start(t)
	ada, _ := n.add("ada", RoleView)
	for range laneLen {
		n.hasher.strange.queue <- struct{}{}
	}
	for range 10 {
		if _, err := n.SignIn(t.Context(), ada.from("198.51.100.1")); casemate.CodeOf(err) != casemate.Unavailable {
			t.Fatal(err)
		}
	}
	if _, err := n.SignIn(t.Context(), ada.from("192.0.2.1")); err != nil {
		t.Error("who is known waits for strangers:", err)
	}
	for range laneLen {
		<-n.hasher.strange.queue
	}
	n.clock.Advance(totpStep * time.Second)
	if _, err := n.SignIn(t.Context(), ada.from("198.51.100.1")); err != nil {
		t.Error(err)
	}
}

// TestStolenSessionGuessesLittle: who has a session and not the password changes nothing, and may not try for long.
func TestStolenSessionGuessesLittle(t *testing.T) {
	n := start(t)
	ada, o := n.add("ada", RoleView)
	before := n.hasher.work.Load()
	for range 100 {
		if err := n.SetPassword(t.Context(), &o.Session, "not the password", "another-long-passphrase"); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Fatal(err)
		}
		if _, err := n.BeginTOTP(t.Context(), &o.Session, "not the password"); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Fatal(err)
		}
		if _, err := n.NewRecovery(t.Context(), &o.Session, "not the password"); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Fatal(err)
		}
	}
	if looked := n.hasher.work.Load() - before; looked != freeGuesses+1 {
		t.Errorf("%d guesses were looked at", looked)
	}
	if _, err := n.SignIn(t.Context(), ada.from("192.0.2.1")); err != nil {
		t.Error("she herself:", err)
	}
}

// token is a factor whose answer is what it asked.
type token struct{}

func (token) Kind() string { return "token" }
func (token) Enrolled(state json.RawMessage) bool {
	return string(state) != "" && string(state) != "null"
}
func (token) Challenge(who Person, _ json.RawMessage) (ask, remember json.RawMessage, err error) {
	if len(who.ID) != 32 {
		return nil, nil, errors.New("no handle")
	}
	text, err := json.Marshal(who.ID)
	return text, text, err
}

func (token) Check(_ Person, state, remember, answer json.RawMessage) (json.RawMessage, error) {
	if string(remember) != string(answer) {
		return nil, errors.New("another answer")
	}
	return append(json.RawMessage{}, state...), nil
}

// TestFurtherFactor: a factor that answers a challenge enrols, completes sign-ins, and tells nobody who exists.
func TestFurtherFactor(t *testing.T) {
	n := start(t, token{})
	ctx := t.Context()
	if _, _, err := n.Create(ctx, socket, "ada", []string{RoleView}, good); err != nil {
		t.Fatal(err)
	}
	o, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, From: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	pend, err := n.Challenge(ctx, &o.Session, "token", token{}.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Answer(&Session{ID: "other", Operator: "ada"}, pend.ID, "token"); casemate.CodeOf(err) != casemate.Conflict {
		t.Error("another session's:", err)
	}
	if pend, err = n.Challenge(ctx, &o.Session, "token", token{}.Challenge); err != nil {
		t.Fatal(err)
	}
	if x, err := n.Complete(ctx, pend.ID, "token", pend.Ask["token"], "192.0.2.1"); err == nil {
		t.Fatal("an enrolment completes a sign-in", x)
	}
	if pend, err = n.Challenge(ctx, &o.Session, "token", token{}.Challenge); err != nil {
		t.Fatal(err)
	}
	if who, remember, err := n.Answer(&o.Session, pend.ID, "token"); err != nil || who.Name != "ada" || string(remember) != string(pend.Ask["token"]) {
		t.Fatal(who, err)
	}
	full, codes, err := n.SetFactor(ctx, &o.Session, good, "token", func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"n":1}`), nil })
	if err != nil || full.Session.Level != LevelFull || len(codes) != recoveryCodes {
		t.Fatal(full, err)
	}
	if _, _, err := n.SetFactor(ctx, &full.Session, good, "token", func(json.RawMessage) (json.RawMessage, error) { return nil, nil }); casemate.CodeOf(err) != casemate.Conflict {
		t.Error("the last factor was taken away:", err)
	}
	if x, err := n.SignIn(ctx, Attempt{Name: "ada", Password: good, From: "192.0.2.1"}); err == nil {
		t.Fatal("a password alone", x)
	}
	begin := func(name, password, from string) Pending {
		p, err := n.Begin(ctx, Attempt{Name: name, Password: password, From: from})
		if err != nil || len(p.Ask["token"]) == 0 {
			t.Fatal(p, err)
		}
		n.clock.Advance(time.Second)
		return p
	}
	right := begin("ada", good, "192.0.2.1")
	x, err := n.Complete(ctx, right.ID, "token", json.RawMessage(`"no"`), "192.0.2.1")
	refused(t, "a wrong answer", x, err)
	x, err = n.Complete(ctx, right.ID, "token", right.Ask["token"], "192.0.2.1")
	refused(t, "a second answer", x, err)
	for what, p := range map[string]Pending{"a wrong password": begin("ada", "wrong", "198.51.100.1"), "nobody": begin("bob", good, "198.51.100.1")} {
		x, err = n.Complete(ctx, p.ID, "token", p.Ask["token"], "198.51.100.1")
		refused(t, what, x, err)
	}
	if a, b := begin("bob", good, "198.51.100.1"), begin("bob", good, "198.51.100.2"); string(a.Ask["token"]) != string(b.Ask["token"]) || len(a.Ask["token"]) != len(right.Ask["token"]) {
		t.Error("who is nobody is told from who is somebody")
	}
	p := begin("ada", good, "192.0.2.1")
	x, err = n.Complete(ctx, p.ID, "token", p.Ask["token"], "198.51.100.9")
	refused(t, "from elsewhere", x, err)
	p = begin("ada", good, "192.0.2.1")
	n.clock.Advance(pendingLife + time.Second)
	x, err = n.Complete(ctx, p.ID, "token", p.Ask["token"], "192.0.2.1")
	refused(t, "too late", x, err)
	p = begin("ada", good, "192.0.2.1")
	if x, err = n.Complete(ctx, p.ID, "token", p.Ask["token"], "192.0.2.1"); err != nil || x.Session.Factor != "token" {
		t.Error(x, err)
	}
	p = begin("ada", good, "192.0.2.1")
	if err := n.SetPassword(ctx, &x.Session, good, good+" and more"); err != nil {
		t.Fatal(err)
	}
	x, err = n.Complete(ctx, p.ID, "token", p.Ask["token"], "192.0.2.1")
	refused(t, "the password was changed meanwhile", x, err)
}

// TestRefusalsTakeAsLong: what was not looked at waits as long as what was, and no longer than that.
func TestRefusalsTakeAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(time.Now, 64)
		h.usual.Store(int64(200 * time.Millisecond))
		for passed, want := range map[time.Duration]time.Duration{0: 200 * time.Millisecond, 150 * time.Millisecond: 50 * time.Millisecond, time.Second: 0} {
			start := time.Now()
			if h.linger(t.Context(), passed); time.Since(start) != want {
				t.Errorf("after %v: %v", passed, time.Since(start))
			}
		}
		h.usual.Store(int64(time.Hour)) // a node under load keeps nobody for ever
		start := time.Now()
		if h.linger(t.Context(), 0); time.Since(start) != 2*time.Second {
			t.Error(time.Since(start))
		}
	})
}

// TestGuessesFillNothing: sign-ins that were begun with a wrong password are not kept.
func TestGuessesFillNothing(t *testing.T) {
	n := start(t, token{})
	for i := range 2 * mostPending {
		if _, err := n.Begin(t.Context(), Attempt{Name: fmt.Sprintf("name%d", i%7), Password: "wrong", From: fmt.Sprintf("198.51.100.%d", i%250)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.pending) > 0 {
		t.Errorf("%d are kept", len(n.pending))
	}
}
