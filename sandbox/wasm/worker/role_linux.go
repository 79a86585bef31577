package worker

import (
	"os"
	"path/filepath"
)

// Argv0 is the name under which the node starts itself as a worker, and SocketFD the descriptor of its socket then.
const (
	Argv0    = "casemate-wasm"
	SocketFD = 3
)

// init is the worker's early dispatch. Go initialises ready packages in order of their paths, and this one is ready
// before the node's rooms are: what they wake up (a JSON Schema library compiles all of its meta-schemas, a message
// server its tables) costs a worker more than its own start. The worker runs on a goroutine of its own, because the one
// that initialises is tied to a thread.
func init() {
	if len(os.Args) != 1 || filepath.Base(os.Args[0]) != Argv0 {
		return
	}
	status := make(chan int)
	go func() { status <- Serve(SocketFD) }()
	os.Exit(<-status)
}
