package passkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/authenticator"
	"casemate/store"
)

const origin = "https://ops.example.com:8443"

// bench is a room with a clock that tests move, and a browser before it.
type bench struct {
	*Room
	authenticator.Browser
	now time.Time
	kv  store.Store
}

func open(t testing.TB) *bench {
	t.Helper()
	s := &bench{now: time.Unix(1_800_000_000, 0), Browser: authenticator.Browser{Origin: origin}}
	s.kv = store.Memory(func() time.Time { return s.now })
	s.reopen(t, origin)
	return s
}

func (s *bench) reopen(t testing.TB, origins ...string) {
	t.Helper()
	r, err := Open(context.Background(), Config{Store: s.kv, Clock: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.At(origins); err != nil {
		t.Fatal(err)
	}
	s.Room = r
}

func (s *bench) enrol(t testing.TB, operator string) (*authenticator.Key, Passkey) {
	t.Helper()
	k, answer := s.answer(t, operator, "session", authenticator.Twist{})
	p, err := s.Enrol(context.Background(), operator, "session", "laptop", answer)
	if err != nil {
		t.Fatal(err, errors.Unwrap(err))
	}
	return k, p
}

func (s *bench) answer(t testing.TB, operator, session string, twist authenticator.Twist) (*authenticator.Key, []byte) {
	t.Helper()
	options, err := s.BeginEnrol(context.Background(), operator, session)
	if err != nil {
		t.Fatal(err)
	}
	k, answer, err := s.Create(options, twist)
	if err != nil {
		t.Fatal(err)
	}
	return k, answer
}

func (s *bench) assertion(t testing.TB, operator, bound string, k *authenticator.Key, twist authenticator.Twist) []byte {
	t.Helper()
	options, err := s.BeginSignIn(operator, bound)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Browser.Get(options, k, twist)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestEnrolAndSignIn(t *testing.T) {
	s := open(t)
	k, p := s.enrol(t, "ada")
	if p.Operator != "ada" || p.Name != "laptop" || p.Host != "ops.example.com" || p.Making != "session" || !s.Has("ada") || s.Has("bob") {
		t.Errorf("%+v", p)
	}
	for i, operator := range []string{"", "ada"} { // alone, and after a password
		s.now = s.now.Add(time.Hour)
		got, err := s.SignIn(t.Context(), operator, "tab", s.assertion(t, operator, "tab", k, authenticator.Twist{}))
		if err != nil || got.ID != p.ID || got.Operator != "ada" || !got.LastUsed.Equal(s.now) {
			t.Errorf("%d: %+v, %v", i, got, errors.Unwrap(err))
		}
	}
	s.reopen(t, origin) // what is stored is enough
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); err != nil {
		t.Error(errors.Unwrap(err))
	}
	if list := s.List("ada"); len(list) != 1 || list[0].ID != p.ID || len(s.List("bob")) != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := s.Remove(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("a removed passkey opened: %v", err)
	}
	if _, err := s.Remove(t.Context(), p.ID); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}

// TestAuthenticatorsWithoutCounter are those of phones and password managers: always zero.
func TestAuthenticatorsWithoutCounter(t *testing.T) {
	s, zero := open(t), uint32(0)
	k, _ := s.enrol(t, "ada")
	for range 3 {
		if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{Count: &zero})); err != nil {
			t.Fatal(errors.Unwrap(err))
		}
	}
}

func TestForgedAssertions(t *testing.T) {
	s := open(t)
	ada, _ := s.enrol(t, "ada")
	bob, _ := s.enrol(t, "bob")
	stranger := *ada
	other, _ := s.enrol(t, "eve")
	stranger.Secret = other.Secret
	present, nothing := byte(authenticator.UserPresent), byte(0)
	for name, x := range map[string]struct {
		operator string
		key      *authenticator.Key
		twist    authenticator.Twist
	}{
		"another origin":          {"", ada, authenticator.Twist{Origin: "https://ops.example.com.evil.test"}},
		"another port":            {"", ada, authenticator.Twist{Origin: "https://ops.example.com"}},
		"plain http":              {"", ada, authenticator.Twist{Origin: "http://ops.example.com:8443"}},
		"origin with a path":      {"", ada, authenticator.Twist{Origin: origin + "/x"}},
		"another relying party":   {"", ada, authenticator.Twist{RPID: "example.com"}},
		"user not verified":       {"", ada, authenticator.Twist{Flags: &present}},
		"nobody there":            {"", ada, authenticator.Twist{Flags: &nothing}},
		"made, not used":          {"", ada, authenticator.Twist{Type: "webauthn.create"}},
		"payment":                 {"", ada, authenticator.Twist{Type: "payment.get"}},
		"challenge of nobody":     {"", ada, authenticator.Twist{Challenge: base64.RawURLEncoding.EncodeToString(make([]byte, challengeSize))}},
		"empty challenge":         {"", ada, authenticator.Twist{Challenge: "AA"}},
		"another's credential id": {"", ada, authenticator.Twist{ID: bob.ID}},
		"another's handle":        {"", ada, authenticator.Twist{Handle: bob.Handle}},
		"no handle":               {"", ada, authenticator.Twist{Handle: []byte{}}},
		"another's key":           {"", &stranger, authenticator.Twist{}},
		"another operator":        {"ada", bob, authenticator.Twist{}},
		"inside another page":     {"", ada, authenticator.Twist{Data: map[string]any{"crossOrigin": true}}},
		"below another page":      {"", ada, authenticator.Twist{Data: map[string]any{"crossOrigin": true, "topOrigin": "https://evil.test"}}},
	} {
		_, err := s.SignIn(t.Context(), x.operator, "tab", s.assertion(t, x.operator, "tab", x.key, x.twist))
		if casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	// All of them were refused for what is wrong with them: without it the same key opens.
	if _, err := s.SignIn(t.Context(), "ada", "tab", s.assertion(t, "ada", "tab", ada, authenticator.Twist{})); err != nil {
		t.Error(errors.Unwrap(err))
	}
}

func TestChallengesAreForOnePurposeAndOnce(t *testing.T) {
	s := open(t)
	k, _ := s.enrol(t, "ada")
	answer := s.assertion(t, "ada", "tab", k, authenticator.Twist{})
	for name, x := range map[string][2]string{"another session": {"ada", "other"}, "another operator": {"bob", "tab"}, "no operator": {"", "tab"}, "nothing": {"", ""}, "parts moved": {"adat", "ab"}} {
		if _, err := s.SignIn(t.Context(), x[0], x[1], answer); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.SignIn(t.Context(), "ada", "tab", answer); err != nil {
		t.Fatal(errors.Unwrap(err))
	}
	if _, err := s.SignIn(t.Context(), "ada", "tab", answer); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("replayed: %v", err)
	}
	if s.List("ada")[0].Copied.IsZero() == false {
		t.Error("a replay was taken for a copy") // it would let a listener end a passkey
	}
	late := s.assertion(t, "ada", "tab", k, authenticator.Twist{})
	s.now = s.now.Add(Lifetime)
	if _, err := s.SignIn(t.Context(), "ada", "tab", late); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("late: %v", err)
	}
	before := s.assertion(t, "ada", "tab", k, authenticator.Twist{})
	s.reopen(t, origin)
	if _, err := s.SignIn(t.Context(), "ada", "tab", before); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("of another process: %v", err)
	}
	// What was asked for when a passkey was made opens no session.
	options, err := s.BeginEnrol(t.Context(), "ada", "tab")
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		PublicKey struct{ Challenge string }
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	crossed := s.assertion(t, "ada", "tab", k, authenticator.Twist{Challenge: o.PublicKey.Challenge})
	if _, err := s.SignIn(t.Context(), "ada", "tab", crossed); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("challenge of an enrolment: %v", err)
	}
}

// TestCopies has the counter of a passkey go back: a copy of it is in use.
func TestCopies(t *testing.T) {
	for name, back := range map[string]uint32{"same": 5, "lower": 4, "zero": 0} {
		s := open(t)
		k, p := s.enrol(t, "ada")
		k.Count = 4
		if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); err != nil {
			t.Fatal(errors.Unwrap(err))
		}
		if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{Count: &back})); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		k.Count = 100
		s.reopen(t, origin) // it is remembered
		if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%s: a copied passkey opened: %v", name, err)
		}
		if got, err := s.Room.Get(p.ID); err != nil || got.Copied.IsZero() || s.Has("ada") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestForgedEnrolments(t *testing.T) {
	s := open(t)
	present := byte(authenticator.UserPresent)
	taken, _ := s.enrol(t, "bob")
	none := []byte{0xa5, 0x01, 0x02, 0x03, 0x00, 0x20, 0x01, 0x21, 0x41, 0x01, 0x22, 0x41, 0x01} // alg 0
	symmetric := append([]byte{0xa3, 0x01, 0x04, 0x03, 0x05, 0x20, 0x58, 0x20}, make([]byte, 32)...)
	for name, twist := range map[string]authenticator.Twist{
		"another origin":        {Origin: "https://evil.test"},
		"another relying party": {RPID: "evil.test"},
		"user not verified":     {Flags: &present},
		"an assertion":          {Type: "webauthn.get"},
		"another challenge":     {Challenge: base64.RawURLEncoding.EncodeToString(make([]byte, challengeSize))},
		"algorithm none":        {COSE: none},
		"symmetric key":         {COSE: symmetric},
		"no key":                {COSE: []byte{0xa0}},
		"attested by a TPM":     {Format: "tpm"},
		"attested by nobody":    {Format: "packed"},
		"unknown attestation":   {Format: "mine"},
		"none with a statement": {Statement: []byte{0xa1, 0x63, 'a', 'l', 'g', 0x26}},
		"no id":                 {ID: []byte{}},
		"an endless id":         {ID: make([]byte, maxID+1)},
		"something behind":      {Padding: 10},
		"inside another page":   {Data: map[string]any{"crossOrigin": true}},
	} {
		_, answer := s.answer(t, "ada", "session", twist)
		if _, err := s.Enrol(t.Context(), "ada", "session", "", answer); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, huge := s.answer(t, "ada", "session", authenticator.Twist{Padding: MaxResponse})
	if _, err := s.Enrol(t.Context(), "ada", "session", "", huge); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("oversized: %v", err)
	}
	_, stolen := s.answer(t, "ada", "session", authenticator.Twist{ID: taken.ID})
	if _, err := s.Enrol(t.Context(), "ada", "session", "", stolen); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("another's credential id: %v", err)
	}
	_, answer := s.answer(t, "ada", "session", authenticator.Twist{})
	for name, x := range map[string][2]string{"another operator": {"bob", "session"}, "another session": {"ada", "other"}} {
		if _, err := s.Enrol(t.Context(), x[0], x[1], "", answer); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Enrol(t.Context(), "ada", "session", "a\nb", answer); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("name: %v", err)
	}
	if len(s.List("ada")) != 0 {
		t.Errorf("%+v", s.List("ada"))
	}
	if _, err := s.Enrol(t.Context(), "ada", "session", "", answer); err != nil {
		t.Error(errors.Unwrap(err))
	}
	if _, err := s.Enrol(t.Context(), "ada", "session", "", answer); err == nil {
		t.Error("enrolled twice")
	}
}

func TestBounds(t *testing.T) {
	s := open(t)
	for range maxEach {
		s.enrol(t, "ada")
	}
	if _, err := s.BeginEnrol(t.Context(), "ada", "session"); casemate.CodeOf(err) != casemate.Exhausted {
		t.Error(err)
	}
	k, _ := s.enrol(t, "bob")
	s.desk.answered = map[[nonceSize]byte]int64{}
	for i := range maxAnswered {
		s.desk.answered[[nonceSize]byte{byte(i), byte(i >> 8)}] = s.now.Add(time.Minute).Unix()
	}
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); casemate.CodeOf(err) != casemate.Exhausted {
		t.Error(err)
	}
	s.now = s.now.Add(time.Minute)
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); err != nil || len(s.desk.answered) != 1 {
		t.Error(err, len(s.desk.answered))
	}
	for _, x := range [][2]string{{"", "s"}, {"ada", ""}, {strings.Repeat("a", 129), "s"}} {
		if _, err := s.BeginEnrol(t.Context(), x[0], x[1]); casemate.CodeOf(err) != casemate.Forbidden {
			t.Errorf("%q: %v", x, err)
		}
	}
	if _, err := s.BeginSignIn("ada", ""); casemate.CodeOf(err) != casemate.Invalid {
		t.Error(err)
	}
}

func TestKeepNoneMakesSomebodyElse(t *testing.T) {
	s := open(t)
	k, _ := s.enrol(t, "ada")
	handle := bytes.Clone(k.Handle)
	s.enrol(t, "bob")
	_, second := s.enrol(t, "ada")
	if err := s.Keep(t.Context(), "ada", []string{second.ID}); err != nil || len(s.List("ada")) != 1 || !bytes.Equal(s.handles["ada"], handle) {
		t.Errorf("%v, %+v", err, s.List("ada"))
	}
	if err := s.Keep(t.Context(), "ada", nil); err != nil {
		t.Fatal(err)
	}
	if len(s.List("")) != 1 || s.Has("ada") {
		t.Errorf("%+v", s.List(""))
	}
	again, _ := s.enrol(t, "ada")
	if bytes.Equal(again.Handle, handle) {
		t.Error("the name kept its handle")
	}
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Error(err)
	}
}

// TestAnotherHost: passkeys of an origin that the node gave up open nothing at the next one.
func TestAnotherHost(t *testing.T) {
	s := open(t)
	k, _ := s.enrol(t, "ada")
	s.reopen(t, "https://new.example.com")
	s.Browser.Origin, k.RPID = "https://new.example.com", "new.example.com"
	if _, err := s.SignIn(t.Context(), "", "tab", s.assertion(t, "", "tab", k, authenticator.Twist{})); casemate.CodeOf(err) != casemate.Unauthenticated || s.Has("ada") {
		t.Error(err)
	}
}

// TestNowhere: without a page there is nothing to sign in with, and no panic.
func TestNowhere(t *testing.T) {
	s := open(t)
	k, _ := s.enrol(t, "ada")
	answer := s.assertion(t, "", "tab", k, authenticator.Twist{})
	s.site.Store(nil)
	_, begun := s.BeginSignIn("", "tab")
	_, made := s.BeginEnrol(t.Context(), "ada", "session")
	_, kept := s.Enrol(t.Context(), "ada", "session", "x", answer)
	_, opened := s.SignIn(t.Context(), "", "tab", answer)
	for _, err := range []error{begun, made, kept, opened} {
		if casemate.CodeOf(err) != casemate.Unavailable {
			t.Error(err)
		}
	}
	if s.Has("ada") || len(s.List("ada")) != 1 {
		t.Error(s.List("ada"))
	}
}

func TestHost(t *testing.T) {
	for _, origins := range [][]string{{"https://ops.example.com"}, {"https://localhost:9443"}, {"https://ops.example.com", "https://ops.example.com:8443"}} {
		if host, err := Host(origins); err != nil || !strings.Contains(origins[0], host) {
			t.Errorf("%q: %q, %v", origins, host, err)
		}
	}
	for _, origins := range [][]string{nil, {""}, {"http://ops.example.com"}, {"https://"}, {"https://127.0.0.1:8443"}, {"https://[::1]:8443"}, {"https://ops.example.com/"}, {"https://ops.example.com/x"},
		{"https://OPS.example.com"}, {"https://ops.example.com:443"}, {"https://u@ops.example.com"}, {"https://ops.example.com?x"}, {"https://ops.example.com:"}, {"*"}, {"https://*.example.com"},
		{"https://a.example.com", "https://b.example.com"}, {"https://ops.example.com", "null"}} {
		if host, err := Host(origins); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %q, %v", origins, host, err)
		}
	}
}

func TestMalformedStoreStopsTheStart(t *testing.T) {
	for key, value := range map[string]string{"key/pk_1": "{}", "user/ada": "short", "key/pk_000000000000000000000000": `{"id":"pk_000000000000000000000000","operator":"ada","credential":"AA=="}`, "other": "x"} {
		s := open(t)
		kv, err := s.kv.KV(bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), key, []byte(value), store.NewKey); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Config{Store: s.kv}); err == nil {
			t.Errorf("%s was read", key)
		}
	}
}

// FuzzAnswers reads what browsers send: nothing that was not signed for a challenge may open or enrol, and nothing may panic.
func FuzzAnswers(f *testing.F) {
	s := open(f)
	k, _ := s.enrol(f, "ada")
	_, made := s.answer(f, "ada", "fuzz", authenticator.Twist{})
	f.Add(made)
	f.Add(s.assertion(f, "", "fuzz", k, authenticator.Twist{}))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`))
	f.Add([]byte(fmt.Sprintf(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"%s","signature":""}}`, strings.Repeat("A", 100))))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := s.SignIn(t.Context(), "", "other", answer); err == nil {
			t.Errorf("opened by %q", answer)
		}
		if _, err := s.Enrol(t.Context(), "ada", "other", "x", answer); err == nil {
			t.Errorf("enrolled by %q", answer)
		}
	})
}
