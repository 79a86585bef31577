package acme

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
	"casemate/internal/casetest/authority"
)

// TestAuthorityWantsItRenewed: the authority is asked when to renew (RFC 9773), and says now when it has to revoke.
func TestAuthorityWantsItRenewed(t *testing.T) {
	n := newNode(t)
	var now atomic.Bool
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port(), Deny: func(w http.ResponseWriter, r *http.Request) bool {
		if !now.Load() || !strings.Contains(r.URL.Path, "renewalInfo") {
			return false
		}
		past := time.Now().Add(-time.Hour).UTC()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"suggestedWindow": map[string]time.Time{"start": past, "end": past.Add(30 * time.Minute)}})
		return true
	}})
	r := n.room(a, nil)
	r.round(t.Context())
	r.round(t.Context())
	first := n.serial(name)
	planned := r.Status()[0].Renew
	if planned.Before(n.clock.now().Add(40 * 24 * time.Hour)) {
		t.Fatalf("renewed on %s", planned)
	}
	now.Store(true)
	n.clock.move(time.Hour)
	r.round(t.Context())
	if n.serial(name) != first {
		t.Fatal("the authority is asked in every round")
	}
	if got := r.Status()[0].Renew; !got.Equal(planned) {
		t.Errorf("the moment was drawn again: %s, then %s", planned, got)
	}
	n.clock.move(askEvery)
	r.round(t.Context())
	if n.serial(name) == first {
		t.Fatalf("not renewed: %+v\n%s", r.Status(), &n.log)
	}
}

// TestWhatWasKeptIsDamaged: a key that does not open, or is not there, costs a certificate and no start.
func TestWhatWasKeptIsDamaged(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, nil)
	r.round(t.Context())
	first := n.serial(name)
	if err := n.vault.Drop(t.Context(), r.slots[name].entry.Load().Key); err != nil {
		t.Fatal(err)
	}
	again := n.room(a, nil)
	if _, err := n.tls.shows(t, name); err == nil {
		t.Fatal("a certificate without its key is served")
	}
	again.round(t.Context())
	if n.serial(name) == first || !strings.Contains(n.log.String(), "cannot be opened") {
		t.Errorf("%s", &n.log)
	}
	kv, err := n.store.KV("acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), again.place()+name, []byte("{"), again.slots[name].rev); err != nil {
		t.Fatal(err)
	}
	third := n.room(a, nil)
	third.round(t.Context())
	n.serial(name)
}

// TestTwoNodesOfOneStore: who is overtaken by another keeps what that one wrote.
func TestTwoNodesOfOneStore(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	slow := n.room(a, nil)
	quick := n.room(a, nil)
	quick.round(t.Context())
	won := n.serial(name)
	a.Down.Store(true)
	slow.round(t.Context()) // it fails, and what it would write down is overtaken
	n.tls.room.Store(slow)
	if n.serial(name) != won {
		t.Error("the other's certificate is not taken up")
	}
}

// TestStopping: a node that is told to stop in the middle of an order stops, and takes no blame for it.
func TestStopping(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Renew(ctx, "", false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if st := r.Status()[0]; st.Failures != 0 || st.Error != "" {
		t.Errorf("%+v", st)
	}
	r.Start(t.Context())
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestListedNoMore: the key of a name that is gone goes when its certificate has ended.
func TestListedNoMore(t *testing.T) {
	n := newNode(t)
	a := newAuthority(t, authority.Config{HTTPPort: 1, TLSPort: n.tls.port()})
	r := n.room(a, nil)
	r.round(t.Context())
	key := r.slots[name].entry.Load().Key
	other := n.room(a, nil, "www.example.com")
	if _, err := n.tls.shows(t, name); err == nil {
		t.Error("a name that is listed no more is served")
	}
	if _, err := n.vault.Get(t.Context(), key); err != nil {
		t.Errorf("the operator may think again: %v", err)
	}
	n.clock.move(91 * 24 * time.Hour)
	if err := other.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.vault.Get(t.Context(), key); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("the key is kept for ever: %v", err)
	}
}
