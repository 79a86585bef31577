package egress

import (
	"net"

	"casemate"
)

// Endpoint is a service of the node that a sandbox reaches through its door: an address inside, served outside. One
// belongs to one door.
type Endpoint struct {
	// Address is IP:port inside, "169.254.100.3:80" or "127.0.0.1:2773"; every address is local there.
	Address string
	// Serve takes over the listener and returns at once, as Door.Serve does. Close of the listener ends it.
	Serve func(l net.Listener)
	// Env are variables of the sandbox: they win over the platform's.
	Env map[string]string
	// Begin, when set, says whose run it is from now on; nil: nobody's, and nothing may be answered until the next.
	Begin func(l *casemate.Launch)
	// Close, when set, closes what Serve was given and returns when nothing of the endpoint runs any more.
	Close func()
}
