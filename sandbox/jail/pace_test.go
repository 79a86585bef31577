package jail

import (
	"os"
	"testing"
	"time"
)

// TestConnectFloodWaitsForItself: a jail that connects without end cost the node 40 % of a core, which no limit of the
// jail counted.
func TestConnectFloodWaitsForItself(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	wake := int(read.Fd())
	p := pace{left: callBurst, at: time.Now()}
	for range callBurst {
		if !p.wait(wake) {
			t.Fatal("the burst is not let through")
		}
	}
	p.at = time.Now().Add(-time.Hour)
	if p.wait(wake); p.left > callBurst-1 {
		t.Errorf("%f calls were saved in an hour", p.left)
	}
	p.left, p.at = -1e9, time.Now() // it would wait for days
	write.Close()
	if p.wait(wake) {
		t.Error("the end of the jail did not end the wait")
	}
}
