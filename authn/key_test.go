package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/authn/lastuse"
	"casemate/store"
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func identity(t *testing.T, c *clock, s store.Store) *Identity {
	t.Helper()
	id, err := New(t.Context(), Config{Store: s, Clock: c.Now, Operators: []uint32{0, 1000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(); err != nil {
			t.Error(err)
		}
	})
	return id
}

func createKey(t *testing.T, id *Identity, q KeyRequest) (string, Key) {
	t.Helper()
	if q.Name == "" {
		q.Name, q.Role = "till", "clerk"
	}
	secret, k, err := id.CreateKey(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return secret, k
}

func byKey(id *Identity, secret string) (*casemate.Principal, error) {
	return id.Credential(context.Background(), casemate.Credential{Kind: casemate.CredentialKey, Secret: secret})
}

// mustRefuse wants the one refusal that every bad credential gets.
func mustRefuse(t *testing.T, what string, p *casemate.Principal, err error) {
	t.Helper()
	e := casemate.AsError(err)
	if p != nil || e == nil || e.Code != casemate.Unauthenticated || e.Message != "the credential is not valid" ||
		e.Hint != "send a current API key or token" || e.Field != "" || e.Err == nil {
		t.Errorf("%s: want the common refusal, got %+v, %v", what, p, err)
	}
}

func TestKeyLetsItsPrincipalIn(t *testing.T) {
	c, s := newClock(), store.Memory(time.Now)
	id := identity(t, c, s)
	scope := []casemate.Statement{{Effect: casemate.Allow, Action: []string{"lambda:InvokeFunction"}, Resource: []string{"*"}}}
	secret, k := createKey(t, id, KeyRequest{Name: "till", Role: "clerk", Scope: scope, By: "uid/0"})
	if !strings.HasPrefix(secret, k.ID+"_") || len(secret) != 63 || !k.Expires.Equal(c.Now().Add(DefaultTTL)) {
		t.Fatalf("key %q: %+v", secret, k)
	}
	for range 2 { // the second time read back from the store
		p, err := byKey(id, secret)
		if err != nil || p.ID != "key/"+k.ID || p.Role != "clerk" || p.Kind != casemate.KindKey || len(p.Scope) != 1 || !p.Known() {
			t.Fatalf("%+v, %v", p, err)
		}
		id = identity(t, c, s)
	}
}

func TestStoreHoldsNoSecret(t *testing.T) {
	s := store.Memory(time.Now)
	id := identity(t, newClock(), s)
	secret, k := createKey(t, id, KeyRequest{})
	kv, err := s.KV(bucketKeys)
	if err != nil {
		t.Fatal(err)
	}
	es, err := kv.List(t.Context(), "")
	if err != nil || len(es) != 1 {
		t.Fatal(len(es), err)
	}
	listed, err := json.Marshal(id.ListKeys())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(es[0].Value), string(listed), fmt.Sprintf("%+v", k)} {
		if strings.Contains(text, secret[len(k.ID)+1:][:12]) {
			t.Errorf("the secret is in %s", text)
		}
	}
	if strings.Contains(string(listed), `hash":`) {
		t.Errorf("the list shows the hash: %s", listed)
	}
}

func TestWrongKeysAreAllRefusedAlike(t *testing.T) {
	c := newClock()
	id := identity(t, c, store.Memory(time.Now))
	secret, _ := createKey(t, id, KeyRequest{})
	revoked, k := createKey(t, id, KeyRequest{})
	if _, err := id.RevokeKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	expired, _ := createKey(t, id, KeyRequest{Name: "brief", Role: "clerk", TTL: time.Minute})
	c.Add(time.Minute)
	_, unknown := newSecret()
	forge := func(body string) string { return body + checksum(body) }
	flipped := func(i int) string {
		b := []byte(secret)
		b[i] = alphabet[(strings.IndexByte(alphabet, b[i])+1)%62]
		return string(b)
	}
	last := keyLen - sumLen - 1 // the last digit of the random part
	bad := map[string]string{
		"unknown id":            unknown,
		"revoked":               revoked,
		"expired at its second": expired,
		"prefix guessed":        forge(secret[:len(secret)-secretLen-sumLen] + strings.Repeat("0", secretLen)),
		"last digit guessed":    forge(flipped(last)[:last+1]),
		"other key's secret":    forge(secret[:14] + unknown[14:keyLen-sumLen]),
		"id only":               secret[:13],
		"empty":                 "",
		"mark only":             "ck_",
		"cut":                   secret[:keyLen-1],
		"longer":                secret + "0",
		"spaces":                " " + secret[1:],
		"checksum flipped":      flipped(keyLen - 1),
		"secret flipped":        flipped(20),
		"upper-case mark":       "CK_" + secret[3:],
		"separator":             secret[:13] + "-" + secret[14:],
		"NUL":                   secret[:20] + "\x00" + secret[21:],
		"huge":                  "ck_" + strings.Repeat("a", 1<<20),
		"not UTF-8":             secret[:20] + "\xff" + secret[21:],
	}
	for name, s := range bad {
		p, err := byKey(id, s)
		mustRefuse(t, name, p, err)
		if err != nil && (strings.Contains(errors.Unwrap(err).Error(), secret[14:40])) {
			t.Errorf("%s: the cause holds the secret", name)
		}
	}
	if _, err := byKey(id, secret); err != nil {
		t.Errorf("the good key: %v", err)
	}
	p, err := id.Credential(t.Context(), casemate.Credential{Kind: casemate.CredentialBearer, Secret: secret})
	mustRefuse(t, "key sent as a token", p, err)
}

func TestRevokingShutsAtOnceAndForGood(t *testing.T) {
	c, s := newClock(), store.Memory(time.Now)
	id := identity(t, c, s)
	secret, k := createKey(t, id, KeyRequest{})
	first, err := id.RevokeKey(t.Context(), k.ID)
	if err != nil || first.Revoked.IsZero() {
		t.Fatal(first, err)
	}
	p, err := byKey(id, secret)
	mustRefuse(t, "revoked", p, err)
	c.Add(time.Hour)
	again, err := id.RevokeKey(t.Context(), k.ID)
	if err != nil || !again.Revoked.Equal(first.Revoked) {
		t.Errorf("revoking twice: %+v, %v", again, err)
	}
	p, err = byKey(identity(t, c, s), secret)
	mustRefuse(t, "revoked, after a restart", p, err)
	if _, err := id.RevokeKey(t.Context(), "ck_absent"); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}

func TestRevokingHoldsWhenTheStoreCannotBeWritten(t *testing.T) {
	id := identity(t, newClock(), store.Memory(time.Now))
	secret, k := createKey(t, id, KeyRequest{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := id.RevokeKey(gone, k.ID); err == nil {
		t.Fatal("a revocation that was not stored must say so")
	}
	p, err := byKey(id, secret)
	mustRefuse(t, "revoked in memory", p, err)
	if got, err := id.RevokeKey(t.Context(), k.ID); err != nil || got.Revoked.IsZero() {
		t.Fatalf("second try: %v", err)
	}
}

func TestKeyRequestsAreChecked(t *testing.T) {
	id := identity(t, newClock(), store.Memory(time.Now))
	allow := casemate.Statement{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}}
	noEffect, withPrincipal := allow, allow
	noEffect.Effect = ""
	withPrincipal.Principal = map[string][]string{"AWS": {"*"}}
	for field, q := range map[string]KeyRequest{
		"name":    {Role: "clerk"},
		"role":    {Name: "x"},
		"role ":   {Name: "x", Role: "*"},
		"name ":   {Name: "a\nb", Role: "clerk"},
		"scope":   {Name: "x", Role: "clerk", Scope: []casemate.Statement{}},
		"scope/0": {Name: "x", Role: "clerk", Scope: []casemate.Statement{noEffect}},
		"scope/1": {Name: "x", Role: "clerk", Scope: []casemate.Statement{allow, withPrincipal}},
		"ttl":     {Name: "x", Role: "clerk", TTL: -1},
		"ttl ":    {Name: "x", Role: "clerk", TTL: LongestTTL + 1, Reason: "for ever"},
		"reason":  {Name: "x", Role: "clerk", TTL: MaxTTL + 1},
	} {
		_, _, err := id.CreateKey(t.Context(), q)
		if e := casemate.AsError(err); e == nil || e.Code != casemate.Invalid || e.Field != strings.TrimSpace(field) || e.Hint == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, _, err := id.CreateKey(t.Context(), KeyRequest{Name: "x", Role: "clerk", TTL: MaxTTL + 1, Reason: "burnt into a device"}); err != nil {
		t.Error(err)
	}
}

func TestLastUseIsKeptToTheMinuteAndSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.Memory(time.Now)
		id, err := New(t.Context(), Config{Store: s})
		if err != nil {
			t.Fatal(err)
		}
		secret, _ := createKey(t, id, KeyRequest{})
		if k := id.ListKeys()[0]; !k.LastUsed.IsZero() {
			t.Fatalf("never used, but at %v", k.LastUsed)
		}
		used := time.Now()
		for range 100 {
			if _, err := byKey(id, secret); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(lastuse.Grain + time.Second) // the bubble's clock
		kv, err := s.KV(bucketUsed)
		if err != nil {
			t.Fatal(err)
		}
		if es, err := kv.List(t.Context(), ""); err != nil || len(es) != 1 || es[0].Revision != 1 {
			t.Fatalf("100 uses made %+v, %v", es, err)
		}
		if err := id.Close(); err != nil {
			t.Fatal(err)
		}
		id, err = New(t.Context(), Config{Store: s})
		if err != nil {
			t.Fatal(err)
		}
		if k := id.ListKeys()[0]; k.LastUsed.Unix() != used.Unix() {
			t.Errorf("last used %v, want %v", k.LastUsed, used)
		}
		if err := id.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDamagedKeyStopsTheStart(t *testing.T) {
	for _, value := range []string{"", "{}", `{"id":"ck_x","hash":"zz"}`, `{"id":"ck_x","hash":"00"}`, `{"id":"ck_other"}`} {
		s := store.Memory(time.Now)
		kv, err := s.KV(bucketKeys)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), "ck_x", []byte(value), store.AnyRevision); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), Config{Store: s}); err == nil {
			t.Errorf("started with key %q", value)
		}
	}
}

func TestOtherCredentials(t *testing.T) {
	id := identity(t, newClock(), store.Memory(time.Now))
	who := &casemate.Principal{Kind: casemate.KindKey, ID: "key/ck_1"}
	for _, c := range []struct {
		name string
		c    casemate.Credential
		want string // Principal.Name, "" when refused
	}{
		{"none", casemate.Credential{}, "anonymous"},
		{"none with a secret", casemate.Credential{Secret: "x"}, ""},
		{"none with a principal", casemate.Credential{As: who}, ""},
		{"root", casemate.Credential{Kind: casemate.CredentialPeer, UID: 0}, "uid/0"},
		{"operator", casemate.Credential{Kind: casemate.CredentialPeer, UID: 1000}, "uid/1000"},
		{"another uid", casemate.Credential{Kind: casemate.CredentialPeer, UID: 1001}, ""},
		{"unmapped uid", casemate.Credential{Kind: casemate.CredentialPeer, UID: 65534}, ""},
		{"continued run", casemate.Credential{Kind: casemate.CredentialRun, As: who}, "key/ck_1"},
		{"continued run of nobody at all", casemate.Credential{Kind: casemate.CredentialRun}, ""},
		{"a mapping", casemate.Credential{Kind: casemate.CredentialMapping, As: &casemate.Principal{Kind: casemate.KindMapping, ID: "mapping/x"}}, "mapping/x"},
		{"a mapping as somebody else", casemate.Credential{Kind: casemate.CredentialMapping, As: who}, ""},
		{"a mapping of nobody", casemate.Credential{Kind: casemate.CredentialMapping}, ""},
		{"a mapping with outside bytes", casemate.Credential{Kind: casemate.CredentialMapping, As: &casemate.Principal{Kind: casemate.KindMapping, ID: "mapping/x"}, Secret: "x"}, ""},
		{"continued run with outside bytes", casemate.Credential{Kind: casemate.CredentialRun, As: who, Secret: "x"}, ""},
		{"unknown kind", casemate.Credential{Kind: "basic", Secret: "admin:admin"}, ""},
		{"key kind in capitals", casemate.Credential{Kind: "KEY", As: who}, ""},
	} {
		p, err := id.Credential(t.Context(), c.c)
		if c.want == "" {
			mustRefuse(t, c.name, p, err)
		} else if err != nil || p.Name() != c.want {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
}

func FuzzKey(f *testing.F) {
	_, good := newSecret()
	f.Add(good)
	f.Add("ck_")
	f.Add(strings.Repeat("ck_0123456789_", 5))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := keyID(s)
		if err == nil && (len(s) != keyLen || s[:13] != id || checksum(s[:keyLen-sumLen]) != s[keyLen-sumLen:]) {
			t.Fatalf("%q gives %q", s, id)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	id, err := New(b.Context(), Config{Store: store.Memory(time.Now)})
	if err != nil {
		b.Fatal(err)
	}
	secret, _, err := id.CreateKey(b.Context(), KeyRequest{Name: "x", Role: "clerk"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := byKey(id, secret); err != nil {
			b.Fatal(err)
		}
	}
	if err := id.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestRevokingTakesAlongWhatIsQueued: events that a key queued before it was revoked ran for hours in its name.
func TestRevokingTakesAlongWhatIsQueued(t *testing.T) {
	id := identity(t, newClock(), store.Memory(newClock().Now))
	secret, k := createKey(t, id, KeyRequest{})
	who, err := id.Credential(t.Context(), casemate.Credential{Kind: casemate.CredentialKey, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	queued := casemate.Credential{Kind: casemate.CredentialRun, As: who}
	if p, err := id.Credential(t.Context(), queued); err != nil || p != who {
		t.Fatalf("%v, %v", p, err)
	}
	if _, err := id.RevokeKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if p, err := id.Credential(t.Context(), queued); casemate.CodeOf(err) != casemate.Unauthenticated || p != nil {
		t.Errorf("a revoked key goes on: %v, %v", p, err)
	}
	token := &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/https://id.example|sub|x", Role: "r"}
	is := casemate.Issuer{Issuer: "https://id.example", Audience: []string{"a"}, KeySetURL: "https://id.example/k", Algorithms: []string{"ES256"}, Role: "r"}
	if err := id.SetIssuers([]casemate.Issuer{is}); err != nil {
		t.Fatal(err)
	}
	queued.As = token
	if _, err := id.Credential(t.Context(), queued); err != nil {
		t.Error(err)
	}
	if err := id.SetIssuers(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Credential(t.Context(), queued); casemate.CodeOf(err) != casemate.Unauthenticated {
		t.Errorf("a token of an issuer that was taken away goes on: %v", err)
	}
}
