package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
)

// follow answers until it is told to stop.
func follow(ctx context.Context, _ *casemate.Launch) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A stream does not outlast the credential that it was asked for with.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := time.Now().Add(time.Minute)
		d := &directory{builtins: map[string]builtin{"audit.follow": {run: follow}}, stands: func(_ context.Context, p *casemate.Principal) error {
			if p.ID != "operator/ada" {
				t.Errorf("asked about %s", p.ID)
			}
			if time.Now().After(gone) {
				return errors.New("revoked")
			}
			return nil
		}}
		start := time.Now()
		l := &casemate.Launch{Version: &casemate.Version{Function: "audit.follow"}, Event: &casemate.Event{Stream: &lines{}}, Principal: &casemate.Principal{ID: "operator/ada"}, Deadline: start.Add(streamTime)}
		_, err := d.run(t.Context(), l)
		if casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%v", err)
		}
		if held := time.Since(start); held > time.Minute+2*watchEvery {
			t.Errorf("held for %v", held)
		}
	})
}

// lines takes what is streamed.
type lines struct{}

func (*lines) Write(p []byte) (int, error) { return len(p), nil }
