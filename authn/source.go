package authn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of fetching key sets.
const (
	fetchTimeout = 5 * time.Second
	refreshGap   = 10 * time.Second // between two tries, however many tokens name unknown keys
	refreshAge   = 5 * time.Minute
	staleAge     = 24 * time.Hour // a set that could not be fetched for so long is dropped
)

// source is where an issuer's keys come from. A source without URL never changes.
type source struct {
	url     string // of the key set, or of the OpenID configuration that says where it is
	issuer  string // whose configuration it is; "": url is that of the key set
	current atomic.Pointer[keySet]

	turn    chan struct{} // held by who fetches; guards what follows
	tried   time.Time
	fetched time.Time
	keys    string // where the configuration says the key set is
	told    time.Time
}

func newSource(url string) *source { return &source{url: url, turn: make(chan struct{}, 1)} }

// newClient bounds what an issuer's server can do to us: time, redirects to elsewhere, and (in fetch) size.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{Timeout: fetchTimeout, Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch first := via[0].URL; {
		case len(via) > 3:
			return errors.New("too many redirects")
		case r.URL.Host != first.Host || r.URL.Scheme != first.Scheme:
			return errors.New("redirect to another host")
		}
		return nil
	}}
}

// refresh fetches the set unless that was tried less than age ago. Callers that come while one fetches wait for it. The
// fetch outlives a caller that goes away: otherwise callers could keep it from ever finishing.
func (s *source) refresh(ctx context.Context, client *http.Client, now time.Time, age time.Duration) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	if now.Sub(s.tried) < age {
		return nil
	}
	s.tried = now
	fetch, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	set, err := s.fetch(fetch, client, now)
	if err != nil {
		if now.Sub(s.fetched) > staleAge {
			s.current.Store(nil)
		}
		return err
	}
	s.fetched = now
	if old := s.current.Load(); old == nil || old.raw != set.raw {
		s.current.Store(set) // keys that are gone are gone from here on
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching key set: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	a, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching key set: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching key set: status %d", a.StatusCode)
	}
	doc, err := io.ReadAll(io.LimitReader(a.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("fetching key set: %w", err)
	}
	if len(doc) > maxKeySet {
		return nil, fmt.Errorf("fetching key set: more than %d bytes", maxKeySet)
	}
	return doc, nil
}
