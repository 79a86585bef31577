package egress

import (
	"net"
	"testing"

	"casemate"
)

// TestADoorThatIsNotMadeClosesItsEndpoints: their keys would outlive every sandbox otherwise.
func TestADoorThatIsNotMadeClosesItsEndpoints(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	closed := 0
	endpoint := Endpoint{Address: "169.254.100.3:80", Serve: func(l net.Listener) { l.Close() }, Close: func() { closed++ }}
	opening := Opening{Version: &casemate.Version{}, Record: func(casemate.Effect) {}, Endpoints: []Endpoint{endpoint, endpoint}}
	if _, err := e.Door(opening); err == nil || closed != 2 {
		t.Errorf("two endpoints at one address: %v, %d closed", err, closed)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	opening.Endpoints, closed = opening.Endpoints[:1], 0
	if _, err := e.Door(opening); err == nil || closed != 1 {
		t.Errorf("after the node's end: %v, %d closed", err, closed)
	}
}
