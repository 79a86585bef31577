package acme

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/authority"
	"casemate/secret"
	"casemate/store"
)

const name = "shop.example.com"

// clock can be moved.
type clock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

// node is what a room has around it.
type node struct {
	t     *testing.T
	clock clock
	store store.Store
	vault Vault
	tls   *listener
	log   bytes.Buffer
}

func newNode(t *testing.T) *node {
	n := &node{t: t, tls: listenTLS(t)}
	n.store = store.Memory(n.clock.now)
	n.open(t.TempDir())
	return n
}

func (n *node) open(dir string) {
	n.t.Helper()
	room, err := secret.Open(n.t.Context(), secret.Config{Store: n.store, Dir: dir, Clock: n.clock.now})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = room.Close() })
	n.vault = room.Vault("000000000000")
}

// room opens one of the authority, for names.
func (n *node) room(a *authority.Authority, change func(*Config), names ...string) *Room {
	n.t.Helper()
	if len(names) == 0 {
		names = []string{name}
	}
	c := Config{Store: n.store, Vault: n.vault, Names: names, Directory: a.Directory(), Roots: a.Roots(), Email: "ops@example.com", Agreed: true, ALPN: true,
		Clock: n.clock.now, Log: slog.New(slog.NewTextHandler(&n.log, nil))}
	if change != nil {
		change(&c)
	}
	r, err := Open(n.t.Context(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = r.Close() })
	n.tls.room.Store(r)
	return r
}

func (n *node) serial(want string) string {
	n.t.Helper()
	c, err := n.tls.shows(n.t, want)
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", want, err, &n.log)
	}
	if err := c.VerifyHostname(want); err != nil || !strings.Contains(c.Issuer.CommonName, "Pebble") {
		n.t.Fatalf("%v, issuer %s", err, c.Issuer)
	}
	return c.SerialNumber.String()
}

// TestObtainRenewRestart is the life of a certificate, with an authority that refuses a third of all nonces.
func TestObtainRenewRestart(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port(), Nonces: "30"})
	r := n.room(a, nil, name, "www.example.com")
	if _, err := n.tls.shows(t, name); err == nil {
		t.Fatal("a certificate before there was one")
	}
	r.round(t.Context())
	first, other := n.serial(name), n.serial("www.example.com")
	if first == other || a.Orders.Load() != 2 {
		t.Fatalf("%d orders, serials %s and %s", a.Orders.Load(), first, other)
	}
	r.round(t.Context())
	n.clock.move(50 * 24 * time.Hour)
	r.round(t.Context())
	if n.serial(name) != first || a.Orders.Load() != 2 {
		t.Fatal("renewed before its time")
	}
	again := n.room(a, nil, name, "www.example.com") // a restart
	if n.serial(name) != first {
		t.Fatal("another certificate after a restart")
	}
	n.clock.move(15 * 24 * time.Hour)
	a.Down.Store(true)
	again.round(t.Context())
	st := again.Status()[0]
	if n.serial(name) != first || st.Failures != 1 || st.Error == "" || !st.Next.After(n.clock.now()) {
		t.Fatalf("while the authority is down: %+v", st)
	}
	a.Down.Store(false)
	n.clock.move(3 * time.Minute)
	again.round(t.Context())
	if now := n.serial(name); now == first || a.Orders.Load() != 4 {
		t.Fatalf("not renewed: %d orders\n%s", a.Orders.Load(), &n.log)
	}
	if st := again.Status()[0]; st.Failures != 0 || st.Error != "" || !strings.HasPrefix(st.Issuer, "Pebble") {
		t.Fatalf("%+v", st)
	}
}

// TestKeysAreSealed looks for keys in everything that a node writes, after two certificates: of the account, of the first, of
// the second.
func TestKeysAreSealed(t *testing.T) {
	dir := t.TempDir()
	n := &node{t: t, tls: listenTLS(t)}
	s, err := store.Open(t.Context(), store.Config{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	n.store = s
	n.open(filepath.Join(dir, "secrets"))
	spy := &spying{Vault: n.vault}
	n.vault = spy
	r := n.room(newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()}), nil)
	r.round(t.Context())
	first := n.serial(name)
	if err := r.Renew(t.Context(), name, false); err != nil {
		t.Fatal(err)
	}
	if n.serial(name) == first || len(spy.seen) != 3 {
		t.Fatalf("%d keys", len(spy.seen))
	}
	files, leaks := 0, 0
	leaf, err := leafOf(r.slots[name].entry.Load().Chain)
	if err != nil {
		t.Fatal(err)
	}
	public := false
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		public = public || bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(leaf.Raw)[:40]))
		for _, key := range spy.seen {
			if bytes.Contains(text, key) || bytes.Contains(text, key[len(key)-60:len(key)-30]) {
				leaks++
				t.Errorf("%s holds a key", path)
			}
		}
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a key in PEM", path)
		}
		return err
	})
	if err != nil || files < 3 || !public {
		t.Fatalf("%d files, the certificate found %t, %v: the search finds nothing", files, public, err)
	}
	if strings.Contains(n.log.String(), "PRIVATE") {
		t.Error("a key in the log")
	}
	if _, err := n.vault.Get(t.Context(), "acme/"+r.place()+name+"/a"); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("the first key was not removed: %v", err)
	}
}

// spying knows what was sealed.
type spying struct {
	Vault
	seen [][]byte
}

func (s *spying) Put(ctx context.Context, name string, value []byte) error {
	s.seen = append(s.seen, bytes.Clone(value))
	return s.Vault.Put(ctx, name, value)
}

// TestHTTP01 answers on a plain listener alone.
func TestHTTP01(t *testing.T) {
	n := newNode(t)
	var r *Room
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		host, _, _ := net.SplitHostPort(q.Host)
		_, _ = w.Write([]byte(r.KeyAuthorization(host, strings.TrimPrefix(q.URL.Path, "/.well-known/acme-challenge/"))))
	}))
	t.Cleanup(plain.Close)
	a := newAuthority(t, authority.Config{HTTPPort: plain.Listener.Addr().(*net.TCPAddr).Port, TLSPort: 1})
	r = n.room(a, func(c *Config) { c.HTTP, c.ALPN = true, false })
	r.round(t.Context())
	n.serial(name)
	if len(r.answers.http) != 0 || len(r.answers.alpn) != 0 {
		t.Error("a challenge is answered for ever")
	}
}

// TestOnlyListedNames makes sure that no handshake makes the node ask, or says which names there are.
func TestOnlyListedNames(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, nil)
	r.round(t.Context())
	for _, other := range []string{"other.example.com", "", "a.shop.example.com", "example.com", "localhost", "shop.example.com.evil.example"} {
		if _, err := n.tls.shows(t, other); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", other, err)
		}
	}
	if _, err := n.tls.shows(t, strings.ToUpper(name)+"."); err != nil {
		t.Errorf("the same name, written otherwise: %v", err)
	}
	for _, proto := range []string{alpnProto} {
		if _, err := n.tls.shows(t, name, proto); err == nil {
			t.Error("a challenge that nobody asked for was answered")
		}
	}
	if r.KeyAuthorization(name, "") != "" || r.KeyAuthorization("other.example.com", "x") != "" {
		t.Error("an answer for nothing")
	}
	if err := r.Renew(t.Context(), "other.example.com", false); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
	if a.Orders.Load() != 1 {
		t.Errorf("%d orders", a.Orders.Load())
	}
}

// TestRefusals are authorities that say no: what an operator reads, and how long the node waits.
func TestRefusals(t *testing.T) {
	limited := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") {
			return false
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many \x1b[31mcertificates", "status": 429})
		return true
	}
	for what, c := range map[string]struct {
		terms     authority.Config
		elsewhere bool // the authority looks at another port
		hint      string
		least     time.Duration
	}{
		"rate limit":        {authority.Config{Deny: limited}, false, "waits by itself", time.Hour},
		"blocked name":      {authority.Config{Blocked: name}, false, "does not issue for this name", 15 * time.Minute},
		"no account there":  {authority.Config{EAB: map[string]string{"kid-1": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}}, false, "--acme-eab-file", 15 * time.Minute},
		"cannot reach node": {authority.Config{}, true, "must reach this node", 15 * time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			port := n.tls.port()
			if c.elsewhere {
				port = 1
			}
			c.terms.HTTPPort, c.terms.TLSPort = 1, port
			a := newAuthority(t, c.terms)
			r := n.room(a, nil)
			err := r.Renew(t.Context(), name, false)
			e := casemate.AsError(err)
			if err == nil || e.Code != casemate.Unavailable || !strings.Contains(e.Hint, c.hint) || strings.ContainsRune(e.Message, 0x1b) {
				t.Fatalf("%v, hint %q", err, e.Hint)
			}
			st := r.Status()[0]
			if wait := st.Next.Sub(n.clock.now()); wait < c.least-time.Minute || wait > c.least*6/5 {
				t.Errorf("tried again after %s", wait)
			}
			orders := a.Orders.Load()
			r.round(t.Context())
			n.room(a, nil).round(t.Context()) // a node that starts again and again asks no more often
			if a.Orders.Load() != orders {
				t.Error("asked again before its time")
			}
			if err := r.Renew(t.Context(), name, false); casemate.CodeOf(err) != casemate.Exhausted {
				t.Errorf("asked again at once by hand: %v", err)
			}
		})
	}
}

// TestAccountIsBound is an authority that wants accounts bound, and gets it.
func TestAccountIsBound(t *testing.T) {
	n := newNode(t)
	key := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port(), EAB: map[string]string{"kid-1": key}})
	e, err := ParseEAB([]byte(`{"key_id":"kid-1","mac_key":"` + key + `="}`))
	if err != nil {
		t.Fatal(err)
	}
	n.room(a, func(c *Config) { c.EAB = e }).round(t.Context())
	n.serial(name)
}

// TestAccountThatIsGone: one that the authority ended needs a person's word, one that it lost does not.
func TestAccountThatIsGone(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, nil)
	r.round(t.Context())
	first := n.serial(name)
	c := r.talk()
	account, err := r.account(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	account.Status = "deactivated"
	if _, err := c.UpdateAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	err = r.Renew(t.Context(), name, false)
	if e := casemate.AsError(err); err == nil || !strings.Contains(e.Message, "deactivated") || !strings.Contains(e.Hint, "--new-account") {
		t.Fatalf("%v, %q", err, e.Hint)
	}
	if n.serial(name) != first {
		t.Fatal("the old certificate is gone")
	}
	n.clock.move(2 * time.Minute)
	if err := r.Renew(t.Context(), name, true); err != nil || n.serial(name) == first {
		t.Fatal(err)
	}
	// The authority forgets everything, at the same address.
	fresh := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	a.Become(fresh)
	second := n.serial(name)
	n.clock.move(2 * time.Minute)
	if err := r.Renew(t.Context(), name, false); err != nil || n.serial(name) == second {
		t.Fatalf("%v\n%s", err, &n.log)
	}
}
