// Package fronttest serves fronts to tests.
package fronttest

import (
	"context"
	"testing"
)

// Server is a front with a listener of its own.
type Server interface {
	Start(ctx context.Context) error
	Shutdown(ctx context.Context) error
}

// Serve starts what New made, which must not have failed, and shuts it down when the test ends: it must be idle then.
func Serve[S Server](t testing.TB, s S, err error) S {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}
