// Command worker is a wasm worker and nothing else, as tests start it: built without the race detector and without cgo,
// like a node.
package main

import (
	"os"

	"casemate/sandbox/wasm"
)

func main() { os.Exit(wasm.Serve(wasm.SocketFD)) }
