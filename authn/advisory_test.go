package authn

import (
	"net/http"
	"sync/atomic"
	"testing"

	"casemate"
)

// Knative CVE-2023-48713: an answer that never ended held up a loop of the platform. Here a key set that never ends is cut at
// its size, and whoever sends one lets nobody in.
func TestCVE_2023_48713_AnswersThatNeverEndAreCut(t *testing.T) {
	c, s, k := newClock(), newECSigner(t, "k1"), newKeyServer(t)
	var sent atomic.Int64
	k.set(func(w http.ResponseWriter, r *http.Request) {
		page := make([]byte, 1<<14)
		for r.Context().Err() == nil { // until the reader has enough
			n, err := w.Write(page)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	id := tokenIdentity(t, c, urlEntry(t, k.URL))
	p, err := byToken(id, s.sign(t, s.head(), c.claims(nil)))
	if p != nil || casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("%+v, %v", p, err)
	}
	if n := sent.Load(); n > maxKeySet+64<<20 { // what the kernel took, and nobody read
		t.Errorf("%d bytes were taken", n)
	}
	k.serve(t, s)
	c.Add(refreshGap)
	if _, err := byToken(id, s.sign(t, s.head(), c.claims(nil))); err != nil {
		t.Errorf("mended: %v", err)
	}
}
