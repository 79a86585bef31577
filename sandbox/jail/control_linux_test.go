package jail

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// ended is a context that is over, and tells nobody who waits for it.
type ended struct{ context.Context }

func (ended) Err() error { return context.Canceled }

// TestSocketsOfAStartThatWasGivenUp: they come with the message that was read when nobody wanted them any more, and are the
// child's to close.
func TestSocketsOfAStartThatWasGivenUp(t *testing.T) {
	ours, theirs, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	passed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	if err := unix.Sendmsg(int(theirs.Fd()), []byte("report"), unix.UnixRights(int(passed.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	c := &Child{}
	if _, err := converse(ended{context.Background()}, c, ours); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(c.sockets) != 1 {
		t.Fatalf("%d sockets for Close", len(c.sockets))
	}
	if err := c.sockets[0].Close(); err != nil {
		t.Error(err)
	}
}
