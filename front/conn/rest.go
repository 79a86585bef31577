package conn

import "time"

// Patience with a connection that is refused again and again.
const (
	patient  = 8                     // refusals in a row without a pause
	restTime = 20 * time.Millisecond // pause of one that goes on all the same: its next request is not read
)

// Rest leaves the next request of a connection that was refused so many times in a row where it is for a moment, unless ended is
// closed. What the peer sends meanwhile waits in its own connection.
func Rest(refusals int, ended <-chan struct{}) {
	if refusals <= patient {
		return
	}
	t := time.NewTimer(restTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	}
}
